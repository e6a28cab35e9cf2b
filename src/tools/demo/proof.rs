//! That nothing was oversold, doubled or lost on the way through Forebay: the gateway's own proof, laid beside what
//! the buyers were told and what the store holds.

use std::time::Duration;

use anyhow::Context as _;
use forebay_loadtest::admin::Admin;

use super::SALE;
use super::Scene;
use super::Site;
use super::store::StoreView;
use crate::units::grouped;

/// What is accepted is in the store within it, as late as a slow machine makes it.
const SETTLES_WITHIN: Duration = Duration::from_secs(60);

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

/// Waits until every accepted order has its fate: one whose answer was lost on the way is in the store too, later.
pub(super) async fn of(site: &Site, scene: &Scene) -> anyhow::Result<Proof> {
    let admin = Admin::new(site.admin.clone().context("the gateway has an admin listener")?, None);
    let census = admin.census_until(SALE, SETTLES_WITHIN, |census| census.unsettled() == 0).await?;
    let verified = admin.verify().await?;
    let (_, stored) = StoreView::open(&site.store).await?.orders().await?;
    let last = scene.moments.last().copied().unwrap_or_default();
    let (promised, accepted) = (last.taken, census.accepted);
    // Who was told nothing definite may have an order all the same; nobody else may.
    let unheard = last.turned_away + last.failed;
    let agree = (promised..=promised + unheard).contains(&accepted) && census.placed == stored;
    let holds = verified.ok && census.unsettled() == 0 && agree && accepted == stored;
    Ok(Proof { holds, promised, accepted, stored, findings: verified.findings.len() })
}
