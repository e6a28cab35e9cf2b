//! The whole process stands still for longer than its leases, under load, with calls at the store.

use forebay_loadtest::drive::{look, shared};
use forebay_loadtest::form::{Crowd, OrderForm};
use forebay_loadtest::history::History;
use forebay_loadtest::wire::full::FullWire;
use rustix::process::Signal;
use serde_json::json;

use super::proof::keeps_pace;
use super::rig::{Plant, pass, seconds, until};

const RATE: f64 = 400.0;
const ORDERS: u64 = 1_200;

#[tokio::test]
async fn a_pause_beyond_the_leases_loses_doubles_and_catches_up_nothing() {
    let plant = Plant::new()
        .set("drain.rate=400/s")
        .set("drain.attempt_timeout=900ms")
        .set("drain.lease=2s");
    let gateway = plant.start().await;
    gateway.sale("one", 10_000).await;
    gateway.faults(json!({"latency_ms": 100})).await;
    let crowd = Crowd::new("pause", 1);
    let history = shared(History::default());
    let drive = gateway.drive(&OrderForm::new("one", "phone", crowd.clone()), 32);
    let sending = {
        let history = history.clone();
        tokio::spawn(async move { drive.run::<FullWire, History>(0..ORDERS, history).await })
    };
    until("load, and attempts at the store", async || {
        let under_load = look(&history).tally().ended() > 200;
        (under_load && gateway.in_flight().await > 0).then_some(())
    })
    .await;
    gateway.signal(Signal::STOP);
    pass(seconds(3, 10)).await;
    gateway.signal(Signal::CONT);
    sending.await.unwrap();
    let evidence = gateway.proves(&crowd, "one", &history).await;
    let (census, tickets) = (evidence.census.unwrap(), evidence.tickets.unwrap());
    assert_eq!((census.accepted, census.placed), (ORDERS, ORDERS), "{census:?}");
    keeps_pace(&tickets, RATE);
    assert_eq!(gateway.ready().await.0, 200);
    gateway.stop().await.well();
}
