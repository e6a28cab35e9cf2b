//! Sales and the drain: documents as the contract has them, and what changes give back.

use std::time::Duration;

use hyper::StatusCode;
use serde_json::{Value, json};

use super::rig::Rig;
use crate::clock::Timestamp;

const SALE: &str = "/admin/v1/sales/sale";

#[tokio::test]
async fn a_sale_is_read_back_as_it_was_put() {
    let rig = Rig::new();
    let terms = json!({
        "opens_at": "2023-11-14T22:00:00.000000Z", "closes_at": "2026-11-27T02:00:00.000000Z",
        "limit_per_buyer": 1, "payment_window_ms": null, "admit_rate": null, "drain_rate": "30/m",
        "items": [{"sku": "phone", "stock": 1000}, {"sku": "case", "stock": 0}],
    });
    let put = rig.change("PUT", SALE, &terms.to_string()).await;
    assert_eq!(put.status, StatusCode::CREATED);
    let got = rig.get(SALE).await;
    assert_eq!((got.status, got.json()), (StatusCode::OK, put.json()));
    let mut sale = got.json();
    assert!(sale["sale_no"].take().is_u64());
    let item = |sku: &str, stock: u64| json!({"sku": sku, "initial": stock, "added": 0, "cut": 0, "available": stock, "held": 0, "sold": 0});
    let census = json!({
        "items": [item("phone", 1000), item("case", 0)],
        "accepted": 0, "queued": 0, "placing": 0, "placed": 0, "paid": 0, "refused": 0,
        "cancelled": 0, "expired": 0, "dead": 0, "lost": 0, "oldest_waiting_ms": 0, "epoch": 1,
        "revision": sale["census"]["revision"],
    });
    let expected = json!({
        "sale": "sale", "phase": "open", "terms": terms, "census": census, "sale_no": null,
        "purged": false,
    });
    assert_eq!(sale, expected);
    let again = rig.change("PUT", SALE, &got.json()["terms"].to_string()).await;
    assert_eq!((again.status, again.json()), (StatusCode::OK, got.json()), "nothing changed");
    rig.change("PUT", "/admin/v1/sales/a", r#"{"items":[{"sku":"x","stock":1}]}"#).await;
    let list = rig.get("/admin/v1/sales").await.json();
    let names: Vec<&Value> = list["sales"].as_array().unwrap().iter().map(|s| &s["sale"]).collect();
    assert_eq!(names, ["a", "sale"]);
    assert_eq!(list["sales"][1], got.json());
}

#[tokio::test]
async fn the_phase_follows_switches_stock_and_the_wall_clock() {
    let rig = Rig::new();
    let phase = async |rig: &Rig| rig.get(SALE).await.json()["phase"].as_str().unwrap().to_owned();
    let terms = |opens: &str, closes: &str| {
        format!(
            r#"{{"opens_at":"{opens}","closes_at":"{closes}","items":[{{"sku":"phone","stock":1}}]}}"#
        )
    };
    let told =
        rig.change("PUT", SALE, &terms("2023-11-14T23:00:00Z", "2023-11-15T00:00:00Z")).await;
    assert_eq!(told.json()["phase"], "scheduled");
    rig.clock.step_wall("2023-11-14T23:00:00Z".parse::<Timestamp>().unwrap());
    assert_eq!(phase(&rig).await, "open");
    rig.ordered(1).await;
    assert_eq!(phase(&rig).await, "sold_out");
    for (switch, expected) in
        [("pause", "paused"), ("pause", "paused"), ("resume", "sold_out"), ("resume", "sold_out")]
    {
        let told = rig.change("POST", &format!("{SALE}/{switch}"), "").await;
        assert_eq!((told.status.as_u16(), told.json()["phase"].clone()), (200, expected.into()));
    }
    rig.clock.advance(Duration::from_secs(3_600));
    assert_eq!(phase(&rig).await, "closed");
    let closed = rig.change("POST", &format!("{SALE}/close"), "{}").await;
    assert_eq!(closed.json()["phase"], "closed");
    rig.change("PUT", SALE, &terms("2023-11-14T23:00:00Z", "2023-11-15T02:00:00Z")).await;
    assert_eq!(phase(&rig).await, "sold_out", "a later `closes_at` opens it again");
}

#[tokio::test]
async fn stock_moves_once_by_operation() {
    let rig = Rig::new();
    rig.sale(5).await;
    let path = &format!("{SALE}/stock");
    let more = r#"{"sku":"phone","delta":3,"operation":"op-7"}"#;
    let first = rig.change("POST", path, more).await;
    let again = rig.change("POST", path, more).await;
    assert_eq!((first.status, again.status), (StatusCode::OK, StatusCode::OK));
    assert_eq!(first.json(), again.json());
    assert_eq!(again.json()["census"]["items"][0]["available"], 8);
    let cut = rig.change("POST", path, r#"{"sku":"phone","delta":-8,"operation":"op-8"}"#).await;
    let item = cut.json()["census"]["items"][0].clone();
    assert_eq!(
        (&item["cut"], &item["available"], &item["added"]),
        (&8.into(), &0.into(), &3.into())
    );
    assert_eq!(cut.json()["phase"], "sold_out");
}

#[tokio::test]
async fn a_purged_sale_keeps_name_and_census() {
    let rig = Rig::new();
    rig.sale(5).await;
    rig.change("POST", &format!("{SALE}/close"), "").await;
    for _ in 0..2 {
        let purged = rig.change("POST", &format!("{SALE}/purge"), "").await;
        assert_eq!((purged.status.as_u16(), purged.json()["purged"].clone()), (200, true.into()));
    }
    let got = rig.get(SALE).await.json();
    assert_eq!((&got["phase"], &got["census"]["accepted"]), (&"closed".into(), &0.into()));
    for path in ["tickets", "tickets?format=ndjson", "dead"] {
        assert_eq!(rig.get(&format!("{SALE}/{path}")).await.problem(), (410, "purged".to_owned()));
    }
}

#[tokio::test]
async fn the_drain_is_patched_and_given_back_to_the_file() {
    let rig = Rig::new();
    let expected = json!({
        "rate": "500/s", "burst": 6, "paused": false, "reason": null, "configured_rate": "500/s",
        "origin": "config", "attempts_per_second": 12.5, "waiting": 3, "in_flight": 2, "workers": 16,
        "adaptive": {"rate": "450/s", "concurrency": 15},
    });
    let path = "/admin/v1/drain";
    assert_eq!(rig.get(path).await.json(), expected);
    assert_eq!(rig.change("PATCH", path, "").await.json(), expected, "nothing asked, nothing done");
    let told = rig.change("PATCH", path, r#"{"rate":"30/m","burst":2,"paused":true}"#).await.json();
    assert_eq!(
        (&told["rate"], &told["burst"], &told["origin"]),
        (&"30/m".into(), &2.into(), &"operator".into())
    );
    assert_eq!((&told["paused"], &told["reason"]), (&true.into(), &"operator".into()));
    assert_eq!(told, rig.get(path).await.json());
    let told = rig.change("PATCH", path, r#"{"rate":"off"}"#).await.json();
    assert_eq!((&told["rate"], &told["burst"]), (&"unlimited".into(), &Value::Null));
    let back = rig.change("PATCH", path, r#"{"rate":null,"burst":null,"paused":false}"#).await;
    assert_eq!(back.json(), expected);
}

#[tokio::test]
async fn verify_and_faults_pass_through() {
    let rig = Rig::new();
    let report = rig.get("/admin/v1/verify").await;
    assert_eq!((report.status.as_u16(), report.json()["ok"].clone()), (200, true.into()));
    let path = "/admin/v1/store/faults";
    assert_eq!(rig.get(path).await.problem(), (422, "not_supported".to_owned()));
    let plan = r#"{"error_rate":0.5}"#;
    let told = rig.change("PATCH", path, plan).await;
    assert_eq!((told.status, &told.body[..]), (StatusCode::OK, plan.as_bytes()));
    assert_eq!(&rig.get(path).await.body[..], plan.as_bytes());
    for body in ["[1]", "1", "null", r#"{"unknown":1}"#] {
        assert_eq!(rig.change("PATCH", path, body).await.problem().0, 400, "{body}");
    }
}
