//! A sale whose data were destroyed: it is halted, and made anew when somebody says so.

use std::time::Duration;

use super::process::{HOLD, Process, SALE, clock, order};
use super::server::Server;
use crate::clock::Timestamp;
use crate::ledger::{
    Change, Changed, Claim, ClaimedOrder, Fate, Ledger, Receipt, Reserved, Settle, Stored,
    StoredEnd, StoredUnits,
};
use crate::order::{Buyer, Line, Place, State};

const M: &str = "{forebay:00000007}:m";

fn stored(receipt: &Receipt, buyer: &str) -> Stored {
    Stored {
        place: receipt.place,
        accepted_at: receipt.accepted_at,
        attempted_at: receipt.accepted_at,
        buyer: Buyer::new(buyer.as_bytes()).unwrap(),
        lines: vec![Line { sku: "phone".parse().unwrap(), quantity: 1 }],
        end: StoredEnd::Placed { order_no: format!("no-{buyer}") },
    }
}

fn units(units: u64, newest_change: u64) -> Vec<StoredUnits> {
    vec![StoredUnits { sale_no: SALE, sku: "phone".to_owned(), units, newest_change }]
}

fn add(one: &Process, delta: i64, operation: &str) {
    let (sale, sku) = (super::process::name(), "phone".parse().unwrap());
    let change = Change::Stock { sale, sku, delta, operation: operation.to_owned() };
    let changed = one.runtime.block_on(one.ledger.change(change)).unwrap();
    assert!(matches!(changed, Changed::Sale(_)), "{changed:?}");
}

/// Six orders in two epochs, of which three are at the store; one was taken by another process.
fn lived(
    server: &mut Server,
    (one, other): (&Process, &Process),
    clock: &crate::clock::ManualClock,
) -> [Receipt; 6] {
    one.put_sale(6);
    add(one, 2, "two-more");
    let first = [(one, "ann"), (one, "bob"), (other, "cy")].map(|(at, buyer)| at.bought(buyer));
    server.restart();
    one.recovered(server, clock, (0, None));
    let later = ["dan", "eve", "fay"].map(|buyer| one.bought(buyer));
    let [a, b, c] = first;
    let [d, e, f] = later;
    [a, b, c, d, e, f]
}

/// The store's answer for the first orders of the queue.
fn settle_first(one: &Process, first: Receipt, max: u32) {
    let claim = Claim {
        sale_no: SALE,
        max,
        lease: Duration::from_secs(1),
        granted_at: first.accepted_at,
        stock_seen: 2,
    };
    let claimed = one.runtime.block_on(one.ledger.claim(claim)).unwrap();
    let settle = |order: &ClaimedOrder| Settle {
        sale_no: SALE,
        place: order.place,
        lease: claimed.lease,
        fate: Fate::Placed { order_no: "before".to_owned() },
        brake: None,
    };
    let settles = claimed.orders.iter().map(settle).collect();
    let settled = one.runtime.block_on(one.ledger.settle(settles)).unwrap();
    assert_eq!(settled.len(), max as usize);
}

/// What must be true once the hold is over.
fn is_as_before(one: &Process, receipts: &[Receipt; 6]) {
    let [ann, bob, cy, dan, eve, fay] = receipts;
    let new = one.bought("gil");
    assert_eq!((new.place.epoch, new.place.sequence), (3, 1), "an epoch of its own");
    for (receipt, buyer) in [(bob, "bob"), (cy, "cy"), (eve, "eve")] {
        assert_eq!(one.buy(buyer), Reserved::Replay(*receipt), "under the first ticket");
        assert_eq!(one.state(receipt.place), Some(State::Queued));
    }
    for receipt in [ann, dan, fay] {
        assert_eq!(one.state(receipt.place), Some(State::Placed));
    }
    let census = one.census().census;
    let item = &census.items[0];
    assert_eq!((item.initial, item.added, item.available, item.held, item.sold), (6, 2, 1, 4, 3));
    assert_eq!((census.accepted, census.lost, census.epoch), (7, 0, 3));
    let orders = one.runtime.block_on(one.ledger.export(SALE, 0, 100)).unwrap().orders;
    let places: Vec<Place> = orders.iter().map(|order| order.place).collect();
    let expected = [ann, bob, cy, dan, eve, fay, &new].map(|receipt| receipt.place);
    assert_eq!(places, expected, "in the order in which they were accepted");
    let claim = Claim {
        sale_no: SALE,
        max: 10,
        lease: Duration::from_secs(10),
        granted_at: Timestamp(1),
        stock_seen: 2,
    };
    let claimed = one.runtime.block_on(one.ledger.claim(claim)).unwrap();
    let places: Vec<Place> = claimed.orders.iter().map(|order| order.place).collect();
    assert_eq!(places, [bob, cy, eve, &new].map(|receipt| receipt.place));
    assert_eq!(claimed.changes, [], "the store has had them all");
}

fn at_the_store(receipts: &[Receipt; 6]) -> Vec<Stored> {
    let [ann, _, _, dan, _, fay] = receipts;
    vec![stored(ann, "ann"), stored(dan, "dan"), stored(fay, "fay")]
}

#[test]
fn a_sale_without_its_queue_is_made_anew() {
    let mut server = Server::start(&["--appendonly", "yes", "--appendfsync", "always"]);
    let clock = clock();
    let (one, other) = (Process::start(&server, &clock), Process::start(&server, &clock));
    let receipts = lived(&mut server, (&one, &other), &clock);
    let changed = one.rebuild(units(8, 2));
    assert!(matches!(changed, Changed::Conflict { code: "not_halted", .. }), "{changed:?}");

    // The ledger has an end of this one, and the store has lost it.
    settle_first(&one, receipts[0], 2);
    server.ask::<u64>(&["DEL", "{forebay:00000007}:q"]);
    server.ask::<()>(&["SET", "{forebay:00000007}:b", "somebody else's"]);
    let halted = one.runtime.block_on(one.ledger.reserve(vec![order("hal")]));
    assert!(halted.unwrap_err().reason.contains("halted"));

    let changed = one.rebuild(units(8, 2));
    let Changed::Sale(doc) = changed else { panic!("{changed:?}") };
    assert_eq!((doc.census.epoch, doc.census.accepted), (3, 0), "it goes on hold first");
    // The other process takes part in it without having been told.
    while server.ask::<u64>(&["HLEN", "{forebay:00000007}:r"]) < 6 {
        let _ = other.runtime.block_on(other.ledger.core().rounds.one(HOLD / 200));
    }
    clock.advance(HOLD * 100);
    assert!(!one.hold_is_over(), "it waits for the store however long it takes");
    assert_eq!(one.store_has(at_the_store(&receipts)), 3);
    is_as_before(&one, &receipts);
    one.conserved();
}

#[test]
fn a_sale_of_which_nothing_is_left_is_made_anew_by_who_knew_it() {
    let mut server = Server::start(&["--appendonly", "yes", "--appendfsync", "always"]);
    let clock = clock();
    let (one, other) = (Process::start(&server, &clock), Process::start(&server, &clock));
    let receipts = lived(&mut server, (&one, &other), &clock);
    other.round();
    server.ask::<()>(&["FLUSHALL"]);
    server.restart();
    while one.ledger.trouble().is_none_or(|told| !told.contains("`sale`")) {
        let _ = one.runtime.block_on(one.ledger.core().rounds.one(HOLD / 200));
    }
    let changed = one.rebuild(units(8, 2));
    assert!(matches!(changed, Changed::Sale(_)), "{changed:?}");
    while server.ask::<u64>(&["HLEN", "{forebay:00000007}:r"]) < 6 {
        let _ = other.runtime.block_on(other.ledger.core().rounds.one(HOLD / 200));
    }
    assert_eq!(one.store_has(at_the_store(&receipts)), 3);
    clock.advance(HOLD);
    is_as_before(&one, &receipts);
    one.conserved();
    assert_eq!(
        other.buy("bob"),
        Reserved::Replay(Receipt { state: State::Placing, ..receipts[1] })
    );
    assert_eq!(server.ask::<u64>(&["EXISTS", M]), 1);
}

#[test]
fn a_sale_is_made_anew_too_where_no_recovery_takes_any_time() {
    let server = Server::start(&[]);
    let clock = clock();
    let one = Process::holding(&server, &clock, Duration::ZERO);
    one.put_sale(6);
    let bought = one.bought("ann");
    server.ask::<u64>(&["DEL", "{forebay:00000007}:q"]);
    assert!(matches!(one.rebuild(units(6, 1)), Changed::Sale(_)));
    assert!(!one.hold_is_over(), "the store is asked all the same");
    assert_eq!(one.store_has(vec![stored(&bought, "ann")]), 1);
    assert_eq!(one.bought("bob").place.epoch, 2);
    assert_eq!(one.buy("ann"), Reserved::Replay(Receipt { state: State::Placed, ..bought }));
    one.conserved();
}

#[test]
fn what_the_store_lacks_of_the_units_is_told_to_it() {
    let server = Server::start(&[]);
    let clock = clock();
    let one = Process::start(&server, &clock);
    one.put_sale(6);
    add(&one, 2, "two-more");
    add(&one, -3, "three-less");
    server.ask::<u64>(&["DEL", "{forebay:00000007}:mv", "{forebay:00000007}:ev", M]);
    // It has had the making of the sale, and no change since.
    let changed = one.rebuild(units(6, 1));
    assert!(matches!(changed, Changed::Sale(_)), "{changed:?}");
    one.store_has(Vec::new());
    clock.advance(HOLD);
    one.bought("ann");
    let claim = |stock_seen| Claim {
        sale_no: SALE,
        max: 1,
        lease: Duration::from_secs(10),
        granted_at: Timestamp(1),
        stock_seen,
    };
    let claimed = one.runtime.block_on(one.ledger.claim(claim(1))).unwrap();
    let [change] = claimed.changes.as_slice() else { panic!("{:?}", claimed.changes) };
    assert_eq!((change.number, change.creates, change.delta), (2, false, -1));
    add(&one, 2, "two-more");
    assert_eq!(one.census().census.items[0].added, 2, "the same operation again changes nothing");
}
