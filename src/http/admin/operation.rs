//! What other parts of the process do for an operator: verify, redrive, reload, and the store's fault plan.

use hyper::StatusCode;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::reply::{Problem, Reply, json, whole};
use super::sale::Nothing;
use super::{Admin, body};
use crate::http::operations::Lost;

/// Where to look for lost orders from.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Start {
    #[serde(default)]
    from: u64,
}

fn passed(document: Box<RawValue>) -> Reply {
    whole(StatusCode::OK, "application/json", String::from(Box::<str>::from(document)))
}

impl Admin {
    pub(super) async fn verify(&self) -> Result<Reply, Problem> {
        Ok(passed(self.parts.operations.verify().await?))
    }

    pub(super) async fn redrive(&self, sale: &str, given: &[u8]) -> Result<Reply, Problem> {
        let Start { from } = body::parse(given)?;
        let sale = self.sale_with_orders(sale).await?;
        let seal = self.seal_of(&sale)?;
        let redriven = self.parts.operations.redrive(Lost { sale, seal, from }).await?;
        Ok(json(StatusCode::OK, &redriven))
    }

    pub(super) async fn reload(&self, given: &[u8]) -> Result<Reply, Problem> {
        body::parse::<Nothing>(given)?;
        Ok(passed(self.parts.operations.reload().await?))
    }

    pub(super) async fn faults(&self) -> Result<Reply, Problem> {
        Ok(passed(self.parts.operations.faults().await?))
    }

    pub(super) async fn patch_faults(&self, given: &[u8]) -> Result<Reply, Problem> {
        let patch: Box<RawValue> = body::parse(given)?;
        Ok(passed(self.parts.operations.patch_faults(patch).await?))
    }
}
