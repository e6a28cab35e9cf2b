//! Somebody changes rows by hand, or brings back an old copy: `verify` names it.

use std::path::Path;
use std::process::Output;

use forebay_loadtest::gateway::Process;
use forebay_loadtest::sabotage::{Hand, SABOTAGES};
use forebay_loadtest::store::StoreAt;
use serde_json::{Value, json};

use super::super::crowded::Crowded;
use super::super::rig::{AT_LAST, Engine, Gateway, until};
use super::super::wire::order;
use super::{Stand, placed, with_both_ledgers};

with_both_ledgers!(
    every_row_that_was_changed_by_hand_is_named,
    what_a_server_lost_that_was_put_back_to_an_old_copy_is_found_and_placed_again,
    what_is_broken_ends_a_watch_and_is_counted_by_a_gateway_that_looks_by_itself,
);

/// What `verify` of a running gateway says.
async fn verified(stand: &Stand, gateway: &Gateway) -> Output {
    let admin = format!("http://{}", gateway.admin);
    stand.plant.ask_admin(&["verify", "--json", "--admin", &admin]).await
}

/// The laws that `verify` finds broken, with what was found; none where it ended well.
fn findings(output: &Output) -> Vec<(String, String)> {
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let findings: Vec<_> = report["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|finding| (text(&finding["law"]), text(&finding["found"])))
        .collect();
    assert_eq!(output.status.code(), Some(if findings.is_empty() { 0 } else { 5 }), "{report}");
    findings
}

/// Does everything that a hand can do, has each named, and ends with what was there.
async fn each_is_named(hand: &Hand, verify: impl AsyncFn() -> Output) {
    for sabotage in &SABOTAGES {
        hand.does(sabotage).await.unwrap();
        let output = verify().await;
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert!(hand.is_named(sabotage, &report), "{}: {report}", sabotage.what);
        assert_eq!(output.status.code(), Some(5), "{report}");
        hand.puts_back(sabotage).await.unwrap();
    }
    assert_eq!(findings(&verify().await), []);
}

async fn every_row_that_was_changed_by_hand_is_named(engine: Engine) {
    let stand = Stand::on(engine).await;
    let gateway = stand.open(1_000).await;
    let crowd = Crowded::of("one");
    crowd.order(&gateway, 0..100).await;
    placed(&gateway, 100).await;
    assert_eq!(findings(&verified(&stand, &gateway).await), []);
    let tickets = gateway.admin().tickets("one").await.unwrap();
    let hand = Hand::on(&gateway.store_at, "one", &tickets[50].ticket);
    each_is_named(&hand, async || verified(&stand, &gateway).await).await;
    gateway.stop().await.well();
    each_is_named(&hand, async || stand.plant.run(&["verify", "--offline", "--json"]).await).await;
}

async fn what_is_broken_ends_a_watch_and_is_counted_by_a_gateway_that_looks_by_itself(
    engine: Engine,
) {
    let stand = Stand::on(engine).await.set("verify.every=1s");
    let gateway = stand.open(1_000).await;
    let crowd = Crowded::of("one");
    crowd.order(&gateway, 0..20).await;
    placed(&gateway, 20).await;
    let admin = format!("http://{}", gateway.admin);
    let words = ["verify", "--watch", "--every", "1s", "--admin", &admin];
    let forebay = Path::new(env!("CARGO_BIN_EXE_forebay"));
    let mut watching = Process::start(forebay, &words, stand.plant.path(), &[]).unwrap();
    let looked = |text: &str| (text.matches("ok: every law holds").count() > 1).then_some(());
    watching.printed(AT_LAST, looked).await.unwrap();
    stand.tell("UPDATE forebay_stock SET available = available + 1").await;
    let broken = |text: &str| (text.contains("BROKEN: ") && text.contains("phone")).then_some(());
    watching.printed(AT_LAST, broken).await.unwrap();
    until("it has ended", async || (!watching.is_running().unwrap()).then_some(())).await;
    until("it is counted", async || {
        (gateway.metric("forebay_invariant_violations_total", "").await > 0.0).then_some(())
    })
    .await;
    gateway.stop().await.well();
}

#[tokio::test]
async fn a_row_that_was_there_before_its_order_is_the_answer_and_is_named() {
    let stand = Stand::new().await;
    let gateway = stand.open(1_000).await;
    let crowd = Crowded::of("one");
    crowd.order(&gateway, 0..1).await;
    placed(&gateway, 1).await;
    gateway.admin().pause_drain(true).await.unwrap();
    let answer = order(gateway.public, "one", "ann", "key").await;
    let ticket = answer.json()["ticket"].as_str().unwrap().to_owned();
    let columns = "ticket_id, line, sale, sale_no, order_no, sku, buyer, quantity, state, epoch, sequence, attempt, \
                   accepted_at, attempted_at";
    let foreign = format!(
        "INSERT INTO forebay_orders ({columns}) SELECT '{ticket}', 1, sale, sale_no, 'X1', sku, 'bob', 7, state, \
         epoch, 2, 1, NOW(6), NOW(6) FROM forebay_orders LIMIT 1"
    );
    stand.tell(&foreign).await;
    gateway.admin().pause_drain(false).await.unwrap();
    placed(&gateway, 2).await;
    let found = findings(&verified(&stand, &gateway).await);
    assert!(
        found.iter().any(|(_, found)| found.contains("bob") || found.contains('7')),
        "{found:?}"
    );
    let rows: Vec<(String, u32)> =
        stand.ask("SELECT order_no, quantity FROM forebay_orders WHERE sequence = 2").await;
    assert_eq!(rows, [("X1".to_owned(), 7)], "nothing was written beside it");
    gateway.stop().await.well();
}

/// `forebay sale redrive`: its exit code and its document.
async fn redriven(stand: &Stand, gateway: &Gateway) -> (Option<i32>, Value) {
    let admin = format!("http://{}", gateway.admin);
    let words = ["sale", "redrive", "one", "--json", "--admin", &admin];
    let output = stand.plant.ask_admin(&words).await;
    (output.status.code(), serde_json::from_slice(&output.stdout).unwrap_or_default())
}

async fn what_a_server_lost_that_was_put_back_to_an_old_copy_is_found_and_placed_again(
    engine: Engine,
) {
    let stand = Stand::on(engine).await.set("drain.rate=100/s");
    let gateway = stand.open(1_000).await;
    let crowd = Crowded::of("one");
    crowd.order(&gateway, 0..50).await;
    placed(&gateway, 50).await;
    let sound = redriven(&stand, &gateway).await;
    let nothing = json!({"looked": 50, "placed": [], "left": [], "stopped": null});
    assert_eq!(sound, (Some(0), nothing));
    // How many orders are placed again and left out, and why the first of those is.
    let counts = async || {
        let (exit, told) = redriven(&stand, &gateway).await;
        let count = |list: &str| told[list].as_array().map_or(0, Vec::len);
        let why = told["left"][0]["reason"].as_str().unwrap_or_default().to_owned();
        (exit.unwrap(), count("placed"), count("left"), why)
    };
    let last = "ORDER BY sequence DESC LIMIT 5";
    let lost: Vec<(String, String)> =
        stand.ask(&format!("SELECT ticket_id, order_no FROM forebay_orders {last}")).await;
    stand.tell(&format!("DELETE FROM forebay_orders {last}")).await;
    // Only rows were moved away: their units belong to nobody else, and are not taken a second time.
    let (exit, again, left, why) = counts().await;
    assert_eq!((exit, again, left), (1, 0, 5));
    assert!(why.contains("its units of phone are still taken at the store"), "{why}");
    // As a replica that was promoted without the last transactions: rows and decrements are gone together.
    stand.tell("UPDATE forebay_stock SET available = available + 5").await;
    let found = findings(&verified(&stand, &gateway).await);
    assert!(found.len() >= 5, "each of the five is named: {found:?}");

    gateway.admin().pause_drain(true).await.unwrap();
    assert_eq!(redriven(&stand, &gateway).await.0, Some(1), "it keeps to the pace of the drain");
    gateway.admin().pause_drain(false).await.unwrap();
    // What the tables do not take now was confirmed all the same: it must not be refused for good.
    let few = "CHECK (state <> 'placed' OR sequence < 46)";
    stand.tell(&format!("ALTER TABLE forebay_orders ADD CONSTRAINT few {few}")).await;
    let (exit, again, left, why) = counts().await;
    assert_eq!((exit, again, left), (1, 0, 5));
    assert!(why.contains("4025"), "{why}");
    stand.tell("ALTER TABLE forebay_orders DROP CONSTRAINT few").await;
    // Some of the units were given to others.
    stand.tell("UPDATE forebay_stock SET available = available - 4").await;
    let (exit, again, left, _) = counts().await;
    assert_eq!((exit, again, left), (1, 1, 4));
    stand.tell("UPDATE forebay_stock SET available = available + 4").await;
    // What was placed before it broke off is told: those have no payloads any more.
    gateway.admin().set_drain_rate("1/s").await.unwrap();
    let breaks_off = async {
        until("one of the four is placed", async || {
            let rows: Vec<u64> = stand.ask("SELECT COUNT(*) FROM forebay_orders").await;
            (rows[0] > 46).then_some(())
        })
        .await;
        gateway.admin().pause_drain(true).await.unwrap();
    };
    let ((exit, told), ()) = tokio::join!(redriven(&stand, &gateway), breaks_off);
    let again = told["placed"].as_array().unwrap().len();
    assert!(exit == Some(1) && (1..4).contains(&again), "{told}");
    assert!(told["stopped"].as_str().unwrap().contains("the drain is paused"), "{told}");
    gateway.admin().set_drain_rate("100/s").await.unwrap();
    gateway.admin().pause_drain(false).await.unwrap();
    assert_eq!(counts().await, (0, 4 - again, 0, String::new()));

    assert_eq!(findings(&verified(&stand, &gateway).await), []);
    let again: Vec<(String, String)> =
        stand.ask(&format!("SELECT ticket_id, order_no FROM forebay_orders {last}")).await;
    assert_eq!(again, lost, "buyers were told these numbers");
    crowd.proves(&gateway).await;
    gateway.stop().await.well();
}

#[tokio::test]
async fn orders_that_ended_in_another_store_are_not_placed_in_this_one() {
    let stand = Stand::new().await;
    let before = stand.plant.clone().set("store.kind=simulated");
    let gateway = before.start().await;
    gateway.sale("one", 100).await;
    order(gateway.public, "one", "ann", "key").await;
    placed(&gateway, 1).await;
    // A store that would give it another number does not get it again.
    let here = StoreAt::Directory(before.store());
    assert_eq!(here.change("DELETE FROM forebay_orders").await.unwrap(), 1);
    let admin = format!("http://{}", gateway.admin);
    let refused = stand.plant.ask_admin(&["sale", "redrive", "one", "--admin", &admin]).await;
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(refused.status.code() == Some(1) && said.contains("numbers an order anew"), "{said}");
    gateway.stop().await.well();
    let gateway = stand.plant.start().await;
    order(gateway.public, "one", "bob", "key").await;
    placed(&gateway, 2).await;
    let (exit, told) = redriven(&stand, &gateway).await;
    let why = told["left"][0]["reason"].as_str().unwrap_or_default().to_owned();
    assert_eq!((exit, told["placed"].as_array().map(Vec::len)), (Some(1), Some(0)), "{told}");
    assert!(why.contains("its buyer was told number F0000000001"), "{why}");
    let rows: Vec<String> = stand.ask("SELECT buyer FROM forebay_orders").await;
    assert_eq!(rows, ["bob"]);
    gateway.stop().await.well();
}
