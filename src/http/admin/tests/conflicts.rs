//! Every refusal of a change has its stable code, and changes nothing.

use serde_json::json;

use super::rig::{Rig, Void};
use crate::http::operations::OperationFault;
use crate::ledger::{Fate, Fault, FaultKind};

const SALE: &str = "/admin/v1/sales/sale";

#[tokio::test]
async fn terms_that_break_a_rule() {
    let rig = Rig::new();
    rig.sale(5).await;
    let before = rig.get(SALE).await.json();
    let new = "/admin/v1/sales/new";
    for (path, body, status, code) in [
        (SALE, r#"{"items":[{"sku":"phone","stock":6}]}"#, 409, "stock_fixed"),
        (SALE, r#"{"items":[{"sku":"case","stock":6}]}"#, 409, "sku_removed"),
        (SALE, r#"{"items":[{"sku":"phone"},{"sku":"case"}]}"#, 422, "stock_missing"),
        (SALE, r#"{"items":[{"sku":"phone"},{"sku":"phone"}]}"#, 422, "bad_terms"),
        (SALE, r#"{"items":[{"sku":"phone"}],"payment_window_ms":1}"#, 422, "not_supported"),
        (SALE, r#"{"items":[{"sku":"phone"}],"price":1}"#, 400, "malformed"),
        (SALE, r#"{"items":[{"sku":"phone"}],"drain_rate":"0/s"}"#, 400, "malformed"),
        (SALE, r#"{"items":[{"sku":"phone"}],"items":[]}"#, 400, "malformed"),
        (SALE, r#"{"items":[{"sku":"a b"}]}"#, 400, "malformed"),
        (SALE, "", 400, "malformed"),
        (new, r#"{"items":[]}"#, 422, "bad_terms"),
        (new, r#"{"items":[{"sku":"x"}]}"#, 422, "stock_missing"),
        (new, r#"{"items":[{"sku":"x","stock":9007199254740993}]}"#, 422, "bad_terms"),
        (new, r#"{"items":[{"sku":"x","stock":-1}]}"#, 400, "malformed"),
        (new, r#"{"items":[{"sku":"x","stock":1.5}]}"#, 400, "malformed"),
        (new, r#"{"items":[{"sku":"x","stock":1}],"opens_at":"tomorrow"}"#, 400, "malformed"),
        ("/admin/v1/sales/New", r#"{"items":[{"sku":"x","stock":1}]}"#, 400, "malformed"),
    ] {
        let told = rig.change("PUT", path, body).await;
        assert_eq!(told.problem(), (status, code.to_owned()), "{body}");
    }
    assert_eq!(rig.get(SALE).await.json(), before);
    assert_eq!(rig.get(new).await.problem(), (404, "unknown_sale".to_owned()));
    assert_eq!(rig.change("POST", &format!("{new}/pause"), "").await.problem().0, 404);
    assert_eq!(rig.change("POST", &format!("{SALE}/purge"), "").await.problem().1, "not_settled");
    let whole = rig.change("POST", &format!("{SALE}/rebuild"), "").await.problem();
    assert_eq!(whole, (409, "not_halted".to_owned()));
    assert_eq!(rig.change("POST", &format!("{new}/rebuild"), "").await.problem().0, 404);
    rig.change("POST", &format!("{SALE}/close"), "").await;
    rig.change("POST", &format!("{SALE}/purge"), "").await;
    let told = rig.change("PUT", SALE, r#"{"items":[{"sku":"phone","stock":5}]}"#).await;
    assert_eq!(told.problem(), (410, "purged".to_owned()));
}

#[tokio::test]
async fn stock_that_cannot_move() {
    let rig = Rig::new();
    rig.sale(5).await;
    rig.ordered(2).await;
    let path = &format!("{SALE}/stock");
    rig.change("POST", path, r#"{"sku":"phone","delta":1,"operation":"op-1"}"#).await;
    let before = rig.get(SALE).await.json();
    for (sku, delta, operation, status, code) in [
        ("phone", "-5", "op-2", 409, "below_available"),
        ("phone", "2", "op-1", 422, "operation_reused"),
        ("phone", "0", "op-3", 422, "bad_delta"),
        ("phone", "9007199254740993", "op-3", 422, "bad_delta"),
        ("phone", "9223372036854775808", "op-3", 422, "bad_delta"),
        ("phone", "-9223372036854775808", "op-3", 422, "bad_delta"),
        ("phone", "18446744073709551616", "op-3", 422, "bad_delta"),
        ("phone", "1.5", "op-3", 400, "malformed"),
        ("phone", "\"1\"", "op-3", 400, "malformed"),
        ("case", "1", "op-3", 422, "unknown_sku"),
        ("phone", "1", "", 422, "bad_operation"),
        ("phone", "1", "a\\nb", 422, "bad_operation"),
    ] {
        let body = format!(r#"{{"sku":"{sku}","delta":{delta},"operation":"{operation}"}}"#);
        let told = rig.change("POST", path, &body).await;
        assert_eq!(told.problem(), (status, code.to_owned()), "{body}");
    }
    assert_eq!(rig.get(SALE).await.json(), before);
    let nowhere = r#"{"sku":"phone","delta":1,"operation":"op-1"}"#;
    let told = rig.change("POST", "/admin/v1/sales/none/stock", nowhere).await;
    assert_eq!(told.problem(), (404, "unknown_sale".to_owned()));
}

#[tokio::test]
async fn a_drain_that_cannot_be_set() {
    let rig = Rig::new();
    for (body, status, code) in [
        (r#"{"burst":0}"#, 422, "bad_burst"),
        (r#"{"rate":"0/s"}"#, 400, "malformed"),
        (r#"{"rate":500}"#, 400, "malformed"),
        (r#"{"reason":"x"}"#, 400, "malformed"),
        (r#"{"origin":"config"}"#, 400, "malformed"),
    ] {
        let told = rig.change("PATCH", "/admin/v1/drain", body).await;
        assert_eq!(told.problem(), (status, code.to_owned()), "{body}");
    }
}

#[tokio::test]
async fn a_reload_is_taken_over_or_says_why_not() {
    let rig = Rig::new();
    let reload = async |body| rig.change("POST", "/-/reload", body).await;
    assert_eq!(reload("").await.json()["changed"], json!([]));
    assert_eq!(reload(r#"{"force":true}"#).await.problem().0, 400);
    let bad = OperationFault::BadSettings("line 3: a rate".to_owned());
    let restart = OperationFault::RestartNeeded("public.listen, log.format".to_owned());
    let down = OperationFault::Ledger(Fault::unavailable("the disk is full"));
    for (fault, status, code, word) in [
        (bad, 422, "bad_settings", "line 3: a rate"),
        (restart, 409, "restart_needed", "public.listen, log.format"),
        (down, 503, "ledger_unavailable", "the disk is full"),
    ] {
        *rig.played.reload.lock().unwrap() = Some(fault);
        let told = reload("{}").await;
        assert_eq!(told.problem(), (status, code.to_owned()));
        assert!(told.json()["detail"].as_str().unwrap().contains(word), "{told:?}");
    }
}

#[tokio::test]
async fn dead_orders_are_decided_once() {
    let rig = Rig::new();
    rig.sale(9).await;
    let tickets = rig.ordered(5).await;
    rig.die(4).await;
    let act = async |which: &str, act: &str, body: &str| {
        rig.change("POST", &format!("{SALE}/dead/{which}/{act}"), body).await
    };
    let one = tickets[0].as_str();
    for _ in 0..2 {
        let told = act(one, "refuse", "").await;
        assert_eq!(told.status.as_u16(), 200, "again is the same");
    }
    assert_eq!(act(one, "retry", "").await.problem(), (409, "not_dead".to_owned()));
    assert_eq!(
        act(tickets[4].as_str(), "refuse", "").await.problem(),
        (409, "not_dead".to_owned())
    );
    *rig.played.void.lock().unwrap() = Void::Cannot;
    let two = tickets[1].as_str();
    assert_eq!(act(two, "refuse", "").await.problem(), (409, "needs_force".to_owned()));
    assert_eq!(act("all", "refuse", "{}").await.json()["needs_force"], 3);
    assert_eq!(act(two, "refuse", r#"{"force":true}"#).await.json()["refused"], 1);
    *rig.played.void.lock().unwrap() = Void::HasIt;
    let told = act(tickets[2].as_str(), "refuse", "").await.json();
    assert_eq!(
        (&told["changed"], &told["placed"], &told["refused"]),
        (&1.into(), &1.into(), &0.into())
    );
    let census = rig.get(SALE).await.json()["census"].clone();
    assert_eq!(
        (&census["dead"], &census["refused"], &census["placed"]),
        (&1.into(), &2.into(), &1.into())
    );
    let four = tickets[3].as_str();
    assert_eq!(act(four, "retry", "").await.json()["changed"], 1);
    assert_eq!(act(four, "retry", "").await.json()["changed"], 0, "again is the same");
    rig.meet(vec![Fate::Placed { order_no: "o-9".to_owned() }]).await;
    for ticket in ["x", &tickets[0].as_str()[1..], &two.replace(&two[50..51], "!")] {
        assert_eq!(act(ticket, "retry", "").await.problem(), (404, "unknown_ticket".to_owned()));
    }
    let other = r#"{"items":[{"sku":"x","stock":1}]}"#;
    rig.change("PUT", "/admin/v1/sales/other", other).await;
    let foreign = format!("/admin/v1/sales/other/dead/{two}/retry");
    assert_eq!(
        rig.change("POST", &foreign, "").await.problem(),
        (404, "unknown_ticket".to_owned())
    );
}

#[tokio::test]
async fn a_ledger_that_cannot_answer() {
    let rig = Rig::new();
    rig.sale(5).await;
    let reason: std::sync::Arc<str> = "disk full".into();
    for (kind, code) in [
        (FaultKind::Unavailable, "ledger_unavailable"),
        (FaultKind::Corrupt, "ledger_unavailable"),
        (FaultKind::InDoubt, "in_doubt"),
    ] {
        *rig.gate.fault.lock().unwrap() = Some(Fault { kind, reason: reason.clone() });
        for told in [
            rig.get(SALE).await,
            rig.get("/admin/v1/sales").await,
            rig.get("/admin/v1/drain").await,
            rig.get(&format!("{SALE}/tickets?format=ndjson")).await,
            rig.get("/").await,
            rig.change("POST", &format!("{SALE}/close"), "").await,
        ] {
            assert_eq!(told.problem(), (503, code.to_owned()));
            assert!(told.json()["detail"].as_str().unwrap().contains("disk full"));
            assert!(!told.header("retry-after").is_empty());
        }
        assert_eq!(rig.get("/metrics").await.status.as_u16(), 200, "the rest is told");
    }
}
