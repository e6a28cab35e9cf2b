//! A desk at which tests order, claim and settle on an open ledger.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::runtime::Runtime;

use crate::clock::{ManualClock, SharedClock, Timestamp};
use crate::ledger::embedded::{Config, Embedded, Lsn, OpenError};
use crate::ledger::{
    Answer, Bound, Cancel, Cancelled, Change, Changed, Claim, Claimed, Fate, Fault, LeaseId,
    Ledger, OrderDoc, Reserve, Reserved, SaleDoc, Settle, Settled,
};
use crate::order::{Buyer, ItemLine, ItemLines, Keyring, Place};
use crate::sale::{ItemTerms, Rate, SaleName, SaleNo, Terms};
use crate::units::Size;

/// Segments so small that a few commits fill one.
pub(super) fn small(directory: &Path) -> Config {
    let directory = directory.to_path_buf();
    let (segment_size, snapshot_after) = (Size(4 << 10), Size(8 << 10));
    Config { directory, segment_size, snapshot_after, ..Config::default() }
}

#[derive(Debug)]
pub(super) struct Desk {
    pub(super) ledger: Embedded,
    pub(super) clock: Arc<ManualClock>,
    config: Config,
    runtime: Runtime,
}

impl Desk {
    pub(super) fn open(config: &Config) -> Self {
        Self::try_open(config).unwrap()
    }

    pub(super) fn try_open(config: &Config) -> Result<Self, OpenError> {
        let clock = Arc::new(ManualClock::at(Timestamp(1_700_000_000_000_000)));
        let shared: SharedClock = Arc::<ManualClock>::clone(&clock);
        let ledger = Embedded::open(config, &shared, &Keyring::default())?;
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let desk = Self { ledger, clock, config: config.clone(), runtime };
        desk.change(Change::DrainConfig { rate: Rate::Unlimited, burst: None });
        Ok(desk)
    }

    pub(super) fn open_again(&self) -> Result<Self, OpenError> {
        Self::try_open(&self.config)
    }

    pub(super) fn now<T>(&self, answer: Answer<'_, T>) -> Result<T, Fault> {
        self.runtime.block_on(answer)
    }

    pub(super) fn change(&self, change: Change) -> Changed {
        self.now(self.ledger.change(change)).unwrap()
    }

    pub(super) fn make_sale(&self, name: &str, stock: u64) -> SaleNo {
        let item = |sku: &str| ItemTerms { sku: sku.parse().unwrap(), stock: Some(stock) };
        let terms = Terms {
            opens_at: None,
            closes_at: None,
            limit_per_buyer: None,
            payment_window_ms: None,
            admit_rate: None,
            drain_rate: None,
            items: vec![item("phone"), item("case")],
        };
        let hash = name.bytes().fold(7u32, |hash, byte| hash.wrapping_mul(31) ^ u32::from(byte));
        let numbers = [0, 1, 2, 3].map(|n| SaleNo(hash.wrapping_add(n)));
        let name = name.parse().unwrap();
        match self.change(Change::PutSale { name, terms, numbers, key_id: 0, only_new: false }) {
            Changed::Created(doc) => doc.sale_no,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn census(&self, name: &str) -> SaleDoc {
        let name: SaleName = name.parse().unwrap();
        self.now(self.ledger.census(name)).unwrap().expect("the sale is there")
    }

    fn sale_no(&self, name: &str) -> SaleNo {
        self.census(name).sale_no
    }

    pub(super) fn payload(buyer: &str) -> Bytes {
        Bytes::from(format!("{{\"for\":\"{buyer}\",\"pad\":\"{}\"}}", "x".repeat(buyer.len() * 3)))
    }

    /// One order each of these buyers; every seventh has two lines. A commit each.
    pub(super) fn order(&self, name: &str, buyers: Range<u64>) {
        let sale_no = self.sale_no(name);
        for n in buyers {
            let one = ItemLine { item: 0, quantity: 1 };
            let lines = if n % 7 == 0 { vec![one, ItemLine { item: 1, ..one }] } else { vec![one] };
            let buyer = format!("buyer-{n}");
            let reserve = Reserve {
                sale_no,
                buyer: Buyer::new(buyer.as_bytes()).unwrap(),
                buyer_hash: n,
                key: n,
                fingerprint: n,
                lines: ItemLines::from(lines),
                payload: Self::payload(&buyer),
                bound: Bound { orders: u64::MAX, bytes: u64::MAX },
            };
            let answers = self.now(self.ledger.reserve(vec![reserve])).unwrap();
            assert!(matches!(answers[..], [Reserved::Accepted(_)]), "{answers:?}");
        }
    }

    pub(super) fn claim(&self, name: &str, max: u32) -> Claimed {
        let sale_no = self.sale_no(name);
        let grant = self.now(self.ledger.grant(sale_no, max)).unwrap();
        let (lease, granted_at) = (Duration::from_secs(10), grant.at);
        let claim = Claim { sale_no, max: grant.granted, lease, granted_at, stock_seen: 0 };
        self.now(self.ledger.claim(claim)).unwrap()
    }

    pub(super) fn settle(&self, name: &str, place: Place, lease: LeaseId, fate: Fate) {
        let sale_no = self.sale_no(name);
        let settle = Settle { sale_no, place, lease, fate, brake: None };
        let answers = self.now(self.ledger.settle(vec![settle])).unwrap();
        assert_eq!(answers, [Settled::Done]);
    }

    fn place(sequence: u64) -> Place {
        Place { epoch: 1, sequence }
    }

    pub(super) fn cancel(&self, name: &str, sequence: u64) {
        let cancel = Cancel { sale_no: self.sale_no(name), place: Self::place(sequence) };
        let answers = self.now(self.ledger.cancel(vec![cancel])).unwrap();
        assert!(matches!(answers[..], [Cancelled::Done(_)]), "{answers:?}");
    }

    pub(super) fn order_doc(&self, name: &str, sequence: u64) -> Option<OrderDoc> {
        let places = vec![Self::place(sequence)];
        self.now(self.ledger.tickets(self.sale_no(name), places)).unwrap().remove(0)
    }

    /// Waits until there is a snapshot.
    pub(super) fn wait_for_snapshot(&self) {
        self.ledger.shared.follow.wait_for_snapshot(Lsn(0));
    }
}
