//! The example shop as a buyer, a gateway and an operator see it.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use forebay_loadtest::shop::{Faults, Options, Shop};

/// The whole answer to a request.
fn ask(shop: &Shop, line: &str, headers: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(shop.address()).expect("the shop listens");
    let length = body.len();
    let head =
        format!("{line} HTTP/1.1\r\nHost: shop\r\nConnection: close\r\nContent-Length: {length}");
    write!(stream, "{head}\r\n{headers}\r\n{body}").expect("the shop reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("the shop answers");
    answer
}

fn order(ticket: &str, units: u32) -> String {
    format!(
        "{{\"ticket\":\"{ticket}\",\"sale\":\"s\",\"buyer\":\"<ann>\",\"lines\":[{{\"sku\":\"phone\",\"quantity\":{units}}}]}}"
    )
}

#[test]
fn who_logs_in_is_known_by_his_cookie() {
    let shop = Shop::start(&Options::selling(&[("phone", 3)])).unwrap();
    assert!(ask(&shop, "GET /session", "", "").starts_with("HTTP/1.1 401"));
    assert!(ask(&shop, "GET /orders", "", "").contains("303 See Other"));
    let entered = ask(&shop, "POST /login", "", "name=%3Cann%3E");
    let cookie = entered.lines().find_map(|line| line.strip_prefix("set-cookie: ")).unwrap();
    assert!(cookie.contains("HttpOnly; SameSite=Lax"), "{cookie}");
    let cookie = format!("Cookie: other=1; {}\r\n", cookie.split(';').next().unwrap());
    let known = ask(&shop, "GET /session", &cookie, "");
    assert!(known.starts_with("HTTP/1.1 200") && known.contains("x-buyer-id: <ann>"), "{known}");
    let key = "Idempotency-Key: t1\r\n";
    assert!(ask(&shop, "POST /internal/orders", key, &order("t1", 2)).contains("S-000001"));
    let mine = ask(&shop, "GET /orders", &cookie, "");
    assert!(mine.contains("S-000001: 2 units") && mine.contains("&lt;ann&gt;"), "{mine}");
    assert!(!mine.contains("<ann>"), "names are text: {mine}");
    assert!(ask(&shop, "GET /", &cookie, "").contains("phone: 1 left"));
    for nobody in ["name=", "name=%0A", "other=1"] {
        assert!(!ask(&shop, "POST /login", "", nobody).contains("set-cookie"), "{nobody}");
    }
}

#[test]
fn a_ticket_is_decided_once() {
    let shop = Shop::start(&Options::selling(&[("phone", 3)])).unwrap();
    let place = |ticket: &str, units| {
        let key = format!("Idempotency-Key: {ticket}\r\n");
        ask(&shop, "POST /internal/orders", &key, &order(ticket, units))
    };
    assert!(place("t1", 4).starts_with("HTTP/1.1 422"));
    assert!(place("t2", 3).starts_with("HTTP/1.1 201") && place("t2", 3).contains("S-000002"));
    let void = |ticket: &str| {
        ask(&shop, &format!("POST /internal/orders/{ticket}/void"), "", &order(ticket, 1))
    };
    assert!(void("t2").starts_with("HTTP/1.1 409") && void("t3").starts_with("HTTP/1.1 200"));
    assert!(place("t3", 1).starts_with("HTTP/1.1 410"));
    for (ticket, status) in [("t1", 410), ("t2", 200), ("t3", 410), ("t4", 404)] {
        let found = ask(&shop, &format!("GET /internal/orders/{ticket}"), "", "");
        assert!(found.starts_with(&format!("HTTP/1.1 {status}")), "{ticket}: {found}");
    }
    assert_eq!((shop.rows().unwrap().len(), shop.stock().unwrap()[0].available), (3, 0));
}

#[test]
fn faults_are_planned_and_taken_back_while_it_runs() {
    let shop = Shop::start(&Options::selling(&[("phone", 3)])).unwrap();
    let patch = |body: &str| ask(&shop, "PATCH /faults", "", body);
    assert!(patch("{\"status\":503,\"delay_ms\":1}").contains("\"status\":503"));
    let kept = patch("{\"status\":null}");
    assert!(kept.contains("\"status\":null") && kept.contains("\"delay_ms\":1"), "{kept}");
    assert!(patch("{\"statos\":503}").starts_with("HTTP/1.1 422"));
    shop.plan(Faults::default());
    assert!(ask(&shop, "GET /faults", "", "").contains("\"delay_ms\":0"));
}
