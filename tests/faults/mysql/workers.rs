//! The process that carries orders dies or stands still in the middle.

use forebay_loadtest::proxy::{After, Calls, Fault};
use rustix::process::Signal;

use super::super::crowded::Crowded;
use super::super::rig::{AT_LAST, Engine, Gateway, pass, seconds, until};
use super::super::wire::order;
use super::{Stand, all_placed, placed, with_both_ledgers};

const ORDERS: u64 = 1_500;

with_both_ledgers!(
    a_gateway_that_is_killed_at_each_step_places_every_order_once,
    a_worker_that_stands_still_beyond_its_leases_changes_nothing_when_it_goes_on,
    an_attempt_that_comes_after_its_order_was_voided_changes_nothing,
);

/// A stand at which leases last two seconds.
async fn short(engine: Engine) -> Stand {
    Stand::on(engine).await.set("drain.attempt_timeout=900ms").set("drain.lease=2s")
}

async fn a_gateway_that_is_killed_at_each_step_places_every_order_once(engine: Engine) {
    const EACH: u64 = 40;
    let stand = short(engine).await;
    let mut gateway = stand.open(10_000).await;
    let crowd = Crowded::of("one");
    crowd.order(&gateway, 0..1).await;
    placed(&gateway, 1).await;
    let swallow = || Fault::swallow(After::Silence);
    let lose = || Fault::drop_reply(After::Silence);
    // Before its rows, between them and their commit, and between the commit and what the server says of it.
    let mut steps = vec![
        (&stand.proxy, swallow().of(Calls::command("START"))),
        (&stand.proxy, swallow().of(Calls::command("COMMIT"))),
        (&stand.proxy, lose().of(Calls::command("COMMIT"))),
    ];
    // With a lease that nobody heard of, before it has told of an end, and before it hears that this was written.
    if let Some(ledger) = stand.plant.way_to_ledger() {
        steps.extend([
            (ledger, lose().of_function("*_claim")),
            (ledger, swallow().of_function("*_settle")),
            (ledger, lose().of_function("*_settle")),
        ]);
    }
    for (from, (way, fault)) in (1..).step_by(EACH as usize).zip(steps) {
        let step = way.inject(fault);
        let sending = crowd.ordering(&gateway, from..from + EACH);
        until("it is at this step", async || (step.hits() > 0).then_some(())).await;
        gateway.process.kill().await.unwrap();
        sending.await.unwrap();
        way.clear();
        gateway = stand.plant.open().await;
    }
    let census = crowd.proves(&gateway).await.census.unwrap();
    assert_eq!((census.dead, census.refused), (0, 0), "{census:?}");
    gateway.stop().await.well();
}

#[tokio::test]
async fn a_gateway_that_is_killed_again_and_again_places_every_order_once() {
    let stand = Stand::new().await;
    let mut gateway = stand.open(10_000).await;
    let crowd = Crowded::of("one");
    for wave in 0..4 {
        let sending = crowd.ordering(&gateway, wave * 400..(wave + 1) * 400);
        placed(&gateway, wave * 300 + 50).await;
        gateway.process.kill().await.unwrap();
        sending.await.unwrap();
        gateway = stand.plant.start().await;
    }
    let sending = crowd.ordering(&gateway, 1_600..1_700);
    sending.await.unwrap();
    let census = crowd.proves(&gateway).await.census.unwrap();
    assert_eq!((census.dead, census.refused), (0, 0), "{census:?}");
    gateway.stop().await.well();
}

async fn a_worker_that_stands_still_beyond_its_leases_changes_nothing_when_it_goes_on(
    engine: Engine,
) {
    let stand = short(engine).await;
    let gateway = stand.open(10_000).await;
    let crowd = Crowded::of("one");
    let sending = crowd.ordering(&gateway, 0..ORDERS);
    placed(&gateway, 100).await;
    // Where others can share the ledger, one takes its orders over meanwhile.
    let other = match engine {
        Engine::Embedded => None,
        Engine::Redis => Some(stand.plant.start_drain().await),
    };
    gateway.signal(Signal::STOP);
    // The lease is two seconds long.
    pass(seconds(3, 10)).await;
    gateway.signal(Signal::CONT);
    sending.await.unwrap();
    all_placed(gateway, &crowd, ORDERS).await;
    if let Some(mut other) = other {
        assert!(other.stop(AT_LAST).await.unwrap().success());
    }
}

/// What the store has of a ticket.
async fn states(stand: &Stand, ticket: &str) -> Vec<String> {
    stand.ask(&format!("SELECT state FROM forebay_orders WHERE ticket_id = '{ticket}'")).await
}

async fn an_attempt_that_comes_after_its_order_was_voided_changes_nothing(engine: Engine) {
    let stand = short(engine).await;
    let gateway = stand.open(10).await;
    let crowd = Crowded::of("one");
    crowd.order(&gateway, 0..1).await;
    placed(&gateway, 1).await;
    // The store holds the order up: its attempt is under way, and nobody hears of it.
    stand.tell("CREATE TRIGGER slow BEFORE INSERT ON forebay_orders FOR EACH ROW IF NEW.state = 'placed' AND NEW.buyer = 'late' THEN DO SLEEP(3); END IF").await;
    stand.proxy.reset();
    let answer = order(gateway.public, "one", "late", "key").await;
    let ticket = answer.json()["ticket"].as_str().unwrap().to_owned();
    under_way(&gateway).await;
    let place = states(&stand, &ticket).await;
    assert!(place.is_empty(), "{place:?}");
    // A void comes first: the attempt's INSERT has not happened yet.
    stand.tell(&format!("INSERT INTO forebay_orders (ticket_id, line, sale, sale_no, buyer, state, epoch, sequence, attempt, accepted_at, attempted_at) SELECT '{ticket}', 1, sale, sale_no, 'late', 'void', 1, 2, 1, NOW(6), NOW(6) FROM forebay_orders LIMIT 1")).await;
    until("it is refused", async || {
        (gateway.admin().census("one").await.ok()?.refused == 1).then_some(())
    })
    .await;
    until("the attempt goes on, and ends", async || {
        let under_way =
            "SELECT COUNT(*) FROM information_schema.processlist WHERE state = 'User sleep'";
        (stand.ask::<u64>(under_way).await == [0]).then_some(())
    })
    .await;
    assert_eq!(states(&stand, &ticket).await, ["void"]);
    let left: Vec<u64> = stand.ask("SELECT available FROM forebay_stock").await;
    assert_eq!(left, [9], "its unit was never taken");
    let report = gateway.admin().verify().await.unwrap();
    assert!(report.ok, "{report:?}");
    gateway.stop().await.well();
}

async fn under_way(gateway: &Gateway) {
    until("the attempt is at the store", async || (gateway.in_flight().await == 1).then_some(()))
        .await;
}
