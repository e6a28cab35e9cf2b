//! The user that is shipped for Redis, through the whole life of a sale: it may all that the ledger ever asks, so
//! Redis has never denied it anything.

use std::path::PathBuf;

use forebay_loadtest::redis::{Options, Redis};
use hyper::Method;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::super::rig::{Plant, until};
use super::super::wire::request;
use super::{Crowded, Gateway, is_ready, is_unready, plant_at, taken, ticket, until_status};

const PASSWORD: &str = "of-the-shop";

/// The `user` line of the shipped file for this password, as a file that `aclfile` names has it; nobody else is let in.
fn users() -> String {
    let root = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo says where"));
    let shipped = std::fs::read_to_string(root.join("config/redis-acl.conf")).unwrap();
    let digest: String =
        Sha256::digest(PASSWORD).iter().map(|byte| format!("{byte:02x}")).collect();
    let lines = shipped.lines().filter(|line| line.starts_with("user "));
    let users: String = lines.map(|line| line.replace("@PASSWORD-SHA256@", &digest)).collect();
    assert!(users.contains(&digest), "{users}");
    format!("{users}\nuser default off\n")
}

/// A plant whose processes are the shipped user of this server.
fn plant(redis: &Redis) -> Plant {
    let plant = plant_at(&format!("redis://forebay@{}", redis.address())).set("retry.attempts=2");
    let file = plant.path().join("password");
    std::fs::write(&file, format!("{PASSWORD}\n")).unwrap();
    plant.set(&format!("ledger.redis.password_file={}", file.display()))
}

async fn nothing_was_denied(redis: &Redis) {
    let denied = redis.ask(&["ACL", "LOG"]).await.unwrap();
    assert!(denied.list().is_empty(), "{denied:?}");
}

/// Every switch of a sale, stock, a cancel and dead orders.
async fn worked_by_hand(gateway: &Gateway) {
    let admin = gateway.admin();
    admin.switch("two", "pause").await.unwrap();
    gateway.phase("two", "paused").await;
    admin.switch("two", "resume").await.unwrap();
    gateway.phase("two", "open").await;
    admin.add_stock("two", "phone", 50, "op-1").await.unwrap();
    let amended = json!({ "limit_per_buyer": 9, "items": [{ "sku": "phone" }, { "sku": "case", "stock": 5 }] });
    admin.put_sale("two", &amended).await.unwrap();

    // The store knows the stock from here on.
    taken(gateway, "two", "first").await;
    gateway.settled("two").await;

    admin.pause_drain(true).await.unwrap();
    let cancelled = taken(gateway, "two", "changes-his-mind").await;
    let line = format!("DELETE /v1/tickets/{cancelled}");
    let buyer = [("X-Buyer-Id", "changes-his-mind")];
    let answer = request(gateway.public, &line, &buyer, b"").await;
    assert_eq!((answer.status, &answer.json()["state"]), (200, &json!("cancelled")), "{answer:?}");

    gateway.faults(json!({"error_rate": 1.0, "error_code": 1205})).await;
    admin.pause_drain(false).await.unwrap();
    let (retried, refused) =
        (taken(gateway, "two", "retried").await, taken(gateway, "two", "refused").await);
    until("they are set aside", async || (admin.census("two").await.ok()?.dead == 2).then_some(()))
        .await;
    gateway.faults(json!({"error_rate": 0.0})).await;
    let dead = gateway.ask(Method::GET, "/sales/two/dead", None).await;
    assert_eq!(dead["dead"].as_array().unwrap().len(), 2, "{dead}");
    for (ticket, what) in [(&refused, "refuse"), (&retried, "retry")] {
        let path = format!("/sales/two/dead/{ticket}/{what}");
        gateway.ask(Method::POST, &path, Some(json!({}))).await;
    }
    let census = gateway.settled("two").await;
    assert_eq!((census.placed, census.refused, census.cancelled), (2, 1, 1), "{census:?}");
    let timeline = gateway.ask(Method::GET, &format!("/tickets/{retried}"), None).await;
    assert_eq!(timeline["state"], "placed", "{timeline}");
}

/// Redis dies with the newest orders and comes back without them: they are brought back from the processes' memory.
async fn dies_and_recovers(redis: &mut Redis, gateway: &Gateway) {
    gateway.admin().pause_drain(true).await.unwrap();
    redis.ask(&["SAVE"]).await.unwrap();
    let known = taken(gateway, "two", "newest").await;
    // What was denied is told by the life in which it was.
    nothing_was_denied(redis).await;
    redis.kill().await.unwrap();
    is_unready(gateway, "Redis").await;
    redis.start_again().await.unwrap();
    until_status(gateway, 200).await;
    assert_eq!(taken(gateway, "two", "newest").await, known);
    assert_eq!(ticket(gateway, &known).await.1["state"], "queued");
    gateway.admin().pause_drain(false).await.unwrap();
    gateway.settled("two").await;
}

#[tokio::test]
async fn the_shipped_user_is_denied_nothing_from_a_sale_s_making_to_its_purge() {
    let options = Options { acl_file: Some(users()), ..Options::default() };
    let mut redis = Redis::start(&options).await.unwrap();
    let plant = plant(&redis);
    let gateway = plant.start().await;
    is_ready(&gateway).await;
    gateway.sale("one", 100).await;
    gateway.sale("two", 100).await;
    let crowd = Crowded::of("one");
    crowd.order(&gateway, 0..60).await;
    worked_by_hand(&gateway).await;
    let mut drain = plant.start_drain().await;
    dies_and_recovers(&mut redis, &gateway).await;
    crowd.order(&gateway, 60..120).await;
    let census = crowd.proves(&gateway).await.census.unwrap();
    assert_eq!((census.placed, census.epoch), (100, 2), "sold out: {census:?}");

    for sale in ["one", "two"] {
        for switch in ["close", "purge"] {
            gateway.admin().switch(sale, switch).await.unwrap();
        }
    }
    assert!(gateway.admin().verify().await.unwrap().ok);
    // A process that begins finds all as it is.
    let other = plant.start().await;
    until_status(&other, 200).await;
    let doctor = plant.run(&["doctor"]).await;
    let said = String::from_utf8_lossy(&doctor.stdout);
    assert_eq!(doctor.status.code(), Some(0), "{said}");
    assert!(said.contains("of this version is loaded") && !said.contains("may not"), "{said}");
    let status = drain.stop(super::super::rig::AT_LAST).await.unwrap();
    assert!(status.success(), "{}", drain.text().await);
    other.stop().await.well();
    gateway.stop().await.well();
    let offline = plant.run(&["verify", "--offline"]).await;
    assert_eq!(offline.status.code(), Some(0), "{}", String::from_utf8_lossy(&offline.stderr));
    nothing_was_denied(&redis).await;
}
