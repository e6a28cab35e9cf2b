//! That nothing was oversold, doubled or lost on the way through Forebay: the gateway's own proof, laid beside what
//! the buyers were told and what the store holds.

use anyhow::Context as _;
use forebay_loadtest::admin::Admin;

use super::SALE;
use super::Scene;
use super::Site;
use crate::units::grouped;

/// What was proved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// `verify` holds every law, and buyers, ledger and store agree.
    pub holds: bool,
    /// Yeses in buyers' hands.
    pub promised: u64,
    /// Orders that the ledger accepted.
    pub accepted: u64,
    /// Orders in the store.
    pub stored: u64,
    /// Laws that `verify` found broken.
    pub findings: usize,
}

impl Proof {
    /// In one line.
    #[must_use]
    pub fn told(&self) -> String {
        let verdict = if self.holds { "proved" } else { "BROKEN" };
        format!(
            "{verdict}: {} promised, {} accepted, {} in the store, {} findings of `forebay verify`",
            grouped(self.promised),
            grouped(self.accepted),
            grouped(self.stored),
            self.findings
        )
    }
}

pub(super) async fn of(site: &Site, scene: &Scene) -> anyhow::Result<Proof> {
    let admin = Admin::new(site.admin.clone().context("the gateway has an admin listener")?, None);
    let (census, verified) = (admin.census(SALE).await?, admin.verify().await?);
    let last = scene.moments.last().copied().unwrap_or_default();
    let findings = verified.findings.len();
    let holds = verified.ok && last.taken == census.accepted && census.placed == last.stored;
    let (promised, stored) = (last.taken, last.stored);
    Ok(Proof { holds, promised, accepted: census.accepted, stored, findings })
}
