//! A server that lost the newest orders: what processes remember and what the store has comes back under the same
//! tickets, the rest is lost by name, and nothing is sold twice.

use std::time::Duration;

use futures_util::FutureExt as _;

use super::process::{HOLD, Process, SALE, clock, order};
use super::server::Server;
use crate::clock::Timestamp;
use crate::ledger::redis::record::place_bytes;
use crate::ledger::{
    Cancel, Cancelled, Claim, FaultKind, Ledger, Missing, Receipt, Reserved, Stored, StoredEnd,
};
use crate::order::{Buyer, Line, Place, State};

#[test]
fn what_is_remembered_comes_back_under_its_ticket() {
    let mut server = Server::start(&[]);
    let clock = clock();
    let (one, other) = (Process::start(&server, &clock), Process::start(&server, &clock));
    one.put_sale(6);
    let kept = one.bought("ann");
    let cancelled = other.bought("bob");
    server.ask::<()>(&["SAVE"]);
    let cancel = Cancel { sale_no: SALE, place: cancelled.place };
    let answer = one.runtime.block_on(one.ledger.cancel(vec![cancel])).unwrap();
    assert!(matches!(answer.as_slice(), [Cancelled::Done(_)]), "{answer:?}");
    let third = other.bought("cy");
    let fourth = one.bought("dan");
    let fifth = other.bought("eve");
    server.restart();
    one.recovered(&server, &clock, (3, Some(third.place)));

    assert_eq!(one.buy("dan"), Reserved::Replay(fourth), "the first ticket, by key");
    assert_eq!(other.buy("eve"), Reserved::Replay(fifth));
    other.round();
    assert_eq!(one.state(third.place), Some(State::Queued));
    assert_eq!(one.state(cancelled.place), Some(State::Cancelled), "a cancel is brought back too");
    let new = one.bought("fay");
    assert_eq!((new.place.epoch, new.place.sequence), (2, 1), "a new epoch");
    let doc = one.census();
    assert_eq!((doc.census.accepted, doc.census.lost, doc.census.items[0].available), (6, 0, 1));
    one.conserved();
    let claim = Claim {
        sale_no: SALE,
        max: 10,
        lease: Duration::from_secs(10),
        granted_at: doc.as_of,
        stock_seen: 0,
    };
    let claimed = one.runtime.block_on(one.ledger.claim(claim)).unwrap();
    let places: Vec<Place> = claimed.orders.iter().map(|order| order.place).collect();
    let expected = [kept, third, fourth, fifth, new].map(|receipt| receipt.place);
    assert_eq!(places, expected, "in the order in which they were accepted");
}

#[test]
fn what_nobody_remembers_is_lost_by_name_and_its_units_are_sold_once() {
    let mut server = Server::start(&[]);
    let clock = clock();
    let one = Process::start(&server, &clock);
    one.put_sale(3);
    one.bought("ann");
    server.ask::<()>(&["SAVE"]);
    let forgotten = {
        let dies = Process::start(&server, &clock);
        let receipt = dies.bought("bob");
        dies.runtime.block_on(dies.ledger.close());
        receipt
    };
    let remembered = one.bought("cy");
    server.restart();
    one.recovered(&server, &clock, (1, Some(forgotten.place)));

    assert_eq!(one.buy("cy"), Reserved::Replay(remembered));
    assert_eq!(
        one.state(forgotten.place),
        Some(State::Lost),
        "accepted between two that are known"
    );
    let doc = one.census();
    assert_eq!((doc.census.accepted, doc.census.lost, doc.census.items[0].available), (3, 1, 1));
    // His key is free again: nobody knows that he had it.
    assert_eq!(one.bought("bob").place, Place { epoch: 2, sequence: 1 });
    assert_eq!(one.buy("dan"), Reserved::SoldOut);
    one.conserved();
}

#[test]
fn nothing_lost_nothing_changed() {
    let mut server = Server::start(&["--appendonly", "yes", "--appendfsync", "always"]);
    let clock = clock();
    let one = Process::start(&server, &clock);
    one.put_sale(3);
    let receipts = [one.bought("ann"), one.bought("bob")];
    server.restart();
    assert_eq!(one.buy("ann"), Reserved::Replay(receipts[0]), "known orders need not wait");
    one.recovered(&server, &clock, (0, None));
    assert_eq!(one.bought("cy").place, Place { epoch: 2, sequence: 1 });
    let doc = one.census();
    assert_eq!((doc.census.accepted, doc.census.lost, doc.census.items[0].available), (3, 0, 0));
    server.restart();
    assert_eq!(one.buy("ann"), Reserved::Replay(receipts[0]));
    one.recovered(&server, &clock, (0, None));
    assert_eq!(one.buy("dan"), Reserved::SoldOut);
    assert_eq!(one.census().census.epoch, 3);
    one.conserved();
}

fn placed(receipt: &Receipt, buyer: &str, order_no: &str) -> Stored {
    Stored {
        place: receipt.place,
        accepted_at: receipt.accepted_at,
        attempted_at: Timestamp(receipt.accepted_at.0 + 5),
        buyer: Buyer::new(buyer.as_bytes()).unwrap(),
        lines: vec![Line { sku: "phone".parse().unwrap(), quantity: 1 }],
        end: StoredEnd::Placed { order_no: order_no.to_owned() },
    }
}

#[test]
fn what_the_store_has_comes_back_as_it_was_decided() {
    let mut server = Server::start(&[]);
    let clock = clock();
    let one = Process::start(&server, &clock);
    one.put_sale(6);
    // Nothing of the sale but its terms is on disk: all of the first epoch may be missing.
    server.ask::<()>(&["SAVE"]);
    let dies = Process::start(&server, &clock);
    let [placed_one, lost, refused] = ["ann", "bob", "cy"].map(|buyer| dies.bought(buyer));
    dies.runtime.block_on(dies.ledger.close());
    let known = one.bought("dan");
    let waits = one.bought("eve");
    server.restart();
    one.on_hold(&server, 2);
    let asked = one.runtime.block_on(one.ledger.missing());
    let first = Place { epoch: 1, sequence: 1 };
    let made_at = one.census().made_at;
    assert_eq!(asked, Missing { sale_no: SALE, key_id: 1, made_at, first });
    clock.advance(HOLD);
    assert!(!one.hold_is_over(), "the store was not asked yet");

    let refusal = Stored {
        lines: Vec::new(),
        end: StoredEnd::Refused { reason: "fraud".to_owned() },
        ..placed(&refused, "cy", "")
    };
    let stored = vec![placed(&placed_one, "ann", "no-1"), refusal, placed(&known, "dan", "no-4")];
    assert_eq!(one.store_has(stored.clone()), 3);
    assert_eq!(one.bought("fay").place, Place { epoch: 2, sequence: 1 });
    assert_eq!(one.store_has(stored), 0, "it is over: nothing is asked any more");

    let state = |receipt: &Receipt| one.state(receipt.place);
    assert_eq!(state(&placed_one), Some(State::Placed));
    assert_eq!(state(&lost), Some(State::Lost));
    assert_eq!(state(&refused), Some(State::Refused));
    assert_eq!(state(&known), Some(State::Placed), "the store knows better than who remembers");
    assert_eq!(state(&waits), Some(State::Queued));
    let doc = one.doc(known.place);
    assert_eq!(doc.order_no.as_deref(), Some("no-4"));
    assert_eq!(doc.attempted_at, Some(Timestamp(known.accepted_at.0 + 5)));
    assert_eq!(one.doc(placed_one.place).buyer.as_str(), "ann");
    assert_eq!(one.doc(refused.place).reason.as_deref(), Some("fraud"));
    let census = one.census().census;
    let item = &census.items[0];
    assert_eq!((item.available, item.held, item.sold), (2, 2, 2));
    assert_eq!((census.placed, census.refused, census.lost, census.queued), (2, 1, 1, 2));
    assert_eq!(one.buy("dan"), Reserved::Replay(Receipt { state: State::Placed, ..known }));
    assert!(matches!(one.buy("ann"), Reserved::LimitReached { .. }), "his units are sold to him");
    one.conserved();
}

#[test]
fn who_knows_under_which_key_an_order_came_is_heard_after_the_store_too() {
    let mut server = Server::start(&[]);
    let clock = clock();
    let one = Process::start(&server, &clock);
    one.put_sale(2);
    server.ask::<()>(&["SAVE"]);
    let dies = Process::start(&server, &clock);
    let bought = dies.bought("ann");
    let remembered = dies.ledger.core().remembered.between(SALE, bought.place, 2).unwrap();
    dies.runtime.block_on(dies.ledger.close());
    server.restart();
    one.on_hold(&server, 0);
    one.store_has(vec![placed(&bought, "ann", "no-1")]);
    let [told] = remembered.as_slice() else { panic!("{remembered:?}") };
    let late = one.ledger.core().call("bring_back", SALE, |command| {
        command.arg(place_bytes(told.place)).arg(&told.bytes);
    });
    one.runtime.block_on(late).unwrap();
    clock.advance(HOLD);
    assert_eq!(one.bought("bob").place.epoch, 2);
    assert_eq!(one.buy("ann"), Reserved::Replay(Receipt { state: State::Placed, ..bought }));
    one.conserved();
}

#[test]
fn a_sale_that_is_halted_on_hold_keeps_no_other_waiting_for_the_store() {
    let mut server = Server::start(&[]);
    let clock = clock();
    let one = Process::start(&server, &clock);
    one.put_sale(2);
    server.ask::<()>(&["SAVE"]);
    one.bought("ann");
    server.restart();
    one.on_hold(&server, 1);
    assert_eq!(one.runtime.block_on(one.ledger.missing()).sale_no, SALE);
    server.ask::<()>(&["SET", "{forebay:00000007}:b", "somebody else's"]);
    let told = one.runtime.block_on(one.ledger.answer_for(SALE, Vec::new(), true));
    assert_eq!(told.unwrap_err().kind, FaultKind::Corrupt);
    assert_eq!(one.ledger.missing().now_or_never(), None, "nothing is asked of it any more");
}

#[test]
fn a_store_that_does_not_answer_holds_a_sale_for_a_while_only() {
    let mut server = Server::start(&[]);
    let clock = clock();
    let one = Process::start(&server, &clock);
    one.put_sale(2);
    server.ask::<()>(&["SAVE"]);
    let kept = one.bought("ann");
    server.restart();
    one.on_hold(&server, 1);
    clock.advance(HOLD * 14);
    assert!(!one.hold_is_over(), "it may answer yet");
    let (now, lease) = (one.census().as_of, Duration::from_secs(10));
    let claim = Claim { sale_no: SALE, max: 10, lease, granted_at: now, stock_seen: 0 };
    let claimed = one.runtime.block_on(one.ledger.claim(claim)).unwrap();
    assert!(claimed.orders.is_empty(), "{claimed:?}");
    let again = claimed.next_due.unwrap();
    assert!(
        again >= now.plus(Duration::from_millis(100)),
        "nobody asks without a pause: {again:?}"
    );
    clock.advance(HOLD);
    assert_eq!(one.bought("bob").place, Place { epoch: 2, sequence: 1 });
    assert_eq!(one.state(kept.place), Some(State::Queued));
    one.conserved();
}

#[test]
fn a_server_that_lost_everything_takes_no_orders() {
    let mut server = Server::start(&[]);
    let clock = clock();
    let one = Process::start(&server, &clock);
    one.put_sale(3);
    one.bought("ann");
    server.restart();
    let told = loop {
        if let Some(told) = one.ledger.trouble().filter(|told| told.contains("`sale`")) {
            break told;
        }
        // The follower finds out that the connection is gone, and the keeper what is gone besides.
        let _ = one.runtime.block_on(one.ledger.core().rounds.one(Duration::from_millis(50)));
    };
    assert!(told.contains("not in Redis any more"), "{told}");
    let answer = one.runtime.block_on(one.ledger.reserve(vec![order("bob")]));
    assert!(answer.is_err(), "stock does not come back by losing the book: {answer:?}");
}
