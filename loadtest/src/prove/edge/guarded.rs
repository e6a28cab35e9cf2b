//! Rows about who may come in: B-87 and B-94 at the admin listener, and the bound on an address's connections.

use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;
use tokio::net::TcpStream;

use super::exchange::{Next, Reader, exchange};
use super::row::{Row, get};
use super::{print, table};
use crate::prove::Checks;
use crate::prove::plant::Plant;

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
        ("FOREBAY_PUBLIC__TRUSTED_PROXIES", "[\"10.0.0.0/8\"]".to_owned()),
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
            "401 unauthorized open|400 malformed open",
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

/// One connection more than an address may have is told so; when one is closed, the next is served.
async fn crowd(plant: &Plant, checks: &mut Checks) -> anyhow::Result<()> {
    let target = plant.public.address;
    let mut open = Vec::new();
    for _ in 0..CONNECTIONS {
        // Answered, so that it is known to be counted.
        let stream = TcpStream::connect(target).await?;
        let (reading, writing) = stream.into_split();
        let mut reader = Reader::new(reading, false);
        writing.writable().await?;
        writing.try_write(get("/livez", "").as_bytes())?;
        let served = matches!(reader.next(Duration::from_secs(5)).await, Next::Answer(_));
        checks.count(served);
        open.push((reader, writing));
    }
    let more = Row::new(
        "",
        "a connection more than an address may have",
        get("/livez", ""),
        "429 too_many_connections close",
    );
    let seen = exchange(target, &more).await?;
    print(&more, &seen.text, checks);
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
    table("", "again, when they are closed", "200 open", seen, served, checks);
    Ok(())
}
