//! Orders end at an endpoint of the shop, which fails in every way (rows E1 to E10 of the reference): after each, all
//! orders are settled, the proof holds, and the shop has every order once.

use std::process::Output;
use std::time::Duration;

use forebay_loadtest::admin::Census;
use forebay_loadtest::call::call;
use forebay_loadtest::drive::{Shared, look, shared};
use forebay_loadtest::form::{Crowd, OrderForm};
use forebay_loadtest::history::History;
use forebay_loadtest::shop::{Body, Faults, Options, Shop};
use forebay_loadtest::store::{StoreBook, StoreRow, StoreStock};
use forebay_loadtest::target::Target;
use forebay_loadtest::wire::full::FullWire;
use hyper::Method;
use rusqlite::Connection;
use serde_json::{Value, json};

use super::rig::{Engine, Gateway, Plant, pass, until, with_both_ledgers};

const STOCK: u64 = 1_000;

with_both_ledgers!(
    a_shop_that_is_away_or_says_later_loses_no_order,
    orders_taken_before_the_connection_broke_are_there_once,
    a_pause_that_the_shop_asks_for_holds_for_all_orders,
    answers_that_mean_nothing_confirm_no_order_and_lose_none,
    what_the_shop_refuses_comes_back_and_what_it_cannot_tell_waits_for_an_operator,
    a_slow_shop_is_not_flooded,
    what_the_shop_lost_changed_or_has_too_much_is_named,
);

fn options() -> Options {
    Options::selling(&[("phone", STOCK)])
}

/// A gateway whose orders end at a shop, which can be asked.
async fn plant(engine: Engine, shop: &Shop) -> Plant {
    blind(engine, shop).await.set(&asks(shop))
}

/// The setting by which a shop is asked.
fn asks(shop: &Shop) -> String {
    format!("store.http.lookup_url={}", shop.url("/internal/orders/{ticket}"))
}

/// The same, but for asking.
async fn blind(engine: Engine, shop: &Shop) -> Plant {
    let url = shop.url("/internal/orders");
    Plant::new()
        .ledger_of(engine)
        .await
        .set("store.kind=http")
        .set(&format!("store.http.url={url}"))
        .set("store.http.timeout=500ms")
        .set("retry.cap=500ms")
        .set("drain.rate=200/s")
}

/// What a shop holds, as the judge reads it. All orders here are of phones.
fn book(shop: &Shop) -> StoreBook {
    let row = |row: forebay_loadtest::shop::Row| StoreRow {
        ticket: row.ticket,
        line: 1,
        sku: (row.state == "placed").then(|| "phone".to_owned()),
        buyer: Some(row.buyer),
        quantity: (row.state == "placed").then_some(row.units.cast_signed()),
        state: row.state,
    };
    let left = |left: forebay_loadtest::shop::StockLeft| StoreStock {
        sku: left.sku,
        initial: STOCK.cast_signed(),
        available: left.available.cast_signed(),
    };
    StoreBook {
        rows: shop.rows().unwrap().into_iter().map(row).collect(),
        stock: shop.stock().unwrap().into_iter().map(left).collect(),
    }
}

/// A sale at a gateway, and everybody who ordered in it.
struct Scene {
    gateway: Gateway,
    crowd: Crowd,
    history: Shared<History>,
    ordered: u64,
}

impl Scene {
    async fn start(plant: &Plant) -> Self {
        let gateway = plant.open().await;
        gateway.sale("one", STOCK).await;
        let (crowd, history) = (Crowd::new("shop", 1), shared(History::default()));
        Self { gateway, crowd, history, ordered: 0 }
    }

    /// So many more buyers order; all are taken.
    async fn order(&mut self, count: u64) {
        let form = OrderForm::new("one", "phone", self.crowd.clone());
        let drive = self.gateway.drive(&form, 8);
        let buyers = self.ordered..self.ordered + count;
        drive.run::<FullWire, History>(buyers, self.history.clone()).await;
        self.ordered += count;
        assert_eq!(look(&self.history).tally().with_status(202), self.ordered);
    }

    /// The same, and the shop is called for them.
    async fn order_at(&mut self, shop: &Shop, count: u64) {
        let before = shop.calls();
        self.order(count).await;
        until("the shop is called", async || (shop.calls() > before).then_some(())).await;
    }

    /// Everything that was ordered is settled, and all witnesses agree.
    async fn proves(&self, shop: &Shop) -> Census {
        let store = async || book(shop);
        let evidence = self.gateway.proves_by(&self.crowd, "one", &self.history, store).await;
        assert_eq!(shop.altered(), 0, "the bytes are the same at each try");
        evidence.census.unwrap()
    }

    async fn all_are_placed(&self, shop: &Shop) {
        let census = self.proves(shop).await;
        assert_eq!(
            (census.placed, census.dead, census.refused),
            (self.ordered, 0, 0),
            "{census:?}"
        );
    }
}

async fn a_shop_that_is_away_or_says_later_loses_no_order(engine: Engine) {
    let directory = tempfile::tempdir().unwrap();
    let kept = Options { directory: Some(directory.path().to_owned()), ..options() };
    let shop = Shop::start(&kept).unwrap();
    let plant = plant(engine, &shop).await.set("retry.attempts=1");
    let mut scene = Scene::start(&plant).await;
    for status in [500, 502, 503, 504, 408, 425, 429] {
        shop.plan(Faults { status: Some(status), ..Faults::default() });
        scene.order_at(&shop, 5).await;
        shop.plan(Faults::default());
        scene.all_are_placed(&shop).await;
    }
    let address = shop.address();
    drop(shop);
    scene.order(20).await;
    until("the store is told as away", async || {
        let (status, reason) = scene.gateway.check("store").await;
        (status == "degraded" && reason.contains("onnect")).then_some(())
    })
    .await;
    let shop = Shop::start(&Options { listen: address, ..kept }).unwrap();
    scene.all_are_placed(&shop).await;
    let report = scene.gateway.ask(Method::GET, "/verify", None).await;
    assert_eq!((&report["ok"], &report["compared"]), (&json!(true), &json!("placed")), "{report}");
    assert_eq!(report["checked"]["rows"], json!(scene.ordered));
    let doctor = plant.run(&["doctor"]).await;
    let said = String::from_utf8_lossy(&doctor.stdout).into_owned();
    assert!(said.contains("the shop can be reached at http://127.0.0.1"), "{said}");
    scene.gateway.stop().await.well();
    let offline = plant.run(&["verify", "--offline"]).await;
    let said = String::from_utf8_lossy(&offline.stdout).into_owned();
    assert!(offline.status.success() && said.contains("that the store was asked for"), "{said}");
}

async fn orders_taken_before_the_connection_broke_are_there_once(engine: Engine) {
    for can_ask in [true, false] {
        let shop = Shop::start(&options()).unwrap();
        let plant = if can_ask { plant(engine, &shop).await } else { blind(engine, &shop).await };
        let mut scene = Scene::start(&plant).await;
        shop.plan(Faults { drop_percent: 10, ..Faults::default() });
        scene.order(200).await;
        scene.all_are_placed(&shop).await;
        assert!(shop.calls() >= 200, "{}", shop.calls());
        let report = scene.gateway.ask(Method::GET, "/verify", None).await;
        assert_eq!(report["compared"], if can_ask { "placed" } else { "none" });
        scene.gateway.stop().await.well();
    }
}

async fn a_pause_that_the_shop_asks_for_holds_for_all_orders(engine: Engine) {
    let shop = Shop::start(&options()).unwrap();
    let mut scene = Scene::start(&plant(engine, &shop).await).await;
    let retry_after = Some("3".to_owned());
    shop.plan(Faults { status: Some(429), retry_after, ..Faults::default() });
    scene.order_at(&shop, 50).await;
    // What was under way when the first answer came may still come.
    pass(Duration::from_millis(500)).await;
    let before = shop.calls();
    pass(Duration::from_secs(1)).await;
    assert_eq!(shop.calls(), before, "nobody calls while the pause lasts");
    assert!(before < 50, "not even once for each order");
    shop.plan(Faults::default());
    scene.all_are_placed(&shop).await;
    scene.gateway.stop().await.well();
}

async fn answers_that_mean_nothing_confirm_no_order_and_lose_none(engine: Engine) {
    let shop = Shop::start(&options()).unwrap();
    let mut scene = Scene::start(&plant(engine, &shop).await).await;
    let bodies = [Body::Empty, Body::Garbage, Body::WrongType, Body::Endless, Body::Drip];
    let odd = |body| Faults { body, ..Faults::default() };
    let location = Some("http://127.0.0.1:9/internal/orders".to_owned());
    let moved = Faults { status: Some(302), location, ..Faults::default() };
    for faults in bodies.into_iter().map(odd).chain([moved]) {
        shop.plan(faults.clone());
        scene.order_at(&shop, 5).await;
        let census = scene.gateway.admin().census("one").await.unwrap();
        assert_eq!((census.dead, census.refused), (0, 0), "{faults:?}");
        shop.plan(Faults::default());
        scene.all_are_placed(&shop).await;
    }
    scene.gateway.stop().await.well();
}

async fn what_the_shop_refuses_comes_back_and_what_it_cannot_tell_waits_for_an_operator(
    engine: Engine,
) {
    let shop = Shop::start(&options()).unwrap();
    let plant = blind(engine, &shop).await.set("drain.refusal_brake=off");
    let mut scene = Scene::start(&plant).await;
    shop.plan(Faults { status: Some(422), ..Faults::default() });
    scene.order(5).await;
    let census = scene.gateway.settled("one").await;
    assert_eq!((census.refused, census.items[0].available), (5, STOCK), "{census:?}");

    // Without a question to ask, a second 409 leaves only an operator.
    shop.plan(Faults { status: Some(409), ..Faults::default() });
    scene.order(5).await;
    let dead = async || {
        let census = scene.gateway.admin().census("one").await.unwrap();
        (census.dead == 5).then_some(census)
    };
    let census = until("the orders are dead", dead).await;
    assert_eq!((census.refused, census.items[0].available), (5, STOCK - 5), "{census:?}");
    let listed = scene.gateway.ask(Method::GET, "/sales/one/dead", None).await;
    for dead in listed["dead"].as_array().unwrap() {
        assert_eq!((&dead["reason"], &dead["last_error"]), (&json!("conflict"), &json!("planned")));
    }
    let admin = format!("http://{}", scene.gateway.admin);
    let printed = async |what| {
        let output = plant.ask_admin(&["dead", what, "one", "--admin", &admin]).await;
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let table = printed("list").await;
    assert!(table.lines().next().unwrap().ends_with("LAST ERROR"), "{table}");
    assert_eq!(table.matches("  planned\n").count(), 5, "{table}");
    let exported = printed("export").await;
    let lines: Vec<Value> =
        exported.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(json!(lines), listed["dead"]);

    // Where nothing can be voided they stay, until an operator takes it upon himself; then they are named.
    let refuse = "/sales/one/dead/all/refuse";
    let asked = scene.gateway.ask(Method::POST, refuse, Some(json!({}))).await;
    assert_eq!((&asked["needs_force"], &asked["refused"]), (&json!(5), &json!(0)), "{asked}");
    assert_eq!(scene.gateway.admin().census("one").await.unwrap().dead, 5);
    let ticket = listed["dead"][0]["ticket"].as_str().unwrap();
    let one = format!("/sales/one/dead/{ticket}/refuse");
    let forced = scene.gateway.ask(Method::POST, &one, Some(json!({ "force": true }))).await;
    assert_eq!(forced["refused"], 1, "{forced}");
    let census = scene.gateway.admin().census("one").await.unwrap();
    assert_eq!((census.dead, census.items[0].available), (4, STOCK - 4), "{census:?}");
    let report = scene.gateway.admin().verify().await.unwrap();
    assert!(report.ok && report.forced == [ticket], "{report:?}");
    scene.gateway.stop().await.well();

    // A shop that could say what it has, and does not, is not overruled.
    shop.plan(Faults { status: Some(503), questions_too: true, ..Faults::default() });
    let gateway = plant.clone().set(&asks(&shop)).open().await;
    let (path, force) = (format!("/admin/v1{refuse}"), json!({ "force": true }));
    let target = Target::from(gateway.admin);
    let reply = call(&target, Method::POST, &path, None, Some(&force)).await.unwrap();
    let said = String::from_utf8_lossy(&reply.body).into_owned();
    assert!(reply.status >= 400 && said.contains("503"), "{} {said}", reply.status);
    assert_eq!(gateway.admin().census("one").await.unwrap().dead, 4);
    gateway.stop().await.well();

    shop.plan(Faults::default());
    let void = format!("store.http.void_url={}", shop.url("/internal/orders/{ticket}/void"));
    let gateway = plant.set(&void).open().await;
    gateway.ask(Method::POST, refuse, Some(json!({}))).await;
    let census = gateway.admin().census("one").await.unwrap();
    assert_eq!((census.dead, census.refused), (0, 10), "{census:?}");
    assert_eq!(census.items[0].available, STOCK, "all came back");
    assert!(shop.rows().unwrap().iter().all(|row| row.state == "void"));
    gateway.stop().await.well();
}

#[tokio::test]
async fn a_shop_that_is_not_who_it_must_be_gets_no_order() {
    let shop = Shop::start(&options()).unwrap();
    let secure = shop.url("/internal/orders").replace("http:", "https:");
    let url = format!("store.http.url={secure}");
    let mut scene = Scene::start(&plant(Engine::Embedded, &shop).await.set(&url)).await;
    scene.order(5).await;
    let told = async || {
        let (status, reason) = scene.gateway.check("store").await;
        (status == "degraded" && reason.starts_with("store_misconfigured: ")).then_some(reason)
    };
    let reason = until("the store is told as misconfigured", told).await;
    assert!(reason.contains("https://127.0.0.1"), "{reason}");
    let census = scene.gateway.admin().census("one").await.unwrap();
    assert_eq!((census.refused, census.dead, shop.calls()), (0, 0, 0), "{census:?}");
    scene.gateway.stop().await.well();
}

async fn a_slow_shop_is_not_flooded(engine: Engine) {
    let shop = Shop::start(&options()).unwrap();
    let plant = plant(engine, &shop).await.set("store.http.connections=4").set("drain.workers=16");
    let mut scene = Scene::start(&plant).await;
    shop.plan(Faults { delay_ms: 10_000, ..Faults::default() });
    scene.order_at(&shop, 60).await;
    until("it is called again", async || (shop.calls() >= 8).then_some(())).await;
    assert!(shop.most_at_once() <= 4 + 4, "{}", shop.most_at_once());
    shop.plan(Faults::default());
    scene.all_are_placed(&shop).await;
    scene.gateway.stop().await.well();
}

/// What is done to the row of a placed order, and undone.
const CHANGES: [(&str, &str); 4] = [
    (
        "UPDATE orders SET ticket = 'x' || ticket WHERE ticket = ?1",
        "UPDATE orders SET ticket = ?1 WHERE ticket = 'x' || ?1",
    ),
    (
        "UPDATE orders SET number = number + 1000 WHERE ticket = ?1",
        "UPDATE orders SET number = number - 1000 WHERE ticket = ?1",
    ),
    (
        "UPDATE orders SET state = 'refused' WHERE ticket = ?1",
        "UPDATE orders SET state = 'placed' WHERE ticket = ?1",
    ),
    (
        "UPDATE orders SET state = 'void' WHERE ticket = ?1",
        "UPDATE orders SET state = 'placed' WHERE ticket = ?1",
    ),
];

/// The shop turns out to have an order that was refused by force.
const TOO_MUCH: (&str, &str) = (
    "INSERT INTO orders SELECT number + 1000, ?1, state, reason, sale, buyer, units, body FROM orders LIMIT 1",
    "DELETE FROM orders WHERE ticket = ?1",
);

/// Does all of it, and has each named by its ticket; what is done is undone.
async fn each_is_named(
    rows: &Connection,
    placed: &str,
    forced: &str,
    verify: impl AsyncFn() -> Output,
) {
    let changes = CHANGES.into_iter().map(|change| (placed, change));
    for (ticket, (does, undoes)) in changes.chain([(forced, TOO_MUCH)]) {
        assert_eq!(rows.execute(does, [ticket]).unwrap(), 1, "{does}");
        let output = verify().await;
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        let findings = report["findings"].as_array().unwrap();
        assert_eq!((findings.len(), output.status.code()), (1, Some(5)), "{does}: {report}");
        assert_eq!((&findings[0]["law"], &findings[0]["ticket"]), (&json!("S1"), &json!(ticket)));
        assert_eq!(rows.execute(undoes, [ticket]).unwrap(), 1, "{undoes}");
    }
    let output = verify().await;
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), &report["forced"]), (Some(0), &json!([forced])), "{report}");
}

async fn what_the_shop_lost_changed_or_has_too_much_is_named(engine: Engine) {
    let directory = tempfile::tempdir().unwrap();
    let kept = Options { directory: Some(directory.path().to_owned()), ..options() };
    let shop = Shop::start(&kept).unwrap();
    let plant = blind(engine, &shop).await;
    let mut scene = Scene::start(&plant).await;
    scene.order(5).await;
    scene.all_are_placed(&shop).await;
    let placed = shop.rows().unwrap()[2].ticket.clone();
    // Without a question to ask, a second 409 leaves only an operator, and force.
    shop.plan(Faults { status: Some(409), ..Faults::default() });
    scene.order(1).await;
    let refuse = "/sales/one/dead/all/refuse";
    let dead = async || {
        let forced = Some(json!({ "force": true }));
        let asked = scene.gateway.ask(Method::POST, refuse, forced).await;
        (asked["refused"] == 1).then_some(())
    };
    until("the order is dead, and refused", dead).await;
    let forced = scene.gateway.admin().verify().await.unwrap().forced.remove(0);
    shop.plan(Faults::default());
    scene.gateway.stop().await.well();

    let plant = plant.set(&asks(&shop));
    let gateway = plant.open().await;
    let rows = Connection::open(directory.path().join("shop.sqlite")).unwrap();
    let admin = format!("http://{}", gateway.admin);
    let running = ["verify", "--json", "--admin", &admin];
    each_is_named(&rows, &placed, &forced, async || plant.ask_admin(&running).await).await;
    gateway.stop().await.well();
    let offline = ["verify", "--json", "--offline"];
    each_is_named(&rows, &placed, &forced, async || plant.run(&offline).await).await;
}
