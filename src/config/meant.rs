//! The second stage: what is meant. Relations between keys are checked here, and only this type is seen by
//! the rest of the program.

use super::finding::Finding;
use super::finding::Findings;
use super::log::Log;
use super::read::Reading;
use super::said::Retention;
use super::said::Said;
use super::sale;
use super::sale::ConfiguredSale;
use super::source::Source;
use crate::drain;

/// Settings that were checked whole.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The pace and the workers of the drain.
    pub drain: drain::Config,
    /// What is tried again, and how often.
    pub retry: drain::Retry,
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
    let mut relations = Relations { reading, source, findings };
    for found in said.drain.check().into_iter().chain(said.retry.check()) {
        relations.broken(&found.keys, &found.text);
    }
    let sales = sale::checked(sales, source, relations.findings);
    Settings {
        drain: said.drain,
        retry: said.retry,
        retention: said.retention,
        log: said.log,
        sales: sales.into_iter().map(|(_, sale)| sale).collect(),
    }
}

/// Tells what is wrong between keys at the one that was said.
struct Relations<'r, 's, 'f> {
    reading: Reading<'r>,
    source: &'s Source,
    findings: &'f mut Findings,
}

impl Relations<'_, '_, '_> {
    /// A rule between these keys is broken; it is told at the first of them that is not a default.
    fn broken(&mut self, keys: &[&str], message: &str) {
        if keys.iter().any(|key| self.reading.refused.contains(*key)) {
            return;
        }
        let said = keys.iter().find(|key| self.reading.given.contains_key(**key));
        let at = self.reading.at(self.source, said.or(keys.first()).unwrap_or(&""));
        self.findings.add(Finding::error(at, message));
    }
}
