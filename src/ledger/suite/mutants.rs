//! Bugs that people do write, seeded into the reference engine. A suite that lets one of them pass proves
//! nothing: each must be caught.

use proptest::test_runner::{Config, TestRunner};

use super::{Volatile, check, steps};
use crate::clock::Timestamp;
use crate::ledger::book::{Batch, Book, Event, Now, Return};
use crate::ledger::{
    Cancel, Cancelled, Fate, Grant, LeaseId, Receipt, Reserve, Reserved, Settle, Settled,
};
use crate::order::{Place, State};
use crate::sale::SaleNo;

/// One seeded bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bug {
    /// `available + 1 < asked` instead of `available < asked`.
    WrongComparison,
    /// The idempotency key is not looked up.
    KeyForgotten,
    /// The fingerprint is not compared.
    BodyForgotten,
    /// The limit is read before the batch and written after it.
    LimitReadBefore,
    /// A refusal gives the stock back, but the buyer's limit is burnt: the next order is refused.
    LimitNotReturned,
    /// Stock comes back when an order is only tried again.
    StockBackAtRetry,
    /// A lease that has ended can still give the order back.
    LeaseIgnored,
    /// A claim takes no lease: the next drain gets the same orders.
    NoLease,
    /// Twice the burst is granted.
    BurstDoubled,
    /// An order can be cancelled after its claim.
    CancelAfterClaim,
    /// An order of an ended epoch can be cancelled.
    CancelAcrossEpochs,
    /// Paused and closed are not checked again in the ledger.
    PhaseIgnored,
    /// The backlog is not bounded.
    BacklogUnbounded,
    /// A placed order can still be refused.
    TerminalLeft,
    /// An unstarted order spends an attempt.
    UnstartedSpends,
    /// What was seen when an order died is not kept.
    SeenDropped,
    /// The last commit before an end is lost, although it was answered.
    AnsweredBeforeDurable,
}

const BUGS: [Bug; 17] = [
    Bug::WrongComparison,
    Bug::KeyForgotten,
    Bug::BodyForgotten,
    Bug::LimitReadBefore,
    Bug::LimitNotReturned,
    Bug::StockBackAtRetry,
    Bug::LeaseIgnored,
    Bug::NoLease,
    Bug::BurstDoubled,
    Bug::CancelAfterClaim,
    Bug::CancelAcrossEpochs,
    Bug::PhaseIgnored,
    Bug::BacklogUnbounded,
    Bug::TerminalLeft,
    Bug::UnstartedSpends,
    Bug::SeenDropped,
    Bug::AnsweredBeforeDurable,
];

#[test]
fn every_seeded_bug_is_caught() {
    // What a caught bug prints is its panic, which says nothing here.
    let quiet = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let survivors: Vec<Bug> = BUGS.into_iter().filter(|bug| survives(*bug)).collect();
    std::panic::set_hook(quiet);
    assert_eq!(survivors, [], "the suite lets these pass");
}

fn survives(bug: Bug) -> bool {
    let config =
        Config { cases: 400, failure_persistence: None, max_shrink_iters: 0, ..Config::default() };
    let mut runner = TestRunner::new(config);
    runner.run(&steps(120), |steps| check(&mut Volatile::with(Some(bug)), &steps)).is_ok()
}

fn index(book: &Book, sale_no: SaleNo, place: Place) -> u32 {
    let orders = book.export(sale_no, 0, usize::MAX).orders;
    let at = orders.iter().position(|order| order.place == place);
    u32::try_from(at.expect("the order is there")).expect("few orders")
}

fn state(book: &Book, sale_no: SaleNo, place: Place) -> State {
    let docs = book.tickets(sale_no, &[place]);
    docs.into_iter().flatten().next().expect("the order is there").state
}

fn admit(book: &mut Book, order: &Reserve, now: Now, batch: &mut Batch) -> Reserved {
    let event = Event::Admitted {
        sale_no: order.sale_no,
        at: now.ledger,
        buyer_hash: order.buyer_hash,
        key: order.key,
        fingerprint: order.fingerprint,
        lines: order.lines.clone(),
        buyer: order.buyer.clone(),
        payload: order.payload.clone(),
    };
    book.commit(batch, &event);
    let last = book.export(order.sale_no, 0, usize::MAX).orders.pop().expect("just admitted");
    let (place, accepted_at) = (last.place, last.accepted_at);
    Reserved::Accepted(Receipt { place, accepted_at, state: State::Queued })
}

pub(super) fn reserve(
    bug: Option<Bug>,
    book: &mut Book,
    orders: Vec<Reserve>,
    now: Now,
    batch: &mut Batch,
) -> Vec<Reserved> {
    let mut served: Vec<String> = Vec::new();
    let answers = orders.into_iter().map(|order| {
        let right = book.reserve(order.clone(), now, batch);
        let wrong = match (bug, &right) {
            (Some(Bug::WrongComparison), Reserved::SoldOut)
            | (Some(Bug::KeyForgotten), Reserved::Replay(_))
            | (Some(Bug::PhaseIgnored), Reserved::Paused | Reserved::Closed)
            | (Some(Bug::BacklogUnbounded), Reserved::BacklogFull) => true,
            (Some(Bug::LimitReadBefore), Reserved::LimitReached { newest: Some(_) }) => {
                served.iter().any(|buyer| buyer == order.buyer.as_str())
            }
            _ => false,
        };
        if matches!(right, Reserved::Accepted(_)) {
            served.push(order.buyer.as_str().to_owned());
        }
        let enough = bug == Some(Bug::WrongComparison) || fits(book, &order);
        match (bug, &right) {
            _ if wrong && enough => admit(book, &order, now, batch),
            (Some(Bug::BodyForgotten), Reserved::KeyReused) => replay(book, &order),
            (Some(Bug::LimitNotReturned), Reserved::Accepted(receipt)) if burnt(book, &order) => {
                let index = index(book, order.sale_no, receipt.place);
                let event = Event::Cancelled { sale_no: order.sale_no, at: now.ledger, index };
                book.commit(batch, &event);
                Reserved::LimitReached { newest: None }
            }
            _ => right,
        }
    });
    answers.collect()
}

/// Stock is there for the order: the bug at hand is another one than overselling.
fn fits(book: &Book, order: &Reserve) -> bool {
    let name = "sale".parse().expect("a good name");
    let now = Now { ledger: Timestamp(0), wall: Timestamp(0) };
    let items = book.census(&name, now).expect("the sale is there").census.items;
    order
        .lines
        .as_slice()
        .iter()
        .all(|line| items[usize::from(line.item)].available >= u64::from(line.quantity))
}

fn burnt(book: &Book, order: &Reserve) -> bool {
    let orders = book.export(order.sale_no, 0, usize::MAX).orders;
    orders.iter().any(|doc| doc.buyer == order.buyer && doc.state == State::Refused)
}

fn replay(book: &Book, order: &Reserve) -> Reserved {
    let orders = book.export(order.sale_no, 0, usize::MAX).orders;
    let his = orders.iter().find(|doc| doc.buyer == order.buyer).expect("his key is known");
    let (place, accepted_at, state) = (his.place, his.accepted_at, his.state);
    Reserved::Replay(Receipt { place, accepted_at, state })
}

pub(super) fn cancel(
    bug: Option<Bug>,
    book: &mut Book,
    cancel: Cancel,
    now: Now,
    batch: &mut Batch,
) -> Cancelled {
    let right = book.cancel(cancel, now, batch);
    let wrong = match (&right, bug) {
        (Cancelled::TooLate(doc), Some(Bug::CancelAfterClaim)) => doc.state == State::Placing,
        (Cancelled::TooLate(doc), Some(Bug::CancelAcrossEpochs)) => doc.state == State::Queued,
        _ => false,
    };
    if !wrong {
        return right;
    }
    let index = index(book, cancel.sale_no, cancel.place);
    book.commit(batch, &Event::Cancelled { sale_no: cancel.sale_no, at: now.ledger, index });
    book.cancel(cancel, now, batch)
}

pub(super) fn grant(bug: Option<Bug>, grant: Grant, want: u32) -> Grant {
    let granted = match bug {
        Some(Bug::BurstDoubled) => (grant.granted * 2).min(want),
        _ => grant.granted,
    };
    Grant { granted, ..grant }
}

/// After a claim: the orders do not stay under it.
pub(super) fn claimed(
    bug: Option<Bug>,
    book: &mut Book,
    (sale_no, places): (SaleNo, Vec<Place>),
    now: Now,
    batch: &mut Batch,
) {
    if bug != Some(Bug::NoLease) {
        return;
    }
    for place in places {
        let index = index(book, sale_no, place);
        let (at, due, why) = (now.ledger, now.ledger, Return::LeaseEnded);
        book.commit(batch, &Event::Returned { sale_no, at, index, due, why, reason: "".into() });
    }
}

pub(super) fn settle(
    bug: Option<Bug>,
    book: &mut Book,
    mut settle: Settle,
    now: Now,
    batch: &mut Batch,
) -> Settled {
    let (sale_no, place, lease) = (settle.sale_no, settle.place, settle.lease);
    if let (Some(Bug::SeenDropped), Fate::Dead { seen, .. }) = (bug, &mut settle.fate) {
        *seen = None;
    }
    let fate = settle.fate.clone();
    let right = book.settle(settle, now, batch);
    let index = index(book, sale_no, place);
    let state = state(book, sale_no, place);
    let at = now.ledger;
    let event = match (bug, right, fate) {
        (Some(Bug::StockBackAtRetry), Settled::Done, Fate::Later { .. }) => {
            let operation = format!("retry-{index}-{}", at.0).into();
            Some(Event::StockMoved { sale_no, at, item: 0, delta: 1, operation })
        }
        (Some(Bug::LeaseIgnored), Settled::Stale, Fate::Later { .. })
            if state == State::Placing =>
        {
            let why = Return::Later(false);
            Some(Event::Returned { sale_no, at, index, due: at, why, reason: "".into() })
        }
        (Some(Bug::TerminalLeft), Settled::Stale, Fate::Refused { .. })
            if state == State::Placed =>
        {
            Some(Event::Refused { sale_no, at, index, reason: "".into() })
        }
        (Some(Bug::UnstartedSpends), Settled::Done, Fate::Unstarted) => {
            let (lease, until, granted_at) = (LeaseId(lease.0), at, at);
            let indexes = vec![index];
            book.commit(batch, &Event::Claimed { sale_no, at, lease, until, granted_at, indexes });
            let why = Return::Later(true);
            Some(Event::Returned { sale_no, at, index, due: at, why, reason: "".into() })
        }
        _ => None,
    };
    if let Some(event) = event {
        book.commit(batch, &event);
    }
    right
}
