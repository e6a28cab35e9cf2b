//! `Retry-After`: on every 429 and 503 and on `not_open`, and never where coming back is of no use.

use std::collections::BTreeMap;

use super::{Broke, Judgement};
use crate::history::History;
use crate::verdict::Verdict;

/// Coming back changes nothing.
const FINAL: [&str; 2] = ["sold_out", "limit_reached"];

pub(super) fn judge(out: &mut Judgement, history: &History) {
    // One finding a kind: a gateway that does it once does it always.
    let mut wrong: BTreeMap<(&str, u16, bool), (u64, u64)> = BTreeMap::new();
    for attempt in history.attempts() {
        let code = match &attempt.verdict {
            Verdict::Refused { code } | Verdict::Unknown { code: Some(code), .. } => code.as_ref(),
            // What has no name is not the gateway's own answer, or is a finding by itself.
            _ => continue,
        };
        let wanted = matches!(attempt.status, 429 | 503) || code == "not_open";
        let told = attempt.retry_after.is_some();
        if (wanted && !told) || (told && FINAL.contains(&code)) {
            let seen = wrong.entry((code, attempt.status, told)).or_insert((attempt.ask, 0));
            seen.1 += 1;
        }
    }
    for ((code, status, told), (ask, times)) in wrong {
        let with = if told { "with" } else { "without a readable" };
        let what = format!("{status} {code} {with} Retry-After, {times} times, first to ask {ask}");
        out.find(Broke::RetryAfter, what);
    }
}
