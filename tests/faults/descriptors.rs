//! Few file descriptors: it says so and does not start, or it goes on serving those it has, without a spin.

use std::net::TcpStream;

use forebay_loadtest::clock;
use forebay_loadtest::drive::{Recorder, Shared, Timing, look, shared};
use forebay_loadtest::form::{Crowd, OrderForm};
use forebay_loadtest::history::History;
use forebay_loadtest::target::Target;
use forebay_loadtest::wire::Wire;
use forebay_loadtest::wire::full::FullWire;

use super::rig::{Gateway, Plant, pass, seconds, until};

fn limited(limit: u32) -> [String; 4] {
    ["sh", "-c", &format!("ulimit -n {limit} && exec \"$@\""), "sh"].map(str::to_owned)
}

#[tokio::test]
async fn too_few_descriptors_are_refused_before_anything_is_touched() {
    let plant = Plant::new().set("public.threads=1");
    for limit in [9, 15, 20, 25, 30, 40] {
        let refusal = plant.refused_behind(&limited(limit)).await;
        let may = format!("may open {limit} files");
        refusal.is(1, &[&may, "needs 41 at least", "raise `ulimit -n`"]);
    }
    assert!(!plant.ledger().exists() && !plant.store().exists());
    let gateway = plant.start_behind(&limited(41)).await;
    assert_eq!(gateway.ready().await.0, 200);
    gateway.stop().await.well();
    // Asking the shop who buyers are needs as many as may be asked at once.
    let plant = plant
        .set("identity.mode=forward")
        .set("identity.url=http://127.0.0.1:9/whoami")
        .set("identity.max_in_flight=50");
    plant.refused_behind(&limited(64)).await.is(1, &["may open 64 files", "needs 91 at least"]);
}

/// A buyer who keeps his connection.
struct Buyer {
    wire: FullWire,
    history: Shared<History>,
}

impl Buyer {
    /// Sends these orders one after the other.
    async fn sends(&mut self, asks: std::ops::Range<u64>) {
        for ask in asks {
            let intended = clock::now();
            let outcome = self.wire.exchange(ask).await;
            let timing = Timing { ask, intended, sent: intended, received: clock::now() };
            look(&self.history).record(timing, outcome.map(|()| self.wire.answer()));
        }
    }
}

/// CPU time that the process has used, in hundredths of a second.
fn ticks(gateway: &Gateway) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", gateway.process.pid())).unwrap();
    // Behind the name, which is in brackets: the 12th and 13th field are user and system time.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

fn descriptors(gateway: &Gateway) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", gateway.process.pid())).unwrap().count()
}

#[tokio::test]
async fn with_more_connections_than_descriptors_it_goes_on_serving() {
    // Small segments: the journal needs descriptors of its own all the time.
    let plant = Plant::new()
        .set("public.threads=1")
        .set("ledger.embedded.segment_size=4KiB")
        .set("ledger.embedded.snapshot_after=4KiB");
    let gateway = plant.start_behind(&limited(64)).await;
    gateway.sale("one", 10_000).await;
    let crowd = Crowd::new("few", 1);
    let history = shared(History::default());
    let form = OrderForm::new("one", "phone", crowd.clone());
    let wire = FullWire::connect(&Target::from(gateway.public), &form).await.unwrap();
    let mut buyer = Buyer { wire, history: history.clone() };
    buyer.sends(0..10).await;

    let idle = |address| (0..100).map(|_| TcpStream::connect(address).unwrap()).collect::<Vec<_>>();
    let crowds = (idle(gateway.public), idle(gateway.admin));
    until("as many connections as it carries", async || (descriptors(&gateway) > 45).then_some(()))
        .await;
    buyer.sends(10..200).await;
    assert_eq!(look(&history).tally().with_status(202), 200, "whoever is connected is served");
    let (window, before) = (seconds(2, 10), ticks(&gateway));
    pass(window).await;
    let used = ticks(&gateway) - before;
    let whole = window.as_secs() * 100;
    assert!(used < whole / 4, "{used} of {whole} hundredths of a second while nothing happened");
    let told = gateway.process.text().await;
    assert!(told.contains("connections are capped"), "{told}");

    drop(crowds);
    until("all connections are gone", async || (descriptors(&gateway) < 40).then_some(())).await;
    assert_eq!(gateway.ready().await.0, 200);
    buyer.sends(200..210).await;
    let evidence = gateway.proves(&crowd, "one", &history).await;
    assert_eq!(evidence.census.unwrap().placed, 210);
    gateway.stop().await.well();
}
