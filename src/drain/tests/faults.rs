//! The store and the ledger fail; no order is lost, doubled, killed or refused for it.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::plant::{Plant, pass, worst_window};
use super::shop::Mode;
use crate::clock::{Clock, micros};
use crate::order::State;
use crate::sale::SaleNo;
use crate::store::LaterCause;
use crate::tasks::CheckStatus;

const ONE: SaleNo = SaleNo(1);
const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn a_store_that_is_away_for_a_minute_costs_nothing_but_the_minute() {
    let mut plant = Plant::new("100/s").await;
    plant.order(ONE, 1_000).await;
    plant.shop.behave(Mode::Says(LaterCause::StoreAway, None));
    let running = plant.run();
    pass(SECOND * 2).await;
    let (from, before) = (plant.clock.monotonic(), plant.shop.seen().len());
    let check = running.status.store_check();
    assert_eq!((check.status, check.reason.contains("away")), (CheckStatus::Degraded, true));
    pass(SECOND * 58).await;
    let probes = &plant.shop.seen()[before..];
    assert!((10..60).contains(&probes.len()), "{} probes", probes.len());
    let twice = probes.windows(2).filter(|pair| pair[0].ticket == pair[1].ticket).count();
    assert_eq!(twice, 0, "each probe takes another order");
    assert_eq!(plant.attempts(from, plant.clock.monotonic()), probes.len() as u64);
    assert!(plant.orders(ONE).await.iter().all(|order| order.attempts == 0), "none is spent");
    plant.shop.behave(Mode::Up);
    let back = plant.clock.monotonic();
    let took = plant.until_placed(ONE, 1_000).await;
    assert!((SECOND * 10..=SECOND * 36).contains(&took), "{took:?}");
    let seen: Vec<_> = plant.shop.seen().iter().map(|seen| (micros(seen.at), 1)).collect();
    assert!(worst_window(&seen, 100) <= 2_000_000 + 1_000_000, "no burst to catch up");
    assert!(plant.attempts(back, back + SECOND * 6) >= 95, "it is found to be back in 5 s");
    let census = plant.census(ONE).await;
    assert_eq!((census.dead, census.refused, census.placed), (0, 0, 1_000));
    assert_eq!(running.status.store_check().status, CheckStatus::Ready);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn wrong_rights_are_named_and_spend_nothing() {
    let mut plant = Plant::new("100/s").await;
    plant.order(ONE, 50).await;
    plant.shop.behave(Mode::Says(LaterCause::Misconfigured, None));
    let running = plant.run();
    pass(SECOND * 120).await;
    let check = running.status.store_check();
    assert_eq!(check.status, CheckStatus::Degraded);
    assert!(check.reason.starts_with("store_misconfigured: "), "{}", check.reason);
    assert!(plant.orders(ONE).await.iter().all(|order| order.attempts == 0));
    plant.shop.behave(Mode::Up);
    plant.until_placed(ONE, 50).await;
    assert_eq!(running.status.store_check().status, CheckStatus::Ready);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn answers_about_an_order_spend_its_attempts_until_it_is_dead() {
    let mut plant = Plant::new("100/s").await;
    plant.order(ONE, 5).await;
    plant.shop.behave(Mode::Says(LaterCause::ThisOrder, None));
    let running = plant.run();
    pass(SECOND * 300).await;
    let orders = plant.orders(ONE).await;
    assert!(orders.iter().all(|order| order.state == State::Dead));
    assert!(orders.iter().all(|order| order.reason.as_deref() == Some("attempts")));
    assert_eq!(plant.shop.seen().len(), 40, "eight each");
    assert_eq!(running.status.store_check().status, CheckStatus::Ready, "the store is there");
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_after_its_time_is_found_and_doubles_nothing() {
    let mut plant = Plant::new("100/s").await;
    plant.order(ONE, 20).await;
    plant.shop.behave(Mode::TakesLong(SECOND * 7));
    let running = plant.run();
    pass(SECOND * 4).await;
    assert_eq!(running.status.in_flight(), 16, "one each worker: nobody has given up yet");
    plant.shop.behave(Mode::Up);
    plant.until_placed(ONE, 20).await;
    pass(SECOND * 20).await;
    assert_eq!(plant.shop.placed(), 20, "what the first attempts wrote late was there already");
    let census = plant.census(ONE).await;
    assert_eq!((census.placed, census.refused, census.dead), (20, 0, 0));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn lost_replies_are_asked_about_and_not_tried_again() {
    let mut plant = Plant::new("100/s").await;
    plant.order(ONE, 20).await;
    plant.shop.behave(Mode::LosesReplies);
    let running = plant.run();
    plant.until_placed(ONE, 20).await;
    assert_eq!(plant.shop.seen().len(), 20);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_answers_after_its_lease_starts_nothing() {
    let mut plant = Plant::new("100/s").await;
    plant.order(ONE, 5).await;
    plant.ledger.commit_micros.store(micros(SECOND * 5), Ordering::Relaxed);
    let running = plant.run();
    pass(SECOND * 60).await;
    assert_eq!(plant.shop.seen().len(), 0, "no lease outlasts an attempt");
    plant.ledger.commit_micros.store(0, Ordering::Relaxed);
    plant.until_placed(ONE, 5).await;
    assert_eq!(plant.shop.placed(), 5);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_the_store_or_of_a_worker_loses_no_order() {
    let mut plant = Plant::new("100/s").await;
    plant.order(ONE, 10).await;
    plant.shop.behave(Mode::Panics);
    let running = plant.run();
    pass(SECOND).await;
    assert!(!plant.shop.seen().is_empty());
    plant.shop.behave(Mode::Up);
    plant.until_placed(ONE, 10).await;
    plant.ledger.settle_panics.store(true, Ordering::Relaxed);
    plant.order(ONE, 1).await;
    let took = plant.until_placed(ONE, 11).await;
    assert!((SECOND * 9..SECOND * 12).contains(&took), "when its lease ends: {took:?}");
    assert_eq!(running.status.workers_busy(), 0, "the worker that broke off is free again");
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_store_slows_the_whole_sink() {
    let mut plant = Plant::new("100/s").await;
    plant.order(ONE, 100).await;
    plant.shop.behave(Mode::Says(LaterCause::StoreAway, Some(SECOND * 20)));
    let running = plant.run();
    pass(SECOND).await;
    plant.shop.behave(Mode::Up);
    let from = plant.clock.monotonic();
    pass(SECOND * 19).await;
    assert_eq!(plant.attempts(from, plant.clock.monotonic()), 0);
    plant.until_placed(ONE, 100).await;
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_ledger_that_is_away_or_loses_answers_is_asked_again() {
    let mut plant = Plant::new("100/s").await;
    plant.order(ONE, 300).await;
    let running = plant.run();
    for _ in 0..3 {
        pass(Duration::from_millis(300)).await;
        plant.ledger.down.store(true, Ordering::Relaxed);
        pass(SECOND * 3).await;
        plant.ledger.down.store(false, Ordering::Relaxed);
        pass(Duration::from_millis(300)).await;
        plant.ledger.doubtful.store(true, Ordering::Relaxed);
        pass(SECOND).await;
        plant.ledger.doubtful.store(false, Ordering::Relaxed);
    }
    plant.until_placed(ONE, 300).await;
    let mut tries: HashMap<_, u32> = HashMap::new();
    for seen in plant.shop.seen() {
        *tries.entry(seen.ticket).or_default() += 1;
    }
    assert!(tries.values().all(|tries| *tries == 1), "settles were repeated, not attempts");
    running.stop().await;
}
