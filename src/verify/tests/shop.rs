//! An embedded ledger, a simulated store, and what a drain does between them, step by step.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tempfile::TempDir;

use crate::clock::{ManualClock, SharedClock, Timestamp};
use crate::ledger::embedded::{Config, Embedded, offline};
use crate::ledger::{
    Bound, Cancel, Change, Changed, Claim, Claimed, Fate, Ledger, Reserve, Reserved, SaleDoc,
    Settle, SharedLedger,
};
use crate::order::{Buyer, ItemLine, ItemLines, Keyring, Place, SaleSeal, TicketText};
use crate::sale::{ItemTerms, Rate, SaleName, SaleNo, Terms};
use crate::store::simulated::server::Constants;
use crate::store::simulated::{self, Simulated};
use crate::store::{PlaceOrder, Placement, Store};
use crate::verify::{OfflineAccounts, Report, Verifier, VerifyError};

pub(super) const SALE: &str = "demo";
pub(super) const RATE: u32 = 1_000;

#[derive(Debug)]
pub(super) struct Shop {
    pub(super) ledger: Arc<Embedded>,
    pub(super) store: Arc<Simulated>,
    pub(super) keyring: Keyring,
    pub(super) clock: Arc<ManualClock>,
    directory: TempDir,
}

/// What is left when nothing runs.
#[derive(Debug)]
pub(super) struct Closed {
    directory: TempDir,
}

fn store_config(directory: &Path) -> simulated::Config {
    let server = Constants::timeless();
    let directory = directory.join("store");
    simulated::Config { directory, server, ..simulated::Config::default() }
}

fn terms(limit_per_buyer: Option<u64>) -> Terms {
    let item = |sku: &str| ItemTerms { sku: sku.parse().unwrap(), stock: Some(1_000) };
    Terms {
        opens_at: None,
        closes_at: None,
        limit_per_buyer,
        payment_window_ms: None,
        admit_rate: None,
        drain_rate: None,
        items: vec![item("phone"), item("case")],
    }
}

impl Shop {
    /// A shop with an open sale and a pace of [`RATE`] a second.
    pub(super) async fn open(limit: Option<u64>) -> Self {
        let shop = Self::at(tempfile::tempdir().unwrap());
        shop.change(Change::DrainConfig { rate: Rate::per_second(RATE), burst: None }).await;
        shop.limit(limit).await;
        shop
    }

    fn at(directory: TempDir) -> Self {
        let clock = Arc::new(ManualClock::at(Timestamp(1_800_000_000_000_000)));
        let shared: SharedClock = Arc::<ManualClock>::clone(&clock);
        let keyring = Keyring::default();
        let ledger = Config { directory: directory.path().join("ledger"), ..Config::default() };
        let ledger = Arc::new(Embedded::open(&ledger, &shared, &keyring).unwrap());
        let store = Simulated::open(store_config(directory.path()), shared).unwrap();
        Self { ledger, store: Arc::new(store), keyring, clock, directory }
    }

    /// 60 orders: 1 to 30 placed (every third with two lines), 31 to 35 refused, 36 to 40 dead, 41 to 45 at the
    /// store, 46 to 50 cancelled, the others queued.
    pub(super) async fn with_every_state() -> Self {
        let shop = Self::open(Some(2)).await;
        for buyer in 1..=60 {
            shop.order(buyer, if buyer <= 30 && buyer % 3 == 0 { 2 } else { 1 }).await;
        }
        shop.drain(30).await;
        shop.patch(r#"{"refuse_rate": 1.0}"#).await;
        shop.drain(5).await;
        shop.patch(r#"{"refuse_rate": 0.0}"#).await;
        let claimed = shop.claim(5).await;
        for order in &claimed.orders {
            shop.settle(
                &claimed,
                order.place,
                Fate::Dead { reason: "spent".to_owned(), seen: None },
            )
            .await;
        }
        assert_eq!(shop.claim(5).await.orders.len(), 5);
        for sequence in 46..=50 {
            shop.cancel(sequence).await;
        }
        shop
    }

    pub(super) async fn change(&self, change: Change) -> Changed {
        self.ledger.change(change).await.unwrap()
    }

    pub(super) async fn limit(&self, limit: Option<u64>) {
        let (name, terms) = (name(), terms(limit));
        let numbers = [1, 2, 3, 4].map(SaleNo);
        self.change(Change::PutSale { name, terms, numbers, key_id: 0, only_new: false }).await;
    }

    pub(super) async fn doc(&self) -> SaleDoc {
        self.ledger.census(name()).await.unwrap().unwrap()
    }

    fn seal(&self, doc: &SaleDoc) -> SaleSeal {
        self.keyring.seal(doc.key_id, doc.sale_no, doc.made_at).unwrap()
    }

    /// The buyer's order of one unit each of the first items.
    pub(super) async fn order(&self, buyer: u64, lines: u16) {
        self.clock.advance(Duration::from_millis(1));
        let doc = self.doc().await;
        let name = format!("buyer-{buyer}");
        let lines: Vec<ItemLine> = (0..lines).map(|item| ItemLine { item, quantity: 1 }).collect();
        let reserve = Reserve {
            sale_no: doc.sale_no,
            buyer: Buyer::new(name.as_bytes()).unwrap(),
            buyer_hash: self.seal(&doc).buyer_hash(&name),
            key: buyer,
            fingerprint: buyer,
            lines: ItemLines::from(lines),
            payload: Bytes::from_static(b"{}"),
            bound: Bound { orders: u64::MAX, bytes: u64::MAX },
        };
        let answers = self.ledger.reserve(vec![reserve]).await.unwrap();
        assert!(matches!(answers[..], [Reserved::Accepted(_)]), "{answers:?}");
    }

    pub(super) async fn cancel(&self, sequence: u64) {
        let sale_no = self.doc().await.sale_no;
        let cancel = Cancel { sale_no, place: Place { epoch: 1, sequence } };
        self.ledger.cancel(vec![cancel]).await.unwrap();
    }

    pub(super) async fn claim(&self, max: u32) -> Claimed {
        let sale_no = self.doc().await.sale_no;
        self.clock.advance(Duration::from_millis(u64::from(max)));
        let grant = self.ledger.grant(sale_no, max).await.unwrap();
        let (lease, granted_at) = (Duration::from_secs(600), grant.at);
        let claim = Claim { sale_no, max: grant.granted, lease, granted_at, stock_seen: 0 };
        self.ledger.claim(claim).await.unwrap()
    }

    /// Carries `count` orders to the store and settles them.
    pub(super) async fn drain(&self, mut count: usize) {
        while count > 0 {
            let claimed = self.claim(u32::try_from(count.min(5)).unwrap()).await;
            self.store.stock(claimed.changes.clone()).await.unwrap();
            let attempts = self.attempts(&claimed).await;
            let placements = self.store.place(attempts).await;
            for (order, placement) in claimed.orders.iter().zip(placements) {
                let fate = match placement {
                    Placement::Placed { order_no } => Fate::Placed { order_no },
                    Placement::Refused { reason } => Fate::Refused { reason },
                    other => panic!("{other:?}"),
                };
                self.clock.advance(Duration::from_micros(10));
                self.settle(&claimed, order.place, fate).await;
            }
            assert!(!claimed.orders.is_empty(), "nothing waits");
            count -= claimed.orders.len();
        }
    }

    async fn attempts(&self, claimed: &Claimed) -> Vec<PlaceOrder> {
        let doc = self.doc().await;
        let seal = self.seal(&doc);
        let attempt = |order: &crate::ledger::ClaimedOrder| PlaceOrder {
            ticket: seal.mint(order.place, order.accepted_at, order.buyer_hash),
            sale_no: doc.sale_no,
            sale: doc.name.clone(),
            buyer: order.buyer.clone(),
            place: order.place,
            lines: order.lines.clone(),
            payload: order.payload.clone(),
            accepted_at: order.accepted_at,
            attempted_at: order.accepted_at,
            attempt: order.attempts + 1,
            confirmed: false,
        };
        claimed.orders.iter().map(attempt).collect()
    }

    pub(super) async fn settle(&self, claimed: &Claimed, place: Place, fate: Fate) {
        let sale_no = self.doc().await.sale_no;
        let settle = Settle { sale_no, place, lease: claimed.lease, fate, brake: None };
        self.ledger.settle(vec![settle]).await.unwrap();
    }

    pub(super) async fn purge(&self) {
        self.change(Change::Close(name())).await;
        let changed = self.change(Change::Purge(name())).await;
        assert!(matches!(changed, Changed::Sale(doc) if doc.purged));
    }

    async fn patch(&self, plan: &str) {
        let plan = serde_json::from_str(plan).unwrap();
        self.store.patch_faults(&plan).await.unwrap();
    }

    pub(super) async fn outage(&self) {
        self.patch(r#"{"outage": true}"#).await;
    }

    /// The ticket of the order with this sequence.
    pub(super) async fn ticket(&self, sequence: u64) -> TicketText {
        let doc = self.doc().await;
        let places = vec![Place { epoch: 1, sequence }];
        let order = self.ledger.tickets(doc.sale_no, places).await.unwrap().remove(0).unwrap();
        self.seal(&doc).mint(order.place, order.accepted_at, order.buyer_hash)
    }

    /// Another program's hands on the store's tables.
    pub(super) async fn sql(&self, sql: &str) {
        let file = self.directory.path().join("store/store.sqlite");
        let changed = rusqlite::Connection::open(file).unwrap().execute(sql, []).unwrap();
        assert!(changed > 0, "{sql}");
    }

    pub(super) fn verifier(&self) -> Verifier<SharedLedger> {
        let ledger: SharedLedger = Arc::<Embedded>::clone(&self.ledger);
        let clock: SharedClock = Arc::<ManualClock>::clone(&self.clock);
        let store = Arc::<Simulated>::clone(&self.store);
        Verifier::new(ledger, store, self.keyring.clone(), clock, Duration::ZERO)
    }

    pub(super) async fn try_verify(&self) -> Result<Report, VerifyError> {
        self.verifier().verify().await
    }

    pub(super) async fn verify(&self) -> Report {
        self.try_verify().await.unwrap()
    }

    pub(super) async fn close(self) -> Closed {
        self.ledger.close();
        Closed { directory: self.directory }
    }
}

impl Closed {
    pub(super) fn ledger(&self) -> std::path::PathBuf {
        self.directory.path().join("ledger")
    }

    pub(super) async fn verify_offline(&self) -> Report {
        let keyring = Keyring::default();
        let ledger = offline::read(&self.ledger(), &keyring).unwrap();
        let store = store_config(self.directory.path()).directory;
        let store = Arc::new(simulated::offline::read(&store).unwrap());
        let clock: SharedClock = Arc::new(ManualClock::default());
        let accounts = OfflineAccounts(ledger);
        let verifier = Verifier::new(accounts, store, keyring, clock, Duration::ZERO);
        verifier.verify().await.unwrap()
    }

    pub(super) fn open(self) -> Shop {
        Shop::at(self.directory)
    }
}

pub(super) fn name() -> SaleName {
    SALE.parse().unwrap()
}
