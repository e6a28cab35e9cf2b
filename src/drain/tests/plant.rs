//! A drain that runs in paused time on the book and on a store in memory.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;

use super::book::{BookLedger, TimerClock};
use super::shop::Shop;
use crate::clock::Clock;
use crate::drain::{Config, Drain, DrainStatus, Parts, Retry};
use crate::ledger::{
    Bound, Census, Change, Changed, DrainPatch, Ledger, OrderDoc, Reserve, Reserved,
};
use crate::order::{Buyer, ItemLine, ItemLines, Keyring, TicketKey};
use crate::sale::{ItemTerms, Rate, SaleName, SaleNo, Terms};
use crate::tasks::{self, StopHandle};

/// Everything that a test of the drain needs.
pub(super) struct Plant {
    pub(super) clock: Arc<TimerClock>,
    pub(super) ledger: Arc<BookLedger>,
    pub(super) shop: Arc<Shop>,
    pub(super) config: Config,
    pub(super) retry: Retry,
    keyring: Keyring,
    buyers: u64,
}

/// A drain that runs.
pub(super) struct Running {
    pub(super) status: DrainStatus,
    stop: StopHandle,
    task: JoinHandle<()>,
}

impl Running {
    /// Stops it and waits for its end.
    pub(super) async fn stop(self) {
        self.stop.pull();
        self.task.await.expect("the drain does not break");
    }
}

/// Time goes by; whatever is due in it happens. Time is paused: this takes no time.
pub(super) async fn pass(time: Duration) {
    tokio::time::sleep(time).await;
}

pub(super) fn name(sale_no: SaleNo) -> SaleName {
    format!("sale-{}", sale_no.0).parse().expect("a good name")
}

impl Plant {
    /// A ledger with one sale, number 1, and this rate.
    pub(super) async fn new(rate: &str) -> Self {
        let clock = TimerClock::new();
        let shared: Arc<dyn Clock> = Arc::<TimerClock>::clone(&clock);
        let (ledger, shop) = (BookLedger::new(Arc::clone(&shared)), Shop::new(shared));
        let keyring = Keyring::default();
        keyring.add(TicketKey { id: 1, secret: [7; 32] }).expect("the first key");
        let config = Config { rate: rate.parse().expect("a rate"), ..Config::default() };
        let retry = Retry::default();
        let plant = Self { clock, ledger, shop, config, retry, keyring, buyers: 0 };
        plant.change(Change::DrainConfig { rate: plant.config.rate, burst: None }).await;
        plant.sale(SaleNo(1), None).await;
        plant
    }

    pub(super) async fn change(&self, change: Change) -> Changed {
        self.ledger.change(change).await.expect("the ledger answers")
    }

    pub(super) async fn patch(&self, patch: DrainPatch) {
        self.change(Change::Drain(patch)).await;
    }

    pub(super) async fn sale(&self, sale_no: SaleNo, drain_rate: Option<Rate>) {
        let item = ItemTerms { sku: "phone".parse().expect("a sku"), stock: Some(1_000_000) };
        let terms = Terms {
            opens_at: None,
            closes_at: None,
            limit_per_buyer: None,
            payment_window_ms: None,
            admit_rate: None,
            drain_rate,
            items: vec![item],
        };
        let numbers = [sale_no; 4];
        let put =
            Change::PutSale { name: name(sale_no), terms, numbers, key_id: 1, only_new: false };
        assert!(matches!(self.change(put).await, Changed::Created(_)));
    }

    /// `count` orders of as many buyers.
    pub(super) async fn order(&mut self, sale_no: SaleNo, count: u64) {
        let orders = (0..count).map(|_| {
            self.buyers += 1;
            let buyer = Buyer::new(format!("buyer-{}", self.buyers).as_bytes());
            Reserve {
                sale_no,
                buyer: buyer.expect("a good buyer"),
                buyer_hash: self.buyers,
                key: 1,
                fingerprint: 1,
                lines: ItemLines::One(ItemLine { item: 0, quantity: 1 }),
                payload: bytes::Bytes::new(),
                bound: Bound { orders: u64::MAX, bytes: u64::MAX },
            }
        });
        let answers = self.ledger.reserve(orders.collect()).await.expect("the ledger answers");
        assert!(answers.iter().all(|answer| matches!(answer, Reserved::Accepted(_))));
    }

    /// Starts a drain.
    pub(super) fn run(&self) -> Running {
        assert_eq!((self.config.check(), self.retry.check()), (Vec::new(), Vec::new()));
        let parts = Parts {
            ledger: Arc::<BookLedger>::clone(&self.ledger),
            store: Arc::<Shop>::clone(&self.shop),
            clock: Arc::<TimerClock>::clone(&self.clock),
            keyring: self.keyring.clone(),
            seed: 42,
        };
        let drain = Drain::new(self.config.clone(), self.retry.clone(), parts);
        let (status, (handle, stop)) = (drain.status(), tasks::stop());
        let task = tokio::spawn(drain.run(stop, Duration::from_secs(20)));
        Running { status, stop: handle, task }
    }

    pub(super) async fn census(&self, sale_no: SaleNo) -> Census {
        let doc = self.ledger.census(name(sale_no)).await.expect("the ledger answers");
        doc.expect("the sale is there").census
    }

    pub(super) async fn orders(&self, sale_no: SaleNo) -> Vec<OrderDoc> {
        let page = self.ledger.export(sale_no, 0, 100_000).await.expect("the ledger answers");
        page.orders
    }

    /// Waits until the sale has so many placed orders; answers how long that took.
    pub(super) async fn until_placed(&self, sale_no: SaleNo, count: u64) -> Duration {
        let begin = self.clock.monotonic();
        while self.census(sale_no).await.placed < count {
            assert!(self.clock.monotonic() < begin + Duration::from_secs(600), "it never ends");
            pass(Duration::from_millis(5)).await;
        }
        self.clock.monotonic() - begin
    }

    /// Attempts at the store from one instant to another.
    pub(super) fn attempts(&self, from: Duration, to: Duration) -> u64 {
        let within = |at: Duration| at >= from && at < to;
        self.shop.seen().iter().filter(|seen| within(seen.at)).count() as u64
    }
}

/// The one-pass form of L7 over (microseconds, count): by how much the window that is worst went above
/// `rate × window`, in millionths of a permit.
pub(super) fn worst_window(events: &[(u64, u32)], permits_per_second: u64) -> u64 {
    let (mut given, mut lowest, mut worst) = (0i128, i128::MAX, 0i128);
    for (at, count) in events {
        let earned = i128::from(permits_per_second) * i128::from(*at);
        lowest = lowest.min(given * 1_000_000 - earned);
        given += i128::from(*count);
        worst = worst.max(given * 1_000_000 - earned - lowest);
    }
    u64::try_from(worst).expect("never negative")
}
