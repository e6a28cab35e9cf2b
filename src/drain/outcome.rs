//! From what the store answered to what the ledger is told. Pure.
//!
//! Nothing but an answer of the store refuses an order (S2), and nothing but answers about this very order
//! spends its attempts.

use std::time::Duration;

use super::adaptive::Said;
use super::backoff::{Backoff, Jitter};
use super::breaker::Verdict;
use crate::ledger::Fate;
use crate::store::{Found, Later, LaterCause, Placement};

/// The reason of an order whose ticket was voided at the store.
const VOIDED: &str = "voided";

/// The reason of an order whose attempts are spent.
const SPENT: &str = "attempts";

/// The reason of an order of which the store cannot tell what became.
const CONFLICT: &str = "conflict";

/// The label of orders of which the store does not know what became.
pub(super) const IN_DOUBT: &str = "in_doubt";

/// The label of orders whose attempt had no answer in time.
pub(super) const TIMED_OUT: &str = "timeout";

/// What became of an attempt, once it was asked about where that was needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The store has the order.
    Placed(String),
    /// The store will never have it.
    Refused(String),
    /// Nothing happened.
    Later(Later),
    /// It may have happened, or may happen yet.
    Doubt(Doubt),
    /// It may have happened, and the store will not say more.
    Conflict(String),
}

/// Why nobody knows what became of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Doubt {
    pub(super) why: Why,
    /// What was seen.
    pub(super) reason: String,
    /// The store was asked since, and has nothing.
    pub(super) not_there: bool,
}

/// What left the doubt; the metric's label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// The store said that it does not know.
    InDoubt,
    /// No answer within the attempt's time.
    TimedOut,
    /// The store's code broke.
    Panicked,
}

impl Answer {
    pub(super) fn doubt(why: Why, reason: impl Into<String>) -> Self {
        Self::Doubt(Doubt { why, reason: reason.into(), not_there: false })
    }

    /// What the store answered when it was asked about a doubt.
    pub(super) fn found(&mut self, found: Found) {
        let Self::Doubt(doubt) = self else { return };
        match found {
            Found::Placed { order_no } => *self = Self::Placed(order_no),
            Found::Refused { reason } => *self = Self::Refused(reason),
            Found::Voided => *self = Self::Refused(VOIDED.to_owned()),
            Found::NotThere => doubt.not_there = true,
            Found::Unknown { .. } => {}
        }
    }

    /// Asking the store may tell more.
    pub(super) fn is_open(&self) -> bool {
        matches!(self, Self::Doubt(doubt) if !doubt.not_there)
    }

    /// The label of an order that goes back; `None` when it does not.
    pub(super) fn retry_label(&self) -> Option<&'static str> {
        match self {
            Self::Placed(_) | Self::Refused(_) | Self::Conflict(_) => None,
            Self::Later(later) => Some(later.cause.name()),
            Self::Doubt(doubt) => Some(match doubt.why {
                Why::InDoubt | Why::Panicked => IN_DOUBT,
                Why::TimedOut => TIMED_OUT,
            }),
        }
    }
}

impl From<Placement> for Answer {
    fn from(placement: Placement) -> Self {
        match placement {
            Placement::Placed { order_no } => Self::Placed(order_no),
            Placement::Refused { reason } => Self::Refused(reason),
            Placement::Voided => Self::Refused(VOIDED.to_owned()),
            Placement::Later(later) => Self::Later(later),
            Placement::InDoubt { reason } => Self::doubt(Why::InDoubt, reason),
            Placement::Conflict { reason } => Self::Conflict(reason),
        }
    }
}

/// What the answers of one call tell about the store.
pub(super) fn verdict(answers: &[Answer]) -> Verdict {
    let answered = answers.iter().any(|answer| match answer {
        Answer::Placed(_) | Answer::Refused(_) | Answer::Conflict(_) => true,
        Answer::Later(later) => later.cause == LaterCause::ThisOrder,
        Answer::Doubt(_) => false,
    });
    let away = answers.iter().any(|answer| match answer {
        Answer::Later(_) => true,
        Answer::Doubt(doubt) => doubt.why == Why::TimedOut || !doubt.not_there,
        Answer::Placed(_) | Answer::Refused(_) | Answer::Conflict(_) => false,
    });
    match (answered, away) {
        (true, _) => Verdict::Answered,
        (false, true) => Verdict::Away,
        (false, false) => Verdict::Unclear,
    }
}

/// What the answers of one call tell about the store's load. Answers about an order tell nothing, nor do wrong rights.
pub(super) fn said(answers: &[Answer]) -> Said {
    let mut said = Said::default();
    for answer in answers {
        match answer {
            Answer::Placed(_) | Answer::Refused(_) => said.decided += 1,
            Answer::Later(later) if later.cause == LaterCause::StoreAway => said.failed += 1,
            Answer::Doubt(doubt) if doubt.why != Why::Panicked => said.failed += 1,
            Answer::Later(_) | Answer::Doubt(_) | Answer::Conflict(_) => {}
        }
    }
    said
}

/// Tries of an order before this one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tries {
    /// Attempts spent: answers about this order.
    pub(super) attempts: u32,
    /// Claims.
    pub(super) claims: u32,
}

/// `[retry]`, as the outcomes go by it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    pub(super) attempts: u32,
    pub(super) backoff: Backoff,
    /// While the store is away: not before its next probe, so that another order goes first.
    pub(super) not_within: Duration,
}

/// What the ledger is told of an order.
pub(super) fn fate(answer: Answer, tries: Tries, rules: Rules, jitter: &mut Jitter) -> Fate {
    let mut later = |count, least: Duration, reason, spends| Fate::Later {
        after: rules.backoff.full(count, jitter).max(least),
        reason,
        spends,
    };
    match answer {
        Answer::Placed(order_no) => Fate::Placed { order_no },
        Answer::Refused(reason) => Fate::Refused { reason },
        Answer::Later(Later { cause: LaterCause::ThisOrder, reason, after }) => {
            if tries.attempts + 1 >= rules.attempts {
                Fate::Dead { reason: SPENT.to_owned(), seen: Some(reason) }
            } else {
                later(tries.attempts, after.unwrap_or_default(), reason, true)
            }
        }
        Answer::Later(Later { reason, after, .. }) => {
            let least = rules.not_within.max(after.unwrap_or_default());
            later(tries.claims, least, reason, false)
        }
        Answer::Conflict(seen) => Fate::Dead { reason: CONFLICT.to_owned(), seen: Some(seen) },
        Answer::Doubt(doubt) => later(tries.claims, rules.not_within, doubt.reason, false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn later(cause: LaterCause, after: Option<Duration>) -> Answer {
        Placement::Later(Later { cause, reason: "seen".to_owned(), after }).into()
    }

    fn in_doubt() -> Answer {
        Placement::InDoubt { reason: "cut".to_owned() }.into()
    }

    fn asked(found: Found) -> Answer {
        let mut answer = in_doubt();
        answer.found(found);
        answer
    }

    fn told(answer: Answer, attempts: u32) -> Fate {
        let backoff = Backoff { base: SECOND, cap: 8 * SECOND };
        let rules = Rules { attempts: 3, backoff, not_within: 5 * SECOND };
        fate(answer, Tries { attempts, claims: 9 }, rules, &mut Jitter::seeded(3))
    }

    #[test]
    fn only_the_store_refuses_and_only_answers_about_the_order_spend() {
        use LaterCause::{Misconfigured, StoreAway, ThisOrder};
        let placed = Fate::Placed { order_no: "7".to_owned() };
        let order_no = "7".to_owned();
        assert_eq!(told(Placement::Placed { order_no: order_no.clone() }.into(), 0), placed);
        assert_eq!(told(asked(Found::Placed { order_no }), 0), placed);
        let refused = |reason: &str| Fate::Refused { reason: reason.to_owned() };
        let reason = "no".to_owned();
        assert_eq!(told(Placement::Refused { reason: reason.clone() }.into(), 0), refused("no"));
        assert_eq!(told(asked(Found::Refused { reason }), 0), refused("no"));
        assert_eq!(told(Placement::Voided.into(), 0), refused("voided"));
        assert_eq!(told(asked(Found::Voided), 0), refused("voided"));
        let conflict = Placement::Conflict { reason: "409".to_owned() }.into();
        let dead = |reason: &str, seen: &str| Fate::Dead {
            reason: reason.to_owned(),
            seen: Some(seen.to_owned()),
        };
        assert_eq!(told(conflict, 0), dead("conflict", "409"));
        for (answer, attempts, spent) in [
            (later(ThisOrder, None), 0, Some(true)),
            (later(ThisOrder, None), 1, Some(true)),
            (later(ThisOrder, None), 2, None),
            (later(StoreAway, None), 99, Some(false)),
            (later(Misconfigured, None), 99, Some(false)),
            (in_doubt(), 99, Some(false)),
            (asked(Found::NotThere), 99, Some(false)),
            (asked(Found::Unknown { reason: String::new() }), 99, Some(false)),
            (Answer::doubt(Why::TimedOut, "late"), 99, Some(false)),
        ] {
            let fate = told(answer.clone(), attempts);
            match (&fate, spent) {
                (Fate::Later { spends, .. }, Some(spent)) => assert_eq!(*spends, spent),
                (Fate::Dead { .. }, None) => assert_eq!(fate, dead("attempts", "seen")),
                _ => panic!("{answer:?} became {fate:?}"),
            }
        }
    }

    #[test]
    fn the_wait_keeps_to_what_the_store_asks_for() {
        let after = |answer| match told(answer, 0) {
            Fate::Later { after, .. } => after,
            fate => panic!("{fate:?}"),
        };
        assert!(after(later(LaterCause::ThisOrder, None)) <= SECOND, "its first try");
        assert!(after(later(LaterCause::StoreAway, None)) >= 5 * SECOND, "not before the probe");
        assert_eq!(after(later(LaterCause::StoreAway, Some(60 * SECOND))), 60 * SECOND);
    }

    #[test]
    fn only_what_a_store_says_under_load_counts_against_it() {
        let answers = [
            Answer::Placed("7".to_owned()),
            Answer::Refused("no".to_owned()),
            later(LaterCause::ThisOrder, None),
            later(LaterCause::Misconfigured, None),
            later(LaterCause::StoreAway, None),
            in_doubt(),
            Answer::doubt(Why::TimedOut, "late"),
            Answer::doubt(Why::Panicked, "broken"),
        ];
        assert_eq!(super::said(&answers), Said { decided: 2, failed: 3 });
    }

    #[test]
    fn one_answer_shows_that_the_store_is_there() {
        let placed = || Answer::Placed("7".to_owned());
        let late = || Answer::doubt(Why::TimedOut, "late");
        let away = || later(LaterCause::StoreAway, None);
        for (answers, expected) in [
            (vec![away(), placed(), late()], Verdict::Answered),
            (vec![away(), later(LaterCause::ThisOrder, None)], Verdict::Answered),
            (vec![asked(Found::Voided)], Verdict::Answered),
            (vec![Answer::Conflict(String::new())], Verdict::Answered),
            (vec![away()], Verdict::Away),
            (vec![later(LaterCause::Misconfigured, None)], Verdict::Away),
            (vec![late()], Verdict::Away),
            (vec![in_doubt()], Verdict::Away),
            (vec![asked(Found::NotThere)], Verdict::Unclear),
        ] {
            assert_eq!(verdict(&answers), expected, "{answers:?}");
        }
    }
}
