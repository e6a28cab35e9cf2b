//! The drain's settings.

use hyper::StatusCode;
use serde::{Deserialize, Deserializer};

use super::documents::Drain;
use super::reply::{Problem, Reply, json};
use super::{Admin, agreed, body};
use crate::ledger::{Change, Changed, DrainDoc, DrainPatch};
use crate::sale::Rate;

/// What is absent stays as it is; null goes back to the file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Patch {
    #[serde(default, deserialize_with = "stated")]
    rate: Option<Option<Rate>>,
    #[serde(default, deserialize_with = "stated")]
    burst: Option<Option<u32>>,
    #[serde(default)]
    paused: Option<bool>,
}

/// Tells null from absent.
fn stated<'de, T, D>(from: D) -> Result<Option<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    T::deserialize(from).map(Some)
}

impl Admin {
    pub(super) async fn drain(&self) -> Result<Reply, Problem> {
        Ok(self.drain_shown(&self.parts.ledger.drain().await?))
    }

    fn drain_shown(&self, doc: &DrainDoc) -> Reply {
        json(StatusCode::OK, &Drain::new(doc, self.parts.operations.drain_live()))
    }

    pub(super) async fn patch_drain(&self, given: &[u8]) -> Result<Reply, Problem> {
        let Patch { rate, burst, paused } = body::parse(given)?;
        if burst == Some(Some(0)) {
            let detail = "`burst` must be at least 1; null goes back to the file";
            return Err(Problem::new("bad_burst", detail));
        }
        let change = Change::Drain(DrainPatch { rate, burst, paused });
        match agreed(self.parts.ledger.change(change).await?)? {
            Changed::Drain(doc) => Ok(self.drain_shown(&doc)),
            other => Err(Problem::unexpected(&other)),
        }
    }
}
