use std::time::Duration;

use super::*;

fn micros(micros: u64) -> Duration {
    Duration::from_micros(micros)
}

/// Rows are held for 100 us, and nothing else takes time.
fn locking() -> Constants {
    Constants { lock_micros: 100, ..Constants::timeless() }
}

fn on(rows: &[u64]) -> Transaction {
    Transaction { rows: 1, stock: rows.to_vec(), writes: true }
}

fn server(constants: Constants) -> Server {
    Server::new(constants, 1_000)
}

fn ends(fate: Fate) -> Duration {
    assert_eq!(fate.failed, None, "{fate:?}");
    fate.ends
}

#[test]
fn connections_beyond_the_limit_are_1040_until_one_is_given_back() {
    let mut server = Server::new(Constants::default(), 2);
    assert_eq!(server.connect(Capacity::WHOLE), Ok(()));
    assert_eq!(server.connect(Capacity::WHOLE), Ok(()));
    assert_eq!(server.connect(Capacity::WHOLE), Err(Code::TooManyConnections));
    server.disconnect();
    assert_eq!(server.connect(Capacity::WHOLE), Ok(()));
    let shared = Capacity { shared_by: 2, ..Capacity::WHOLE };
    server.disconnect();
    assert_eq!(server.connect(shared), Err(Code::TooManyConnections), "half of two is one");
}

#[test]
fn a_hot_row_is_held_by_one_after_the_other_and_cold_rows_by_all_at_once() {
    let mut server = server(locking());
    let hot: Vec<Duration> =
        (0..3).map(|_| ends(server.transact(micros(0), &on(&[7]), Capacity::WHOLE))).collect();
    assert_eq!(hot, [micros(100), micros(200), micros(300)]);
    let cold = ends(server.transact(micros(0), &on(&[8]), Capacity::WHOLE));
    assert_eq!(cold, micros(100));
    let later = ends(server.transact(micros(1_000), &on(&[7]), Capacity::WHOLE));
    assert_eq!(later, micros(1_100), "what is over is forgotten");
}

#[test]
fn a_wait_for_a_row_ends_with_1205_when_it_is_too_long() {
    let wait = crate::units::Span(micros(150));
    let mut server = server(Constants { lock_wait_timeout: wait, ..locking() });
    for end in [100, 200] {
        assert_eq!(ends(server.transact(micros(0), &on(&[7]), Capacity::WHOLE)), micros(end));
    }
    let told = server.transact(micros(0), &on(&[7]), Capacity::WHOLE);
    assert_eq!(told, Fate { ends: micros(150), failed: Some(Code::LockWaitTimeout) });
    let next = server.transact(micros(160), &on(&[7]), Capacity::WHOLE);
    assert_eq!(ends(next), micros(300), "who gave up is not in line");
}

#[test]
fn rows_in_opposite_order_are_1213_for_whoever_came_later() {
    let mut same = server(locking());
    assert_eq!(ends(same.transact(micros(0), &on(&[1, 2]), Capacity::WHOLE)), micros(200));
    assert_eq!(ends(same.transact(micros(10), &on(&[1, 2]), Capacity::WHOLE)), micros(400));
    let mut opposite = server(locking());
    assert_eq!(ends(opposite.transact(micros(0), &on(&[1, 2]), Capacity::WHOLE)), micros(200));
    let victim = opposite.transact(micros(10), &on(&[2, 1]), Capacity::WHOLE);
    assert_eq!(victim, Fate { ends: micros(110), failed: Some(Code::Deadlock) });
    let after = opposite.transact(micros(300), &on(&[2, 1]), Capacity::WHOLE);
    assert_eq!(ends(after), micros(500), "a victim holds nothing");
}

#[test]
fn commits_that_wait_for_a_flush_share_the_next() {
    let mut server = server(Constants { flush_micros: 100, ..Constants::timeless() });
    let write = Transaction { rows: 1, stock: Vec::new(), writes: true };
    let mut at = |now| ends(server.transact(micros(now), &write, Capacity::WHOLE));
    assert_eq!([at(0), at(10), at(90), at(205)], [100, 200, 200, 305].map(micros));
    let read = Transaction { writes: false, ..write.clone() };
    assert_eq!(ends(server.transact(micros(210), &read, Capacity::WHOLE)), micros(210));
}

#[test]
fn work_waits_for_a_core_and_a_batch_is_dearer_by_its_rows() {
    let constants =
        Constants { cores: 2, work_micros: 100, work_row_nanos: 1_000, ..Constants::timeless() };
    let mut server = server(constants);
    let read = |rows| Transaction { rows, ..Transaction::default() };
    let mut at = |rows| ends(server.transact(micros(0), &read(rows), Capacity::WHOLE));
    assert_eq!([at(0), at(50), at(0)], [100, 150, 200].map(micros));
}

#[test]
fn a_share_of_the_server_is_as_much_slower() {
    let all =
        |capacity| ends(server(Constants::default()).transact(micros(0), &on(&[7]), capacity));
    let constants = Constants { exchange_micros: 0, ..Constants::default() };
    let slow = |capacity| ends(server(constants.clone()).transact(micros(0), &on(&[7]), capacity));
    let half = Capacity { shared_by: 2, gone: 0.0 };
    assert_eq!(slow(half), slow(Capacity::WHOLE) * 2);
    assert_eq!(slow(Capacity { shared_by: 1, gone: 0.75 }), slow(Capacity::WHOLE) * 4);
    assert!(all(Capacity { shared_by: 1, gone: 0.999 }) > all(Capacity::WHOLE) * 100);
}
