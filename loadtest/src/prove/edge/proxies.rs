//! nginx and HAProxy in front of a gateway: what they say they passed on must be what the gateway counted.
//! Where the numbers differ, somebody's request was hidden in somebody else's.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::row::Row;
use crate::clock;
use crate::gateway::{Process, found, free_address};
use crate::plant::Plant;

const LISTENS_WITHIN: Duration = Duration::from_secs(10);
/// An answer is over when nothing more comes for this long.
const QUIET: Duration = Duration::from_millis(100);
/// Both sides have counted within this.
const COUNTED_WITHIN: Duration = Duration::from_secs(3);

/// Where a proxy notes a line for each request, and what such a line holds when it was passed on.
const LOG: &str = "passed.log";
const PASSED_ON: &str = "shop/gateway";
/// How a line ends whose request it did not cut off: HAProxy's flags of a session that ended well.
const UNCUT: &str = "----";

/// Which proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Nginx,
    Haproxy,
}

/// A proxy of our own in front of a gateway.
pub(super) struct Proxy {
    directory: TempDir,
    listens: SocketAddr,
    /// Ended with the value.
    _process: Process,
}

impl Proxy {
    pub(super) async fn start(kind: Kind, backend: SocketAddr) -> anyhow::Result<Self> {
        let directory = TempDir::with_prefix("forebay-proxy-")?;
        let listens = free_address()?;
        let at = directory.path().display().to_string();
        let (binary, text) = match kind {
            Kind::Nginx => (found("nginx")?, nginx(&at, listens, backend)),
            Kind::Haproxy => (found("haproxy")?, haproxy(listens, backend)),
        };
        std::fs::write(directory.path().join("conf"), text)?;
        std::fs::write(directory.path().join(LOG), "")?;
        let binary = binary.display();
        let line = match kind {
            Kind::Nginx => format!("exec '{binary}' -e stderr -p '{at}' -c '{at}/conf'"),
            // It logs to its output.
            Kind::Haproxy => format!("exec '{binary}' -db -f conf >{LOG}"),
        };
        let mut process = Process::start(Path::new("sh"), &["-c", &line], directory.path(), &[])?;
        process.listens(listens, LISTENS_WITHIN).await?;
        Ok(Self { directory, listens, _process: process })
    }

    /// Requests that it says it has passed on so far, and how many of them it has cut off itself: of those it
    /// is not known whether the gateway saw them.
    fn passed_on(&self) -> anyhow::Result<(u64, u64)> {
        let log = std::fs::read_to_string(self.directory.path().join(LOG))?;
        let (mut passed_on, mut cut) = (0, 0);
        for line in log.lines().filter(|line| line.contains(PASSED_ON)) {
            passed_on += 1;
            cut += u64::from(!line.ends_with(UNCUT));
        }
        Ok((passed_on, cut))
    }
}

fn nginx(at: &str, listens: SocketAddr, backend: SocketAddr) -> String {
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|kind| format!("  {kind}_temp_path {at}/{kind};\n"))
        .collect();
    format!(
        "daemon off;\nmaster_process off;\npid {at}/pid;\nerror_log stderr crit;\n\
         events {{ worker_connections 256; }}\n\
         http {{\n{temporary}  log_format passed '$passed';\n  access_log {at}/{LOG} passed;\n  \
         map $upstream_addr $passed {{ {backend} {PASSED_ON}{UNCUT}; default no; }}\n  client_body_timeout 2s;\n  client_header_timeout 2s;\n  \
         upstream shop {{ server {backend}; keepalive 8; }}\n  \
         server {{\n    listen {listens};\n    location / {{\n      proxy_pass http://shop;\n      \
         proxy_http_version 1.1;\n      proxy_set_header Connection \"\";\n      \
         proxy_set_header Host $http_host;\n      proxy_next_upstream off;\n    }}\n  }}\n}}\n"
    )
}

fn haproxy(listens: SocketAddr, backend: SocketAddr) -> String {
    format!(
        "global\n  maxconn 256\n  log stdout format raw local0\n\
         defaults\n  mode http\n  log global\n  log-format \"%b/%s %ST %tsc\"\n  \
         timeout connect 5s\n  timeout client 2s\n  timeout server 10s\n  \
         timeout http-request 2s\n  retries 0\n\
         frontend public\n  bind {listens}\n  default_backend shop\n\
         backend shop\n  server gateway {backend}\n"
    )
}

/// Requests that the public listener has counted so far, those included that it could not parse.
async fn counted(plant: &Plant) -> anyhow::Result<u64> {
    let metrics = plant.admin.metrics_text().await?;
    let routes = ["orders", "tickets", "waits", "streams", "sales", "probes", "other"];
    let of_route = |line: &&str| {
        line.starts_with("forebay_http_request_duration_seconds_count{")
            && routes.iter().any(|route| line.contains(&format!("route=\"{route}\"")))
    };
    let refused = ["malformed", "uri_too_long", "headers_too_large", "too_large"];
    let unparsed = |line: &&str| {
        line.starts_with("forebay_edge_refusals_total{listener=\"public\"")
            && refused.iter().any(|reason| line.contains(&format!("reason=\"{reason}\"")))
    };
    let number = |line: &str| line.rsplit(' ').next().and_then(|text| text.parse::<u64>().ok());
    Ok(metrics.lines().filter(|line| of_route(line) || unparsed(line)).filter_map(number).sum())
}

/// What both sides counted for one row.
pub(super) struct Both {
    pub(super) passed_on: u64,
    cut: u64,
    pub(super) counted: u64,
}

impl Both {
    /// Whether no request was hidden in another one.
    pub(super) fn agree(&self) -> bool {
        (self.passed_on - self.cut..=self.passed_on).contains(&self.counted)
    }
}

/// Sends a row through the proxy and counts on both sides.
pub(super) async fn through(proxy: &Proxy, plant: &Plant, row: &Row) -> anyhow::Result<Both> {
    let (before, cut_before) = proxy.passed_on()?;
    let counted_before = counted(plant).await?;
    let mut stream = TcpStream::connect(proxy.listens).await?;
    let (mut reading, mut writing) = stream.split();
    let (mut answer, mut patience) = (Vec::new(), COUNTED_WITHIN);
    let exchange = async {
        // An end, an error and silence are the same here: there is no more to come.
        while matches!(timeout(patience, reading.read_buf(&mut answer)).await, Ok(Ok(1..))) {
            patience = QUIET;
        }
    };
    // A proxy that has refused reads no more.
    tokio::select! {
        () = exchange => {}
        () = async { let _ = writing.write_all(&row.bytes).await; std::future::pending().await } => {}
    }
    drop(stream);
    let until = clock::now() + COUNTED_WITHIN;
    let mut same = 0;
    loop {
        let (passed_on, cut) = proxy.passed_on()?;
        let counted = counted(plant).await? - counted_before;
        let both = Both { passed_on: passed_on - before, cut: cut - cut_before, counted };
        same = if both.agree() { same + 1 } else { 0 };
        // What comes late must not be taken for the next row's.
        if same == 3 || clock::now() > until {
            return Ok(both);
        }
        sleep(Duration::from_millis(20)).await;
    }
}
