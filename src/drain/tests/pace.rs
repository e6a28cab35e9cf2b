//! L7 and the speed that must be reached under it.

use std::sync::atomic::Ordering;
use std::time::Duration;

use proptest::prelude::*;

use super::plant::{Plant, pass, worst_window};
use super::shop::Mode;
use crate::clock::{Clock, micros};
use crate::ledger::DrainPatch;
use crate::sale::{Rate, SaleNo};
use crate::store::LaterCause;

const ONE: SaleNo = SaleNo(1);
const SECOND: Duration = Duration::from_secs(1);

/// Attempts at the store may lie this much later than their grants: commit and start.
const LATE: Duration = Duration::from_millis(50);

pub(super) fn holds_the_bound(plant: &Plant, permits: u32) {
    let burst = u64::from(Rate::per_second(permits).burst_auto().unwrap());
    let grants: Vec<_> = plant.ledger.grants().iter().map(|(at, n)| (at.0, *n)).collect();
    assert!(worst_window(&grants, permits.into()) <= burst * 1_000_000);
    let seen: Vec<_> = plant.shop.seen().iter().map(|seen| (micros(seen.at), 1)).collect();
    let late = u64::from(permits) * micros(LATE);
    assert!(worst_window(&seen, permits.into()) <= burst * 1_000_000 + late);
}

#[tokio::test(start_paused = true)]
async fn the_pace_is_reached_and_never_exceeded() {
    for (rate, seconds, commit, grants_wait) in [
        (100, 20, 3_000, false),
        (1_000, 4, 3_000, false),
        (10_000, 2, 3_000, false),
        (100, 20, 9_000, true),
        (1_000, 4, 9_000, true),
        (10_000, 2, 9_000, true),
    ] {
        let mut plant = Plant::new(&format!("{rate}/s")).await;
        plant.ledger.commit_micros.store(commit, Ordering::Relaxed);
        plant.ledger.grants_wait.store(grants_wait, Ordering::Relaxed);
        plant.shop.latency(Duration::from_millis(20));
        plant.order(ONE, u64::from(rate) * (seconds + 2)).await;
        let running = plant.run();
        pass(SECOND).await;
        let from = plant.clock.monotonic();
        pass(SECOND * u32::try_from(seconds).unwrap()).await;
        let attempts = plant.attempts(from, plant.clock.monotonic());
        let expected = u64::from(rate) * seconds;
        let off = attempts.abs_diff(expected) * 1_000;
        assert!(off <= expected * 2, "{attempts} for {expected} at {rate}/s");
        let shown = running.status.attempts_per_second();
        assert!((shown - f64::from(rate)).abs() < f64::from(rate) * 0.1, "{shown} at {rate}/s");
        holds_the_bound(&plant, rate);
        running.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn unlimited_waits_for_nothing() {
    let mut plant = Plant::new("unlimited").await;
    plant.order(ONE, 20_000).await;
    let running = plant.run();
    let took = plant.until_placed(ONE, 20_000).await;
    // 40 calls of 500, 16 at once, 10 ms each.
    assert!(took <= Duration::from_millis(60), "{took:?}");
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn pause_and_rate_hold_within_a_second() {
    let mut plant = Plant::new("100/s").await;
    plant.order(ONE, 20_000).await;
    let running = plant.run();
    pass(SECOND).await;
    plant.patch(DrainPatch { paused: Some(true), ..DrainPatch::default() }).await;
    pass(SECOND).await;
    assert!(running.status.drain_check().reason.contains("paused"));
    let from = plant.clock.monotonic();
    pass(SECOND * 30).await;
    assert_eq!(plant.attempts(from, plant.clock.monotonic()), 0);
    let rate = Some(Some(Rate::per_second(1_000)));
    plant.patch(DrainPatch { rate, paused: Some(false), ..DrainPatch::default() }).await;
    let from = plant.clock.monotonic();
    pass(SECOND * 2).await;
    let attempts = plant.attempts(from, plant.clock.monotonic());
    assert!((1_000..=2_011).contains(&attempts), "{attempts}");
    assert_eq!(running.status.drain_check().reason, "");
    plant.patch(DrainPatch { rate: Some(None), ..DrainPatch::default() }).await;
    pass(SECOND).await;
    let from = plant.clock.monotonic();
    pass(SECOND * 10).await;
    let attempts = plant.attempts(from, plant.clock.monotonic());
    assert!((998..=1_002).contains(&attempts), "{attempts}");
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_storm_of_refusals_pauses_the_drain() {
    let mut plant = Plant::new("100/s").await;
    plant.shop.behave(Mode::Refuses);
    plant.order(ONE, 1_000).await;
    let running = plant.run();
    pass(SECOND * 5).await;
    let refused = plant.census(ONE).await.refused;
    assert!((20..60).contains(&refused), "{refused}");
    assert_eq!(running.status.drain_check().reason, "paused: refusal_storm");
    plant.shop.behave(Mode::Up);
    plant.patch(DrainPatch { paused: Some(false), ..DrainPatch::default() }).await;
    plant.until_placed(ONE, 1_000 - refused).await;
    running.stop().await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Whatever the ledger's commits and the store do, and however the drain restarts.
    #[test]
    fn no_schedule_breaks_the_bound(
        permits in prop_oneof![1u32..50, 50u32..3_000],
        adaptive in any::<bool>(),
        steps in proptest::collection::vec((0u8..8, 1u64..1_500, 0u64..30_000), 1..12),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let mut plant = Plant::new(&format!("{permits}/s")).await;
            plant.config.adaptive = adaptive;
            let mut running = plant.run();
            for (what, millis, commit) in steps {
                plant.ledger.commit_micros.store(commit, Ordering::Relaxed);
                match what {
                    0 => plant.shop.behave(Mode::Says(LaterCause::StoreAway, None)),
                    1 => plant.shop.behave(Mode::Says(LaterCause::ThisOrder, None)),
                    2 => plant.shop.behave(Mode::LosesReplies),
                    3 => {
                        running.stop().await;
                        running = plant.run();
                    }
                    4 => plant.shop.latency(Duration::from_millis(millis)),
                    5 => plant.shop.behave(Mode::Up),
                    _ => plant.order(ONE, millis).await,
                }
                pass(Duration::from_millis(millis)).await;
            }
            holds_the_bound(&plant, permits);
            running.stop().await;
        });
    }
}
