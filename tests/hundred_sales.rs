//! A hundred sales, run and purged one after the other, leave directory and memory where they began.
//!
//! One test alone in its process, since it looks at the memory of the process.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use forebay::clock::{Clock, ManualClock, SharedClock, SystemClock, Timestamp};
use forebay::ledger::book::Writer;
use forebay::ledger::embedded::{Config, Embedded, offline};
use forebay::ledger::{
    Answer, Bound, Change, Changed, Claim, ClaimedOrder, Fate, Ledger, Reserve, Reserved, Settle,
};
use forebay::order::{Buyer, ItemLine, ItemLines, Keyring};
use forebay::sale::{ItemTerms, Rate, SaleName, SaleNo, Terms};
use forebay::units::Size;

const SEGMENT: u64 = 256 << 10;
const ORDERS: u64 = 300;
const BATCH: u64 = 100;

/// A ledger whose clock stands still but where the test moves it.
struct Desk {
    ledger: Embedded,
    clock: Arc<ManualClock>,
    runtime: tokio::runtime::Runtime,
}

impl Desk {
    fn open(directory: &Path) -> Self {
        let config = Config {
            directory: directory.to_path_buf(),
            segment_size: Size(SEGMENT),
            snapshot_after: Size(4 * SEGMENT),
            ..Config::default()
        };
        let clock = Arc::new(ManualClock::at(Timestamp(1_700_000_000_000_000)));
        let shared: SharedClock = Arc::<ManualClock>::clone(&clock);
        let ledger = Embedded::open(&config, &shared, &Keyring::default()).expect("it opens");
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let desk = Self { ledger, clock, runtime };
        desk.change(Change::DrainConfig { rate: Rate::Unlimited, burst: None });
        desk
    }

    fn now<T>(&self, answer: Answer<'_, T>) -> T {
        self.runtime.block_on(answer).expect("it answers")
    }

    fn change(&self, change: Change) -> Changed {
        self.now(self.ledger.change(change))
    }

    fn make(&self, name: &SaleName, number: SaleNo) {
        let item = |sku: &str| ItemTerms { sku: sku.parse().expect("a sku"), stock: Some(500) };
        let terms = Terms {
            opens_at: None,
            closes_at: None,
            limit_per_buyer: Some(2),
            payment_window_ms: None,
            admit_rate: None,
            drain_rate: None,
            items: vec![item("phone"), item("case")],
        };
        let (name, numbers) = (name.clone(), [number; 4]);
        let made = self.change(Change::PutSale { name, terms, numbers, key_id: 0, only_new: true });
        assert!(matches!(made, Changed::Created(_)), "{made:?}");
    }

    fn order(&self, sale_no: SaleNo, buyers: std::ops::Range<u64>) {
        let reserve = |n: u64| {
            let one = ItemLine { item: 0, quantity: 1 };
            let many = vec![one, ItemLine { item: 1, quantity: 1 }];
            let buyer = format!("buyer-{:08}-{n}", sale_no.0);
            Reserve {
                sale_no,
                buyer: Buyer::new(buyer.as_bytes()).expect("a buyer"),
                buyer_hash: n.wrapping_mul(0x9e37_79b9_7f4a_7c15),
                key: n,
                fingerprint: n,
                lines: ItemLines::from(if n.is_multiple_of(7) { many } else { vec![one] }),
                payload: vec![b'x'; 200].into(),
                bound: Bound { orders: u64::MAX, bytes: u64::MAX },
            }
        };
        let answers = self.now(self.ledger.reserve(buyers.map(reserve).collect()));
        assert!(answers.iter().all(|answer| matches!(answer, Reserved::Accepted(_))));
    }

    /// Claims and settles until nothing waits: placed, refused, and some a second time.
    fn drain(&self, sale_no: SaleNo) {
        for round in 0.. {
            let grant = self.now(self.ledger.grant(sale_no, BATCH as u32));
            let (lease, granted_at) = (Duration::from_secs(10), grant.at);
            let claim = Claim { sale_no, max: grant.granted, lease, granted_at, stock_seen: 0 };
            let claimed = self.now(self.ledger.claim(claim));
            if claimed.orders.is_empty() {
                break;
            }
            let settle = |order: &ClaimedOrder| {
                let reason = || "the shop has none".to_owned();
                let fate = match (order.place.sequence + round) % 10 {
                    0 => Fate::Refused { reason: reason() },
                    1 => Fate::Later { after: Duration::ZERO, reason: reason(), spends: true },
                    n => Fate::Placed { order_no: format!("shop-{n}") },
                };
                Settle { sale_no, place: order.place, lease: claimed.lease, fate, brake: None }
            };
            self.now(self.ledger.settle(claimed.orders.iter().map(settle).collect()));
        }
    }

    /// A sale from its making until it is purged. Its name and census stay.
    fn run_and_purge(&self, n: u32) {
        let (name, sale_no) = (format!("sale-{n}"), SaleNo(n));
        let name: SaleName = name.parse().expect("a name");
        self.make(&name, sale_no);
        (0..ORDERS / BATCH).for_each(|k| self.order(sale_no, k * BATCH..(k + 1) * BATCH));
        self.drain(sale_no);
        self.change(Change::Close(name.clone()));
        let purged = self.change(Change::Purge(name));
        assert!(matches!(&purged, Changed::Sale(doc) if doc.purged), "{purged:?}");
    }

    /// The retention of names and censuses is over.
    fn forget(&self, sales: u64) {
        self.clock.advance(Duration::from_secs(100));
        let retain = Change::Retain { tickets_micros: u64::MAX, sales_micros: 50_000_000 };
        assert_eq!(self.change(retain), Changed::Count(sales));
    }
}

fn bytes_in(directory: &Path) -> u64 {
    let files = std::fs::read_dir(directory).expect("it can be read").flatten();
    // A file that is deleted meanwhile does not count.
    files.filter_map(|file| file.metadata().ok()).map(|file| file.len()).sum()
}

/// Memory of this process that is in use, in bytes.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux says it");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a size");
    line.trim().strip_suffix(" kB").and_then(|kib| kib.parse::<u64>().ok()).expect("KiB") << 10
}

/// The book as it lies on disk, as bytes.
fn book_bytes(directory: &Path) -> usize {
    let read = offline::read(directory, &Keyring::default()).expect("nobody has it open");
    assert_eq!(read.book.audit(), []);
    let mut out = Writer::default();
    read.book.encode_snapshot(&mut out);
    out.len()
}

/// The follower works behind everything else: as long as it has something to do, the directory is looked at again.
fn settles_at(directory: &Path, most: u64) {
    let clock = SystemClock::new();
    let patience = Duration::from_secs(60);
    while bytes_in(directory) > most {
        let there = bytes_in(directory);
        assert!(clock.monotonic() < patience, "{there} bytes stay, at most {most} were expected");
        std::thread::yield_now();
    }
}

#[test]
fn a_hundred_sales_leave_directory_and_memory_where_they_began() {
    // In memory where there is such a place: what lasts is not asked here.
    let memory = Path::new("/dev/shm");
    let place = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    let place = place.expect("a directory");
    let directory = place.path();
    let desk = Desk::open(directory);
    // One segment, a spare, and a snapshot: that is where it begins, and where it comes back to.
    let most = 3 * SEGMENT;
    settles_at(directory, most);
    // The tail remembers so many commits, and no more: fill it, so that it does not grow any further.
    (0..500).for_each(|n| desk.run_and_purge(n));
    desk.forget(500);
    settles_at(directory, most);
    let before = resident();
    (500..600).for_each(|n| desk.run_and_purge(n));
    let grown = resident().saturating_sub(before);
    println!("{grown} bytes of memory more after a hundred purged sales");
    // A purged sale is its name and its census; with its orders it would be ten times as much.
    assert!(grown < 2 << 20, "{grown} bytes");
    desk.forget(100);
    settles_at(directory, most);
    drop(desk);
    let fresh = tempfile::tempdir().expect("a directory");
    drop(Desk::open(fresh.path()));
    let (left, fresh) = (book_bytes(directory), book_bytes(fresh.path()));
    assert!(left <= fresh + 32, "{left} bytes of book are left, a new one is {fresh}");
}
