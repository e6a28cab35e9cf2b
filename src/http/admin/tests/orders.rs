//! Orders: timelines, pages and exports.

use std::sync::atomic::Ordering;
use std::time::Duration;

use http_body_util::BodyExt as _;
use serde_json::{Value, json};

use super::rig::{Rig, request};
use crate::ledger::{Change, Fate, Ledger as _};

const SALE: &str = "/admin/v1/sales/sale";

#[tokio::test]
async fn a_timeline_tells_all_that_happened() {
    let rig = Rig::new();
    rig.sale(9).await;
    let tickets = rig.ordered(2).await;
    let path = format!("/admin/v1/tickets/{}", tickets[0]);
    let waiting = rig.get(&path).await.json();
    assert_eq!(waiting["timeline"].as_array().unwrap().len(), 1);
    assert_eq!(waiting["timeline"][0]["event"], "accepted");
    let after = Duration::from_secs(1);
    let later = Fate::Later { after, reason: "deadlock".to_owned(), spends: true };
    rig.meet(vec![later]).await;
    rig.clock.advance(Duration::from_secs(5));
    rig.meet(vec![Fate::Placed { order_no: "o-17".to_owned() }]).await;
    let placed = rig.get(&path).await.json();
    let expected = json!({
        "ticket": tickets[0].as_str(), "sale": "sale", "buyer": "buyer-0",
        "lines": [{"sku": "phone", "quantity": 1}], "state": "placed", "reason": null, "epoch": 1,
        "sequence": 1, "accepted_at": "2023-11-14T22:13:20.000000Z",
        "attempted_at": "2023-11-14T22:13:27.005000Z", "settled_at": "2023-11-14T22:13:27.010000Z",
        "attempts": 2, "order_no": "o-17", "leased_until": null, "due_at": null,
        "timeline": [
            {"at": "2023-11-14T22:13:20.000000Z", "event": "accepted"},
            {"at": "2023-11-14T22:13:21.000000Z", "event": "attempt", "outcome": "later",
             "ended_at": "2023-11-14T22:13:21.005000Z", "reason": "deadlock"},
            {"at": "2023-11-14T22:13:27.005000Z", "event": "attempt", "outcome": "placed",
             "ended_at": "2023-11-14T22:13:27.010000Z"},
            {"at": "2023-11-14T22:13:27.010000Z", "event": "placed"},
        ],
    });
    assert_eq!(placed, expected);
    let text = tickets[1].as_str();
    let flipped = |at: usize| {
        let other = if &text[at..=at] == "A" { "B" } else { "A" };
        format!("{}{other}{}", &text[..at], &text[at + 1..])
    };
    let wrong =
        ["x".to_owned(), text[..57].to_owned(), format!("{text}A"), flipped(3), flipped(56)];
    for wrong in wrong {
        let told = rig.get(&format!("/admin/v1/tickets/{wrong}")).await;
        assert_eq!(told.problem(), (404, "unknown_ticket".to_owned()), "{wrong}");
    }
}

#[tokio::test]
async fn a_ticket_of_a_purged_sale_is_gone() {
    let rig = Rig::new();
    rig.sale(9).await;
    let ticket = rig.ordered(1).await[0];
    rig.meet(vec![Fate::Placed { order_no: "o".to_owned() }]).await;
    rig.change("POST", &format!("{SALE}/close"), "").await;
    rig.change("POST", &format!("{SALE}/purge"), "").await;
    let told = rig.get(&format!("/admin/v1/tickets/{ticket}")).await;
    assert_eq!(told.problem(), (410, "purged".to_owned()));
}

#[tokio::test]
async fn pages_of_orders_join_without_a_gap() {
    let rig = Rig::new();
    rig.sale(99).await;
    let tickets = rig.ordered(25).await;
    let (mut seen, mut from) = (Vec::new(), 0);
    loop {
        let page = rig.get(&format!("{SALE}/tickets?limit=10&from={from}")).await.json();
        let page_tickets = page["tickets"].as_array().unwrap();
        seen.extend(page_tickets.iter().map(|t| t["ticket"].as_str().unwrap().to_owned()));
        match page["next"].as_u64() {
            Some(next) => from = next,
            None => break,
        }
    }
    assert_eq!(seen, tickets.iter().map(ToString::to_string).collect::<Vec<_>>());
    rig.die(12).await;
    let first = rig.get(&format!("{SALE}/dead?limit=10")).await.json();
    assert_eq!(first["dead"].as_array().unwrap().len(), 10);
    assert_eq!(first["dead"][0]["state"], "dead");
    assert_eq!(first["dead"][0]["reason"], "attempts");
    assert_eq!(first["dead"][0]["last_error"], "deadlock");
    let next = first["next"].as_u64().unwrap();
    let rest = rig.get(&format!("{SALE}/dead?limit=10&from={next}")).await.json();
    assert_eq!((rest["dead"].as_array().unwrap().len(), &rest["next"]), (2, &Value::Null));
}

#[tokio::test]
async fn an_export_has_every_order_once_in_sequence() {
    let rig = Rig::new();
    rig.sale(2_000).await;
    let empty = rig.get(&format!("{SALE}/tickets?format=ndjson")).await;
    assert_eq!((empty.status.as_u16(), empty.body.len()), (200, 0));
    let tickets = rig.ordered(1_000).await;
    let told = rig.get(&format!("{SALE}/tickets?format=ndjson")).await;
    assert_eq!(told.header("content-type"), "application/x-ndjson");
    let text = std::str::from_utf8(&told.body).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 1_000);
    for ((n, line), ticket) in (1..).zip(&lines).zip(&tickets) {
        assert_eq!(
            (&line["sequence"], &line["ticket"]),
            (&Value::from(n), &ticket.as_str().into())
        );
    }
    let expected = format!(
        r#"{{"ticket":"{}","buyer":"buyer-0","lines":[{{"sku":"phone","quantity":1}}],"state":"queued","reason":null,"epoch":1,"sequence":1,"accepted_at":"2023-11-14T22:13:20.000000Z","attempted_at":null,"settled_at":null,"attempts":0,"order_no":null}}"#,
        tickets[0]
    );
    assert_eq!(text.lines().next(), Some(&*expected));
    let rest = rig.get(&format!("{SALE}/tickets?format=ndjson&from=990")).await;
    assert!(text.ends_with(std::str::from_utf8(&rest.body).unwrap()) && !rest.body.is_empty());
}

#[tokio::test]
async fn an_export_of_dead_orders_says_why_each_died_and_has_no_others() {
    let rig = Rig::new();
    rig.sale(400).await;
    let export = format!("{SALE}/dead?format=ndjson");
    assert_eq!(rig.get(&export).await.body.len(), 0);
    let tickets = rig.ordered(310).await;
    rig.gate.change(Change::Drain(unlimited())).await.unwrap();
    rig.meet(vec![Fate::Dead { reason: "poison".to_owned(), seen: None }]).await;
    rig.die(299).await;
    let told = rig.get(&export).await;
    assert_eq!(told.header("content-type"), "application/x-ndjson");
    let text = std::str::from_utf8(&told.body).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let exported: Vec<&Value> = lines.iter().map(|line| &line["ticket"]).collect();
    assert_eq!(exported, tickets[..300].iter().map(|ticket| ticket.as_str()).collect::<Vec<_>>());
    let expected = format!(
        r#"{{"ticket":"{}","buyer":"buyer-0","lines":[{{"sku":"phone","quantity":1}}],"state":"dead","reason":"poison","epoch":1,"sequence":1,"accepted_at":"2023-11-14T22:13:20.000000Z","attempted_at":"2023-11-14T22:13:21.000000Z","settled_at":"2023-11-14T22:13:21.005000Z","attempts":0,"order_no":null,"last_error":null}}"#,
        tickets[0]
    );
    assert_eq!(text.lines().next(), Some(&*expected));
    assert_eq!(
        (&lines[299]["reason"], &lines[299]["last_error"]),
        (&json!("attempts"), &json!("deadlock"))
    );
    // Those of the second page are retried while the client has only the first.
    let peer = "127.0.0.1:50000".parse().unwrap();
    let mut body = rig.admin.handle(request("GET", &export, ""), peer).await.into_body();
    assert!(body.frame().await.unwrap().is_ok());
    rig.change("POST", &format!("{SALE}/dead/all/retry"), "").await;
    assert!(body.frame().await.is_none(), "they are dead no more");
    let limited = rig.get(&format!("{export}&limit=3")).await;
    assert_eq!(limited.problem(), (400, "malformed".to_owned()));
    let strange = rig.get(&format!("{SALE}/dead?format=csv")).await;
    assert_eq!(strange.problem(), (400, "malformed".to_owned()));
}

#[tokio::test]
async fn an_export_reads_a_page_only_when_the_client_took_the_one_before() {
    let rig = Rig::new();
    rig.sale(2_000).await;
    rig.ordered(1_000).await;
    let peer = "127.0.0.1:50000".parse().unwrap();
    let export = || request("GET", &format!("{SALE}/tickets?format=ndjson"), "");
    let reply = rig.admin.handle(export(), peer).await;
    let pages = || rig.gate.pages.load(Ordering::SeqCst);
    assert_eq!(pages(), 1, "the first page is read before the head is sent");
    let mut body = reply.into_body();
    let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!((pages(), first.iter().filter(|byte| **byte == b'\n').count()), (1, 256));
    // What changes meanwhile is told as it is when its page is read.
    rig.die(300).await;
    let second = body.frame().await.unwrap().unwrap().into_data().unwrap();
    let dead = std::str::from_utf8(&second).unwrap().matches(r#""state":"dead""#).count();
    assert_eq!((pages(), dead), (2, 44));
    let mut more = 0;
    while let Some(frame) = body.frame().await {
        more += frame.unwrap().into_data().unwrap().len();
    }
    assert!(more > 0 && pages() == 4);
    let head = rig.send(request("HEAD", &format!("{SALE}/tickets?format=ndjson"), "")).await;
    assert_eq!((head.status.as_u16(), head.body.len()), (200, 0));
}

#[tokio::test]
async fn an_export_of_a_sale_that_is_purged_meanwhile_is_broken_off() {
    let rig = Rig::new();
    rig.sale(600).await;
    rig.ordered(600).await;
    let placed = (0..600).map(|n| Fate::Placed { order_no: n.to_string() });
    rig.gate.change(Change::Drain(unlimited())).await.unwrap();
    rig.meet(placed.collect()).await;
    let peer = "127.0.0.1:50000".parse().unwrap();
    let export = request("GET", &format!("{SALE}/tickets?format=ndjson"), "");
    let mut body = rig.admin.handle(export, peer).await.into_body();
    assert!(body.frame().await.unwrap().is_ok());
    rig.change("POST", &format!("{SALE}/close"), "").await;
    rig.change("POST", &format!("{SALE}/purge"), "").await;
    let fault = body.frame().await.unwrap().unwrap_err();
    assert!(fault.to_string().contains("purged"), "{fault}");
}

fn unlimited() -> crate::ledger::DrainPatch {
    let rate = Some(Some(crate::sale::Rate::Unlimited));
    crate::ledger::DrainPatch { rate, ..Default::default() }
}
