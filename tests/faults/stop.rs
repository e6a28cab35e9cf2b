//! Ends under load: in order, at once, and by `kill -9`. Whatever ends, everything accepted is there afterwards.

use std::time::Duration;

use forebay_loadtest::clock;
use forebay_loadtest::drive::{Shared, look, shared};
use forebay_loadtest::form::{Crowd, OrderForm};
use forebay_loadtest::history::History;
use forebay_loadtest::wire::full::FullWire;
use rustix::process::Signal;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::proof::keeps_pace;
use super::rig::{AT_LAST, Gateway, Plant, scale, until};
use super::wire;

const RATE: f64 = 500.0;

/// A crowd that is ordering.
struct Load {
    crowd: Crowd,
    history: Shared<History>,
    sending: JoinHandle<()>,
}

/// Makes a sale, starts a crowd of endless buyers, and waits until it is in full swing.
async fn load(gateway: &Gateway, sale: &str) -> Load {
    gateway.sale(sale, 1_000_000).await;
    let crowd = Crowd::new(sale, 1);
    let history = shared(History::default());
    let drive = gateway.drive(&OrderForm::new(sale, "phone", crowd.clone()), 32);
    let sending = {
        let history = history.clone();
        tokio::spawn(async move {
            drive.run::<FullWire, History>(0.., history).await;
        })
    };
    until("a crowd in full swing", async || (look(&history).tally().ended() > 500).then_some(()))
        .await;
    Load { crowd, history, sending }
}

#[tokio::test]
async fn a_stop_under_load_ends_in_order_and_keeps_what_was_accepted() {
    let plant = Plant::new();
    let gateway = plant.start().await;
    let load = load(&gateway, "one").await;
    let ended = gateway.stop().await;
    ended.well();
    assert!(ended.said.contains("\"stopped\""), "{}", ended.said);
    assert!(plant.ledger().join("closed").exists(), "the mark of a clean close");
    load.sending.await.unwrap();
    let gateway = plant.start().await;
    let evidence = gateway.proves(&load.crowd, "one", &load.history).await;
    keeps_pace(&evidence.tickets.unwrap(), RATE);
    gateway.stop().await.well();
}

#[tokio::test]
async fn kill_nine_under_load_loses_and_doubles_nothing() {
    let plant = Plant::new();
    for round in 0..2 * scale() {
        let sale = format!("sale-{round}");
        let mut gateway = plant.start().await;
        let load = load(&gateway, &sale).await;
        gateway.process.kill().await.unwrap();
        load.sending.await.unwrap();
        let gateway = plant.start().await;
        let evidence = gateway.proves(&load.crowd, &sale, &load.history).await;
        assert_eq!(evidence.census.unwrap().epoch, 1, "nothing acknowledged can be missing");
        keeps_pace(&evidence.tickets.unwrap(), RATE);
        gateway.stop().await.well();
    }
}

/// A gateway whose store never answers, with attempts there.
async fn frozen(plant: &Plant) -> (Gateway, Crowd, Shared<History>) {
    let gateway = plant.start().await;
    gateway.sale("one", 1_000).await;
    let (crowd, history) = (Crowd::new("frozen", 1), shared(History::default()));
    let drive = gateway.drive(&OrderForm::new("one", "phone", crowd.clone()), 4);
    drive.run::<FullWire, History>(0..1, history.clone()).await;
    gateway.settled("one").await;
    gateway.faults(json!({"freeze": true})).await;
    drive.run::<FullWire, History>(1..100, history.clone()).await;
    until("attempts at the store", async || (gateway.in_flight().await > 0).then_some(())).await;
    (gateway, crowd, history)
}

async fn thawed(plant: &Plant, crowd: &Crowd, history: &Shared<History>) {
    let gateway = plant.start().await;
    gateway.faults(json!({"freeze": false})).await;
    let evidence = gateway.proves(crowd, "one", history).await;
    assert_eq!(evidence.census.unwrap().placed, 100);
    gateway.stop().await.well();
}

#[tokio::test]
async fn neither_a_dead_store_nor_a_slow_client_holds_up_the_stop() {
    let plant = Plant::new().set("public.timeouts.shutdown=2s");
    let (gateway, crowd, history) = frozen(&plant).await;
    let mut slow = TcpStream::connect(gateway.public).await.unwrap();
    slow.write_all(b"POST /v1/sales/one/orders HTTP/1.1\r\nHost: a\r\n").await.unwrap();
    assert_eq!(gateway.ready().await.0, 200);
    let began = clock::now();
    gateway.stop().await.well();
    let took = clock::now() - began;
    assert!(took < Duration::from_secs(10), "{took:?}, and 2s are given");
    drop(slow);
    thawed(&plant, &crowd, &history).await;
}

#[tokio::test]
async fn while_load_balancers_look_away_all_is_served_and_connections_end() {
    let plant = Plant::new().set("public.timeouts.lame_duck=1h");
    let gateway = plant.start().await;
    gateway.sale("one", 1_000).await;
    assert_eq!(gateway.ready().await.0, 200);
    gateway.signal(Signal::TERM);
    until("traffic to be sent elsewhere", async || (gateway.ready().await.0 == 503).then_some(()))
        .await;
    let body = r#"{"lines":[{"sku":"phone","quantity":1}]}"#;
    let order = format!(
        "POST /v1/sales/one/orders HTTP/1.1\r\nHost: a\r\nX-Buyer-Id: ann\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    // The client would keep its connection: the answer ends it.
    let answer = wire::send(gateway.public, order.as_bytes(), wire::Then::Wait).await;
    assert_eq!((answer.status, answer.header("connection")), (202, Some("close")), "{answer:?}");
    let census = gateway.settled("one").await;
    assert_eq!(census.placed, 1, "the drain goes on");
    let path = format!("/v1/tickets/{}", answer.json()["ticket"].as_str().unwrap());
    until("the outcome", async || {
        let document: serde_json::Value =
            serde_json::from_slice(&gateway.read(&path).await.body).ok()?;
        (document["state"] == "placed").then_some(())
    })
    .await;
    assert_eq!(gateway.stop().await.status.code(), Some(128 + 15), "asked again");
}

#[tokio::test]
async fn a_second_signal_ends_at_once() {
    let plant = Plant::new()
        .set("public.timeouts.shutdown=1h")
        .set("drain.attempt_timeout=1h")
        .set("drain.lease=2h");
    let (gateway, crowd, history) = frozen(&plant).await;
    gateway.signal(Signal::TERM);
    gateway
        .process
        .printed(AT_LAST, |text| text.contains("\"stopping\"").then_some(()))
        .await
        .unwrap();
    let ended = gateway.stop().await;
    assert_eq!(ended.status.code(), Some(128 + 15), "{}", ended.said);
    assert!(ended.said.contains("ending at once"), "{}", ended.said);
    assert!(!ended.said.contains("\"stopped\""), "{}", ended.said);
    thawed(&plant, &crowd, &history).await;
}
