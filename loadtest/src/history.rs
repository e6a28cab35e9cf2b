//! The client's history: every attempt and what became of it. It is the first of the witnesses that
//! the verdict hears, so it notes what was seen and concludes nothing.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Instant;

use serde_json::json;

use crate::clock;
use crate::drive::{Recorder, Timing};
use crate::form::OrderForm;
use crate::tally::Tally;
use crate::verdict::Verdict;
use crate::wire::{Answer, Broken};

/// One attempt. Names are functions of `ask`; times are microseconds from the history's beginning.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// Which ask.
    pub ask: u64,
    /// When it should have been sent.
    pub intended_us: u64,
    /// When it was.
    pub sent_us: u64,
    /// When it ended.
    pub received_us: u64,
    /// 0: no answer.
    pub status: u16,
    /// `Retry-After` of the answer, in seconds.
    pub retry_after: Option<u32>,
    /// What it proved.
    pub verdict: Verdict,
}

/// All attempts, in the order in which they ended, and their tally.
#[derive(Debug)]
pub struct History {
    began: Instant,
    began_wall_us: i64,
    attempts: Vec<Attempt>,
    tally: Tally,
}

impl Default for History {
    fn default() -> Self {
        Self::since(clock::now(), clock::wall_micros())
    }
}

/// What the attempts of one ask prove together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fate {
    /// Tickets given for this ask; more than one is a doubled order.
    pub tickets: Vec<Box<str>>,
    /// An attempt ended without saying whether it took the order.
    pub was_unknown: bool,
    /// It is still not known.
    pub open: bool,
    /// It has no ticket, and the last answer was about this moment only: busy, stopping, no ledger.
    pub turned_away: bool,
    /// The gateway said of a ticket that it was known before.
    pub replayed: bool,
    /// Told sold_out and the like after a ticket had been given for the same key.
    pub forgotten: Option<String>,
}

impl Fate {
    fn learn(&mut self, verdict: &Verdict) {
        self.turned_away = self.tickets.is_empty()
            && matches!(verdict, Verdict::Refused { .. })
            && !verdict.settles_earlier_doubt();
        match verdict {
            Verdict::Accepted { ticket, replayed } => {
                self.open = false;
                self.replayed |= replayed;
                if !self.tickets.contains(ticket) {
                    self.tickets.push(ticket.clone());
                }
            }
            Verdict::Refused { code } if verdict.settles_earlier_doubt() => {
                self.open = false;
                if !self.tickets.is_empty() {
                    self.forgotten = Some(code.to_string());
                }
            }
            // Turned away, now: alone it is an answer, after a doubt it proves nothing.
            Verdict::Refused { .. } | Verdict::Unnamed => {}
            Verdict::Unknown { .. } => {
                self.was_unknown = true;
                self.open = self.tickets.is_empty();
            }
        }
    }
}

impl History {
    /// An empty history with this beginning, told by both clocks.
    pub fn since(began: Instant, began_wall_us: i64) -> Self {
        Self { began, began_wall_us, attempts: Vec::new(), tally: Tally::default() }
    }

    /// Every attempt, in the order in which they ended.
    pub fn attempts(&self) -> &[Attempt] {
        &self.attempts
    }

    /// Counts and latencies.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// What is known of each ask.
    pub fn fates(&self) -> BTreeMap<u64, Fate> {
        let mut fates: BTreeMap<u64, Fate> = BTreeMap::new();
        for attempt in &self.attempts {
            fates.entry(attempt.ask).or_default().learn(&attempt.verdict);
        }
        fates
    }

    /// Asks of which it is not known whether they were taken.
    pub fn open_asks(&self) -> Vec<u64> {
        self.fates().into_iter().filter(|(_, fate)| fate.open).map(|(ask, _)| ask).collect()
    }

    /// Those, and asks that were turned away for now.
    pub fn unserved_asks(&self) -> Vec<u64> {
        let unserved = |fate: &Fate| fate.open || fate.turned_away;
        self.fates().into_iter().filter(|(_, fate)| unserved(fate)).map(|(ask, _)| ask).collect()
    }

    /// Attempts that got no answer at all.
    pub fn unanswered(&self) -> usize {
        let cut = |verdict: &Verdict| matches!(verdict, Verdict::Unknown { broken: Some(_), .. });
        self.attempts.iter().filter(|attempt| cut(&attempt.verdict)).count()
    }

    /// Writes one JSON object a line and attempt; `form` says what an ask asked for.
    pub fn write_ndjson<'a>(
        &self,
        file: &mut impl Write,
        form: impl Fn(u64) -> &'a OrderForm,
    ) -> anyhow::Result<()> {
        let wall = |us: u64| self.began_wall_us.saturating_add_unsigned(us);
        for (n, attempt) in self.attempts.iter().enumerate() {
            let form = form(attempt.ask);
            let mut line = json!({
                "n": n,
                "ask": attempt.ask,
                "intended_us": wall(attempt.intended_us),
                "sent_us": wall(attempt.sent_us),
                "received_us": wall(attempt.received_us),
                "sale": form.sale,
                "sku": form.sku,
                "buyer": form.crowd.buyer(attempt.ask),
                "quantity": form.quantity,
                "key": form.crowd.key(attempt.ask),
                "status": attempt.status,
                "retry_after": attempt.retry_after,
            });
            let verdict = serde_json::to_value(&attempt.verdict)?;
            if let (Some(line), serde_json::Value::Object(verdict)) =
                (line.as_object_mut(), verdict)
            {
                line.extend(verdict);
            }
            writeln!(file, "{line}")?;
        }
        Ok(())
    }
}

impl Recorder for History {
    fn record(&mut self, timing: Timing, outcome: Result<Answer<'_>, Broken>) {
        self.tally.record(timing, outcome);
        let since = |at: Instant| {
            u64::try_from(at.saturating_duration_since(self.began).as_micros()).unwrap_or(u64::MAX)
        };
        self.attempts.push(Attempt {
            ask: timing.ask,
            intended_us: since(timing.intended),
            sent_us: since(timing.sent),
            received_us: since(timing.received),
            status: outcome.map_or(0, |answer| answer.status),
            retry_after: outcome.ok().and_then(|answer| answer.retry_after),
            verdict: Verdict::of(outcome),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fate(verdicts: &[Verdict]) -> Fate {
        let mut fate = Fate::default();
        verdicts.iter().for_each(|verdict| fate.learn(verdict));
        fate
    }

    fn accepted(ticket: &str) -> Verdict {
        Verdict::Accepted { ticket: ticket.into(), replayed: true }
    }

    fn refused(code: &'static str) -> Verdict {
        Verdict::Refused { code: code.into() }
    }

    const CUT: Verdict = Verdict::Unknown { code: None, broken: Some(Broken::Reset) };

    #[test]
    fn a_doubt_ends_with_a_ticket_or_a_final_no_and_not_with_a_busy_signal() {
        assert!(fate(&[CUT]).open);
        assert!(fate(&[CUT, refused("backlog_full")]).open);
        assert!(!fate(&[CUT, refused("sold_out")]).open);
        assert!(!fate(&[CUT, accepted("t")]).open);
        assert!(!fate(&[refused("backlog_full")]).open);
        assert!(!fate(&[accepted("t"), CUT]).open);
    }

    #[test]
    fn who_is_turned_away_is_not_served_yet() {
        assert!(fate(&[refused("ledger_unavailable")]).turned_away);
        assert!(fate(&[CUT, refused("backlog_full")]).turned_away);
        assert!(!fate(&[refused("stopping"), accepted("t")]).turned_away);
        assert!(!fate(&[accepted("t"), refused("rate_limited")]).turned_away);
        assert!(!fate(&[refused("overloaded"), refused("sold_out")]).turned_away);
    }

    #[test]
    fn a_second_ticket_and_a_forgotten_one_are_seen() {
        assert_eq!(fate(&[accepted("t"), accepted("t")]).tickets.len(), 1);
        assert_eq!(fate(&[accepted("t"), accepted("u")]).tickets.len(), 2);
        assert_eq!(
            fate(&[accepted("t"), refused("sold_out")]).forgotten.as_deref(),
            Some("sold_out")
        );
        assert_eq!(fate(&[accepted("t"), refused("rate_limited")]).forgotten, None);
    }
}
