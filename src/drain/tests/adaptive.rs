//! A drain that follows its store.

use std::time::Duration;

use super::pace::holds_the_bound;
use super::plant::{Plant, pass};
use super::shop::Mode;
use crate::clock::Clock;
use crate::drain::AdaptiveLimits;
use crate::ledger::DrainPatch;
use crate::sale::{Rate, SaleNo};
use crate::store::LaterCause;

const ONE: SaleNo = SaleNo(1);
const SECOND: Duration = Duration::from_secs(1);
const FULL: AdaptiveLimits = AdaptiveLimits { rate: Rate::per_second(500), concurrency: 16 };

async fn adaptive() -> Plant {
    let mut plant = Plant::new("500/s").await;
    plant.config.adaptive = true;
    plant.order(ONE, 30_000).await;
    plant
}

async fn attempts_in(plant: &Plant, seconds: u32) -> u64 {
    let from = plant.clock.monotonic();
    pass(SECOND * seconds).await;
    plant.attempts(from, plant.clock.monotonic())
}

#[tokio::test(start_paused = true)]
async fn it_asks_for_less_while_the_store_is_slow_and_then_for_all_again() {
    let plant = adaptive().await;
    let running = plant.run();
    pass(SECOND).await;
    let healthy = attempts_in(&plant, 4).await;
    assert!((1_990..=2_010).contains(&healthy), "{healthy}");
    assert_eq!(running.status.adaptive(), Some(FULL));
    plant.shop.latency(Duration::from_millis(300));
    pass(SECOND).await;
    let off = running.status.adaptive().unwrap();
    assert!(off.rate.as_per_second() < 450.0 && off.concurrency < 16, "{off:?}");
    let slow = attempts_in(&plant, 2).await;
    assert!((2..500).contains(&slow), "{slow}");
    plant.shop.latency(Duration::from_millis(10));
    pass(SECOND * 10).await;
    let back = attempts_in(&plant, 2).await;
    assert!(back >= 950, "{back}");
    holds_the_bound(&plant, 500);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn after_an_outage_it_comes_back_by_itself() {
    let plant = adaptive().await;
    let running = plant.run();
    pass(SECOND * 2).await;
    plant.shop.behave(Mode::Says(LaterCause::StoreAway, None));
    pass(SECOND * 60).await;
    assert!(running.status.adaptive().unwrap().rate.as_per_second() <= 50.0);
    plant.shop.behave(Mode::Up);
    // The breaker's longest pause, and the way up.
    pass(SECOND * 12).await;
    let back = attempts_in(&plant, 2).await;
    assert!(back >= 950, "{back}");
    holds_the_bound(&plant, 500);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn answers_about_orders_and_refusals_are_no_reason() {
    let mut plant = adaptive().await;
    plant.config.refusal_brake = crate::drain::RefusalBrake(None);
    let running = plant.run();
    for mode in [Mode::Says(LaterCause::ThisOrder, None), Mode::Refuses] {
        plant.shop.behave(mode);
        pass(SECOND * 3).await;
        assert_eq!(running.status.adaptive(), Some(FULL));
    }
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_operators_rate_bounds_it_and_without_it_nothing_is_told() {
    let plant = adaptive().await;
    let running = plant.run();
    pass(SECOND).await;
    let rate = Some(Some(Rate::per_second(100)));
    plant.patch(DrainPatch { rate, ..DrainPatch::default() }).await;
    pass(SECOND).await;
    assert_eq!(running.status.adaptive().unwrap().rate, Rate::per_second(100));
    let attempts = attempts_in(&plant, 5).await;
    assert!((495..=505).contains(&attempts), "{attempts}");
    running.stop().await;
    assert_eq!(Plant::new("500/s").await.run().status.adaptive(), None);
}
