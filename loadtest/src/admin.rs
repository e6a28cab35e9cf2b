//! The gateway's own account of a sale, by its admin API.

use std::time::Duration;

use anyhow::{Context, bail};
use hyper::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::call::call;
use crate::clock;
use crate::scrape::Scrape;
use crate::target::Target;

/// Between two looks at the census while a queue drains.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A client of the admin API.
#[derive(Debug, Clone)]
pub struct Admin {
    target: Target,
    token: Option<String>,
}

/// One item's stock.
#[derive(Debug, Clone, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(default)]
pub struct Stock {
    /// The item.
    pub sku: String,
    /// Units at the beginning.
    pub initial: u64,
    /// Units put in later.
    pub added: u64,
    /// Units taken out later.
    pub cut: u64,
    /// Units nobody has.
    pub available: u64,
    /// Units of orders that are not terminal.
    pub held: u64,
    /// Units that are sold for good.
    pub sold: u64,
}

impl Stock {
    /// Units there ever were.
    pub fn total(&self) -> u64 {
        (self.initial + self.added).saturating_sub(self.cut)
    }
}

/// A sale's counters, read at one instant.
#[derive(Debug, Clone, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(default)]
#[expect(missing_docs, reason = "the names are those of the order's states in the contract")]
pub struct Census {
    /// Stock by item.
    pub items: Vec<Stock>,
    /// Orders ever accepted.
    pub accepted: u64,
    pub queued: u64,
    pub placing: u64,
    pub placed: u64,
    pub paid: u64,
    pub refused: u64,
    pub cancelled: u64,
    pub expired: u64,
    pub dead: u64,
    pub lost: u64,
    /// Age of the oldest waiting order.
    pub oldest_waiting_ms: Option<u64>,
    /// The ledger's life.
    pub epoch: u64,
}

impl Census {
    /// Orders whose fate is still to come.
    pub fn unsettled(&self) -> u64 {
        self.queued + self.placing
    }
}

/// One line of an order.
#[derive(Debug, Clone, Deserialize, Serialize, PartialEq, Eq)]
pub struct OrderLine {
    /// The item.
    pub sku: String,
    /// How many.
    pub quantity: u64,
}

/// One ticket of the export.
#[derive(Debug, Clone, Deserialize, PartialEq, Eq)]
pub struct TicketRow {
    /// The receipt.
    pub ticket: String,
    /// Whose.
    pub buyer: String,
    /// What was ordered.
    pub lines: Vec<OrderLine>,
    /// Its state when it was read.
    pub state: String,
    /// The grant of its last attempt.
    #[serde(default)]
    pub attempted_at: Option<String>,
}

impl TicketRow {
    /// Whether stock and limit came back, or the order is gone.
    pub fn returned(&self) -> bool {
        matches!(self.state.as_str(), "refused" | "cancelled" | "expired" | "lost")
    }

    /// Whether the store must have it.
    pub fn stored(&self) -> bool {
        matches!(self.state.as_str(), "placed" | "paid" | "expired")
    }

    /// Whether its fate is still to come.
    pub fn unsettled(&self) -> bool {
        matches!(self.state.as_str(), "queued" | "placing" | "dead")
    }
}

/// How orders may reach the store: in no window more than `burst + rate × window` attempts.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Pace {
    /// Attempts a second.
    pub rate: f64,
    /// Attempts at once.
    pub burst: f64,
}

/// What `verify` found.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
pub struct Verified {
    /// No finding.
    pub ok: bool,
    /// What it found.
    #[serde(default)]
    pub findings: Vec<Value>,
    /// Tickets of orders that an operator had refused by force.
    #[serde(default)]
    pub forced: Vec<String>,
}

impl Admin {
    /// A client for the listener behind `target`.
    pub fn new(target: Target, token: Option<String>) -> Self {
        Self { target, token }
    }

    /// `http://host:port` of the listener.
    pub fn url(&self) -> String {
        format!("http://{}", self.target.host)
    }

    /// Where the listener is.
    pub fn address(&self) -> std::net::SocketAddr {
        self.target.address
    }

    /// The gateway's metrics as they are scraped.
    pub async fn metrics_text(&self) -> anyhow::Result<String> {
        let reply =
            call(&self.target, Method::GET, "/metrics", self.token.as_deref(), None).await?;
        if reply.status != 200 {
            bail!("GET /metrics: status {}", reply.status);
        }
        Ok(String::from_utf8_lossy(&reply.body).into_owned())
    }

    /// Whether there is a sale of this name.
    pub async fn knows(&self, sale: &str) -> anyhow::Result<bool> {
        let path = format!("/admin/v1/sales/{sale}");
        let reply = call(&self.target, Method::GET, &path, self.token.as_deref(), None).await?;
        if reply.status == 404 {
            return Ok(false);
        }
        reply.json().with_context(|| format!("GET {path} at {}", self.url())).map(|_| true)
    }

    /// The gateway's version.
    pub async fn version(&self) -> anyhow::Result<String> {
        let document = self.ask(Method::GET, "/version", None).await?;
        let version = document.get("version").and_then(Value::as_str);
        version.map(str::to_owned).context("the answer has no `version`")
    }

    /// The rate and the burst of the drain; no rate: it is not paced.
    pub async fn pace(&self) -> anyhow::Result<Option<Pace>> {
        let document = self.ask(Method::GET, "/admin/v1/drain", None).await?;
        let rate = document.get("rate").and_then(Value::as_str).unwrap_or_default().to_owned();
        let burst = document.get("burst").and_then(Value::as_f64);
        let units = [("/s", 1.0), ("/m", 60.0), ("/h", 3_600.0)];
        let per_second = units.iter().find_map(|(unit, seconds)| {
            Some(rate.strip_suffix(unit)?.parse::<f64>().ok()? / seconds)
        });
        Ok(per_second.zip(burst).map(|(rate, burst)| Pace { rate, burst }))
    }

    /// Makes or amends a sale by its terms.
    pub async fn put_sale(&self, sale: &str, terms: &Value) -> anyhow::Result<()> {
        self.ask(Method::PUT, &format!("/admin/v1/sales/{sale}"), Some(terms)).await.map(drop)
    }

    /// Throws a switch of a sale: `pause`, `resume`, `close`, `purge`.
    pub async fn switch(&self, sale: &str, switch: &str) -> anyhow::Result<()> {
        let path = format!("/admin/v1/sales/{sale}/{switch}");
        self.ask(Method::POST, &path, Some(&json!({}))).await.map(drop)
    }

    async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> anyhow::Result<Value> {
        call(&self.target, method.clone(), path, self.token.as_deref(), body)
            .await?
            .json()
            .with_context(|| format!("{method} {path} at {}", self.url()))
    }

    /// Makes an open sale of one item, without a payment window and without an end.
    pub async fn create_sale(
        &self,
        sale: &str,
        sku: &str,
        stock: u64,
        limit: Option<u64>,
    ) -> anyhow::Result<()> {
        let terms = json!({
            "limit_per_buyer": limit, "items": [{ "sku": sku, "stock": stock }],
        });
        self.ask(Method::PUT, &format!("/admin/v1/sales/{sale}"), Some(&terms)).await.map(drop)
    }

    /// The same with a rate at which each gateway lets order calls through, and no limit of a buyer.
    pub async fn create_limited_sale(
        &self,
        sale: &str,
        sku: &str,
        stock: u64,
        admit_rate: Option<&str>,
    ) -> anyhow::Result<()> {
        let terms = json!({ "admit_rate": admit_rate, "items": [{ "sku": sku, "stock": stock }] });
        self.ask(Method::PUT, &format!("/admin/v1/sales/{sale}"), Some(&terms)).await.map(drop)
    }

    /// The value of a metric that has no labels.
    pub async fn metric(&self, name: &str) -> anyhow::Result<f64> {
        let value = self.metrics().await?.value(name);
        value.with_context(|| format!("there is no metric {name}"))
    }

    /// Puts units in, once however often it is called with this operation.
    pub async fn add_stock(
        &self,
        sale: &str,
        sku: &str,
        units: u64,
        operation: &str,
    ) -> anyhow::Result<()> {
        let change = json!({ "sku": sku, "delta": units, "operation": operation });
        let path = format!("/admin/v1/sales/{sale}/stock");
        self.ask(Method::POST, &path, Some(&change)).await.map(drop)
    }

    /// Stops the drain, or has it go on.
    pub async fn pause_drain(&self, paused: bool) -> anyhow::Result<()> {
        let change = json!({ "paused": paused });
        self.ask(Method::PATCH, "/admin/v1/drain", Some(&change)).await.map(drop)
    }

    /// Sets the drain's rate, such as `500/s`.
    pub async fn set_drain_rate(&self, rate: &str) -> anyhow::Result<()> {
        let change = json!({ "rate": rate });
        self.ask(Method::PATCH, "/admin/v1/drain", Some(&change)).await.map(drop)
    }

    /// Changes the simulated store's fault plan.
    pub async fn store_faults(&self, patch: &Value) -> anyhow::Result<()> {
        self.ask(Method::PATCH, "/admin/v1/store/faults", Some(patch)).await.map(drop)
    }

    /// The gateway's metrics.
    pub async fn metrics(&self) -> anyhow::Result<Scrape> {
        Ok(Scrape::parse(&self.metrics_text().await?))
    }

    /// Ends a sale.
    pub async fn close(&self, sale: &str) -> anyhow::Result<()> {
        self.switch(sale, "close").await
    }

    /// The counters of a sale.
    pub async fn census(&self, sale: &str) -> anyhow::Result<Census> {
        let document = self.document(sale).await?;
        let census = document.get("census").cloned().context("the answer has no `census`")?;
        serde_json::from_value(census).context("the census cannot be read")
    }

    /// Units that one buyer may have.
    pub async fn limit_per_buyer(&self, sale: &str) -> anyhow::Result<Option<u64>> {
        let document = self.document(sale).await?;
        Ok(document.pointer("/terms/limit_per_buyer").and_then(Value::as_u64))
    }

    async fn document(&self, sale: &str) -> anyhow::Result<Value> {
        self.ask(Method::GET, &format!("/admin/v1/sales/{sale}"), None).await
    }

    /// Every ticket of a sale, in sequence order.
    pub async fn tickets(&self, sale: &str) -> anyhow::Result<Vec<TicketRow>> {
        let path = format!("/admin/v1/sales/{sale}/tickets?format=ndjson");
        let reply = call(&self.target, Method::GET, &path, self.token.as_deref(), None).await?;
        if reply.status != 200 {
            bail!("GET {path}: status {}", reply.status);
        }
        let lines = reply.body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let rows = lines.map(|line| {
            serde_json::from_slice(line).with_context(|| {
                format!("GET {path}: not a ticket: {}", String::from_utf8_lossy(line))
            })
        });
        rows.collect()
    }

    /// The gateway's own proof.
    pub async fn verify(&self) -> anyhow::Result<Verified> {
        let answer = self.ask(Method::GET, "/admin/v1/verify", None).await?;
        serde_json::from_value(answer).context("the answer of verify cannot be read")
    }

    /// Waits until the census satisfies `done`, and returns it; the last one seen if the time is over.
    pub async fn census_until(
        &self,
        sale: &str,
        within: Duration,
        done: impl Fn(&Census) -> bool,
    ) -> anyhow::Result<Census> {
        let until = clock::now() + within;
        loop {
            let census = self.census(sale).await?;
            if done(&census) || clock::now() >= until {
                return Ok(census);
            }
            sleep(LOOK_EVERY).await;
        }
    }
}
