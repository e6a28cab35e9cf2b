//! The verdict: the client's history laid beside what the gateway and the store say.
//!
//! The names are those of Jepsen's total queue: what was accepted must come out (*lost*), once
//! (*doubled*), and nothing else may (*unexpected*); what the client could not know and found out by
//! asking again is *recovered*. To these come the two promises of a sale: no unit sold twice
//! (*oversold*), and no buyer above the limit.

mod client;
mod ledger;
mod pace;
mod refusals;
mod rows;
mod told;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::admin::{Census, Pace, TicketRow, Verified};
use crate::form::Crowd;
use crate::history::History;
use crate::store::StoreBook;
use crate::trail::Trails;

/// What a finding breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Broke {
    /// An accepted order is nowhere.
    Lost,
    /// The fate of an accepted order was not decided in the time it was given.
    Unsettled,
    /// One order was taken or written twice.
    Doubled,
    /// More units went out than there were.
    Oversold,
    /// Something came out that nobody was given a ticket for.
    Unexpected,
    /// A buyer has more units than the sale allows.
    LimitBroken,
    /// A refusal without a name.
    Unnamed,
    /// It could not be found out whether an order was taken.
    Unresolved,
    /// A buyer whose order had been accepted was told that it was not (L8).
    Forgotten,
    /// A refusal without `Retry-After` where one belongs, or with one where none may be.
    RetryAfter,
    /// A position grew.
    PositionGrew,
    /// A buyer was told of two ends of his order, or of a state that cannot follow the one before it.
    TwoEnds,
    /// More attempts at the store in some window than `burst + rate × window` (L7).
    PaceBroken,
    /// The gateway's own proof found something, or its counters do not add up.
    Law,
}

/// One thing that must not be.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Finding {
    /// Which promise.
    pub broke: Broke,
    /// What was seen, with ticket or buyer.
    pub what: String,
}

/// All that is known, beside the history. What is `None` was not asked and proves nothing.
#[derive(Debug, Default)]
pub struct Evidence {
    /// Units a buyer may have.
    pub limit_per_buyer: Option<u64>,
    /// The export.
    pub tickets: Option<Vec<TicketRow>>,
    /// The counters.
    pub census: Option<Census>,
    /// The gateway's own proof.
    pub verified: Option<Verified>,
    /// The store's rows.
    pub store: Option<StoreBook>,
    /// Nobody but this crowd ordered in this sale, so each foreign order is unexpected.
    pub alone: bool,
}

impl Evidence {
    fn witnesses(&self) -> Vec<&'static str> {
        let asked = [
            ("client", true),
            ("ledger", self.tickets.is_some() && self.census.is_some()),
            ("verify", self.verified.is_some()),
            ("store", self.store.is_some()),
        ];
        asked.into_iter().filter(|(_, heard)| *heard).map(|(name, _)| name).collect()
    }
}

/// The result of a run.
#[derive(Debug, Default, Serialize)]
pub struct Judgement {
    /// Who was heard. A count of 0 means nothing where the one who would know was not asked.
    pub witnesses: Vec<&'static str>,
    /// Orders with a ticket in the client's hands.
    pub accepted: u64,
    /// Asks that ended with a refusal, by name.
    pub refused: BTreeMap<String, u64>,
    /// Asks of which one attempt at least ended without saying whether the order was taken.
    pub unknown: u64,
    /// Those of them that turned out to have been taken.
    pub recovered: u64,
    /// Those of the recovered of which the gateway said that it knew the key.
    pub replayed: u64,
    /// Attempts that got no answer, or one that names nothing: not even whether the order was taken.
    pub errors: u64,
    /// What must not be.
    pub findings: Vec<Finding>,
}

impl Judgement {
    /// How often a promise was broken.
    pub fn count(&self, broke: Broke) -> usize {
        self.findings.iter().filter(|finding| finding.broke == broke).count()
    }

    /// No promise was broken.
    pub fn ok(&self) -> bool {
        self.findings.is_empty()
    }

    /// Adds the verdict on another sale of the same run.
    pub fn add(&mut self, other: Self) {
        for witness in other.witnesses {
            if !self.witnesses.contains(&witness) {
                self.witnesses.push(witness);
            }
        }
        for (code, asks) in other.refused {
            *self.refused.entry(code).or_default() += asks;
        }
        self.accepted += other.accepted;
        self.unknown += other.unknown;
        self.recovered += other.recovered;
        self.replayed += other.replayed;
        self.errors += other.errors;
        self.findings.extend(other.findings);
    }

    fn find(&mut self, broke: Broke, what: String) {
        self.findings.push(Finding { broke, what });
    }
}

/// Hears what buyers were told who followed their orders.
pub(crate) fn hear_buyers(out: &mut Judgement, trails: &Trails, tickets: Option<&[TicketRow]>) {
    told::judge(out, trails, tickets);
}

/// Holds the attempts of all sales against the pace that the drain says it has. Says whether there was any.
pub(crate) fn hear_pace(
    out: &mut Judgement,
    tickets: &[TicketRow],
    pace: Pace,
) -> anyhow::Result<bool> {
    pace::judge(out, tickets, pace)
}

/// Hears every witness.
pub fn judge(history: &History, crowd: &Crowd, evidence: &Evidence) -> Judgement {
    let mut judgement = Judgement::default();
    let fates = history.fates();
    judgement.witnesses = evidence.witnesses();
    client::judge(&mut judgement, history, &fates, crowd);
    refusals::judge(&mut judgement, history);
    if let Some(tickets) = &evidence.tickets {
        ledger::tickets(&mut judgement, &fates, crowd, tickets, evidence);
        if let Some(store) = &evidence.store {
            rows::judge(&mut judgement, tickets, store, evidence.census.as_ref(), evidence.alone);
        }
    }
    if let Some(census) = &evidence.census {
        ledger::census(&mut judgement, census, evidence.tickets.as_deref(), evidence.alone);
    }
    if let Some(verified) = evidence.verified.as_ref().filter(|verified| !verified.ok) {
        for finding in &verified.findings {
            judgement.find(Broke::Law, format!("verify: {finding}"));
        }
        if verified.findings.is_empty() {
            judgement.find(Broke::Law, "verify says not ok and names nothing".to_owned());
        }
    }
    judgement
}
