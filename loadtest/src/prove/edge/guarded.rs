//! Rows about who may come in: B-87 and B-94 at the admin listener, and the bound on an address's connections, which
//! holds for streams (B-80).

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, ensure};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::exchange::{exchange, exchange_from};
use super::row::{BODY, Row, SALE, SKU, get, order};
use super::{print, table};
use crate::admin::Admin;
use crate::plant::Plant;
use crate::prove::Checks;
use crate::target::Target;

/// Connections of one address.
const CONNECTIONS: usize = 4;
const TOKEN: &str = "a-token-that-is-long-enough-to-be-one";

pub(super) async fn prove(binary: &Path, checks: &mut Checks) -> anyhow::Result<()> {
    let files = TempDir::with_prefix("forebay-tokens-")?;
    let tokens = files.path().join("tokens");
    std::fs::write(&tokens, format!("ann:{TOKEN}\n"))?;
    private(&tokens)?;
    let settings = vec![
        ("FOREBAY_ADMIN__TOKEN_FILE", tokens.display().to_string()),
        ("FOREBAY_PUBLIC__TRUSTED_PROXIES", "[\"127.0.0.2/32\"]".to_owned()),
        ("FOREBAY_PUBLIC__LIMITS__CONNECTIONS_PER_ADDRESS", CONNECTIONS.to_string()),
    ];
    let plant = Plant::start_with(binary, "1/s", settings).await?;
    for row in tokens_rows() {
        let seen = exchange(plant.admin.address(), &row).await?;
        print(&row, &seen.text, checks);
    }
    crowd(&plant, checks).await
}

/// A file with secrets is for its owner only.
fn private(file: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o600))
}

#[expect(clippy::too_many_lines, reason = "a table: one row a case")]
fn tokens_rows() -> Vec<Row> {
    let ask = |path: &str, fields: &str| get(path, fields).replace("shop.example", "localhost");
    let with = |value: &str| ask("/admin/v1/sales", &format!("Authorization: {value}\r\n"));
    let good = format!("Authorization: Bearer {TOKEN}\r\n");
    let nobody = "401 unauthorized open";
    let mut rows = vec![
        Row::new("B-87", "no token", ask("/admin/v1/sales", ""), nobody),
        Row::new("B-87", "a wrong token", with("Bearer wrong"), nobody),
        Row::new(
            "B-87",
            "the token in the query",
            ask(&format!("/admin/v1/sales?token={TOKEN}"), ""),
            nobody,
        ),
        Row::new("B-87", "another scheme", with(&format!("Basic {TOKEN}")), nobody),
        Row::new(
            "B-87",
            "a token of 1 MB",
            with(&format!("Bearer {}", "t".repeat(1 << 20))),
            "431 headers_too_large close",
        ),
        Row::new(
            "B-87",
            "two Authorization lines",
            ask("/admin/v1/sales", &good.repeat(2)),
            nobody,
        ),
        Row::new("B-87", "the token", ask("/admin/v1/sales", &good), "200 open"),
        Row::new(
            "B-94",
            "/metrics for pictures",
            ask("/metrics", "Accept: image/png\r\nAccept-Encoding: gzip\r\n"),
            "200 open",
        ),
        Row::new(
            "B-94",
            "POST /metrics",
            ask("/metrics", &good).replace("GET", "POST"),
            "405 method_not_allowed open",
        ),
    ];
    // What the edge refuses it refuses on both listeners.
    for (id, what, bytes, wanted) in [
        ("B-1", "admin: no Host", "GET /livez HTTP/1.1\r\n\r\n".to_owned(), "400 malformed close"),
        ("B-2", "admin: two Hosts", ask("/livez", "Host: localhost\r\n"), "400 malformed close"),
        (
            "B-16",
            "admin: an address of 3 KB",
            ask(&format!("/{}", "a".repeat(3_000)), ""),
            "414 uri_too_long close",
        ),
        (
            "B-17",
            "admin: two framings",
            ask("/livez", "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n"),
            "400 malformed close",
        ),
        (
            "B-18",
            "admin: two lengths",
            ask("/livez", "Content-Length: 0\r\nContent-Length: 0\r\n"),
            "400 malformed close",
        ),
        (
            "B-35",
            "admin: Expect: x",
            ask("/livez", "Expect: x\r\n"),
            "417 expectation_failed close",
        ),
        (
            "B-37",
            "admin: TRACE",
            ask("/livez", "").replace("GET", "TRACE"),
            "405 method_not_allowed close",
        ),
        (
            "B-38",
            "admin: FOO",
            ask("/livez", "").replace("GET", "FOO"),
            "501 not_implemented close",
        ),
        ("B-8", "admin: no HTTP", "hello\r\n\r\n".to_owned(), "400 malformed close"),
    ] {
        rows.push(Row::new(id, what, bytes, wanted));
    }
    rows
}

/// Orders that wait in front of the one whose stream is read, at one a second.
const WAITING: usize = 60;
/// The proxy that names buyers; its own connections are not counted.
const PROXY: [u8; 4] = [127, 0, 0, 2];

/// One connection more than an address may have is told so, plain ones and streams counted alike; when one is
/// closed, the next is served.
async fn crowd(plant: &Plant, checks: &mut Checks) -> anyhow::Result<()> {
    let target = plant.public.address;
    let events = get(&format!("/v1/tickets/{}/events", waiting(plant).await?), "");
    let mut open = Vec::new();
    for at in 0..CONNECTIONS {
        let mut stream = TcpStream::connect(target).await?;
        let request = if at % 2 == 0 { &events } else { &get("/livez", "") };
        stream.write_all(request.as_bytes()).await?;
        // Answered, so that it is known to be counted.
        let mut answer = [0; 12];
        timeout(Duration::from_secs(5), stream.read_exact(&mut answer)).await??;
        checks.count(answer.ends_with(b" 200"));
        open.push(stream);
    }
    let more = Row::new(
        "B-80",
        "a connection more than an address may have",
        get("/livez", ""),
        "429 too_many_connections close",
    );
    let seen = exchange(target, &more).await?;
    print(&more, &seen.text, checks);
    let stream = Row::new("B-80", "a stream more than that", events, more.wanted);
    print(&stream, &exchange(target, &stream).await?.text, checks);
    let proxy = Row::new("B-80", "from a proxy", get("/livez", ""), "200 open");
    print(&proxy, &exchange_from(PROXY, target, &proxy).await?.text, checks);
    drop(open);
    let mut served = false;
    for _ in 0..100 {
        served = exchange(target, &more).await?.text == "200 open";
        if served {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let seen = if served { "200 open" } else { "refused" };
    table("B-80", "again, when they are closed", "200 open", seen, served, checks);
    Ok(())
}

/// A ticket whose order will wait for a while.
async fn waiting(plant: &Plant) -> anyhow::Result<String> {
    let admin = Admin::new(Target::from(plant.admin.address()), Some(TOKEN.to_owned()));
    admin.create_sale(SALE, SKU, WAITING as u64, None).await?;
    plant.phase(SALE, "open").await?;
    let orders: String =
        (0..WAITING).map(|number| order(&format!("b{number}"), "", BODY)).collect();
    let row = Row::new("B-80", "orders", orders, "202 open");
    let seen = exchange_from(PROXY, plant.public.address, &row).await?;
    ensure!(seen.answers.len() == WAITING, "orders: {}", seen.text);
    let last = seen.answers.last().and_then(|answer| answer.says("ticket"));
    last.with_context(|| format!("orders: {}", seen.text))
}
