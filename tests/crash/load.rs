//! A ledger under load: buyers who order, repeat and cancel, a drain, sales that come and go. It says what was
//! acknowledged to it until it dies.

use std::io::BufRead;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use forebay::clock::{SharedClock, SystemClock};
use forebay::ledger::embedded::{Config, Durability, Embedded};
use forebay::ledger::{
    Answer, Bound, Cancel, Cancelled, Change, Changed, Claim, ClaimedOrder, Fate, Ledger, Reserve,
    Reserved, SaleDoc, Settle, Settled,
};
use forebay::order::{Buyer, ItemLine, ItemLines, Keyring, Place, SaleSeal};
use forebay::sale::{Rate, SaleName};
use forebay::units::Size;

use super::child::{Orders, own_thread, say};
use super::script::make;

/// The sale that lives for ever.
pub(crate) const CROWD: &str = "crowd";

/// Buyers who order at the same time, and the most orders that one hands over at once.
pub(crate) const BUYERS: u64 = 4;
pub(crate) const BATCH: u64 = 4;

/// Many segments and snapshots in a short time.
pub(crate) fn config(directory: &Path, durability: Durability) -> Config {
    let directory = directory.to_path_buf();
    let (segment_size, snapshot_after) = (Size(32 << 10), Size(32 << 10));
    Config { directory, durability, segment_size, snapshot_after }
}

pub(crate) fn payload(buyer: &str) -> Bytes {
    let sum: u64 = buyer.bytes().map(u64::from).sum();
    Bytes::from(format!("{{\"for\":\"{buyer}\",\"note\":\"{}\"}}", "x".repeat(sum as usize % 300)))
}

/// A desk at which one thread speaks to the ledger.
struct Desk<'a> {
    ledger: &'a Embedded,
    keyring: &'a Keyring,
    runtime: tokio::runtime::Runtime,
}

impl<'a> Desk<'a> {
    fn at(ledger: &'a Embedded, keyring: &'a Keyring) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        Self { ledger, keyring, runtime }
    }

    fn now<T>(&self, answer: Answer<'_, T>) -> T {
        self.runtime.block_on(answer).expect("nothing is in the way")
    }

    fn sale(&self, name: &str) -> (SaleDoc, SaleSeal) {
        let doc = self.now(self.ledger.census(named(name))).expect("it was made");
        let seal = self.keyring.seal(doc.key_id, doc.sale_no, doc.made_at);
        (doc, seal.expect("the ledger has put its key there"))
    }
}

pub(crate) fn named(sale: &str) -> SaleName {
    sale.parse().expect("a name of a sale")
}

/// An order of a buyer; his key is his name.
pub(crate) fn reserve(doc: &SaleDoc, seal: &SaleSeal, buyer: &str) -> Reserve {
    let lines = ItemLines::from(vec![ItemLine { item: 0, quantity: 1 }]);
    let payload = payload(buyer);
    Reserve {
        sale_no: doc.sale_no,
        buyer: Buyer::new(buyer.as_bytes()).expect("a buyer"),
        buyer_hash: seal.buyer_hash(buyer),
        key: seal.key_hash(buyer.as_bytes()),
        fingerprint: seal.fingerprint(&lines, &payload),
        lines,
        payload,
        bound: Bound { orders: u64::MAX, bytes: u64::MAX },
    }
}

#[test]
#[ignore = "it is the process that dies: the other tests start it"]
fn load() {
    let Some(Orders { directory, durability, opened_at }) = Orders::given() else { return };
    say(&format!("here {}", own_thread()));
    if std::io::stdin().lock().lines().next().is_none() {
        return;
    }
    let (clock, keyring): (SharedClock, _) = (Arc::new(SystemClock::new()), Keyring::default());
    let ledger = Embedded::open(&config(&directory, durability), &clock, &keyring).unwrap();
    let opened = ledger.opened();
    say(&format!("open {} {}", opened.epoch, opened.new_epoch));
    let desk = Desk::at(&ledger, &keyring);
    desk.now(ledger.change(Change::DrainConfig { rate: Rate::Unlimited, burst: None }));
    desk.now(ledger.change(make(CROWD, 1 << 40)));
    // Each life has names of its own.
    let life = opened_at.as_micros();
    let settled = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for buyer in 0..BUYERS {
            let desk = Desk::at(&ledger, &keyring);
            scope.spawn(move || desk.until_killed(|n| desk.order(&format!("{life}-{buyer}"), n)));
        }
        let (desk, settled) = (Desk::at(&ledger, &keyring), &settled);
        scope.spawn(move || desk.until_killed(|_| desk.drain(settled)));
        let desk = Desk::at(&ledger, &keyring);
        scope.spawn(move || desk.until_killed(|n| desk.run_a_sale(&format!("flash-{life}-{n}"))));
    });
}

impl Desk<'_> {
    /// Ends by death, or when nobody listens any more.
    fn until_killed(&self, mut each: impl FnMut(u64)) {
        let mut n = 0;
        loop {
            each(n);
            n += 1;
        }
    }

    /// One batch of orders; now and then one of them again, and one of them cancelled.
    fn order(&self, who: &str, n: u64) {
        let (doc, seal) = self.sale(CROWD);
        let buyers: Vec<String> = (0..=n % BATCH).map(|k| format!("b-{who}-{n}-{k}")).collect();
        let orders = buyers.iter().map(|buyer| reserve(&doc, &seal, buyer)).collect();
        let answers = self.now(self.ledger.reserve(orders));
        let mut said = "accepted".to_owned();
        for (buyer, answer) in buyers.iter().zip(&answers) {
            let Reserved::Accepted(receipt) = answer else { panic!("{answer:?}") };
            let ticket = seal.mint(receipt.place, receipt.accepted_at, seal.buyer_hash(buyer));
            said += &format!(" {buyer}={ticket}");
        }
        say(&said);
        let Reserved::Accepted(first) = answers[0] else { panic!("{answers:?}") };
        if n.is_multiple_of(3) {
            let again = self.now(self.ledger.reserve(vec![reserve(&doc, &seal, &buyers[0])]));
            let is_first = |receipt: &forebay::ledger::Receipt| receipt.place == first.place;
            assert!(matches!(&again[0], Reserved::Replay(receipt) if is_first(receipt)));
        }
        if n.is_multiple_of(5) {
            let cancel = Cancel { sale_no: doc.sale_no, place: first.place };
            if let [Cancelled::Done(_)] = self.now(self.ledger.cancel(vec![cancel]))[..] {
                say(&format!("ended {}.{} cancelled", first.place.epoch, first.place.sequence));
            }
        }
    }

    /// Claims some orders and settles most of them.
    fn drain(&self, settled: &AtomicU64) {
        let (doc, _) = self.sale(CROWD);
        let grant = self.now(self.ledger.grant(doc.sale_no, 8));
        let (lease, granted_at) = (Duration::from_millis(50), grant.at);
        let sale_no = doc.sale_no;
        let claim = Claim { sale_no, max: grant.granted, lease, granted_at, stock_seen: 0 };
        let claimed = self.now(self.ledger.claim(claim));
        let each = |order: &ClaimedOrder| {
            assert_eq!(order.payload, payload(order.buyer.as_str()), "what the buyer sent");
            let fate = fate(settled.fetch_add(1, Ordering::Relaxed), order.place)?;
            let (place, lease) = (order.place, claimed.lease);
            Some(Settle { sale_no, place, lease, fate, brake: None })
        };
        let settles: Vec<Settle> = claimed.orders.iter().filter_map(each).collect();
        let answers = self.now(self.ledger.settle(settles.clone()));
        let mut said = "ended".to_owned();
        for (settle, answer) in settles.iter().zip(answers) {
            let state = match settle.fate {
                Fate::Placed { .. } => "placed",
                Fate::Refused { .. } => "refused",
                Fate::Dead { .. } => "dead",
                Fate::Later { .. } | Fate::Unstarted => continue,
            };
            if answer == Settled::Done {
                said += &format!(" {}.{} {state}", settle.place.epoch, settle.place.sequence);
            }
        }
        say(&said);
    }

    /// A sale from its making to its end.
    fn run_a_sale(&self, name: &str) {
        self.now(self.ledger.change(make(name, 10)));
        let (doc, seal) = self.sale(name);
        let orders = (0..10).map(|n| reserve(&doc, &seal, &format!("{name}-{n}"))).collect();
        self.now(self.ledger.reserve(orders));
        let grant = self.now(self.ledger.grant(doc.sale_no, 10));
        let (sale_no, lease, granted_at) = (doc.sale_no, Duration::from_secs(9), grant.at);
        let claim = Claim { sale_no, max: 10, lease, granted_at, stock_seen: 0 };
        let claimed = self.now(self.ledger.claim(claim));
        let settle = |order: &ClaimedOrder| {
            let (place, lease) = (order.place, claimed.lease);
            let fate = Fate::Placed { order_no: name.to_owned() };
            Settle { sale_no, place, lease, fate, brake: None }
        };
        self.now(self.ledger.settle(claimed.orders.iter().map(settle).collect()));
        self.now(self.ledger.change(Change::Close(named(name))));
        let purged = self.now(self.ledger.change(Change::Purge(named(name))));
        assert!(matches!(purged, Changed::Sale(doc) if doc.purged));
        say(&format!("purged {name}"));
        self.now(self.ledger.change(Change::Retain { tickets_micros: u64::MAX, sales_micros: 0 }));
    }
}

/// What becomes of an order; `None` leaves its lease to end.
fn fate(n: u64, place: Place) -> Option<Fate> {
    let reason = "the shop has none".to_owned();
    match n % 10 {
        0 => None,
        1 => Some(Fate::Later { after: Duration::from_millis(1), reason, spends: false }),
        2 => Some(Fate::Unstarted),
        3 => Some(Fate::Refused { reason }),
        4 => Some(Fate::Dead { reason, seen: None }),
        _ => Some(Fate::Placed { order_no: format!("shop-{}-{}", place.epoch, place.sequence) }),
    }
}
