//! A server that is there and not as it must be: rights, tables, settings.

use hyper::Method;
use serde_json::json;

use super::super::crowded::Crowded;
use super::super::rig::{Engine, until};
use super::super::wire::order;
use super::{Stand, all_placed, placed, told, with_both_ledgers};

with_both_ledgers!(orders_that_the_tables_do_not_take_stop_no_other);

async fn orders_that_the_tables_do_not_take_stop_no_other(engine: Engine) {
    const GOOD: u64 = 50;
    let stand = Stand::on(engine).await.set("drain.refusal_brake=off");
    // What a table can never take, and what only somebody's trigger does not take.
    stand.tell("ALTER TABLE forebay_orders ADD CHECK (buyer <> 'bad' OR state <> 'placed')").await;
    stand.tell("CREATE TRIGGER odd BEFORE INSERT ON forebay_orders FOR EACH ROW IF NEW.buyer = 'odd' THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'no such warehouse'; END IF").await;
    let gateway = stand.open(1_000).await;
    let crowd = Crowded::of("one");
    // All of them are in the same batches.
    gateway.admin().pause_drain(true).await.unwrap();
    for buyer in ["bad", "odd"] {
        assert_eq!(order(gateway.public, "one", buyer, "key").await.status, 202);
    }
    crowd.order(&gateway, 0..GOOD).await;
    gateway.admin().pause_drain(false).await.unwrap();
    let census = until("each has its end", async || {
        let census = gateway.admin().census("one").await.ok()?;
        (census.unsettled() == 0).then_some(census)
    })
    .await;
    assert_eq!((census.placed, census.refused, census.dead), (GOOD, 1, 1), "{census:?}");
    assert_eq!(census.items[0].available, 1_000 - GOOD - 1, "what was refused came back");
    // An operator reads why.
    let listed = gateway.ask(Method::GET, "/sales/one/dead", None).await;
    let told = (&listed["dead"][0]["reason"], &listed["dead"][0]["last_error"]);
    assert_eq!(told, (&json!("attempts"), &json!("1644 no such warehouse")));
    stand.tell("DROP TRIGGER odd").await;
    gateway.ask(Method::POST, "/sales/one/dead/all/retry", Some(json!({}))).await;
    placed(&gateway, GOOD + 1).await;
    let report = gateway.admin().verify().await.unwrap();
    assert!(report.ok, "{report:?}");
    gateway.stop().await.well();
}

#[tokio::test]
async fn a_server_that_was_made_read_only_refuses_no_order() {
    let stand = Stand::new().await;
    let gateway = stand.open(10_000).await;
    let crowd = Crowded::of("one");
    crowd.order(&gateway, 0..10).await;
    placed(&gateway, 10).await;
    stand.tell("SET GLOBAL read_only = 1").await;
    crowd.order(&gateway, 10..200).await;
    told(&gateway, "store_misconfigured").await;
    stand.tell("SET GLOBAL read_only = 0").await;
    all_placed(gateway, &crowd, 200).await;
}

#[tokio::test]
async fn rights_that_were_taken_away_refuse_no_order_and_heal() {
    let stand = Stand::new().await;
    let gateway = stand.open(10_000).await;
    let crowd = Crowded::of("one");
    crowd.order(&gateway, 0..10).await;
    placed(&gateway, 10).await;
    stand.tell("REVOKE INSERT ON shop.* FROM forebay").await;
    // A connection keeps the rights that it began with.
    stand.proxy.reset();
    crowd.order(&gateway, 10..200).await;
    told(&gateway, "store_misconfigured").await;
    stand.tell("GRANT INSERT ON shop.* TO forebay").await;
    all_placed(gateway, &crowd, 200).await;
}

#[tokio::test]
async fn tables_that_would_take_an_order_twice_end_the_start_with_what_to_do() {
    let stand = Stand::new().await;
    stand.tell("ALTER TABLE forebay_orders DROP PRIMARY KEY, ADD KEY (ticket_id, line)").await;
    let refusal = stand.plant.refused().await;
    refusal.is(4, &["primary key of forebay_orders must be (ticket_id,line)", "forebay migrate"]);
    let doctor = stand.plant.run(&["doctor"]).await;
    assert_eq!(doctor.status.code(), Some(4), "{doctor:?}");
    stand.tell("DROP TABLE forebay_orders").await;
    stand.plant.refused().await.is(4, &["no table forebay_orders", "forebay migrate --apply"]);
    let made = stand.plant.run(&["migrate", "--apply"]).await;
    assert!(made.status.success(), "{made:?}");
    stand.tell("SET GLOBAL innodb_flush_log_at_trx_commit = 2").await;
    let strict = stand.plant.clone().set("store.mysql.durability=strict");
    strict.refused().await.is(4, &["innodb_flush_log_at_trx_commit is 2", "strict"]);
    let gateway = stand.plant.start().await;
    until("the log warns", async || {
        gateway.process.text().await.contains("innodb_flush_log_at_trx_commit is 2").then_some(())
    })
    .await;
    let said = gateway.stop().await;
    assert!(!said.said.contains("secret"), "{}", said.said);
    said.well();
    let wrong = stand.plant.clone().set("store.mysql.url=mysql://forebay:hunter2@127.0.0.1:1/shop");
    let verify = wrong.run(&["verify", "--offline"]).await;
    assert_eq!(verify.status.code(), Some(4), "{verify:?}");
    assert!(!String::from_utf8_lossy(&verify.stderr).contains("hunter2"), "{verify:?}");
}

#[tokio::test]
async fn tables_that_are_spoilt_while_it_runs_are_told_and_waited_for() {
    let stand = Stand::new().await;
    let gateway = stand.open(10_000).await;
    let crowd = Crowded::of("one");
    crowd.order(&gateway, 0..10).await;
    placed(&gateway, 10).await;
    stand.tell("RENAME TABLE forebay_orders TO elsewhere").await;
    crowd.order(&gateway, 10..100).await;
    told(&gateway, "store_misconfigured").await;
    stand.tell("RENAME TABLE elsewhere TO forebay_orders").await;
    all_placed(gateway, &crowd, 100).await;
}

#[tokio::test]
async fn the_demo_takes_away_what_it_has_made_and_nothing_else() {
    let stand = Stand::new().await;
    let url = stand.server.url("shop");
    let words = ["demo", "--buyers", "200", "--rate", "500/s", "--mysql", &url];
    let refused = stand.plant.ask_admin(&words).await;
    assert_eq!(refused.status.code(), Some(4), "{refused:?}");
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(said.contains("name an empty database"), "{said}");
    assert_eq!(stand.ask::<String>("SHOW TABLES").await.len(), 3, "they are another's");
    stand.tell("DROP TABLE forebay_orders, forebay_stock, forebay_stock_ops").await;
    let shown = stand.plant.ask_admin(&words).await;
    assert!(shown.status.success(), "{shown:?}");
    let said = String::from_utf8_lossy(&shown.stdout);
    assert!(said.contains("200 in the store, 0 findings") && said.contains("MariaDB"), "{said}");
    assert_eq!(stand.ask::<String>("SHOW TABLES").await, [""; 0]);
    let usage = stand.plant.ask_admin(&["demo", "--mysql", "shop"]).await;
    assert_eq!(usage.status.code(), Some(2), "{usage:?}");
}
