use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::*;
use crate::clock::{Clock as _, SystemClock};
use crate::store::LaterCause;
use crate::store::suite::{self, change, order, order_of};
use crate::store::{Found, SharedStore};
use crate::units::Span;

fn config(directory: &std::path::Path) -> Config {
    Config { directory: directory.to_owned(), server: Constants::timeless(), ..Config::default() }
}

fn open(directory: &std::path::Path) -> Simulated {
    Simulated::open(config(directory), Arc::new(SystemClock::new())).unwrap()
}

#[tokio::test]
async fn it_passes_the_suite() {
    let mut directories = Vec::new();
    let fresh = || {
        let directory = tempfile::tempdir().unwrap();
        let store: SharedStore = Arc::new(open(directory.path()));
        directories.push(directory);
        store
    };
    suite::exercise(fresh).await;
}

#[tokio::test]
async fn what_was_placed_is_there_after_a_restart_and_in_a_second_process() {
    let directory = tempfile::tempdir().unwrap();
    let (one, two) = (open(directory.path()), open(directory.path()));
    one.stock(vec![change(1, "phone", true, 5)]).await.unwrap();
    assert!(matches!(one.place(vec![order(1, 1)]).await[0], Placement::Placed { .. }));
    assert!(matches!(two.place(vec![order(2, 1)]).await[0], Placement::Placed { .. }));
    drop((one, two));
    let again = open(directory.path());
    let found = again.find(vec![order(1, 1).ticket, order(2, 1).ticket]).await;
    assert!(found.iter().all(|one| matches!(one, Found::Placed { .. })), "{found:?}");
}

#[tokio::test]
async fn faults_are_what_they_say() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    store.stock(vec![change(1, "phone", true, 50)]).await.unwrap();
    let cause = |placement: &Placement| match placement {
        Placement::Later(later) => later.cause,
        other => panic!("{other:?}"),
    };
    store.patch_faults(&json!({"outage": true})).await.unwrap();
    assert_eq!(cause(&store.place(vec![order(1, 1)]).await[0]), LaterCause::StoreAway);
    assert!(store.order_rows(None).await.is_err());
    let errors = [
        (1040, LaterCause::StoreAway),
        (1205, LaterCause::ThisOrder),
        (1213, LaterCause::ThisOrder),
        (1290, LaterCause::StoreAway),
        (1142, LaterCause::Misconfigured),
    ];
    for (code, expected) in errors {
        let plan = json!({"outage": false, "error_rate": 1.0, "error_code": code});
        store.patch_faults(&plan).await.unwrap();
        assert_eq!(cause(&store.place(vec![order(1, 1)]).await[0]), expected, "{code}");
    }
    store.patch_faults(&json!({"error_rate": 0, "lost_reply_rate": 1.0})).await.unwrap();
    let lost = store.place(vec![order(2, 1)]).await;
    assert!(matches!(lost[0], Placement::InDoubt { .. }), "{lost:?}");
    store.patch_faults(&json!({"lost_reply_rate": 0, "refuse_rate": 1.0})).await.unwrap();
    assert!(matches!(store.place(vec![order(3, 1)]).await[0], Placement::Refused { .. }));
    let found = store.find(vec![order(1, 1).ticket, order(2, 1).ticket]).await;
    assert_eq!(found[0], Found::NotThere);
    assert!(matches!(found[1], Found::Placed { .. }), "applied, and the reply was lost");
}

#[tokio::test]
async fn a_bad_fault_plan_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    for bad in [
        json!({"outage": 1}),
        json!({"nonsense": true}),
        json!({"error_rate": 2}),
        json!({"brown_out": 1}),
        json!([]),
    ] {
        assert!(store.patch_faults(&bad).await.is_err(), "{bad}");
    }
    let code = json!({"error_rate": 0.5, "error_code": 7});
    assert!(store.patch_faults(&code).await.is_err());
    assert_eq!(store.faults(), FaultPlan::default());
}

#[tokio::test]
async fn a_call_that_nobody_waits_for_still_takes_effect() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    store.stock(vec![change(1, "phone", true, 5)]).await.unwrap();
    store.patch_faults(&json!({"freeze": true})).await.unwrap();
    let frozen = store.place(vec![order(1, 1)]);
    let gave_up = tokio::time::timeout(Duration::from_millis(1), frozen).await;
    assert!(gave_up.is_err(), "a frozen server does not answer");
    store.patch_faults(&json!({"freeze": false})).await.unwrap();
    let placed = store.place(vec![order(1, 1)]).await;
    let voided = store.void(vec![order(1, 1)]).await;
    assert!(matches!(placed[0], Placement::Placed { .. }));
    assert!(matches!(voided[0], Found::Placed { .. }), "S4: {voided:?}");
    let rows = store.order_rows(None).await.unwrap().rows;
    assert_eq!(rows.len(), 1, "one order, whichever call came first");
}

#[tokio::test]
async fn connections_are_limited_and_shared_by_processes() {
    let directory = tempfile::tempdir().unwrap();
    let config = Config {
        connections: 4,
        server: Constants { work_micros: 20_000, ..Constants::timeless() },
        ..config(directory.path())
    };
    let store = Simulated::open(config, Arc::new(SystemClock::new())).unwrap();
    store.stock(vec![change(1, "phone", true, 50)]).await.unwrap();
    let calls = (1..=10).map(|nth| store.place(vec![order(nth, 1)]));
    let placed = futures_util::future::join_all(calls).await;
    let refused = placed.iter().filter(|one| matches!(one[0], Placement::Later(_))).count();
    assert_eq!(refused, 6, "1040 beyond four at once");
    let other = open(directory.path());
    store.patch_faults(&json!({})).await.unwrap();
    assert_eq!(store.worker.seen().processes, 2);
    drop(other);
}

#[tokio::test]
async fn a_process_that_died_before_the_wall_clock_went_back_does_not_count() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let hour = 3_600_000_000;
    let heartbeat = SystemClock::new().wall().0 + hour;
    let file = rusqlite::Connection::open(directory.path().join("store.sqlite")).unwrap();
    let sql = "INSERT INTO forebay_simulation_processes VALUES (7, ?1)";
    file.execute(sql, [heartbeat.cast_signed()]).unwrap();
    store.patch_faults(&json!({})).await.unwrap();
    assert_eq!(store.worker.seen().processes, 1);
}

#[test]
fn what_is_not_a_store_is_refused_with_a_reason() {
    let clock = || Arc::new(SystemClock::new());
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("store.sqlite");
    std::fs::write(&file, b"this is not a database, and long enough to be looked at").unwrap();
    assert!(Simulated::open(config(directory.path()), clock()).is_err());
    std::fs::remove_file(&file).unwrap();
    let other = rusqlite::Connection::open(&file).unwrap();
    other.execute_batch("PRAGMA user_version = 99").unwrap();
    drop(other);
    let newer = Simulated::open(config(directory.path()), clock()).unwrap_err();
    assert!(
        matches!(&newer, OpenError::Unusable { why, .. } if why.contains("version 99")),
        "{newer}"
    );
    std::fs::remove_file(&file).unwrap();
    drop(open(directory.path()));
    let other = rusqlite::Connection::open(&file).unwrap();
    let without_key = "DROP TABLE forebay_stock_ops;
        CREATE TABLE forebay_stock_ops (sale_no, operation, sku, delta, created_at)";
    other.execute_batch(without_key).unwrap();
    let unkeyed = Simulated::open(config(directory.path()), clock()).unwrap_err();
    assert!(
        matches!(&unkeyed, OpenError::Unusable { why, .. } if why.contains("PRIMARY KEY")),
        "{unkeyed}"
    );
    let is_file = directory.path().join("file");
    std::fs::write(&is_file, b"").unwrap();
    let refused = Simulated::open(config(&is_file), clock()).unwrap_err();
    assert!(matches!(refused, OpenError::Runtime { .. }));
}

#[tokio::test]
async fn a_row_that_is_not_free_in_time_is_1205_and_the_order_can_be_placed_again() {
    let directory = tempfile::tempdir().unwrap();
    let lock_wait_timeout = Span(Duration::from_millis(1));
    let server = Constants { lock_micros: 20_000, lock_wait_timeout, ..Constants::timeless() };
    let config = Config { server, ..config(directory.path()) };
    let store = Simulated::open(config, Arc::new(SystemClock::new())).unwrap();
    store.stock(vec![change(1, "phone", true, 50)]).await.unwrap();
    let both = tokio::join!(store.place(vec![order(1, 1)]), store.place(vec![order(2, 1)]));
    assert!(matches!(both.0[0], Placement::Placed { .. }), "{both:?}");
    let Placement::Later(later) = &both.1[0] else { panic!("{both:?}") };
    assert_eq!(
        (later.cause, later.reason.as_str()),
        (LaterCause::ThisOrder, "1205 lock wait timeout")
    );
    assert!(matches!(store.place(vec![order(2, 1)]).await[0], Placement::Placed { .. }));
}

#[tokio::test]
async fn stock_changes_against_the_order_of_the_rows_are_1213_and_done_when_asked_again() {
    let directory = tempfile::tempdir().unwrap();
    let server = Constants { lock_micros: 20_000, ..Constants::timeless() };
    let config = Config { server, ..config(directory.path()) };
    let store = Simulated::open(config, Arc::new(SystemClock::new())).unwrap();
    store.stock(vec![change(1, "phone", true, 50), change(2, "case", true, 50)]).await.unwrap();
    let ways = [["phone", "case"], ["case", "phone"]];
    let change_both = |nth: usize| {
        let number = 3 + 2 * nth as u64;
        let [one, other] = ways[nth];
        store.stock(vec![change(number, one, false, 1), change(number + 1, other, false, 1)])
    };
    let placed = store.place(vec![order_of(1, &[("phone", 1), ("case", 1)])]);
    let changed = futures_util::future::join_all([change_both(0), change_both(1)]);
    let (placed, changed) = tokio::join!(placed, changed);
    assert!(matches!(placed[0], Placement::Placed { .. }), "{placed:?}");
    let victim = changed.iter().position(Result::is_err).unwrap();
    assert_eq!(changed[victim].as_ref().unwrap_err().reason, "1213 deadlock");
    change_both(victim).await.unwrap();
    let rows = store.stock_rows().await.unwrap();
    assert!(rows.iter().all(|row| row.initial == 52 && row.available == 51), "{rows:?}");
}

/// One order a call on one stock row, each caller asking again at once: the real time of it is the model's, however
/// long the machine takes for the rest.
#[tokio::test]
async fn callers_wait_as_long_as_the_model_says() {
    let directory = tempfile::tempdir().unwrap();
    let constants = Constants { lock_micros: 2_000, ..Constants::timeless() };
    let config = Config { server: constants, connections: 8, ..config(directory.path()) };
    let clock = Arc::new(SystemClock::new());
    let store = Simulated::open(config, Arc::<SystemClock>::clone(&clock)).unwrap();
    store.stock(vec![change(1, "phone", true, 500)]).await.unwrap();
    let began = clock.monotonic();
    let caller = async |first: u64| {
        for nth in 0..5 {
            let placed = store.place(vec![order(first + nth, 1)]).await;
            assert!(matches!(placed[0], Placement::Placed { .. }), "{placed:?}");
        }
    };
    futures_util::future::join_all((0..8).map(|nth| caller(1 + nth * 100))).await;
    assert!(clock.monotonic() - began >= Duration::from_micros(40 * 2_000), "a row is one line");
}
