//! The wall clock is set an hour forward and back under the running process: phases of sales follow it, and
//! nothing else does. `libfaketime` answers for the wall clock; monotonic time stays the system's.

use std::process::Command;

use forebay::clock::Timestamp;
use forebay_loadtest::clock::wall_micros;
use forebay_loadtest::drive::{Arrivals, Drive, look, shared};
use forebay_loadtest::form::{Crowd, OrderForm};
use forebay_loadtest::history::History;
use forebay_loadtest::wire::full::FullWire;
use hyper::Method;
use serde_json::{Value, json};

use super::proof::keeps_pace;
use super::rig::{Gateway, Plant, until};
use super::wire::order;

pub(crate) const HOUR: i64 = 3_600;
const RATE: f64 = 200.0;

/// The plant, its processes taking their wall clock from a file.
pub(crate) fn with_clock(plant: Plant) -> Plant {
    let told =
        Command::new("faketime").args(["-m", "-f", "+0s", "printenv", "LD_PRELOAD"]).output();
    let told = told.expect("faketime must be installed: ./test does it");
    let library = String::from_utf8(told.stdout).unwrap().trim().to_owned();
    assert!(library.contains("libfaketime"), "where the library lies: {library}");
    let file = plant.path().join("wall").display().to_string();
    let plant = plant
        .variable("LD_PRELOAD", library)
        .variable("FAKETIME_TIMESTAMP_FILE", file)
        .variable("FAKETIME_NO_CACHE", "1")
        .variable("DONT_FAKE_MONOTONIC", "1");
    set(&plant, 0);
    plant
}

/// The processes' wall clock is so many seconds ahead of ours from now on.
pub(crate) fn set(plant: &Plant, ahead: i64) {
    let (file, new) = (plant.path().join("wall"), plant.path().join("wall.new"));
    std::fs::write(&new, format!("{ahead:+}")).unwrap();
    std::fs::rename(new, file).unwrap();
}

/// Sets the clock, and sees that the process goes by it.
async fn step(plant: &Plant, gateway: &Gateway, ahead: i64) {
    set(plant, ahead);
    until("the process sees the new time", async || {
        let page: Value = serde_json::from_slice(&gateway.read("/v1/sales/one").await.body).ok()?;
        let shown: Timestamp = page["server_time"].as_str()?.parse().ok()?;
        let seen = shown.0.cast_signed() - wall_micros();
        ((seen / 1_000_000 - ahead).abs() < 30).then_some(())
    })
    .await;
}

fn from_now(seconds: i64) -> String {
    Timestamp((wall_micros() + seconds * 1_000_000).cast_unsigned()).to_string()
}

async fn timed_sale(gateway: &Gateway, name: &str, key: &str, phase: &str) {
    let terms = json!({ key: from_now(HOUR / 2), "items": [{"sku": "phone", "stock": 100}] });
    gateway.ask(Method::PUT, &format!("/sales/{name}"), Some(terms)).await;
    gateway.phase(name, phase).await;
}

/// Status, code and ticket of an order.
async fn told(gateway: &Gateway, sale: &str, buyer: &str) -> (u16, String, String) {
    let answer = order(gateway.public, sale, buyer, "key").await;
    let ticket = answer.json()["ticket"].as_str().unwrap_or_default().to_owned();
    (answer.status, answer.code(), ticket)
}

/// Times of all orders of a sale, in order of sequence: accepted, attempted, settled.
async fn times(gateway: &Gateway, sale: &str) -> Vec<[u64; 3]> {
    let page = gateway.ask(Method::GET, &format!("/sales/{sale}/tickets?limit=1000"), None).await;
    let of = |ticket: &Value| {
        ["accepted_at", "attempted_at", "settled_at"]
            .map(|name| ticket[name].as_str().unwrap().parse::<Timestamp>().unwrap().0)
    };
    page["tickets"].as_array().unwrap().iter().map(of).collect()
}

#[tokio::test]
async fn a_step_of_the_wall_clock_moves_phases_and_nothing_else() {
    const ORDERS: u64 = 600;
    let plant = with_clock(Plant::new()).set("drain.rate=200/s");
    let gateway = plant.start().await;
    gateway.sale("one", 1_000).await;
    // So long that there are always orders under a lease.
    gateway.faults(json!({"latency_ms": 100})).await;
    timed_sale(&gateway, "opens", "opens_at", "scheduled").await;
    timed_sale(&gateway, "closes", "closes_at", "open").await;
    let (_, _, held) = told(&gateway, "closes", "holder").await;
    let crowd = Crowd::new("clock", 1);
    let history = shared(History::default());
    let form = OrderForm::new("one", "phone", crowd.clone());
    let drive = Drive { arrivals: Arrivals::PerSecond(150.0), ..gateway.drive(&form, 16) };
    let sending = {
        let history = history.clone();
        tokio::spawn(async move { drive.run::<FullWire, History>(0..ORDERS, history).await })
    };
    let sent = async |count| {
        until("orders", async || (look(&history).tally().ended() > count).then_some(())).await;
    };

    sent(100).await;
    assert_eq!(told(&gateway, "opens", "early").await.1, "not_open");
    step(&plant, &gateway, HOUR).await;
    gateway.phase("opens", "open").await;
    gateway.phase("closes", "closed").await;
    let (status, _, opened) = told(&gateway, "opens", "holder").await;
    assert_eq!(status, 202, "it has opened");
    assert_eq!(told(&gateway, "closes", "late").await.1, "closed");
    assert_eq!(told(&gateway, "closes", "holder").await.2, held, "L8: known first");

    sent(250).await;
    step(&plant, &gateway, -HOUR).await;
    gateway.phase("opens", "scheduled").await;
    gateway.phase("closes", "open").await;
    assert_eq!(told(&gateway, "opens", "early").await.1, "not_open");
    assert_eq!(told(&gateway, "opens", "holder").await.2, opened, "L8: known first");
    assert_eq!(told(&gateway, "closes", "late").await.0, 202, "it is open again");

    sent(400).await;
    step(&plant, &gateway, 0).await;
    sending.await.unwrap();
    let evidence = gateway.proves(&crowd, "one", &history).await;
    assert_eq!(evidence.census.unwrap().placed, ORDERS);
    keeps_pace(&evidence.tickets.unwrap(), RATE);
    let times = times(&gateway, "one").await;
    assert_eq!(times.len() as u64, ORDERS);
    assert!(times.is_sorted_by_key(|times| times[0]), "ledger time never goes back");
    // A grant may be a moment older than the order that it is used for.
    let last = |times: &[u64; 3]| times[2] >= times[0].max(times[1]);
    assert!(times.iter().all(last), "an order is settled last");
    let span = times.iter().map(|times| times[2]).max().unwrap() - times[0][0];
    assert!(span < 600_000_000, "{span} µs of ledger time passed in a few seconds");
    let attempts = gateway.metric("forebay_drain_attempts_total", "").await;
    let placed = gateway.metric("forebay_orders_total", "outcome=\"placed\"").await;
    assert!(
        (attempts - placed).abs() < 0.5,
        "{attempts} attempts at {placed} orders: a lease ended"
    );
    gateway.stop().await.well();
}

#[tokio::test]
async fn ledger_time_goes_on_when_it_starts_again_in_the_past() {
    let plant = with_clock(Plant::new()).set("drain.rate=unlimited");
    let mut gateway = plant.start().await;
    gateway.sale("one", 1_000).await;
    let crowd = Crowd::new("again", 1);
    let history = shared(History::default());
    let form = OrderForm::new("one", "phone", crowd.clone());
    gateway.drive(&form, 4).run::<FullWire, History>(0..20, history.clone()).await;
    gateway.settled("one").await;
    let before = times(&gateway, "one").await;
    gateway.process.kill().await.unwrap();
    set(&plant, -HOUR);
    let gateway = plant.start().await;
    step(&plant, &gateway, -HOUR).await;
    gateway.drive(&form, 4).run::<FullWire, History>(20..40, history.clone()).await;
    let evidence = gateway.proves(&crowd, "one", &history).await;
    assert_eq!(evidence.census.unwrap().placed, 40);
    let times = times(&gateway, "one").await;
    assert_eq!(times[..20], before, "what was is as it was");
    assert!(times.is_sorted_by_key(|times| times[0]), "ledger time never goes back");
    assert!(times[20][0] > before.iter().map(|times| times[2]).max().unwrap());
    gateway.stop().await.well();
}
