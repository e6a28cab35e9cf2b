//! Long lives: what is behind must not weigh on the directory, on memory, or on those who follow.

use std::path::Path;
use std::time::Duration;

use futures_util::FutureExt as _;

use super::desk::{Desk, small};
use crate::ledger::embedded::Lsn;
use crate::ledger::{Change, Changed, Fate, FaultKind, Ledger, Tail, TailEvent, TailId, Which};

fn directory_bytes(directory: &Path) -> u64 {
    let entries = std::fs::read_dir(directory).unwrap();
    // A file that the follower deletes meanwhile does not count.
    entries.filter_map(|entry| entry.unwrap().metadata().ok()).map(|meta| meta.len()).sum()
}

fn memory_bytes(desk: &Desk) -> usize {
    desk.now(desk.ledger.read(|view| view.book.memory_bytes())).unwrap()
}

/// A sale from its making to its end.
fn run_and_purge(desk: &Desk, name: &str) {
    desk.make_sale(name, 50);
    desk.order(name, 0..40);
    let claimed = desk.claim(name, 40);
    for (n, order) in claimed.orders.iter().enumerate() {
        let fate = match n % 2 {
            0 => Fate::Placed { order_no: "no".into() },
            _ => Fate::Refused { reason: "why".into() },
        };
        desk.settle(name, order.place, claimed.lease, fate);
    }
    let sale: crate::sale::SaleName = name.parse().unwrap();
    desk.change(Change::Close(sale.clone()));
    let purged = desk.change(Change::Purge(sale));
    assert!(matches!(&purged, Changed::Sale(doc) if doc.purged), "{purged:?}");
    desk.clock.advance(Duration::from_secs(60));
    let retain = Change::Retain { tickets_micros: u64::MAX, sales_micros: 30_000_000 };
    assert_eq!(desk.change(retain), Changed::Count(1));
}

#[test]
fn a_hundred_sales_leave_directory_and_memory_where_they_began() {
    let directory = tempfile::tempdir().unwrap();
    let desk = Desk::open(&small(directory.path()));
    run_and_purge(&desk, "warm-up");
    let memory = memory_bytes(&desk);
    let mut largest = 0;
    for n in 0..100 {
        run_and_purge(&desk, &format!("sale-{n}"));
        largest = largest.max(directory_bytes(directory.path()));
    }
    assert_eq!(memory_bytes(&desk), memory);
    let end = desk.ledger.shared.reader.segments().last().unwrap().head.base;
    assert!(end.0 > 1 << 19, "only {} bytes went through the journal", end.0);
    desk.ledger.shared.follow.wait_for_snapshot(Lsn(end.0 - (16 << 10)));
    // Two thresholds, the spare, a snapshot, and what was written while the last one was made.
    let left = directory_bytes(directory.path());
    assert!(left < 64 << 10, "{left} bytes are left, at most there were {largest}");
}

#[test]
fn a_dead_order_holds_no_segment_back() {
    let directory = tempfile::tempdir().unwrap();
    let desk = Desk::open(&small(directory.path()));
    desk.make_sale("old", 10);
    desk.order("old", 0..3);
    let claimed = desk.claim("old", 3);
    for order in &claimed.orders {
        desk.settle(
            "old",
            order.place,
            claimed.lease,
            Fate::Dead { reason: "why".into(), seen: None },
        );
    }
    let first = desk.ledger.shared.reader.segments()[0].ordinal;
    for n in 0..20 {
        run_and_purge(&desk, &format!("sale-{n}"));
    }
    let end = desk.ledger.shared.reader.segments().last().unwrap().head.base;
    desk.ledger.shared.follow.wait_for_snapshot(Lsn(end.0 - (16 << 10)));
    assert!(desk.ledger.shared.reader.segments()[0].ordinal > first + 2, "segments went");
    let count = desk.change(Change::RetryDead { sale: "old".parse().unwrap(), which: Which::All });
    assert_eq!(count, Changed::Count(3));
    for order in desk.claim("old", 3).orders {
        assert_eq!(order.payload, Desk::payload(order.buyer.as_str()), "it went on with the order");
    }
}

#[test]
fn a_follower_of_the_tail_sees_each_commit_once_or_is_told_of_a_gap() {
    let directory = tempfile::tempdir().unwrap();
    let desk = Desk::open(&small(directory.path()));
    desk.make_sale("demo", 1_000);
    let snapshot = desk.now(desk.ledger.snapshot()).unwrap();
    let entries = |after, max| match desk.now(desk.ledger.tail(after, max)).unwrap() {
        Tail::Entries(entries) => entries,
        Tail::Gap => panic!("nothing was dropped yet"),
    };
    assert!(entries(snapshot.tail, 10).is_empty());
    let news = desk.ledger.news(snapshot.tail);
    desk.order("demo", 0..5);
    futures_util::FutureExt::now_or_never(news).expect("there are news");
    let first = entries(snapshot.tail, 3);
    let rest = entries(first[2].id, 10);
    let numbers: Vec<u64> = first.iter().chain(&rest).map(|entry| entry.id.n).collect();
    assert_eq!(numbers, (1..=5).map(|n| snapshot.tail.n + n).collect::<Vec<_>>());
    assert!(matches!(&first[0].events[..], [TailEvent::Admitted { buyers, .. }] if *buyers == [0]));
    let waiting = desk.ledger.news(rest[1].id);
    assert!(futures_util::FutureExt::now_or_never(waiting).is_none());
    for strange in [TailId { epoch: 9, n: 1 }, TailId { epoch: 1, n: 99 }] {
        assert!(matches!(desk.now(desk.ledger.tail(strange, 1)).unwrap(), Tail::Gap));
    }
}

#[test]
fn ledger_time_goes_on_over_a_restart_whatever_the_wall_clock_says() {
    let directory = tempfile::tempdir().unwrap();
    let desk = Desk::open(&small(directory.path()));
    desk.make_sale("demo", 10);
    desk.clock.advance(Duration::from_secs(7_200));
    desk.order("demo", 0..1);
    let claimed = desk.claim("demo", 1);
    drop(desk);
    let desk = Desk::open(&small(directory.path()));
    desk.order("demo", 1..2);
    let second = desk.order_doc("demo", 2).unwrap();
    assert!(second.accepted_at >= desk.order_doc("demo", 1).unwrap().accepted_at);
    // All leases end at open: the order is due again, and the old lease can say nothing.
    let sale_no = desk.census("demo").sale_no;
    let stale = crate::ledger::Settle {
        sale_no,
        place: claimed.orders[0].place,
        lease: claimed.lease,
        fate: Fate::Dead { reason: "late".into(), seen: None },
        brake: None,
    };
    let answers = desk.now(desk.ledger.settle(vec![stale])).unwrap();
    assert_eq!(answers, [crate::ledger::Settled::Stale]);
    assert_eq!(desk.claim("demo", 1).orders[0].place, claimed.orders[0].place);
}

#[test]
fn permits_are_given_while_the_writer_waits_and_none_while_the_ledger_cannot_write() {
    let directory = tempfile::tempdir().unwrap();
    let desk = Desk::open(&small(directory.path()));
    let sale_no = desk.make_sale("one", 1);
    let (let_on, held) = std::sync::mpsc::channel::<()>();
    let waits = desk.ledger.read(move |_| held.recv().is_ok());
    let grant = desk.ledger.grant(sale_no, 7).now_or_never().expect("nobody is waited for");
    assert_eq!(grant.unwrap().granted, 7);
    let_on.send(()).unwrap();
    assert!(desk.now(waits).unwrap());
    desk.ledger.shared.set_trouble(Some(&"the disk is full".into()));
    let fault = desk.now(desk.ledger.grant(sale_no, 7)).unwrap_err();
    assert_eq!((fault.kind, &*fault.reason), (FaultKind::Unavailable, "the disk is full"));
    desk.ledger.shared.set_trouble(None);
    desk.ledger.close();
    let fault = desk.now(desk.ledger.grant(sale_no, 7)).unwrap_err();
    assert_eq!(fault.kind, FaultKind::Unavailable, "{fault:?}");
}
