//! The second stage: what is meant. Relations between keys are checked here, and only this type is seen by
//! the rest of the program.

use super::finding::Findings;
use super::log::Log;
use super::read::Reading;
use super::said::Retention;
use super::said::Said;
use super::sale;
use super::sale::ConfiguredSale;
use super::source::Source;

/// Settings that were checked whole.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How long what is over is kept.
    pub retention: Retention,
    /// The log.
    pub log: Log,
    /// Sales that the ledger shall have.
    pub sales: Vec<ConfiguredSale>,
}

/// Checks what single keys cannot know.
pub(super) fn check(
    said: Said,
    mut reading: Reading<'_>,
    source: &Source,
    findings: &mut Findings,
) -> Settings {
    let sales = std::mem::take(&mut reading.sales);
    let sales = sale::checked(sales, source, findings);
    Settings {
        retention: said.retention,
        log: said.log,
        sales: sales.into_iter().map(|(_, sale)| sale).collect(),
    }
}
