//! What tells how the process is: probes, metrics, version, the API's description and the status page.

use std::time::Duration;

use futures_util::future::try_join;
use hyper::StatusCode;
use hyper::header::{CONTENT_SECURITY_POLICY, HeaderValue};
use serde::Serialize;
use tokio::time::timeout;

use super::reply::{Problem, Reply, json, whole};
use super::{Admin, page, reply};
use crate::tasks::CheckStatus;

/// The description of both listeners' routes, OpenAPI 3.1.
const OPENAPI: &str = include_str!("openapi.json");

/// How long the metrics wait for the ledger; a sick disk must not hide the metrics that show it.
const GAUGES_WAIT: Duration = Duration::from_secs(1);

#[derive(Serialize)]
struct Ready {
    status: &'static str,
    checks: Vec<ReadyCheck>,
}

#[derive(Serialize)]
struct ReadyCheck {
    name: &'static str,
    status: &'static str,
    reason: String,
}

#[derive(Serialize)]
struct Live {
    status: &'static str,
}

#[derive(Serialize)]
struct Version {
    name: &'static str,
    version: &'static str,
}

impl Admin {
    pub(super) fn livez() -> Reply {
        json(StatusCode::OK, &Live { status: "live" })
    }

    /// Degraded is ready: 503 means that no traffic shall come.
    pub(super) fn readyz(&self) -> Reply {
        let (worst, checks) = self.parts.readiness.checks();
        let status = match worst {
            CheckStatus::Ready | CheckStatus::Degraded => StatusCode::OK,
            CheckStatus::Unready => StatusCode::SERVICE_UNAVAILABLE,
        };
        let checks = checks.into_iter().map(|check| ReadyCheck {
            name: check.name,
            status: check.status.name(),
            reason: check.reason,
        });
        let ready = Ready { status: worst.name(), checks: checks.collect() };
        reply::come_again(json(status, &ready))
    }

    pub(super) fn version() -> Reply {
        let (name, version) = (env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
        json(StatusCode::OK, &Version { name, version })
    }

    pub(super) fn openapi() -> Reply {
        whole(StatusCode::OK, "application/json", OPENAPI)
    }

    /// A ledger that cannot answer leaves its gauges as they were: the rest is worth reading all the more.
    pub(super) async fn metrics(&self) -> Reply {
        let ledger = &self.parts.ledger;
        match timeout(GAUGES_WAIT, try_join(ledger.sales(), ledger.drain())).await {
            Ok(Ok((sales, drain))) => {
                self.gauges.sales(&sales);
                self.gauges.drain(&drain);
            }
            Ok(Err(fault)) => tracing::debug!(%fault, "the gauges of sales and drain are old"),
            Err(_) => tracing::debug!("the ledger is slow: the gauges of sales and drain are old"),
        }
        let text = (self.parts.metrics)();
        whole(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", text)
    }

    pub(super) async fn page(&self) -> Result<Reply, Problem> {
        let ledger = &self.parts.ledger;
        let (sales, drain) = (ledger.sales().await?, ledger.drain().await?);
        let trouble = ledger.trouble();
        let text = page::render(&sales, &drain, trouble.as_deref(), self.parts.clock.wall());
        let mut reply = whole(StatusCode::OK, "text/html; charset=utf-8", text);
        let policy = HeaderValue::from_static(page::POLICY);
        reply.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
        Ok(reply)
    }
}
