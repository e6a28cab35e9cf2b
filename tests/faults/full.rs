//! A disk is full, at the start or in the middle of a sale. `strace` lets writes fail.

use std::path::Path;

use forebay_loadtest::drive::{look, shared};
use forebay_loadtest::form::{Crowd, OrderForm};
use forebay_loadtest::history::History;
use forebay_loadtest::verdict::Verdict;
use forebay_loadtest::wire::full::FullWire;

use super::rig::{Plant, until};
use super::wire::order;

/// Lets the writes number `which` of each thread to these files fail, as on a full disk, and not at once. The process
/// stays our own child, and what watches it ends with it.
fn full(which: &str, directory: &Path, files: &[&str]) -> Vec<String> {
    let mut command: Vec<String> =
        "strace -D -f --seccomp-bpf -qq -o /dev/null -e trace=pwrite64 -e"
            .split(' ')
            .map(str::to_owned)
            .collect();
    command.push(format!("inject=pwrite64:error=ENOSPC:delay_enter=60000:when={which}"));
    for file in files {
        command.extend(["-P".to_owned(), directory.join(file).display().to_string()]);
    }
    command
}

/// The big files of a ledger.
const LEDGER: [&str; 5] =
    ["journal-0000000001", "journal-0000000002", "spare", "spare.tmp", "next.tmp"];
/// The files of a store.
const STORE: [&str; 2] = ["store.sqlite", "store.sqlite-wal"];

#[tokio::test]
async fn without_room_for_a_journal_or_a_store_it_does_not_start() {
    let plant = Plant::new();
    let refusal = plant.refused_behind(&full("1+", &plant.ledger(), &LEDGER)).await;
    let directory = plant.ledger().display().to_string();
    refusal.is(1, &[&directory, "No space left on device", "free some disk space"]);
    let refusal = plant.refused_behind(&full("1+", &plant.store(), &STORE)).await;
    let file = plant.store().join("store.sqlite").display().to_string();
    refusal.is(1, &[&file, "disk is full", "check the disk and its free space"]);
    let gateway = plant.start().await;
    assert_eq!(gateway.ready().await.0, 200, "and with room it does");
    gateway.stop().await.well();
}

#[tokio::test]
async fn a_full_disk_refuses_orders_and_heals_by_itself() {
    let plant = Plant::new();
    // The writer's commit fails, and its clearing away, and the next tries: about four seconds.
    let gateway = plant.start_behind(&full("40..45", &plant.ledger(), &LEDGER)).await;
    gateway.sale("one", 1_000).await;
    let crowd = Crowd::new("full", 1);
    let history = shared(History::default());
    let drive = gateway.drive(&OrderForm::new("one", "phone", crowd.clone()), 2);
    let mut asked = 0;
    while look(&history).tally().with_status(503) == 0 {
        assert!(asked < 100, "the disk never was full");
        drive.run::<FullWire, History>(asked..asked + 2, history.clone()).await;
        asked += 2;
    }
    let taken = look(&history).tally().with_status(202);
    assert!(taken > 0);
    let unavailable = Verdict::Refused { code: "ledger_unavailable".into() };
    for attempt in look(&history).attempts().iter().filter(|attempt| attempt.status == 503) {
        assert_eq!(attempt.verdict, unavailable, "nothing was taken, however long that took");
    }

    let answer = order(gateway.public, "one", "full-b1000", "full-k1000").await;
    assert_eq!((answer.status, answer.code().as_str()), (503, "ledger_unavailable"), "{answer:?}");
    assert!(answer.header("retry-after").is_some(), "{answer:?}");
    let reason = answer.json()["reason"].as_str().unwrap().to_owned();
    assert!(reason.contains("No space left on device"), "{reason}");
    let (status, document) = gateway.ready().await;
    let checks = document["checks"].as_array().unwrap();
    let ledger = checks.iter().find(|check| check["name"] == "ledger").unwrap();
    assert_eq!((status, &ledger["status"]), (503, &"unready".into()), "send no traffic");
    assert_eq!(ledger["reason"].as_str().unwrap(), reason);
    let tickets = gateway.admin().tickets("one").await.unwrap();
    assert_eq!(tickets.len() as u64, taken, "what was taken can be read");
    let ticket = format!("/v1/tickets/{}", tickets[0].ticket);
    assert_eq!(gateway.read(&ticket).await.status, 200);

    until("it takes orders again", async || (gateway.ready().await.0 == 200).then_some(())).await;
    // Nothing of what was refused was carried out behind the refusal.
    assert_eq!(gateway.admin().census("one").await.unwrap().accepted, taken);
    drive.run::<FullWire, History>(0..100, history.clone()).await;
    let evidence = gateway.proves(&crowd, "one", &history).await;
    assert_eq!(evidence.census.unwrap().placed, 100);
    let told = gateway.process.text().await;
    assert!(told.contains("free some disk space"), "{told}");
    assert!(told.contains("the ledger takes orders again"), "{told}");
    gateway.stop().await.well();
    let gateway = plant.start().await;
    gateway.proves(&crowd, "one", &history).await;
    gateway.stop().await.well();
}

#[tokio::test]
async fn a_store_on_a_full_disk_is_waited_for() {
    let plant = Plant::new().set("retry.attempts=1");
    let gateway = plant.start_behind(&full("60..75", &plant.store(), &STORE)).await;
    gateway.sale("one", 1_000).await;
    let crowd = Crowd::new("full", 1);
    let history = shared(History::default());
    let drive = gateway.drive(&OrderForm::new("one", "phone", crowd.clone()), 2);
    let sending = {
        let history = history.clone();
        tokio::spawn(async move { drive.run::<FullWire, History>(0..200, history).await })
    };
    let reason = until("the store is away", async || {
        let (status, document) = gateway.ready().await;
        assert_eq!(status, 200, "it only degrades: {document}");
        let checks = document["checks"].as_array()?;
        let store = checks.iter().find(|check| check["name"] == "store")?;
        (store["status"] == "degraded").then(|| store["reason"].as_str().unwrap().to_owned())
    })
    .await;
    assert!(reason.contains("disk is full"), "{reason}");
    sending.await.unwrap();
    assert_eq!(look(&history).tally().with_status(202), 200, "orders are taken all the same");
    let evidence = gateway.proves(&crowd, "one", &history).await;
    assert_eq!(evidence.census.unwrap().placed, 200, "no attempt was spent");
    gateway.stop().await.well();
}
