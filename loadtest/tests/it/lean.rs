//! The lean wire against the gateway in memory: it must be as exact as the full one.

use std::time::Duration;

use forebay_loadtest::drive::{Arrivals, Drive, look, shared};
use forebay_loadtest::form::{Crowd, OrderForm};
use forebay_loadtest::history::History;
use forebay_loadtest::recover::recover;
use forebay_loadtest::target::Target;
use forebay_loadtest::wire::lean::LeanWire;

use crate::fake::{self, Fault};

#[tokio::test]
async fn it_counts_what_the_gateway_took_and_recovers_what_was_cut() {
    let address = fake::start(30, Fault::DropsReplies).await;
    let drive = Drive {
        target: Target::from(address),
        form: OrderForm::new("demo", "phone", Crowd::new("lean", 1)).with_payload_of_100_bytes(),
        connections: 8,
        arrivals: Arrivals::WhenFree,
        patience: Duration::from_secs(5),
        late_after: Duration::from_millis(10),
    };
    let history = shared(History::default());
    let driven = drive.run::<LeanWire, History>(0..100, history.clone()).await;
    assert_eq!(driven.sends, 100);
    let cut = look(&history).unanswered();
    assert!(cut > 0);
    recover::<LeanWire>(&drive, &history, Duration::from_secs(5)).await;
    let fates = look(&history).fates();
    assert_eq!(fates.values().filter(|fate| !fate.tickets.is_empty()).count(), 30);
    assert!(fates.values().all(|fate| !fate.open && fate.tickets.len() <= 1));
}
