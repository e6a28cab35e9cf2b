//! A short life of a ledger, step by step: the same steps for the engine and for the book that judges it.
//!
//! It has all that a long life has: orders of one line and of several, every fate of an order, stock, a sale
//! that is closed, purged and forgotten, new segments, snapshots, and segments that go.

use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use forebay::clock::Timestamp;
use forebay::ledger::book::{Batch, Book, Now, Writer};
use forebay::ledger::embedded::Embedded;
use forebay::ledger::{
    Bound, Cancel, Change, Claim, Claimed, Fate, Fault, LeaseId, Ledger, Reserve, Settle, Which,
};
use forebay::order::{Buyer, ItemLine, ItemLines, Place};
use forebay::sale::{ItemTerms, Rate, SaleName, SaleNo, Terms};

/// The instant at which every life begins.
pub(crate) const START: Timestamp = Timestamp(1_700_000_000_000_000);

/// Bytes before each record's body: the journal's format, version 1.
const RECORD_HEAD: u64 = 12;

/// One step: one commit, or something to wait for.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Rate,
    Open(&'static str),
    /// Orders of these buyers in one batch.
    Orders(&'static str, Range<u64>),
    Claim(&'static str, u32),
    /// The fates of these sequences, under the lease with this number.
    Settle(&'static str, u64, Vec<(u64, Fate)>),
    /// Cancels these sequences.
    Cancel(&'static str, Range<u64>),
    Stock(&'static str, i64),
    RetryDead(&'static str),
    Close(&'static str),
    Purge(&'static str),
    /// Everything that is settled is purged; everything that was purged is forgotten.
    Retain,
    /// Changes nothing: asked while nothing can be written, it must still be answered.
    Census(&'static str),
    /// Waits for the follower: a snapshot, and the segment with this number gone.
    Folded(u64),
}

fn placed(n: u64) -> Fate {
    Fate::Placed { order_no: format!("shop-{n}") }
}

fn fates_of_the_first_claim() -> Vec<(u64, Fate)> {
    let reason = || "the shop has none".to_owned();
    let later = Fate::Later { after: Duration::ZERO, reason: "deadlock".into(), spends: true };
    let mut fates: Vec<(u64, Fate)> = (1..=4).map(|n| (n, placed(n))).collect();
    fates.extend([(5, Fate::Refused { reason: reason() }), (6, later)]);
    fates.push((7, Fate::Dead { reason: reason(), seen: Some("1205".to_owned()) }));
    fates
}

/// The life that is killed, cut off and refused at each of its system calls.
pub(crate) fn life() -> Vec<Step> {
    let second: Vec<(u64, Fate)> = [6, 8, 10, 11, 12].map(|n| (n, placed(n))).into();
    vec![
        Step::Rate,
        Step::Open("early"),
        Step::Orders("early", 0..6),
        Step::Orders("early", 6..12),
        Step::Claim("early", 8),
        Step::Settle("early", 1, fates_of_the_first_claim()),
        Step::Cancel("early", 9..10),
        Step::Stock("early", 5),
        Step::Claim("early", 8),
        // Sequence 8 is still under the first lease: an answer of the store is the truth all the same.
        Step::Settle("early", 2, second),
        Step::RetryDead("early"),
        Step::Claim("early", 8),
        Step::Settle("early", 3, vec![(7, placed(7))]),
        Step::Close("early"),
        Step::Open("late"),
        Step::Orders("late", 0..6),
        Step::Orders("late", 6..12),
        Step::Purge("early"),
        Step::Orders("late", 12..18),
        Step::Folded(1),
        Step::Retain,
        Step::Claim("late", 18),
        Step::Settle("late", 4, (1..=18).map(|n| (n, placed(n))).collect()),
        Step::Orders("late", 18..24),
        Step::Cancel("late", 22..23),
        Step::Orders("late", 24..30),
        Step::Orders("late", 30..34),
        Step::Folded(3),
        Step::Claim("late", 2),
        Step::Settle("late", 5, vec![(19, placed(19))]),
        Step::Census("late"),
    ]
}

/// The step with this number; behind the life orders come and go in a sale of their own, as many as it takes.
pub(crate) fn step(n: usize) -> Step {
    let life = life();
    let Some(more) = n.checked_sub(life.len()) else { return life[n].clone() };
    let first = 6 * (more.saturating_sub(1) / 2) as u64;
    match more {
        0 => Step::Open("more"),
        more if more % 2 == 1 => Step::Orders("more", first..first + 6),
        _ => Step::Cancel("more", first + 1..first + 7),
    }
}

/// When a step is taken, after [`START`]; a ledger that is opened before a step is opened a millisecond earlier.
pub(crate) fn when(step: usize) -> Duration {
    Duration::from_millis(step as u64 + 1)
}

/// When a ledger is opened again after a death: later than everything.
pub(crate) const AFTERWARDS: Duration = Duration::from_secs(1_000);

pub(crate) fn at(since: Duration) -> Now {
    let now = START.plus(since);
    Now { ledger: now, wall: now }
}

pub(crate) fn sale_no(name: &str) -> SaleNo {
    SaleNo(name.bytes().fold(7u32, |hash, byte| hash.wrapping_mul(31) ^ u32::from(byte)))
}

fn name(text: &str) -> SaleName {
    text.parse().expect("a name of a sale")
}

fn sequence(sequence: u64) -> Place {
    Place { epoch: 1, sequence }
}

/// What the buyer sends; the seventh, who dies, sends nothing: payloads of the dead move by themselves.
pub(crate) fn payload(n: u64) -> Bytes {
    if n == 6 {
        return Bytes::new();
    }
    let note = "x".repeat(150 + 10 * (n % 50) as usize);
    Bytes::from(format!("{{\"for\":{n},\"note\":\"{note}\"}}"))
}

pub(crate) fn reserve(sale: &str, n: u64) -> Reserve {
    let one = ItemLine { item: 0, quantity: 1 };
    let lines =
        if n.is_multiple_of(5) { vec![one, ItemLine { item: 1, quantity: 2 }] } else { vec![one] };
    Reserve {
        sale_no: sale_no(sale),
        buyer: Buyer::new(format!("buyer-{n}").as_bytes()).expect("a buyer"),
        buyer_hash: n.wrapping_mul(0x9e37_79b9_7f4a_7c15),
        key: n,
        fingerprint: n,
        lines: ItemLines::from(lines),
        payload: payload(n),
        bound: Bound { orders: u64::MAX, bytes: u64::MAX },
    }
}

pub(crate) fn make(sale: &str, stock: u64) -> Change {
    let item = |sku: &str| ItemTerms { sku: sku.parse().expect("a sku"), stock: Some(stock) };
    let terms = Terms {
        opens_at: None,
        closes_at: None,
        limit_per_buyer: Some(3),
        payment_window_ms: None,
        admit_rate: None,
        drain_rate: None,
        items: vec![item("phone"), item("case")],
    };
    let numbers = [sale_no(sale); 4];
    Change::PutSale { name: name(sale), terms, numbers, key_id: 0, only_new: false }
}

/// A step as the ledger hears it.
enum Command {
    Change(Change),
    Reserve(Vec<Reserve>),
    Cancel(Vec<Cancel>),
    Claim(Claim),
    Settle(Vec<Settle>),
    Census(SaleName),
}

impl Step {
    fn command(&self, now: Now) -> Option<Command> {
        let change = match self {
            Self::Folded(_) => return None,
            Self::Orders(sale, buyers) => {
                return Some(Command::Reserve(buyers.clone().map(|n| reserve(sale, n)).collect()));
            }
            Self::Claim(sale, max) => {
                let (sale_no, lease) = (sale_no(sale), Duration::from_secs(1));
                let granted_at = now.ledger;
                let claim = Claim { sale_no, max: *max, lease, granted_at, stock_seen: 0 };
                return Some(Command::Claim(claim));
            }
            Self::Settle(sale, lease, fates) => {
                let settle = |(n, fate): &(u64, Fate)| Settle {
                    sale_no: sale_no(sale),
                    place: sequence(*n),
                    lease: LeaseId(*lease),
                    fate: fate.clone(),
                    brake: None,
                };
                return Some(Command::Settle(fates.iter().map(settle).collect()));
            }
            Self::Cancel(sale, sequences) => {
                let cancel = |n| Cancel { sale_no: sale_no(sale), place: sequence(n) };
                return Some(Command::Cancel(sequences.clone().map(cancel).collect()));
            }
            Self::Census(sale) => return Some(Command::Census(name(sale))),
            Self::Rate => Change::DrainConfig { rate: Rate::Unlimited, burst: None },
            Self::Open(sale) => make(sale, 1_000),
            Self::Stock(sale, delta) => Change::Stock {
                sale: name(sale),
                sku: "phone".parse().expect("a sku"),
                delta: *delta,
                operation: "operation-1".into(),
            },
            Self::RetryDead(sale) => Change::RetryDead { sale: name(sale), which: Which::All },
            Self::Close(sale) => Change::Close(name(sale)),
            Self::Purge(sale) => Change::Purge(name(sale)),
            Self::Retain => Change::Retain { tickets_micros: 0, sales_micros: 0 },
        };
        Some(Command::Change(change))
    }

    /// Takes the step on the engine; answers what it said.
    pub(crate) async fn take(&self, ledger: &Embedded, now: Now) -> Result<String, Fault> {
        let Some(command) = self.command(now) else { return Ok("folded".into()) };
        Ok(match command {
            Command::Change(change) => said(&ledger.change(change).await?),
            Command::Reserve(orders) => said(&ledger.reserve(orders).await?),
            Command::Cancel(orders) => said(&ledger.cancel(orders).await?),
            Command::Claim(claim) => said(&ledger.claim(claim).await?),
            Command::Settle(settles) => said(&ledger.settle(settles).await?),
            Command::Census(sale) => said(&ledger.census(sale).await?),
        })
    }
}

fn said(answer: &impl std::fmt::Debug) -> String {
    format!("{answer:?}")
}

/// What the engine must be: the pure book, and where its next record lies.
#[derive(Clone, Debug)]
pub(crate) struct Judge {
    pub(crate) book: Book,
    next: u64,
}

impl Judge {
    /// A ledger that was never opened.
    pub(crate) fn new() -> Self {
        Self { book: Book::new(), next: 0 }
    }

    fn run<T>(&mut self, command: impl FnOnce(&mut Book, &mut Batch) -> T) -> T {
        let mut batch = Batch::at(self.next + RECORD_HEAD);
        let answer = command(&mut self.book, &mut batch);
        if !batch.is_empty() {
            self.next += RECORD_HEAD + batch.bytes().len() as u64;
        }
        answer
    }

    pub(crate) fn open(&mut self, new_epoch: bool, since: Duration) {
        self.run(|book, batch| book.open(new_epoch, at(since), batch));
    }

    /// Takes the step; answers what the engine must say.
    pub(crate) fn take(&mut self, step: &Step, now: Now) -> String {
        let Some(command) = step.command(now) else { return "folded".into() };
        self.run(|book, batch| match command {
            Command::Change(change) => said(&book.change(change, now, batch)),
            Command::Reserve(orders) => {
                let each = orders.into_iter().map(|order| book.reserve(order, now, batch));
                said(&each.collect::<Vec<_>>())
            }
            Command::Cancel(orders) => {
                let each = orders.into_iter().map(|order| book.cancel(order, now, batch));
                said(&each.collect::<Vec<_>>())
            }
            Command::Claim(claim) => said(&with_payloads(book.claim(claim, now, batch).0)),
            Command::Census(sale) => said(&book.census(&sale, now)),
            Command::Settle(settles) => {
                let each = settles.into_iter().map(|settle| book.settle(settle, now, batch));
                said(&each.collect::<Vec<_>>())
            }
        })
    }
}

fn with_payloads(mut claimed: Claimed) -> Claimed {
    for order in &mut claimed.orders {
        order.payload = payload(number(&order.buyer));
    }
    claimed
}

/// Which buyer it is.
pub(crate) fn number(buyer: &Buyer) -> u64 {
    let number = buyer.as_str().strip_prefix("buyer-").and_then(|n| n.parse().ok());
    number.expect("all buyers are called alike")
}

/// The whole book as bytes.
pub(crate) fn bytes(book: &Book) -> Vec<u8> {
    let mut out = Writer::default();
    book.encode_snapshot(&mut out);
    out.into_inner()
}
