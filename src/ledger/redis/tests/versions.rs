//! Two versions of the library at work at once on one server, as while a deployment is rolled over: what one accepts
//! the other carries, settles and tells of, and the book is one book.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::sync::Barrier;
use tokio::task::JoinHandle;

use super::process::{GUARD, SALE, name, open, sale_of};
use super::server::Server;
use crate::ledger::redis::library::{Library, SHIPPED};
use crate::ledger::redis::{Config, Redis};
use crate::ledger::{
    Bound, Cancel, Cancelled, Change, Changed, Claim, ClaimedOrder, DeadDoc, DrainPatch, Fate,
    LeaseId, Ledger, Reserve, Reserved, SaleDoc, Settle, Settled, Tail, TailEvent, TailId, Which,
};
use crate::order::{Buyer, ItemLine, ItemLines, Place, State};
use crate::sale::Rate;

/// The shipped library as another version would have it: only its digest, and so its name, is another.
static NEXT: LazyLock<Library> =
    LazyLock::new(|| SHIPPED.changed("-- What takes orders is refused", "-- NEXT: it is refused"));

/// The shipped library as it was before it kept what was seen at a death.
static BEFORE: LazyLock<Library> =
    LazyLock::new(|| SHIPPED.changed("    if seen ~= '' then note(t, 0, 'd', seen) end\n", ""));

/// A process of one version.
struct Process {
    runtime: Runtime,
    ledger: Arc<Redis>,
    /// Where its tail began.
    from: TailId,
}

impl Process {
    fn start(server: &Server, library: &'static Library) -> Self {
        let (runtime, ledger) = open(server, &Config::default(), library, None);
        let from = runtime.block_on(ledger.snapshot()).unwrap().tail;
        Self { runtime, ledger, from }
    }

    fn change(&self, change: Change) -> Changed {
        self.runtime.block_on(self.ledger.change(change)).unwrap()
    }

    fn census(&self) -> SaleDoc {
        self.runtime.block_on(self.ledger.census(name())).unwrap().unwrap()
    }

    fn buy(&self, buyers: &[u64]) -> Vec<Place> {
        self.runtime.block_on(buy(&*self.ledger, buyers))
    }

    fn carry(&self, max: u32) -> Vec<Place> {
        self.runtime
            .block_on(carry(&*self.ledger, max))
            .into_iter()
            .map(|(place, _)| place)
            .collect()
    }

    /// The order at hand is claimed and dies, and this process reads of it.
    fn kills(&self, seen: &str) -> DeadDoc {
        self.runtime.block_on(async {
            let grant = self.ledger.grant(SALE, 1).await.unwrap();
            let (max, granted_at) = (grant.granted, grant.at);
            let claim = Claim { sale_no: SALE, max, lease: GUARD, granted_at, stock_seen: 0 };
            let claimed = self.ledger.claim(claim).await.unwrap();
            let fate = Fate::Dead { reason: "attempts".to_owned(), seen: Some(seen.to_owned()) };
            let place = claimed.orders[0].place;
            let settle = Settle { fate, place, ..settle(&claimed.orders[0], claimed.lease) };
            assert_eq!(self.ledger.settle(vec![settle]).await.unwrap(), [Settled::Done]);
            self.ledger.dead(SALE, 0, 10).await.unwrap().orders.remove(0)
        })
    }

    fn state(&self, place: Place) -> State {
        let docs = self.runtime.block_on(self.ledger.tickets(SALE, vec![place])).unwrap();
        docs.into_iter().next().unwrap().unwrap().state
    }

    /// Every order's last state, as the tail told it since this process began.
    fn told(&self) -> BTreeMap<Place, State> {
        let (mut after, mut told) = (self.from, BTreeMap::new());
        loop {
            let read = self.runtime.block_on(self.ledger.tail(after, 1_000)).unwrap();
            let Tail::Entries(entries) = read else { panic!("a gap after {after:?}") };
            let Some(last) = entries.last() else { return told };
            after = last.id;
            for event in entries.iter().flat_map(|entry| &entry.events) {
                match event {
                    TailEvent::Admitted { first, buyers, .. } => {
                        for sequence in (first.sequence..).take(buyers.len()) {
                            told.insert(Place { sequence, ..*first }, State::Queued);
                        }
                    }
                    TailEvent::Moved { orders, .. } => told.extend(orders.iter().copied()),
                    _ => {}
                }
            }
        }
    }

    fn spawn<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        self.runtime.spawn(work)
    }

    /// It goes, as a process of the old version does.
    fn end(self) {
        self.runtime.block_on(self.ledger.close());
    }
}

fn put(process: &Process, stock: u64) {
    process.change(sale_of(stock));
    let patch = DrainPatch { rate: Some(Some(Rate::Unlimited)), ..DrainPatch::default() };
    process.change(Change::Drain(patch));
}

async fn buy(ledger: &dyn Ledger, buyers: &[u64]) -> Vec<Place> {
    let order = |buyer: &u64| Reserve {
        sale_no: SALE,
        buyer: Buyer::new(format!("buyer-{buyer}").as_bytes()).unwrap(),
        buyer_hash: *buyer,
        key: 1,
        fingerprint: 1,
        lines: ItemLines::One(ItemLine { item: 0, quantity: 1 }),
        payload: bytes::Bytes::from_static(b"{}"),
        bound: Bound { orders: 10_000, bytes: 1 << 20 },
    };
    let answers = ledger.reserve(buyers.iter().map(order).collect()).await.unwrap();
    let taken = answers.into_iter().filter_map(|answer| match answer {
        Reserved::Accepted(receipt) => Some(receipt.place),
        Reserved::SoldOut => None,
        other => panic!("{other:?}"),
    });
    taken.collect()
}

/// One grant, claim and settle. Every fifth order is refused, and every seventh has to come again; answers what was
/// settled for good.
async fn carry(ledger: &dyn Ledger, max: u32) -> Vec<(Place, State)> {
    let grant = ledger.grant(SALE, max).await.unwrap();
    let claim = Claim {
        sale_no: SALE,
        max: grant.granted,
        lease: GUARD,
        granted_at: grant.at,
        stock_seen: 0,
    };
    let claimed = ledger.claim(claim).await.unwrap();
    let settles: Vec<Settle> =
        claimed.orders.iter().map(|order| settle(order, claimed.lease)).collect();
    let ends = settles.iter().filter_map(|settle| match settle.fate {
        Fate::Placed { .. } => Some((settle.place, State::Placed)),
        Fate::Refused { .. } => Some((settle.place, State::Refused)),
        _ => None,
    });
    let ends = ends.collect();
    if !settles.is_empty() {
        let settled = ledger.settle(settles).await.unwrap();
        assert!(settled.iter().all(|settled| *settled == Settled::Done), "{settled:?}");
    }
    ends
}

fn settle(order: &ClaimedOrder, lease: LeaseId) -> Settle {
    let sequence = order.place.sequence;
    let fate = if sequence.is_multiple_of(7) && order.claims == 0 {
        Fate::Later { after: Duration::ZERO, reason: "later".to_owned(), spends: true }
    } else if sequence.is_multiple_of(5) {
        Fate::Refused { reason: "refused".to_owned() }
    } else {
        Fate::Placed { order_no: format!("no-{sequence}") }
    };
    Settle { sale_no: SALE, place: order.place, lease, fate, brake: None }
}

/// Both see the same book, in which nothing is lost and nothing is twice.
fn conserved(one: &Process, other: &Process) {
    let (mut doc, mut same) = (one.census(), other.census());
    // Time goes on between the two looks.
    (doc.census.oldest_waiting_ms, same.census.oldest_waiting_ms) = (0, 0);
    assert_eq!(doc.census, same.census);
    let item = &doc.census.items[0];
    assert_eq!(item.initial + item.added - item.cut, item.available + item.held + item.sold);
    let exported = |process: &Process| {
        process.runtime.block_on(process.ledger.export(SALE, 0, 10_000)).unwrap().orders
    };
    let orders = exported(one);
    assert_eq!(orders, exported(other));
    assert_eq!(doc.census.accepted, orders.len() as u64);
    let sold = orders.iter().filter(|order| order.state.is_sold()).count() as u64;
    let held = orders.iter().filter(|order| !order.state.is_terminal()).count() as u64;
    assert_eq!((item.sold, item.held), (sold, held));
}

/// What is left is sold to the last unit, by one version and the other.
fn sells_out(old: &Process, new: &Process, mut buyer: u64) {
    while old.census().census.items[0].available > 0 {
        for process in [old, new] {
            process.buy(&[buyer]);
            buyer += 1;
        }
    }
    assert!(new.buy(&[buyer]).is_empty() && old.buy(&[buyer]).is_empty(), "there is no more");
}

fn loaded(server: &Server, library: &Library) -> bool {
    let listed: redis::Value = server.ask(&["FUNCTION", "LIST", "LIBRARYNAME", &library.name]);
    matches!(listed, redis::Value::Array(found) if found.len() == 1)
}

#[test]
fn an_upgrade_is_rolled_over_and_back_again() {
    let server = Server::start(&[]);
    let old = Process::start(&server, &SHIPPED);
    put(&old, 30);
    let [of_old, cancelled] = old.buy(&[1, 2])[..] else { panic!("two were taken") };
    assert!(loaded(&server, &SHIPPED) && !loaded(&server, &NEXT));

    let new = Process::start(&server, &NEXT);
    assert!(loaded(&server, &SHIPPED) && loaded(&server, &NEXT), "side by side");
    let of_new = new.buy(&[3])[0];
    assert_eq!(of_new, Place { sequence: 3, ..of_old }, "one queue, and no new epoch");
    let cancel = Cancel { sale_no: SALE, place: cancelled };
    let answer = new.runtime.block_on(new.ledger.cancel(vec![cancel])).unwrap();
    assert!(matches!(answer[..], [Cancelled::Done(_)]), "{answer:?}");
    assert_eq!(new.carry(1), [of_old], "the older order first, whoever took it");
    assert_eq!(old.carry(1), [of_new]);
    assert_eq!((old.state(of_old), new.state(of_new)), (State::Placed, State::Placed));
    let ends = [(of_old, State::Placed), (cancelled, State::Cancelled), (of_new, State::Placed)];
    assert_eq!(old.told(), ends.into());
    let of_others =
        [(of_old, State::Placed), (cancelled, State::Cancelled), (of_new, State::Placed)];
    assert_eq!(new.told(), of_others.into());
    let stock = |delta| Change::Stock {
        sale: name(),
        sku: "phone".parse().unwrap(),
        delta,
        operation: "op-1".to_owned(),
    };
    new.change(stock(5));
    old.change(stock(5));
    assert_eq!(old.census().census.items[0].added, 5, "one operation");
    conserved(&old, &new);

    old.end();
    assert_eq!(new.buy(&[4]).len(), 1, "the new one goes on alone");
    let back = Process::start(&server, &SHIPPED);
    assert_eq!(new.census().census.epoch, 1);
    let waits = Place { sequence: 4, ..of_old };
    new.end();
    assert_eq!(back.carry(1), [waits], "and back again");
}

#[test]
fn a_death_has_its_code_whichever_version_noted_it() {
    let server = Server::start(&[]);
    let (old, new) = (Process::start(&server, &BEFORE), Process::start(&server, &SHIPPED));
    put(&old, 3);
    let place = old.buy(&[1])[0];
    // What the older version does not keep is what it was before.
    for (process, seen, last) in
        [(&new, "1205", "1205"), (&old, "x", "1205"), (&new, "1644", "1644")]
    {
        let dead = process.kills(seen);
        let told = (dead.order.reason.as_deref(), dead.last_error.as_deref());
        assert_eq!(told, (Some("attempts"), Some(last)));
        old.change(Change::RetryDead { sale: name(), which: Which::All });
    }
    assert_eq!(new.carry(1), [place]);
    let timeline = old.runtime.block_on(old.ledger.timeline(SALE, place)).unwrap().unwrap();
    let attempts: Vec<_> =
        timeline.attempts.iter().map(|note| (note.outcome, note.reason.as_deref())).collect();
    let deaths = [("dead", Some("1205")), ("dead", None), ("dead", Some("1644"))];
    assert_eq!(attempts, [&deaths[..], &[("placed", None)]].concat());
}

#[test]
fn two_versions_sell_drain_and_tell_at_once() {
    const BUYERS: u64 = 600;
    const STOCK: u64 = 450;
    let server = Server::start(&[]);
    let (old, new) = (Process::start(&server, &SHIPPED), Process::start(&server, &NEXT));
    put(&old, STOCK);
    // Three at a time of each version; the numbers of one version's buyers are even, those of the other's odd.
    let buyers = [(&old, 0), (&new, 1)].map(|(process, parity)| {
        let spawned = (0..3u64).map(|lane| {
            let ledger = Arc::clone(&process.ledger);
            process.spawn(async move {
                let own: Vec<u64> = (0..BUYERS)
                    .filter(|buyer| buyer % 2 == parity && buyer / 2 % 3 == lane)
                    .collect();
                let mut taken = Vec::new();
                for batch in own.chunks(4) {
                    taken.extend(buy(&*ledger, batch).await);
                }
                taken
            })
        });
        spawned.collect::<Vec<_>>()
    });
    // In each turn both have a claim. How many orders there will be is known when all buyers have their answers.
    let (together, ended) = (Arc::new(Barrier::new(2)), Arc::new(AtomicU64::new(0)));
    let (accepted, over) = (Arc::new(AtomicU64::new(u64::MAX)), Arc::new(AtomicBool::new(false)));
    let drains = [&old, &new].map(|process| {
        let (ledger, together) = (Arc::clone(&process.ledger), Arc::clone(&together));
        let (ended, accepted, over) =
            (Arc::clone(&ended), Arc::clone(&accepted), Arc::clone(&over));
        process.spawn(async move {
            let mut carried = Vec::new();
            while !over.load(Ordering::SeqCst) {
                let ends = carry(&*ledger, 3).await;
                ended.fetch_add(ends.len() as u64, Ordering::SeqCst);
                carried.extend(ends);
                if together.wait().await.is_leader() {
                    let all = ended.load(Ordering::SeqCst) == accepted.load(Ordering::SeqCst);
                    over.store(all, Ordering::SeqCst);
                }
                together.wait().await;
            }
            carried
        })
    });
    let waits = |process: &Process, handles: Vec<JoinHandle<Vec<Place>>>| {
        let all = handles.into_iter().map(|handle| process.runtime.block_on(handle).unwrap());
        all.flatten().collect::<BTreeSet<Place>>()
    };
    let [of_old, of_new] = buyers;
    let (of_old, of_new) = (waits(&old, of_old), waits(&new, of_new));
    accepted.store((of_old.len() + of_new.len()) as u64, Ordering::SeqCst);
    let [by_old, by_new] = drains;
    let by_old = old.runtime.block_on(by_old).unwrap();
    let by_new = new.runtime.block_on(by_new).unwrap();

    let crossed = |ends: &[(Place, State)], of: &BTreeSet<Place>| {
        ends.iter().filter(|(place, _)| of.contains(place)).count()
    };
    assert!(crossed(&by_old, &of_new) > 0 && crossed(&by_new, &of_old) > 0, "each for the other");
    let all: BTreeMap<Place, State> = by_old.iter().chain(&by_new).copied().collect();
    assert_eq!(all.len(), by_old.len() + by_new.len(), "each order has one end");
    assert_eq!(all.len(), of_old.len() + of_new.len());
    assert_eq!((old.told(), new.told()), (all.clone(), all.clone()), "both are told of all");
    let doc = new.census();
    let sold = all.values().filter(|state| **state == State::Placed).count() as u64;
    assert_eq!((doc.census.placed, doc.census.items[0].sold), (sold, sold));
    assert!(sold <= STOCK && doc.census.accepted >= STOCK, "{doc:?}");
    sells_out(&old, &new, BUYERS);
    assert!(loaded(&server, &SHIPPED) && loaded(&server, &NEXT));
    conserved(&old, &new);
}
