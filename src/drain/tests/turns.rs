//! Which orders are drained when: sales in turn, idle drains, stock before orders, the stop.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::plant::{Plant, name, pass};
use super::shop::Mode;
use crate::clock::Clock;
use crate::ledger::{Change, Which};
use crate::order::State;
use crate::sale::{Rate, SaleNo};
use crate::store::LaterCause;

const ONE: SaleNo = SaleNo(1);
const TWO: SaleNo = SaleNo(2);
const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn sales_share_the_pace_and_keep_their_own() {
    let mut plant = Plant::new("1000/s").await;
    plant.sale(TWO, None).await;
    plant.sale(SaleNo(3), Some(Rate::per_second(50))).await;
    for sale in [ONE, TWO, SaleNo(3)] {
        plant.order(sale, 8_000).await;
    }
    let running = plant.run();
    pass(SECOND * 10).await;
    let all = plant.shop.seen().len();
    let of = |sale_no| plant.shop.seen().iter().filter(|seen| seen.sale_no == sale_no).count();
    assert!((9_900..=10_011).contains(&all), "{all}");
    assert!((490..=502).contains(&of(SaleNo(3))), "{}", of(SaleNo(3)));
    assert!(of(ONE).abs_diff(of(TWO)) < 500, "{} and {}", of(ONE), of(TWO));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_idle_drain_asks_nothing_and_starts_at_once() {
    let mut plant = Plant::new("100/s").await;
    let running = plant.run();
    plant.order(ONE, 3).await;
    plant.until_placed(ONE, 3).await;
    pass(SECOND * 11).await;
    let calls = plant.ledger.calls();
    pass(SECOND * 600).await;
    assert_eq!(
        plant.ledger.calls(),
        calls,
        "the ends of leases were looked at; then nothing is due"
    );
    plant.order(ONE, 2).await;
    let took = plant.until_placed(ONE, 5).await;
    assert!(took <= Duration::from_millis(15), "{took:?}");
    plant.sale(TWO, None).await;
    plant.order(TWO, 1).await;
    let took = plant.until_placed(TWO, 1).await;
    assert!(took <= Duration::from_millis(25), "a new sale: {took:?}");
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_backlog_is_drained_without_a_read_for_each_commit() {
    let mut plant = Plant::new("100/s").await;
    plant.order(ONE, 5_000).await;
    let running = plant.run();
    pass(SECOND).await;
    let (calls, attempts) = (plant.ledger.calls(), plant.shop.seen().len() as u64);
    for _ in 0..1_000 {
        plant.order(ONE, 1).await;
        pass(Duration::from_millis(1)).await;
    }
    let attempts = plant.shop.seen().len() as u64 - attempts;
    // An attempt is a grant, a claim and a settle; 1,000 calls are the orders themselves.
    let calls = plant.ledger.calls() - calls - 1_000;
    assert!(calls <= attempts * 4 + 10, "{calls} calls for {attempts} attempts");
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn no_order_is_placed_before_its_stock_change() {
    let mut plant = Plant::new("100/s").await;
    plant.shop.stock_fails(true);
    plant.order(ONE, 10).await;
    let running = plant.run();
    pass(SECOND * 5).await;
    assert_eq!((plant.shop.seen().len(), plant.shop.stock_of(ONE)), (0, 0));
    let grants = plant.ledger.grants().len();
    assert!((10..100).contains(&grants), "it rests between its tries: {grants} grants");
    plant.shop.stock_fails(false);
    plant.until_placed(ONE, 10).await;
    assert_eq!((plant.shop.without_stock(), plant.shop.stock_of(ONE)), (0, 1));
    let (sku, operation) = ("phone".parse().unwrap(), "more".to_owned());
    plant.change(Change::Stock { sale: name(ONE), sku, delta: 5, operation }).await;
    plant.order(ONE, 1).await;
    plant.until_placed(ONE, 11).await;
    assert_eq!(plant.shop.stock_of(ONE), 2);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_order_that_could_not_start_in_time_goes_back() {
    let mut plant = Plant::new("100/s").await;
    plant.shop.stock_takes(Duration::from_millis(60));
    plant.order(ONE, 10).await;
    let running = plant.run();
    pass(Duration::from_millis(50)).await;
    let placing = plant.census(ONE).await.placing;
    assert!((3..=5).contains(&placing), "the first claims wait for the stock: {placing}");
    plant.until_placed(ONE, 10).await;
    let orders = plant.orders(ONE).await;
    let first = orders.iter().filter_map(|order| order.attempted_at).min();
    let stock_was_there = plant.ledger.grants()[0].0.plus(Duration::from_millis(60));
    assert!(first >= Some(stock_was_there), "the first grants were lost");
    assert_eq!((plant.shop.seen().len(), plant.shop.without_stock()), (10, 0));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn dead_orders_that_an_operator_retries_are_drained() {
    let mut plant = Plant::new("100/s").await;
    plant.shop.behave(Mode::Says(LaterCause::ThisOrder, None));
    plant.order(ONE, 3).await;
    let running = plant.run();
    pass(SECOND * 300).await;
    assert_eq!(plant.census(ONE).await.dead, 3);
    plant.shop.behave(Mode::Up);
    plant.change(Change::RetryDead { sale: name(ONE), which: Which::All }).await;
    plant.until_placed(ONE, 3).await;
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_stop_hands_leases_back_and_awaits_what_is_at_the_store() {
    let mut plant = Plant::new("1000/s").await;
    plant.order(ONE, 2_000).await;
    plant.shop.latency(Duration::from_millis(400));
    plant.ledger.commit_micros.store(30_000, Ordering::Relaxed);
    let running = plant.run();
    pass(SECOND).await;
    assert!(running.status.in_flight() > 0);
    let at = plant.clock.monotonic();
    let (busy, attempts) = (running.status.workers_busy(), plant.shop.seen().len());
    assert!(busy > 0);
    running.stop().await;
    assert!(plant.clock.monotonic() - at <= Duration::from_millis(520));
    assert_eq!(plant.shop.seen().len(), attempts, "nothing was started after the stop");
    let orders = plant.orders(ONE).await;
    let placed = orders.iter().filter(|order| order.state == State::Placed).count();
    assert_eq!((placed, plant.shop.placed()), (attempts, attempts), "all attempts are settled");
    // Nothing is under a lease any more: a new drain gets every order at once.
    let again = plant.run();
    plant.shop.latency(Duration::from_millis(1));
    plant.ledger.commit_micros.store(0, Ordering::Relaxed);
    let took = plant.until_placed(ONE, 2_000).await;
    assert!(took <= SECOND * 2, "{took:?}");
    again.stop().await;
}
