//! What a buyer who follows his order is told, document by document, and whether that can be true: a position
//! never grows, a state is never left for one that comes before it, what is terminal stays.

use std::collections::HashMap;
use std::time::Duration;

use serde::Deserialize;

/// What is read of a ticket's document, and of the answer to an order.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Document {
    pub(crate) state: String,
    pub(crate) position: Option<u64>,
    pub(crate) poll_after_ms: Option<u64>,
}

impl Document {
    /// When the buyer is told to ask again.
    pub(crate) fn poll_after(&self) -> Option<Duration> {
        self.poll_after_ms.map(Duration::from_millis)
    }

    /// Whether nothing more will come.
    pub(crate) fn ended(&self) -> bool {
        is_terminal(&self.state)
    }
}

/// What an order is while its fate is still to come.
const WAITING: [&str; 3] = ["queued", "placing", "delayed"];
/// What an order ends in; with a payment window `placed` is not yet the end.
const TERMINAL: [&str; 6] = ["placed", "paid", "refused", "cancelled", "expired", "lost"];

/// One order that is followed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Trail {
    /// The receipt.
    pub(crate) ticket: Box<str>,
    /// The last state that was told.
    pub(crate) state: String,
    /// The last position that was told.
    pub(crate) position: Option<u64>,
    /// When the last of this was told, in microseconds from the beginning.
    pub(crate) told_us: u64,
    /// When it was accepted, in microseconds from the beginning.
    pub(crate) accepted_us: u64,
    /// The buyer asked to cancel, and this was the answer.
    pub(crate) cancelled: Option<bool>,
}

/// Whether an order stays what it is, but for a payment.
pub(crate) fn is_terminal(state: &str) -> bool {
    TERMINAL.contains(&state)
}

/// The time between which a document was true.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    /// In microseconds from the beginning.
    pub(crate) sent_us: u64,
    pub(crate) answered_us: u64,
}

/// What cannot be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Oddity {
    /// A position grew.
    Grew {
        /// Whose.
        ticket: Box<str>,
        /// What it was.
        from: u64,
        /// What it then was.
        to: u64,
    },
    /// A state was followed by one that cannot follow it.
    Turned {
        /// Whose.
        ticket: Box<str>,
        /// What it was.
        from: String,
        /// What it then was.
        to: String,
        /// The first one was terminal.
        ended: bool,
    },
    /// A state that no order has.
    Unknown {
        /// Whose.
        ticket: Box<str>,
        /// What was said.
        state: String,
    },
    /// A ticket that was given is not known.
    Denied {
        /// Whose.
        ticket: Box<str>,
        /// The answer's status.
        status: u16,
    },
}

/// All orders that are followed, by ask.
#[derive(Debug, Default)]
pub(crate) struct Trails {
    of: HashMap<u64, Trail>,
    odd: Vec<(u64, Oddity)>,
}

impl Trails {
    /// What was told that cannot be, with the ask.
    pub(crate) fn odd(&self) -> &[(u64, Oddity)] {
        &self.odd
    }

    /// Every order that was followed.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&u64, &Trail)> {
        self.of.iter()
    }

    /// The trail of an ask.
    pub(crate) fn of(&self, ask: u64) -> Option<&Trail> {
        self.of.get(&ask)
    }

    /// Notes what became of a cancel.
    pub(crate) fn cancelled(&mut self, ask: u64, done: bool) {
        if let Some(trail) = self.of.get_mut(&ask) {
            trail.cancelled = Some(done);
        }
    }

    /// Notes that a ticket was not known.
    pub(crate) fn denied(&mut self, ask: u64, status: u16) {
        let ticket = self.of.get(&ask).map(|trail| trail.ticket.clone()).unwrap_or_default();
        self.odd.push((ask, Oddity::Denied { ticket, status }));
    }

    /// Notes the answer that accepted an order, or one that repeats it. True when it is the first.
    pub(crate) fn accepted(
        &mut self,
        ask: u64,
        ticket: &str,
        told: &Document,
        asked: Asked,
    ) -> bool {
        let first = !self.of.contains_key(&ask);
        if first {
            let accepted_us = asked.answered_us;
            let trail = Trail { ticket: ticket.into(), accepted_us, ..Trail::default() };
            self.of.insert(ask, trail);
        }
        self.see(ask, told, asked);
        first
    }

    /// Notes a document of a followed order. Only of two that were asked for one after the other it is known
    /// which was true first.
    pub(crate) fn see(&mut self, ask: u64, told: &Document, asked: Asked) {
        let Some(trail) = self.of.get_mut(&ask) else { return };
        if asked.sent_us < trail.told_us {
            return;
        }
        trail.told_us = asked.answered_us;
        let ticket = || trail.ticket.clone();
        if let Some(oddity) = odd_turn(&trail.state, &told.state, ticket) {
            self.odd.push((ask, oddity));
        }
        if let (Some(from), Some(to)) = (trail.position, told.position)
            && to > from
        {
            self.odd.push((ask, Oddity::Grew { ticket: ticket(), from, to }));
        }
        trail.state.clone_from(&told.state);
        if told.position.is_some() {
            trail.position = told.position;
        }
    }
}

fn odd_turn(from: &str, to: &str, ticket: impl Fn() -> Box<str>) -> Option<Oddity> {
    let known = |state: &str| WAITING.contains(&state) || is_terminal(state);
    if !known(to) {
        return Some(Oddity::Unknown { ticket: ticket(), state: to.to_owned() });
    }
    let may = match (from, to) {
        _ if from == to || from.is_empty() => true,
        // Without a payment window `placed` is the end; with one it is followed by its outcome.
        ("placed", "paid" | "expired") => true,
        ("delayed", "placing" | "refused" | "placed" | "lost") => true,
        // Several steps may lie between two looks.
        ("queued", _) => true,
        ("placing", "queued" | "cancelled") => false,
        ("placing", _) => true,
        _ => false,
    };
    let ended = is_terminal(from);
    let turned = || Oddity::Turned { ticket: ticket(), from: from.into(), to: to.into(), ended };
    (!may).then(turned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(state: &str, position: Option<u64>) -> Document {
        Document { state: state.into(), position, poll_after_ms: None }
    }

    fn odd(documents: &[(&str, Option<u64>)]) -> Vec<Oddity> {
        let mut trails = Trails::default();
        let at = |n: u64| Asked { sent_us: 10 * n, answered_us: 10 * n + 5 };
        let mut documents =
            (0..).zip(documents.iter().map(|(state, position)| told(state, *position)));
        assert!(trails.accepted(1, "t", &documents.next().unwrap().1, at(0)));
        documents.for_each(|(n, document)| trails.see(1, &document, at(n)));
        trails.odd().iter().map(|(_, oddity)| oddity.clone()).collect()
    }

    #[test]
    fn what_can_be_is_not_odd() {
        for documents in [
            &[("queued", Some(5)), ("queued", Some(5)), ("queued", Some(1)), ("placing", None)][..],
            &[("queued", Some(5)), ("placed", None), ("placed", None), ("paid", None)],
            &[("queued", None), ("cancelled", None)],
            &[("placing", None), ("delayed", None), ("placing", None), ("refused", None)],
        ] {
            assert_eq!(odd(documents), [], "{documents:?}");
        }
    }

    #[test]
    fn of_two_answers_at_the_same_time_neither_was_first() {
        let mut trails = Trails::default();
        let asked = |sent_us, answered_us| Asked { sent_us, answered_us };
        trails.accepted(1, "t", &told("queued", Some(3)), asked(0, 10));
        trails.see(1, &told("cancelled", None), asked(20, 30));
        trails.see(1, &told("queued", Some(2)), asked(25, 35));
        assert_eq!(trails.odd(), []);
        trails.see(1, &told("queued", Some(2)), asked(31, 40));
        assert_eq!(trails.odd().len(), 1);
    }

    #[test]
    fn what_cannot_be_is_named() {
        let grew = odd(&[("queued", Some(5)), ("queued", Some(6))]);
        assert_eq!(grew, [Oddity::Grew { ticket: "t".into(), from: 5, to: 6 }]);
        for (from, to, was_ended) in [
            ("placed", "refused", true),
            ("cancelled", "placed", true),
            ("refused", "queued", true),
            ("placing", "queued", false),
            ("placing", "cancelled", false),
        ] {
            let found = odd(&[(from, None), (to, None)]);
            assert!(
                matches!(&found[..], [Oddity::Turned { ended, .. }] if *ended == was_ended),
                "{from} {to}: {found:?}"
            );
        }
        assert!(matches!(odd(&[("queued", None), ("flying", None)])[..], [Oddity::Unknown { .. }]));
    }
}
