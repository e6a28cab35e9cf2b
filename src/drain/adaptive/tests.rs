//! What must hold whatever the store does, in virtual time before the simulated store's server.

mod plant;

use std::time::Duration;

use plant::{Fault, Plant, seconds};
use proptest::prelude::*;

use super::*;
use crate::store::simulated::server::Constants;

/// A store that bears about 2,500 orders a second however they are batched.
fn small() -> Constants {
    Constants { lock_row_nanos: 400_000, ..Constants::default() }
}

/// Each row: rate, store, noise of a call's latency in microseconds.
fn healthy() -> Vec<(&'static str, Constants, u64)> {
    let mut rows = Vec::new();
    for noise in [0, 300, 3_000] {
        for rate in ["5/s", "100/s", "500/s", "10000/s"] {
            rows.push((rate, Constants::default(), noise));
        }
        for rate in ["1000/s", "2000/s"] {
            rows.push((rate, small(), noise));
        }
    }
    rows.extend([("2300/s", small(), 0), ("unlimited", Constants::default(), 0)]);
    rows
}

#[test]
fn a_healthy_store_costs_nothing() {
    for (rate, store, noise) in healthy() {
        let plant = Plant::new(rate, store, noise);
        let [without, with] = [false, true]
            .map(|adaptive| plant.run(adaptive, None, 30).rate(seconds(2), seconds(30)));
        assert!(with >= 0.98 * without, "{rate}, noise {noise}: {with:.1} of {without:.1}");
    }
}

/// Each row: rate, store, fault, and the latency at the 95th percentile with against without.
#[test]
fn it_backs_off_within_a_second_and_is_back_within_ten() {
    let brown_out = |gone| Fault { gone, ..Fault::default() };
    for (rate, store, fault, relief) in [
        ("1500/s", small(), brown_out(0.7), 0.25),
        ("1500/s", small(), brown_out(0.9), 0.25),
        ("30000/s", Constants::default(), brown_out(0.9), 0.25),
        ("500/s", Constants::default(), brown_out(0.99), 0.5),
        ("500/s", Constants::default(), brown_out(0.9), 1.1),
        ("500/s", Constants::default(), Fault { late: seconds(1) / 50, ..Fault::default() }, 1.1),
        ("500/s", Constants::default(), Fault { errors: 0.3, ..Fault::default() }, 2.0),
        ("500/s", Constants::default(), Fault { errors: 1.0, ..Fault::default() }, 2.0),
    ] {
        for noise in [0, 300] {
            let plant = Plant::new(rate, store.clone(), noise);
            let [without, with] = [false, true].map(|on| plant.run(on, Some(fault), 60));
            let what = format!("{rate}, {fault:?}, noise {noise}");
            let (off, back) = (with.backs_off(seconds(20)), with.back(seconds(40)));
            assert!(off.is_some_and(|after| after <= seconds(1)), "{what}: off after {off:?}");
            assert!(back.is_some_and(|after| after <= seconds(10)), "{what}: back after {back:?}");
            let [late, later] =
                [&with, &without].map(|run| run.latency(seconds(22), seconds(40)).as_secs_f64());
            assert!(late <= later * relief, "{what}: p95 {late} s, {later} s without");
            let [some, all] = [&with, &without].map(|run| run.rate(seconds(22), seconds(40)));
            let whole = fault.errors > 0.0 || fault.gone > 0.95 || some >= 0.6 * all;
            assert!(whole, "{what}: {some:.0} a second, {all:.0} without");
        }
    }
}

#[test]
fn a_store_that_stays_slower_is_believed() {
    let fault = Fault { late: seconds(1) / 50, until: seconds(1_000), ..Fault::default() };
    let run = Plant::new("500/s", Constants::default(), 300).run(true, Some(fault), 60);
    assert!(run.rate(seconds(45), seconds(60)) >= 475.0, "its latency is not from our load");
}

#[test]
fn unlimited_finds_how_many_calls_are_enough() {
    let run = Plant::new("unlimited", Constants::default(), 0).run(true, None, 30);
    assert!(run.latency(seconds(5), seconds(30)) < Duration::from_millis(30), "66 with 16 calls");
    assert!(run.limits.iter().all(|(_, rate)| rate.is_infinite()));
}

#[test]
fn a_rate_in_force_bounds_at_once_and_the_floor_yields_to_it() {
    let now = seconds(1);
    let mut adaptive = Adaptive::new(16, Some("50/s".parse().unwrap()), now);
    adaptive.set(Rate::per_second(500), now);
    assert_eq!((adaptive.told_rate(), adaptive.at(3, now)), (Rate::per_second(500), now));
    adaptive.share = adaptive.least();
    assert_eq!(adaptive.told_rate(), Rate::per_second(50));
    adaptive.set(Rate::per_second(1_000), now);
    assert_eq!(adaptive.told_rate(), Rate::per_second(100), "the share stays");
    adaptive.set("6/m".parse().unwrap(), now);
    assert_eq!(adaptive.told_rate().to_string(), "6/m", "the floor is above it");
    adaptive.set(Rate::Unlimited, now);
    assert_eq!((adaptive.told_rate(), adaptive.concurrency()), (Rate::Unlimited, 16));
    let few = Adaptive { share: 0.011, rate: Rate::per_second(500), ..adaptive };
    assert_eq!((few.told_rate().to_string().as_str(), few.concurrency()), ("19800/h", 1));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Whatever calls say and however long they take.
    #[test]
    fn it_keeps_to_its_bounds(
        rate in prop_oneof![Just("unlimited"), Just("1/h"), Just("7/s"), Just("10000/s")],
        floor in prop_oneof![Just(None), Just(Some("2/s")), Just(Some("20/m"))],
        workers in 1u32..64,
        calls in proptest::collection::vec((1u32..600, 0u64..2_000_000, 0u32..3), 1..200),
    ) {
        let rate: Rate = rate.parse().unwrap();
        let mut now = seconds(1);
        let mut adaptive = Adaptive::new(workers, floor.map(|floor| floor.parse().unwrap()), now);
        adaptive.set(rate, now);
        let mut open = Vec::new();
        for (orders, micros, how) in calls {
            now = now.max(adaptive.at(orders, now));
            let taken = adaptive.take(orders, now);
            prop_assert!((1..=orders).contains(&taken));
            open.push((adaptive.begins(taken, now), taken));
            now += Duration::from_micros(micros);
            if open.len() > how as usize {
                let (call, orders) = open.remove(0);
                let decided = if how == 2 { 0 } else { orders };
                adaptive.ended(call, Said { decided, failed: orders - decided }, now);
            }
            prop_assert!((1..=workers).contains(&adaptive.concurrency()));
            let full = rate.as_per_second();
            let least = floor.map_or((full / 100.0).max(1.0), |floor| {
                floor.parse::<Rate>().unwrap().as_per_second()
            });
            prop_assert!(adaptive.rate() <= full && adaptive.rate() >= least.min(full) * 0.999_999);
        }
    }
}
