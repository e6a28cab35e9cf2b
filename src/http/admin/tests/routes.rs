//! Each route with each method, and what every answer bears.

use hyper::StatusCode;
use serde_json::Value;

use super::rig::{Rig, request};
use crate::clock::Clock as _;
use crate::http::admin::page;
use crate::http::admin::route::Resource;
use crate::ledger::Ledger as _;
use crate::tasks::{Check, CheckStatus};

const PATHS: [&str; 22] = [
    "/",
    "/metrics",
    "/livez",
    "/readyz",
    "/version",
    "/openapi.json",
    "/-/reload",
    "/admin/v1/sales",
    "/admin/v1/sales/sale",
    "/admin/v1/sales/sale/pause",
    "/admin/v1/sales/sale/resume",
    "/admin/v1/sales/sale/close",
    "/admin/v1/sales/sale/purge",
    "/admin/v1/sales/sale/stock",
    "/admin/v1/sales/sale/tickets",
    "/admin/v1/sales/sale/dead",
    "/admin/v1/sales/sale/dead/all/retry",
    "/admin/v1/sales/sale/dead/all/refuse",
    "/admin/v1/drain",
    "/admin/v1/tickets/x",
    "/admin/v1/verify",
    "/admin/v1/store/faults",
];

#[tokio::test]
async fn every_route_has_its_methods_and_no_other() {
    let rig = Rig::new();
    rig.sale(1).await;
    for path in PATHS {
        let resource = Resource::find(path).unwrap();
        let options = rig.send(request("OPTIONS", path, "")).await;
        assert_eq!(options.status, StatusCode::NO_CONTENT, "{path}");
        assert!(!options.headers.contains_key("access-control-allow-origin"));
        let allow = options.header("allow").to_owned();
        for method in ["GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "TRACE"] {
            let told = rig.send(request(method, path, "")).await;
            let allowed = allow.split(", ").any(|known| known == method);
            assert_eq!(told.status != StatusCode::METHOD_NOT_ALLOWED, allowed, "{method} {path}");
            assert_eq!(told.header("cache-control"), "no-store");
            if !allowed {
                assert_eq!(told.header("allow"), allow, "{method} {path}");
            }
            let known = method == "HEAD" && allow.contains("GET");
            let known = known || resource.methods().iter().any(|known| known == method);
            assert_eq!(known, allowed, "{method} {path}");
        }
        assert_eq!(rig.send(request("BREW", path, "")).await.problem().1, "not_implemented");
    }
    for path in [
        "//",
        "/metrics/",
        "/admin",
        "/admin/v1/",
        "/admin/v1/sales/",
        "/admin/v1/sales/sale/",
        "/admin/v1/sales/sale/burn",
        "/admin/v1/sales/sale/dead/all/burn",
        "/admin/v1/sales/sale/dead/all/retry/x/y/z",
        "/v1/sales",
    ] {
        assert_eq!(rig.get(path).await.problem().0, 404, "{path}");
    }
}

#[tokio::test]
async fn head_is_get_without_the_body() {
    let rig = Rig::new();
    rig.sale(1).await;
    for path in PATHS {
        let get = rig.get(path).await;
        let head = rig.send(request("HEAD", path, "")).await;
        assert_eq!((head.status, head.body.len()), (get.status, 0), "{path}");
        assert_eq!(head.header("content-type"), get.header("content-type"), "{path}");
    }
    let head = rig.send(request("HEAD", "/version", "")).await;
    assert_eq!(head.header("content-length"), rig.get("/version").await.body.len().to_string());
}

#[tokio::test]
async fn every_route_of_both_listeners_is_in_the_description() {
    let described = Rig::new().get("/openapi.json").await.json();
    let methods_of = |path: &str| -> Vec<String> {
        let path = described["paths"][path].as_object();
        path.map_or_else(Vec::new, |path| path.keys().map(|name| name.to_uppercase()).collect())
    };
    for path in PATHS {
        let resource = Resource::find(path).unwrap();
        let expected: Vec<&str> = resource.methods().iter().map(hyper::Method::as_str).collect();
        assert_eq!(methods_of(resource.template()), expected, "{path}");
    }
    let public = [
        ("/v1/sales", "GET"),
        ("/v1/sales/{sale}", "GET"),
        ("/v1/sales/{sale}/orders", "POST"),
        ("/v1/tickets/{ticket}", "GET"),
        ("/v1/tickets/{ticket}", "DELETE"),
        ("/v1/tickets/{ticket}/events", "GET"),
        ("/problems/{code}", "GET"),
        ("/livez", "GET"),
        ("/readyz", "GET"),
    ];
    for (path, method) in public {
        assert!(methods_of(path).iter().any(|known| known == method), "{method} {path}");
    }
    for reference in references(&described) {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(described.pointer(pointer).is_some(), "{reference} names nothing");
    }
}

fn references(value: &Value) -> Vec<&str> {
    match value {
        Value::Object(map) => {
            let own = map.get("$ref").and_then(Value::as_str);
            own.into_iter().chain(map.values().flat_map(references)).collect()
        }
        Value::Array(values) => values.iter().flat_map(references).collect(),
        _ => Vec::new(),
    }
}

#[tokio::test]
async fn readiness_is_the_worst_check_and_degraded_takes_traffic() {
    let rig = Rig::new();
    assert_eq!(rig.get("/livez").await.status, StatusCode::OK);
    let told = rig.get("/readyz").await;
    assert_eq!((told.status.as_u16(), told.json()["status"].clone()), (200, "ready".into()));
    let check = |name, status, reason: &str| Check { name, status, reason: reason.to_owned() };
    let store = check("store", CheckStatus::Degraded, "away");
    rig.readiness.add(move || store.clone());
    let told = rig.get("/readyz").await;
    assert_eq!((told.status.as_u16(), told.json()["status"].clone()), (200, "degraded".into()));
    let ledger = check("ledger", CheckStatus::Unready, "disk full");
    rig.readiness.add(move || ledger.clone());
    let told = rig.get("/readyz").await;
    assert_eq!(told.status, StatusCode::SERVICE_UNAVAILABLE);
    let expected = serde_json::json!({"status": "unready", "checks": [
        {"name": "store", "status": "degraded", "reason": "away"},
        {"name": "ledger", "status": "unready", "reason": "disk full"},
    ]});
    assert_eq!(told.json(), expected);
}

#[tokio::test]
async fn metrics_tell_the_census_when_they_are_read() {
    let rig = Rig::new();
    let _here = metrics::set_default_local_recorder(&rig.recorder);
    rig.sale(5).await;
    rig.ordered(3).await;
    rig.die(1).await;
    let told = rig.get("/metrics").await;
    assert!(told.header("content-type").starts_with("text/plain; version=0.0.4"));
    let text = String::from_utf8(told.body.to_vec()).unwrap();
    for line in [
        r#"forebay_stock_units{sale="sale",sku="phone",state="available"} 2"#,
        r#"forebay_stock_units{sale="sale",sku="phone",state="held"} 3"#,
        r#"forebay_queue_depth{sale="sale"} 2"#,
        r#"forebay_queue_oldest_age_seconds{sale="sale"} 1.005"#,
        r#"forebay_dead_orders{sale="sale"} 1"#,
        "forebay_drain_rate_limit 500",
    ] {
        assert!(text.lines().any(|known| known == line), "{line} in\n{text}");
    }
    rig.change("PATCH", "/admin/v1/drain", r#"{"paused":true}"#).await;
    let told = rig.get("/metrics").await;
    assert!(String::from_utf8_lossy(&told.body).contains("forebay_drain_rate_limit 0"));
}

#[tokio::test]
async fn a_million_bad_paths_make_one_series() {
    let rig = Rig::new();
    let before = rig.recorder.series();
    for n in 0..100 {
        rig.get(&format!("/admin/v1/{n}")).await;
        rig.send(request(&format!("X{n}"), "/livez", "")).await;
        rig.get(&format!("/admin/v1/sales/none-{n}")).await;
    }
    let told = rig.get("/metrics").await;
    let text = String::from_utf8(told.body.to_vec()).unwrap();
    let counts = text.lines().filter(|line| line.contains("_duration_seconds_count"));
    let counts: Vec<&str> = counts.filter(|line| !line.ends_with(" 0")).collect();
    let name = "forebay_http_request_duration_seconds_count";
    let expected = [
        r#"{route="/admin/v1/sales/{sale}",method="GET",code="404"} 100"#,
        r#"{route="other",method="other",code="404"} 100"#,
        r#"{route="other",method="other",code="501"} 100"#,
    ];
    assert_eq!(counts, expected.map(|labels| format!("{name}{labels}")));
    assert_eq!(rig.recorder.series(), before, "nothing is made on first use");
}

#[tokio::test]
async fn the_status_page_shows_sales_and_asks_nobody() {
    let rig = Rig::new();
    rig.sale(5).await;
    rig.ordered(2).await;
    let told = rig.get("/").await;
    assert!(told.header("content-security-policy").starts_with("default-src 'none'"));
    let page = String::from_utf8(told.body.to_vec()).unwrap();
    assert!(page.contains("sale</a></td><td>open</td><td>3</td><td>2</td>"), "{page}");
    for request in ["<script", "src=", "http://", "https://", "<link", "@import", "url("] {
        assert!(!page.contains(request), "{request}");
    }
    let drain = rig.gate.drain().await.unwrap();
    let trouble = Some("<img src=x onerror='alert(1)'>");
    let page = page::render(&[], &drain, trouble, rig.clock.wall());
    assert!(!page.contains("<img") && page.contains("&lt;img src=x onerror=&#39;"), "{page}");
}
