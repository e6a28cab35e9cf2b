use std::sync::Arc;

use bytes::Bytes;

use super::*;
use crate::ledger::suite::{Engine, Volatile};
use crate::ledger::{Cancel, Change, Ledger, Reserve, Reserved};
use crate::order::{Buyer, ItemLine, ItemLines, KEY_BYTES, Place, TicketKey};
use crate::sale::{ItemTerms, Rate, Terms};

struct Bench {
    ledger: SharedLedger,
    watch: Arc<Watch>,
    follower: Follower,
    clock: Arc<crate::clock::ManualClock>,
}

const SALE: SaleNo = SaleNo(5);

fn terms(stock: Option<u64>) -> Terms {
    Terms {
        opens_at: None,
        closes_at: None,
        limit_per_buyer: None,
        payment_window_ms: None,
        admit_rate: None,
        drain_rate: None,
        items: vec![ItemTerms { sku: "phone".parse().unwrap(), stock }],
    }
}

async fn put(ledger: &SharedLedger, terms: Terms) {
    let (name, numbers) = ("sale".parse().unwrap(), [SALE; 4]);
    let put = Change::PutSale { name, terms, numbers, key_id: 1, only_new: false };
    ledger.change(put).await.unwrap();
}

async fn bench(stock: u64) -> Bench {
    let engine = Volatile::new();
    let (ledger, clock) = (engine.ledger(), engine.clock());
    put(&ledger, terms(Some(stock))).await;
    let ring = Keyring::default();
    ring.add(TicketKey { id: 1, secret: [1; KEY_BYTES] }).unwrap();
    let bound = QueueBound { max_wait: Duration::from_secs(60), capacity: 1_000, memory: 1 << 20 };
    let shared = Arc::<crate::clock::ManualClock>::clone(&clock);
    let (watch, mut follower) = Watch::new(Arc::clone(&ledger), ring, shared, bound);
    follower.load().await.unwrap();
    Bench { ledger, watch, follower, clock }
}

async fn order(ledger: &dyn Ledger, buyer: u64) -> Option<Place> {
    let call = Reserve {
        sale_no: SALE,
        buyer: Buyer::new(format!("b{buyer}").as_bytes()).unwrap(),
        buyer_hash: buyer,
        key: 1,
        fingerprint: 1,
        lines: ItemLines::One(ItemLine { item: 0, quantity: 1 }),
        payload: Bytes::new(),
        bound: Bound { orders: 1_000, bytes: 1 << 20 },
    };
    match ledger.reserve(vec![call]).await.unwrap().pop() {
        Some(Reserved::Accepted(receipt)) => Some(receipt.place),
        _ => None,
    }
}

#[tokio::test]
async fn whoever_knows_sold_out_knows_every_holder() {
    let mut bench = bench(3).await;
    let view = bench.watch.sale("sale").unwrap();
    for buyer in 1..=3 {
        assert!(order(&*bench.ledger, buyer).await.is_some());
    }
    assert!(order(&*bench.ledger, 4).await.is_none());
    assert!(!view.terms().all_sold_out(), "an answer never closes the latch");
    bench.follower.step().await;
    assert!(view.terms().all_sold_out());
    assert!((1..=3).all(|buyer| view.is_holder(buyer)) && !view.is_holder(4));
}

#[tokio::test]
async fn added_stock_and_cancels_open_the_latch_again_and_late_news_does_not_close_it() {
    let mut bench = bench(1).await;
    let view = bench.watch.sale("sale").unwrap();
    let first = order(&*bench.ledger, 1).await.unwrap();
    bench.follower.step().await;
    assert!(view.terms().is_sold_out(0));
    bench.ledger.cancel(vec![Cancel { sale_no: SALE, place: first }]).await.unwrap();
    bench.follower.step().await;
    assert!(!view.terms().is_sold_out(0));
    let late = Level { sale_no: SALE, item: 0, generation: 2, sold_out: true };
    view.level(late);
    assert!(!view.terms().is_sold_out(0), "an older generation closes nothing");
    assert_eq!(bench.watch.sale("sale").unwrap().waiting(), 0);
}

use crate::ledger::Level;

#[tokio::test]
async fn a_snapshot_tells_what_the_tail_would_have_told() {
    let mut bench = bench(2).await;
    for buyer in 1..=3 {
        order(&*bench.ledger, buyer).await;
    }
    bench.follower.step().await;
    let followed = bench.watch.sale("sale").unwrap();
    bench.watch.reload().await.unwrap();
    let loaded = bench.watch.sale("sale").unwrap();
    for buyer in 1..=3 {
        assert_eq!(followed.is_holder(buyer), loaded.is_holder(buyer));
    }
    let second = Place { epoch: 1, sequence: 2 };
    assert_eq!(followed.standing(second), loaded.standing(second));
    assert_eq!(loaded.standing(second), Standing::Queued { position: 2 });
    assert!(loaded.terms().all_sold_out());
}

#[tokio::test]
async fn closed_by_the_clock_counts_once_the_tail_was_read_to_its_end() {
    let mut bench = bench(5).await;
    let closes = bench.clock.wall().plus(Duration::from_secs(10));
    put(&bench.ledger, Terms { closes_at: Some(closes), ..terms(None) }).await;
    bench.follower.step().await;
    bench.clock.advance(Duration::from_secs(11));
    let view = bench.watch.sale("sale").unwrap();
    let since = view.terms().closed_by_clock(bench.clock.wall()).unwrap();
    assert!(!bench.watch.caught_up(since));
    bench.follower.step().await;
    assert!(bench.watch.caught_up(since));
}

use crate::clock::Clock;

#[tokio::test]
async fn the_backlog_follows_rate_wait_and_capacity() {
    let mut bench = bench(5).await;
    let view = bench.watch.sale("sale").unwrap();
    for (rate, orders) in [(Rate::per_second(10), 600), (Rate::per_second(500), 1_000)] {
        bench.ledger.change(Change::DrainConfig { rate, burst: None }).await.unwrap();
        bench.follower.step().await;
        assert_eq!(bench.watch.backlog_bound(&view).orders, orders);
    }
    let own = Terms { drain_rate: Some(Rate::per_second(2)), ..terms(None) };
    put(&bench.ledger, own).await;
    bench.follower.step().await;
    assert_eq!(bench.watch.backlog_bound(&view).orders, 120);
}
