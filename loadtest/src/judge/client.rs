//! What the history alone proves.

use std::collections::{BTreeMap, HashMap};

use super::{Broke, Judgement};
use crate::form::Crowd;
use crate::history::{Fate, History};
use crate::verdict::Verdict;

pub(super) fn judge(
    out: &mut Judgement,
    history: &History,
    fates: &BTreeMap<u64, Fate>,
    crowd: &Crowd,
) {
    let mut owners: HashMap<&str, u64> = HashMap::new();
    for (ask, fate) in fates {
        let taken = !fate.tickets.is_empty();
        out.accepted += u64::from(taken);
        out.unknown += u64::from(fate.was_unknown);
        out.recovered += u64::from(fate.was_unknown && taken);
        out.replayed += u64::from(fate.was_unknown && taken && fate.replayed);
        if fate.tickets.len() > 1 {
            out.find(Broke::Doubled, format!("ask {ask} got the tickets {:?}", fate.tickets));
        }
        if let Some(code) = &fate.forgotten {
            out.find(Broke::Forgotten, format!("ask {ask} had a ticket and was then told {code}"));
        }
        // Who sent no key cannot ask again.
        if fate.open && crowd.keyed(*ask) {
            out.find(Broke::Unresolved, format!("ask {ask}: no answer to any repeat of its key"));
        }
        for ticket in &fate.tickets {
            if let Some(other) = owners.insert(ticket, *ask) {
                out.find(Broke::Doubled, format!("ticket {ticket} for the asks {other} and {ask}"));
            }
        }
    }
    let mut last_codes: HashMap<u64, &str> = HashMap::new();
    for attempt in history.attempts() {
        match &attempt.verdict {
            Verdict::Refused { code } => {
                last_codes.insert(attempt.ask, code);
            }
            Verdict::Unnamed => {
                let (ask, status) = (attempt.ask, attempt.status);
                out.errors += 1;
                out.find(Broke::Unnamed, format!("ask {ask}: status {status} without a code"));
            }
            Verdict::Unknown { .. } => out.errors += 1,
            Verdict::Accepted { .. } => {}
        }
    }
    let refused =
        |ask: &u64| fates.get(ask).is_some_and(|fate| fate.tickets.is_empty() && !fate.open);
    for (_, code) in last_codes.into_iter().filter(|(ask, _)| refused(ask)) {
        *out.refused.entry(code.to_owned()).or_default() += 1;
    }
}
