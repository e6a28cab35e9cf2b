//! Who the buyer is, in each mode, at a whole gateway over bare sockets.

#[cfg(test)]
#[path = "identity/gateway.rs"]
mod gateway;
#[cfg(test)]
#[path = "identity/shop.rs"]
mod shop;

use std::time::{Duration, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use forebay_loadtest::shop as example;
use gateway::{Gateway, Wire, assert_unknown};
use serde_json::{Value, json};
use shop::Shop;

const SHOP: &str = "Forebay realm=\"shop\"";
const TOKEN: &str = "Bearer realm=\"shop\"";
const BAD_TOKEN: &str = "Bearer realm=\"shop\", error=\"invalid_token\"";

#[test]
fn mode_header_believes_one_header_of_a_trusted_proxy() {
    let gateway = Gateway::start("", &[]);
    let mut wire = gateway.connect();
    let longest = [&b"X-Buyer-Id: "[..], &[b'a'; 128]].concat();
    for lines in [
        &[&b"X-Buyer-Id: a"[..]][..],
        &[b"x-buyer-id:\tb "],
        &["X-BUYER-ID: é".as_bytes(), b"X_Buyer_Id: c"],
        &[&longest],
    ] {
        assert_eq!(wire.order(lines).status, 202, "{lines:?}");
    }
    let longer = [&longest[..], b"a"].concat();
    for line in [&b"X-Buyer-Id:"[..], b"X-Buyer-Id: a\tb", b"X-Buyer-Id: \xff", &longer] {
        let reply = wire.order(&[line]);
        assert_eq!((reply.status, reply.field("code").as_str()), (400, "malformed"), "{line:?}");
    }
    for lines in [
        &[][..],
        &[&b"X_Buyer_Id: a"[..]],
        &[b"X-Buyer_Id: a"],
        &[b"X-Buyer-Id: a", b"X-Buyer-Id: a"],
        &[b"X-Buyer-Id: a", b"x-buyer-id: b"],
        &[b"Cookie: X-Buyer-Id=a", b"Authorization: Bearer a"],
    ] {
        assert_unknown(&wire.order(lines), SHOP, &format!("{lines:?}"));
    }
    let named = "{\"lines\":[{\"sku\":\"phone\",\"quantity\":1}],\"buyer\":\"b\"}";
    let reply = wire.ask("POST", "/v1/sales/demo/orders", &[b"X-Buyer-Id: a"], named);
    assert_eq!(reply.status, 400, "a body never names a buyer");

    let ticket = wire.order(&[b"X-Buyer-Id: a"]).field("ticket");
    let path = format!("/v1/tickets/{ticket}");
    assert_eq!(wire.ask("GET", &path, &[], "").status, 200);
    assert_eq!(wire.ask("GET", &path, &[b"X-Buyer-Id: b"], "").status, 404);
    assert_eq!(wire.ask("DELETE", &path, &[b"X-Buyer-Id: b"], "").status, 404);
    assert_unknown(&wire.ask("DELETE", &path, &[], ""), SHOP, "cancel");
    assert_eq!(wire.ask("DELETE", &path, &[b"X-Buyer-Id: a"], "").status, 200);
}

#[test]
fn mode_header_believes_nobody_else() {
    let gateway = Gateway::start("[public]\ntrusted_proxies = [\"10.0.0.0/8\"]\n", &[]);
    let mut wire = gateway.connect();
    let said: &[&[u8]] =
        &[b"X-Buyer-Id: a", b"X-Forwarded-For: 10.0.0.1", b"Forwarded: for=10.0.0.1"];
    assert_unknown(&wire.order(said), SHOP, "a peer that is no proxy of ours");
}

const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";

fn signed(header: &Value, claims: &Value) -> String {
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", encode(header), encode(claims));
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, SECRET);
    let signature = ring::hmac::sign(&key, signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// Far enough in the future and the past for any clock of a test machine.
const LATER: u64 = 4_102_444_800;
const EARLIER: u64 = 1_000_000_000;

fn token(sub: &str, exp: u64) -> String {
    signed(&json!({"alg": "HS256"}), &json!({"sub": sub, "exp": exp, "aud": "forebay"}))
}

fn bearer(token: &str) -> Vec<u8> {
    format!("Authorization: Bearer {token}").into_bytes()
}

const JWT: &str = "[identity]\nmode = \"jwt\"\nalgorithm = \"HS256\"\nkey_file = \"secret\"\naudience = \"forebay\"\n";

#[test]
fn mode_jwt_takes_good_tokens_and_nothing_else() {
    let gateway = Gateway::start(JWT, &[("secret", SECRET)]);
    let mut wire = gateway.connect();
    let good = bearer(&token("a", LATER));
    for _ in 0..2 {
        assert_eq!(wire.order(&[&good]).status, 202);
    }
    let lower = String::from_utf8(good.clone())
        .unwrap()
        .replace("Authorization: Bearer", "authorization: bearer ");
    assert_eq!(wire.order(&[lower.as_bytes(), b"X-Buyer-Id: b"]).status, 202);
    for lines in [&[][..], &[&b"X-Buyer-Id: a"[..]], &[b"Cookie: token=a"]] {
        assert_unknown(&wire.order(lines), TOKEN, &format!("{lines:?}"));
    }
    let none =
        signed(&json!({"alg": "none"}), &json!({"sub": "a", "exp": LATER, "aud": "forebay"}));
    let unsigned = &none[..=none.rfind('.').unwrap()];
    let crit = signed(
        &json!({"alg": "HS256", "crit": ["x"]}),
        &json!({"sub": "a", "exp": LATER, "aud": "forebay"}),
    );
    let foreign = signed(&json!({"alg": "HS256"}), &json!({"sub": "a", "exp": LATER, "aud": "x"}));
    let endless = signed(&json!({"alg": "HS256"}), &json!({"sub": "a", "aud": "forebay"}));
    let bad = [
        &none,
        unsigned,
        &crit,
        &foreign,
        &endless,
        &token("", LATER),
        &token("a", EARLIER),
        "",
        "x",
    ];
    let large = "x".repeat(9_000);
    let bodies: Vec<String> = bad
        .into_iter()
        .chain([large.as_str()])
        .map(|token| {
            let reply = wire.order(&[&bearer(token)]);
            assert_unknown(&reply, BAD_TOKEN, token);
            reply.body
        })
        .collect();
    assert!(bodies.iter().all(|body| *body == bodies[0]), "a forger learns nothing");
    for lines in
        [&[&good[..], &good][..], &[b"Authorization: Basic YTpi"], &[b"Authorization: Bearer"]]
    {
        assert_unknown(&wire.order(lines), BAD_TOKEN, &format!("{lines:?}"));
    }

    let ticket = wire.order(&[&good]).field("ticket");
    let path = format!("/v1/tickets/{ticket}");
    let other = bearer(&token("b", LATER));
    let expired = bearer(&token("b", EARLIER));
    assert_eq!(wire.ask("GET", &path, &[], "").status, 200);
    assert_eq!(wire.ask("GET", &path, &[&good], "").status, 200);
    assert_eq!(wire.ask("GET", &path, &[&other], "").status, 404);
    assert_eq!(wire.ask("GET", &path, &[&expired], "").status, 200, "it names nobody");
    assert_unknown(&wire.ask("DELETE", &path, &[&expired], ""), BAD_TOKEN, "cancel");
    assert_eq!(wire.ask("DELETE", &path, &[&other], "").status, 404);
    assert_eq!(wire.ask("DELETE", &path, &[&good], "").status, 200);
    let metrics = gateway.told("/metrics");
    for outcome in ["accepted", "remembered", "header", "expired", "audience", "malformed", "key"] {
        let series = format!("forebay_identity_tokens_total{{outcome=\"{outcome}\"}}");
        assert!(metrics.contains(&series), "{series}");
    }
    assert!(!metrics.contains("forebay_identity_lookups_total{"), "{metrics}");
}

#[test]
fn mode_jwt_takes_public_keys_in_each_form() {
    let tokens = include_str!("fixtures/identity/tokens.txt");
    let issuer = "issuer = \"https://shop.example\"\naudience = \"forebay\"\n";
    let set = include_bytes!("fixtures/identity/keys.json");
    let pems: [&[u8]; 3] = [
        include_bytes!("fixtures/identity/ed25519-public.pem"),
        include_bytes!("fixtures/identity/p256-public.pem"),
        include_bytes!("fixtures/identity/rsa-public.pem"),
    ];
    for (line, pem) in tokens.lines().skip(1).zip(pems) {
        let (algorithm, token) = line.split_once(' ').unwrap();
        for file in [pem, set] {
            let settings = format!(
                "[identity]\nmode = \"jwt\"\nalgorithm = \"{algorithm}\"\nkey_file = \"key\"\n{issuer}"
            );
            let gateway = Gateway::start(&settings, &[("key", file)]);
            let mut wire = gateway.connect();
            assert_eq!(wire.order(&[&bearer(token)]).status, 202, "{algorithm}");
            let turned = token.replacen('.', ".A", 1);
            assert_unknown(&wire.order(&[&bearer(&turned)]), BAD_TOKEN, algorithm);
        }
    }
}

#[test]
fn who_logged_in_at_the_example_shop_orders_with_its_cookie_and_finds_his_order_there() {
    let shop = example::Shop::start(&example::Options::selling(&[("phone", 10)])).unwrap();
    let settings = format!(
        "[identity]\nmode = \"forward\"\nurl = \"{}\"\n\
         [store]\nkind = \"http\"\n[store.http]\nurl = \"{}\"\n",
        shop.url("/session"),
        shop.url("/internal/orders"),
    );
    let gateway = Gateway::start(&settings, &[]);
    let entered =
        Wire::to(shop.address()).ask("POST", "/login", &[], "name=Ada+Lovelace%2C+Countess");
    let session = entered.header("set-cookie").unwrap().split(';').next().unwrap();
    let cookie = format!("Cookie: theme=dark; {session}");
    let mut wire = gateway.connect();
    assert_unknown(&wire.order(&[b"Cookie: session=made-up"]), SHOP, "no session of the shop");
    let accepted = wire.order(&[cookie.as_bytes()]);
    assert_eq!(accepted.status, 202, "{}", accepted.body);

    let rate = "{\"rate\":\"unlimited\"}";
    let length = format!("Content-Length: {}", rate.len());
    let lines = [&b"Content-Type: application/json"[..], length.as_bytes()];
    assert_eq!(Wire::to(gateway.admin).ask("PATCH", "/admin/v1/drain", &lines, rate).status, 200);
    let path = format!("/v1/tickets/{}?wait=30", accepted.field("ticket"));
    let placed = loop {
        let now = wire.ask("GET", &path, &[cookie.as_bytes()], "");
        if !["queued", "placing"].contains(&now.field("state").as_str()) {
            break now;
        }
    };
    let rows = shop.rows().unwrap();
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert_eq!(
        (rows[0].buyer.as_str(), Some(rows[0].order_no.as_str()), placed.field("state").as_str()),
        ("Ada Lovelace, Countess", Some(placed.field("order_no").as_str()), "placed")
    );
    let page = Wire::to(shop.address()).ask("GET", "/orders", &[cookie.as_bytes()], "");
    assert!(page.body.contains(&placed.field("order_no")), "{}", page.body);
}

#[test]
fn mode_forward_asks_the_shop() {
    let shop = Shop::start();
    let settings =
        format!("[identity]\nmode = \"forward\"\nurl = \"http://{}/who\"\n", shop.address);
    let gateway = Gateway::start(&settings, &[]);
    let mut wire = gateway.connect();
    assert_eq!(wire.order(&[b"Cookie: buyer=a", b"X-Buyer-Id: evil"]).status, 202);
    assert_eq!(wire.order(&[b"Authorization: buyer=b", b"X_Buyer_Id: evil"]).status, 202);
    assert_eq!(shop.asked(), 2);
    for lines in [
        &[&b"Cookie: session=1"[..]][..],
        &[b"Cookie: status=403"],
        &[b"X-Buyer-Id: a"],
        &[b"Authorization: buyer=a", b"Authorization: buyer=a"],
    ] {
        assert_unknown(&wire.order(lines), SHOP, &format!("{lines:?}"));
    }
    for code in ["500", "302", "204", "429"] {
        let cookie = format!("Cookie: status={code}");
        let reply = wire.order(&[cookie.as_bytes()]);
        assert_eq!((reply.status, reply.field("code").as_str()), (503, "identity_unavailable"));
        let wait: u64 = reply.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=3).contains(&wait), "{wait}");
    }
    let ready = wire.ask("GET", "/readyz", &[], "");
    assert_eq!((ready.status, ready.field("status").as_str()), (200, "degraded"), "{}", ready.body);
    assert!(ready.body.contains("the shop answered 429"), "{}", ready.body);

    let ticket = wire.order(&[b"Cookie: buyer=a"]).field("ticket");
    let path = format!("/v1/tickets/{ticket}");
    let asked = shop.asked();
    assert_eq!(wire.ask("GET", &path, &[], "").status, 200);
    assert_eq!(wire.ask("GET", &path, &[b"Cookie: buyer=a"], "").status, 200);
    assert_eq!(wire.ask("GET", &path, &[b"Authorization: buyer=b"], "").status, 404);
    assert_eq!(wire.ask("GET", &path, &[b"Cookie: buyer=c"], "").status, 200, "not in memory");
    assert_eq!(shop.asked(), asked, "a read of a ticket asks nobody");
    assert_unknown(&wire.ask("DELETE", &path, &[], ""), SHOP, "cancel");
    assert_eq!(wire.ask("DELETE", &path, &[b"Cookie: buyer=c"], "").status, 404);
    assert_eq!(wire.ask("DELETE", &path, &[b"Cookie: buyer=a"], "").status, 200);
    assert_eq!(shop.asked(), asked + 1);
    assert_eq!(shop.named(), 0, "what a client says of itself goes no further");
    let metrics = gateway.told("/metrics");
    for outcome in ["remembered", "joined", "asked", "refused"] {
        let series = format!("forebay_identity_lookups_total{{outcome=\"{outcome}\"}}");
        assert!(metrics.contains(&series), "{series}");
    }
    assert!(
        metrics
            .contains("forebay_admissions_total{sale=\"demo\",outcome=\"identity_unavailable\"} 4")
    );
}

/// The number of a series with an outcome.
fn counted(gateway: &Gateway, name: &str, outcome: &str) -> usize {
    let series = format!("{name}{{outcome=\"{outcome}\"}} ");
    let metrics = gateway.told("/metrics");
    let line = metrics.lines().find_map(|line| line.strip_prefix(&series));
    line.and_then(|number| number.parse().ok()).expect("a series that is there from the start")
}

/// As many times as long as `FOREBAY_TEST_SCALE` says.
fn scale() -> usize {
    std::env::var("FOREBAY_TEST_SCALE").ok().and_then(|scale| scale.parse().ok()).unwrap_or(1)
}

#[test]
fn a_burst_of_unknown_cookies_hurts_neither_the_shop_nor_the_gateway() {
    const CONNECTIONS: usize = 50;
    let shop = Shop::start();
    let settings = format!(
        "[identity]\nmode = \"forward\"\nurl = \"http://{}/who\"\nmax_in_flight = 4\nrate = \"400/s\"\n\
         timeout = \"100ms\"\n",
        shop.address
    );
    let gateway = Gateway::start(&settings, &[]);
    assert_eq!(gateway.connect().order(&[b"Cookie: buyer=known"]).status, 202);
    let before = gateway.peak_memory();
    let each = 40 * scale();
    let began = UNIX_EPOCH.elapsed().unwrap();
    let refused = std::thread::scope(|threads| {
        let flood = |connection: usize| {
            let gateway = &gateway;
            threads.spawn(move || {
                let mut wire = gateway.connect();
                let mut refused = 0;
                for number in 0..each {
                    let cookie = format!("Cookie: session={connection}-{number}");
                    match wire.order(&[cookie.as_bytes()]).status {
                        401 => {}
                        503 => refused += 1,
                        other => panic!("{other}"),
                    }
                }
                refused
            })
        };
        let floods: Vec<_> = (0..CONNECTIONS).map(flood).collect();
        // Whoever is known already goes on.
        let known = gateway.connect().order(&[b"Cookie: buyer=known"]);
        assert_eq!(known.status, 202);
        floods.into_iter().map(|flood| flood.join().unwrap()).sum::<usize>()
    });
    let took = UNIX_EPOCH.elapsed().unwrap() - began + Duration::from_millis(100);
    let most = 5 + usize::try_from(took.as_millis()).unwrap() * 400 / 1_000;
    assert!(shop.asked() <= most + 1, "{} questions in {took:?}", shop.asked());
    // A shop that does not see at once that nobody waits any more still works at what took too long.
    let given_up =
        counted(&gateway, "forebay_identity_request_duration_seconds_count", "timed_out");
    let most = shop.most_at_once();
    assert!(most <= 4 + given_up, "{most} questions at once, {given_up} of them given up");
    assert!(shop.asked() + refused > CONNECTIONS * each, "each was asked about or refused");
    let grown = gateway.peak_memory().saturating_sub(before);
    assert!(grown < 32 << 10, "{grown} KiB more");
}
