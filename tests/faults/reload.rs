//! Settings read again while it serves: what was said is in force, or nothing is and the reason is told.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use forebay_loadtest::call::{Reply, call};
use forebay_loadtest::target::Target;
use hyper::Method;
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::rig::{AT_LAST, Gateway, Plant, until};
use super::wire;

const OK: &str = "forebay_config_last_reload_successful";
const TIME: &str = "forebay_config_last_reload_success_timestamp_seconds";

/// Times so long that no test sees them end.
const PATIENT: &str =
    "[public.timeouts]\nfirst_byte = \"1h\"\nheaders = \"1h\"\nidle = \"1h\"\nbody = \"1h\"\n";

/// A gateway with a settings file.
struct Filed {
    plant: Plant,
    file: PathBuf,
}

impl Filed {
    fn new(text: &str) -> Self {
        let plant = Plant::new();
        let file = plant.path().join("forebay.toml");
        let plant = plant.variable("FOREBAY_CONFIG", file.display().to_string());
        let filed = Self { plant, file };
        filed.write(text);
        filed
    }

    fn write(&self, text: &str) {
        std::fs::write(&self.file, text).unwrap();
    }

    /// A file beside it that only its owner may read.
    fn secret(&self, name: &str, text: &[u8]) -> PathBuf {
        let path = self.plant.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        path
    }
}

async fn reload(gateway: &Gateway, token: Option<&str>) -> Reply {
    let target = Target::from(gateway.admin);
    call(&target, Method::POST, "/-/reload", token, Some(&json!({}))).await.unwrap()
}

/// The keys that a reload has changed.
async fn changed(gateway: &Gateway) -> Vec<String> {
    let done = reload(gateway, None).await.json().unwrap();
    let key = |change: &Value| change["key"].as_str().unwrap().to_owned();
    done["changed"].as_array().unwrap().iter().map(key).collect()
}

/// Status, code and detail of a refused reload.
async fn refused(gateway: &Gateway) -> (u16, String, String) {
    let reply = reload(gateway, None).await;
    let problem: Value = serde_json::from_slice(&reply.body).unwrap();
    let text = |key: &str| problem[key].as_str().unwrap().to_owned();
    (reply.status, text("code"), text("detail"))
}

async fn order(gateway: &Gateway, buyer: &str, key: &str) -> u16 {
    wire::order(gateway.public, "one", buyer, key).await.status
}

/// Connects and sends this much of a request; what comes back until the end.
async fn silent(gateway: &Gateway, part: &str) -> String {
    let mut stream = TcpStream::connect(gateway.public).await.unwrap();
    stream.write_all(part.as_bytes()).await.unwrap();
    let mut read = String::new();
    let ended = tokio::time::timeout(AT_LAST, stream.read_to_string(&mut read)).await;
    ended.expect("the connection stays open").unwrap();
    read
}

#[tokio::test]
async fn limits_proxies_queue_and_drain_are_in_force_at_once() {
    let filed = Filed::new("[limits]\nper_buyer = \"off\"\n");
    let gateway = filed.plant.start().await;
    gateway.sale("one", 1_000).await;
    for key in ["a", "b", "c"] {
        assert_eq!(order(&gateway, "ann", key).await, 202);
    }
    assert_eq!(changed(&gateway).await, Vec::<String>::new(), "the file says the same");
    filed.write("[limits]\nper_buyer = \"1/h\"\nper_buyer_burst = 1\n");
    assert_eq!(changed(&gateway).await, ["limits.per_buyer", "limits.per_buyer_burst"]);
    assert_eq!([order(&gateway, "ann", "d").await, order(&gateway, "ann", "e").await], [202, 429]);

    filed.write("[limits]\nper_buyer = \"off\"\n[public]\ntrusted_proxies = []\n");
    reload(&gateway, None).await.json().unwrap();
    assert_eq!(order(&gateway, "ann", "f").await, 401);

    gateway.settled("one").await;
    gateway.ask(Method::PATCH, "/drain", Some(json!({"paused": true}))).await;
    filed.write("[limits]\nper_buyer = \"off\"\n[queue]\ncapacity = 1\n[drain]\nrate = \"7/s\"\n");
    let keys = changed(&gateway).await;
    assert_eq!(keys, ["drain.rate", "public.trusted_proxies", "queue.capacity"]);
    assert_eq!([order(&gateway, "ann", "g").await, order(&gateway, "ann", "h").await], [202, 503]);
    let drain = gateway.ask(Method::GET, "/drain", None).await;
    assert_eq!((&drain["rate"], &drain["origin"]), (&json!("7/s"), &json!("config")));
    gateway.ask(Method::PATCH, "/drain", Some(json!({"paused": false}))).await;
    gateway.settled("one").await;
    gateway.stop().await.well();
}

#[tokio::test]
async fn times_streams_and_new_sales_are_in_force_at_once() {
    let filed = Filed::new(PATIENT);
    let gateway = filed.plant.start().await;
    gateway.sale("one", 1_000).await;
    let terms = "[[sale]]\nname = \"two\"\nitems = [{ sku = \"phone\", stock = 3 }]\n";
    let limits = "[public.limits]\nstreams = 0\n";
    filed.write(&format!("{}{limits}{terms}", PATIENT.replace("1h", "200ms")));
    let keys = changed(&gateway).await;
    for key in ["public.timeouts.idle", "public.limits.streams", "sale.two"] {
        assert!(keys.iter().any(|changed| changed == key), "{key} in {keys:?}");
    }
    silent(&gateway, "").await;
    let slow = "POST /v1/sales/one/orders HTTP/1.1\r\nHost: a\r\nX-Buyer-Id: ann\r\n\
                Content-Type: application/json\r\nContent-Length: 9\r\n\r\n";
    let answer = silent(&gateway, slow).await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    gateway.phase("two", "open").await;
    gateway.ask(Method::PATCH, "/drain", Some(json!({"paused": true}))).await;
    let ticket = wire::order(gateway.public, "two", "ann", "a").await.json()["ticket"].clone();
    let path = format!("/v1/tickets/{}/events", ticket.as_str().unwrap());
    assert_eq!(gateway.read(&path).await.status, 503, "no room for a stream");
    gateway.stop().await.well();
}

#[tokio::test]
async fn the_files_that_settings_name_are_read_again_on_sighup() {
    let filed = Filed::new("[log]\nlevel = \"error\"\n");
    let gateway = filed.plant.start().await;
    gateway.ask(Method::PATCH, "/drain", Some(json!({"paused": false}))).await;
    let audited = |text: &str| text.contains("\"what\":\"drain.patch\"").then(|| text.to_owned());
    let said = gateway.process.printed(AT_LAST, audited).await.unwrap();
    assert!(!said.contains("\"target\":\"forebay"), "only the audit log at this level: {said}");
    let tokens = filed.secret("tokens", b"ann:first-token\n");
    let text = format!("[admin]\ntoken_file = {tokens:?}\nhosts = [\"ops.example\"]\n");
    filed.write(&text);
    assert_eq!(reload(&gateway, None).await.status, 200);
    let said = gateway.process.printed(AT_LAST, |text| {
        text.contains("the settings were read again").then(|| text.to_owned())
    });
    let said = said.await.unwrap();
    assert!(said.contains("\"setting\":\"log.level\",\"old\":\"\\\"error\\\"\""), "{said}");
    assert_eq!(reload(&gateway, None).await.status, 401, "a token is asked for from now on");
    let reloads = |text: &str| text.matches("the settings were read again").count();

    filed.secret("tokens", b"ann:second-token\n");
    gateway.signal(Signal::HUP);
    let seen = |text: &str| (reloads(text) == 2).then(|| text.to_owned());
    let said = gateway.process.printed(AT_LAST, seen).await.unwrap();
    assert!(said.contains("\"setting\":\"admin.token_file\",\"old\":\"old content\""), "{said}");
    assert!(!said.contains("second-token"), "{said}");
    assert_eq!(reload(&gateway, Some("first-token")).await.status, 401);
    assert_eq!(reload(&gateway, Some("second-token")).await.status, 200);
    let headers = [("Host", "ops.example"), ("Authorization", "Bearer second-token")];
    let mut lines = String::from("GET /admin/v1/sales HTTP/1.1\r\nConnection: close\r\n");
    headers.iter().for_each(|(name, value)| lines.push_str(&format!("{name}: {value}\r\n")));
    lines.push_str("\r\n");
    let named = wire::send(gateway.admin, lines.as_bytes(), wire::Then::Wait).await;
    assert_eq!(named.status, 200, "a name of [admin] hosts");
    gateway.stop().await.well();
}

#[tokio::test]
async fn keys_of_tokens_are_read_again() {
    let fixture =
        |name: &str| format!("{}/tests/fixtures/identity/{name}", env!("CARGO_MANIFEST_DIR"));
    let all = std::fs::read_to_string(fixture("tokens.txt")).unwrap();
    let token = all.lines().find_map(|line| line.strip_prefix("EdDSA ")).unwrap().to_owned();
    let filed = Filed::new("");
    let other =
        br#"{"kty":"OKP","crv":"Ed25519","x":"AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA"}"#;
    let keys = filed.secret("keys", other);
    filed.write(&format!(
        "[identity]\nmode = \"jwt\"\nalgorithm = \"EdDSA\"\nkey_file = {keys:?}\naudience = \"forebay\"\n"
    ));
    let gateway = filed.plant.start().await;
    gateway.sale("one", 10).await;
    let order = async || {
        let bearer = format!("Bearer {token}");
        let headers = [("Authorization", bearer.as_str()), ("Content-Type", "application/json")];
        let body = br#"{"lines":[{"sku":"phone","quantity":1}]}"#;
        wire::request(gateway.public, "POST /v1/sales/one/orders", &headers, body).await.status
    };
    assert_eq!(order().await, 401, "signed by a key that is not ours yet");
    filed.secret("keys", &std::fs::read(fixture("ed25519-public.pem")).unwrap());
    assert_eq!(changed(&gateway).await, ["identity.key_file"]);
    assert_eq!(order().await, 202);
    filed.secret("keys", other);
    assert_eq!(changed(&gateway).await, ["identity.key_file"]);
    assert_eq!(order().await, 401, "what the old key has proved is forgotten");
    gateway.stop().await.well();
}

#[tokio::test]
async fn what_cannot_be_taken_over_changes_nothing_and_says_why() {
    let good = "[limits]\nper_buyer = \"off\"\n";
    let filed = Filed::new(good);
    let gateway = filed.plant.start().await;
    gateway.sale("one", 1_000).await;
    let read_at = gateway.metric(TIME, "").await;
    assert!(read_at > 1.7e9 && gateway.metric(OK, "").await == 1.0);
    let limited = "[limits]\nper_buyer = \"1/h\"\nper_buyer_burst = 1\n";
    let restart = format!("{limited}[public]\nthreads = 3\n[log]\nformat = \"text\"\n");
    let half = "[limits]\nper_buyer = \"1/h\"\nper_buyer_burst = 1\nper_addr";
    let bad = format!("{limited}[queue]\nmax_wait = \"soon\"\n");
    for (text, status, code, words) in [
        (restart.as_str(), 409, "restart_needed", &["log.format", "public.threads"][..]),
        (half, 422, "bad_settings", &["forebay.toml:4:"]),
        (bad.as_str(), 422, "bad_settings", &["forebay.toml:5:", "a duration is written like"]),
        ("", 422, "bad_settings", &["is empty"]),
    ] {
        filed.write(text);
        let (seen, name, detail) = refused(&gateway).await;
        assert_eq!((seen, name.as_str()), (status, code), "{detail}");
        assert!(words.iter().all(|word| detail.contains(word)), "{detail}");
        assert!(!detail.contains("limits.per_buyer"), "only what is in the way: {detail}");
        assert_eq!(gateway.metric(OK, "").await, 0.0);
        let key = |n: u32| format!("{status}-{}-{n}", text.len());
        let orders = [order(&gateway, "ann", &key(1)).await, order(&gateway, "ann", &key(2)).await];
        assert_eq!(orders, [202, 202], "the old limits hold: {detail}");
    }
    std::fs::remove_file(&filed.file).unwrap();
    let before = gateway.process.text().await.matches("were refused").count();
    assert!(before >= 4);
    gateway.signal(Signal::HUP);
    let more = |text: &str| (text.matches("were refused").count() > before).then_some(());
    gateway.process.printed(AT_LAST, more).await.unwrap();
    assert_eq!(gateway.metric(TIME, "").await, read_at, "these were never read");
    filed.write(good);
    assert_eq!(changed(&gateway).await, Vec::<String>::new());
    assert_eq!(gateway.metric(OK, "").await, 1.0);
    until("a new time", async || (gateway.metric(TIME, "").await > read_at).then_some(())).await;
    gateway.stop().await.well();
}
