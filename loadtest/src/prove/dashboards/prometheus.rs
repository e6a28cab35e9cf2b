//! A Prometheus of our own: on a free port, in a directory of its own, with the rules of `dashboards/`.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, ensure};
use hyper::Method;
use serde_json::Value;
use tempfile::TempDir;
use tokio::time::sleep;

use super::now;
use super::panels::Line;
use crate::call::call;
use crate::gateway::{Process, free_address};
use crate::plant::STOP_WITHIN;
use crate::target::Target;

const RULES: [(&str, &str); 2] = [
    ("recording.yml", include_str!("../../../../dashboards/rules/recording.yml")),
    ("alerts.yml", include_str!("../../../../dashboards/rules/alerts.yml")),
];
/// How long whatever must come is waited for, on a busy machine.
const AT_LAST: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What a panel shows: from, to, and a point each so many seconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    pub(super) from: f64,
    pub(super) to: f64,
    pub(super) step: u64,
}

/// It ends with its handle.
#[derive(Debug)]
pub(super) struct Prometheus {
    process: Process,
    _directory: TempDir,
    target: Target,
}

impl Prometheus {
    /// Starts one that looks at the gateway's admin listener each `scrape` seconds.
    pub(super) async fn start(gateway: SocketAddr, scrape: u64) -> anyhow::Result<Self> {
        let directory = TempDir::with_prefix("forebay-prometheus-")?;
        for (name, text) in RULES {
            std::fs::write(directory.path().join(name), text)?;
        }
        let config = format!(
            "global:\n  scrape_interval: {scrape}s\n  evaluation_interval: {scrape}s\n\
             rule_files: [recording.yml, alerts.yml]\n\
             scrape_configs:\n  - job_name: forebay\n    static_configs:\n      - targets: [\"{gateway}\"]\n"
        );
        std::fs::write(directory.path().join("prometheus.yml"), config)?;
        let address = free_address()?;
        let arguments = [
            "--config.file=prometheus.yml".to_owned(),
            "--storage.tsdb.path=data".to_owned(),
            format!("--web.listen-address={address}"),
            "--log.level=warn".to_owned(),
        ];
        let process = Process::start(Path::new("prometheus"), &arguments, directory.path(), &[])
            .context("Debian package prometheus")?;
        let mut started = Self { process, _directory: directory, target: Target::from(address) };
        started.ready().await?;
        Ok(started)
    }

    async fn ready(&mut self) -> anyhow::Result<()> {
        let until = now() + AT_LAST.as_secs_f64();
        loop {
            let probe = call(&self.target, Method::GET, "/-/ready", None, None).await;
            if probe.is_ok_and(|reply| reply.status == 200) {
                return Ok(());
            }
            let runs = self.process.is_running()?;
            ensure!(runs && now() < until, "not ready:\n{}", self.process.text().await);
            sleep(LOOK_EVERY).await;
        }
    }

    /// Asks it to end, and waits for that.
    pub(super) async fn stop(mut self) -> anyhow::Result<()> {
        self.process.stop(STOP_WITHIN).await.map(drop)
    }

    async fn ask(&self, path: &str) -> anyhow::Result<Value> {
        Ok(call(&self.target, Method::GET, path, None, None).await?.json()?["data"].take())
    }

    /// Waits for so many looks more at the gateway, and says when the last was.
    pub(super) async fn scraped(&self, looks: u64) -> anyhow::Result<f64> {
        let begun = now();
        let (mut last, mut seen) = (begun, 0);
        let query = format!("/api/v1/query?query={}", encoded("timestamp(up == 1)"));
        while seen < looks {
            ensure!(
                now() < begun + AT_LAST.as_secs_f64(),
                "{seen} of {looks} looks at the gateway"
            );
            let data = self.ask(&query).await?;
            let at = data["result"][0]["value"][1].as_str().and_then(|at| at.parse::<f64>().ok());
            if let Some(at) = at.filter(|at| *at > last) {
                (last, seen) = (at, seen + 1);
            }
            sleep(LOOK_EVERY).await;
        }
        Ok(last)
    }

    /// The numbers that an expression has over the span, a line for each series.
    pub(super) async fn query(&self, expression: &str, span: Span) -> anyhow::Result<Vec<Line>> {
        let Span { from, to, step } = span;
        let query = encoded(expression);
        let path =
            format!("/api/v1/query_range?query={query}&start={from:.3}&end={to:.3}&step={step}");
        let data = self.ask(&path).await?;
        let all = data["result"].as_array().context("an answer has a result")?;
        Ok(all.iter().map(line).collect())
    }

    /// How many rules there are, and the names of those that are not well, with why.
    pub(super) async fn rules(&self) -> anyhow::Result<(usize, Vec<String>)> {
        let data = self.ask("/api/v1/rules").await?;
        let groups = data["groups"].as_array().context("there are groups of rules")?;
        let rules = groups.iter().filter_map(|group| group["rules"].as_array()).flatten();
        let rules: Vec<&Value> = rules.collect();
        let broken = rules.iter().filter(|rule| rule["health"] == "err");
        let broken = broken.map(|rule| format!("{}: {}", rule["name"], rule["lastError"]));
        Ok((rules.len(), broken.collect()))
    }
}

fn line(series: &Value) -> Line {
    let labels = series["metric"].as_object().into_iter().flatten();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let points = series["values"].as_array().into_iter().flatten().filter_map(|point| {
        let value: f64 = point[1].as_str()?.parse().ok()?;
        Some((point[0].as_f64()?, value)).filter(|_| value.is_finite())
    });
    Line {
        labels: labels.map(|(label, value)| (label.clone(), text(value))).collect(),
        name: String::new(),
        points: points.collect(),
    }
}

/// As it may stand in the query of an address.
fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 3);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() {
            out.push(char::from(byte));
        } else {
            write!(out, "%{byte:02X}").expect("a String takes everything");
        }
    }
    out
}
