//! What tells how the process is: probes, metrics, version, the API's description and the status page.

use hyper::StatusCode;
use hyper::header::{CONTENT_SECURITY_POLICY, HeaderValue};
use serde::Serialize;

use super::reply::{Problem, Reply, json, whole};
use super::{Admin, page};
use crate::tasks::CheckStatus;

/// The description of both listeners' routes, OpenAPI 3.1.
const OPENAPI: &str = include_str!("openapi.json");

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
        json(status, &Ready { status: worst.name(), checks: checks.collect() })
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
        match self.parts.ledger.sales().await {
            Ok(docs) => self.gauges.sales(&docs),
            Err(fault) => tracing::debug!(%fault, "the gauges of the sales are old"),
        }
        match self.parts.ledger.drain().await {
            Ok(doc) => self.gauges.drain(&doc),
            Err(fault) => tracing::debug!(%fault, "the gauge of the drain is old"),
        }
        let text = self.parts.metrics.render();
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
