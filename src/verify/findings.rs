//! What is broken: by law, sale, item and ticket, with what was expected and what was found.

use std::collections::HashSet;

use serde::Serialize;

use crate::order::TicketText;
use crate::sale::{SaleName, Sku};

/// Findings that a report lists; the rest is counted.
pub const FINDINGS_MAX: usize = 1_000;

/// One broken law.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The law of DESIGN section 2.
    pub law: &'static str,
    /// The sale, if it is about one.
    pub sale: Option<String>,
    /// The item, if it is about one.
    pub sku: Option<String>,
    /// The ticket, if it is about one.
    pub ticket: Option<String>,
    /// What must hold.
    pub expected: String,
    /// What was found.
    pub found: String,
}

impl Finding {
    /// A finding about the whole deployment.
    pub(super) fn new(
        law: &'static str,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> Self {
        let (expected, found) = (expected.into(), found.into());
        Self { law, sale: None, sku: None, ticket: None, expected, found }
    }

    pub(super) fn of_sale(mut self, sale: &SaleName) -> Self {
        self.sale = Some(sale.to_string());
        self
    }

    pub(super) fn of_item(mut self, sku: &Sku) -> Self {
        self.sku = Some(sku.to_string());
        self
    }

    pub(super) fn of_ticket(mut self, ticket: &TicketText) -> Self {
        self.ticket = Some(ticket.to_string());
        self
    }

    /// What two looks must agree in to have seen the same thing; figures may have moved on.
    fn identity(&self) -> (&str, Option<&str>, Option<&str>, Option<&str>) {
        (self.law, self.sale.as_deref(), self.sku.as_deref(), self.ticket.as_deref())
    }
}

/// The findings of one look.
#[derive(Debug, Default)]
pub(super) struct Findings {
    listed: Vec<Finding>,
    omitted: u64,
}

impl Findings {
    pub(super) fn add(&mut self, finding: Finding) {
        if self.listed.len() < FINDINGS_MAX {
            self.listed.push(finding);
        } else {
            self.omitted += 1;
        }
    }

    /// A finding unless both are the same.
    pub(super) fn compare<T: PartialEq + std::fmt::Display>(
        &mut self,
        expected: T,
        found: T,
        finding: impl FnOnce(String, String) -> Finding,
    ) {
        if expected != found {
            self.add(finding(expected.to_string(), found.to_string()));
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.listed.is_empty()
    }

    /// Whether something is said of a law in a sale already.
    pub(super) fn names(&self, law: &str, sale: Option<&str>) -> bool {
        self.listed.iter().any(|finding| finding.law == law && finding.sale.as_deref() == sale)
    }

    /// Only what an earlier look saw too. What it had no room to list counts as seen.
    pub(super) fn keep_those_of(&mut self, earlier: &Self) {
        if earlier.omitted > 0 {
            return;
        }
        let seen: HashSet<_> = earlier.listed.iter().map(Finding::identity).collect();
        self.listed.retain(|finding| seen.contains(&finding.identity()));
    }

    pub(super) fn into_parts(self) -> (Vec<Finding>, u64) {
        (self.listed, self.omitted)
    }
}
