//! Buyers who are refused, and who ask again at once where that is looked at.

use std::collections::VecDeque;
use std::time::Instant;

use crate::clock;
use crate::drive::{Recorder, Shared, Timing, look};
use crate::tally::Tally;
use crate::wire::{Answer, Broken};

const ACCEPTED: u16 = 202;

/// The times of accepted orders, and who was refused and has not asked again.
#[derive(Debug, Default)]
pub(super) struct Retrying {
    pub(super) accepted: Tally,
    /// All answers.
    pub(super) answers: u64,
    refused: VecDeque<u64>,
}

impl Recorder for Retrying {
    fn record(&mut self, timing: Timing, outcome: Result<Answer<'_>, Broken>) {
        let Ok(answer) = outcome else { return };
        self.answers += 1;
        if answer.status == ACCEPTED {
            self.accepted.record(timing, Ok(answer));
        } else {
            self.refused.push_back(timing.ask);
        }
    }
}

/// New buyers until then; with `again`, those who were refused before them.
pub(super) fn asks(
    recorder: &Shared<Retrying>,
    again: bool,
    until: Instant,
) -> impl Iterator<Item = u64> + Send + use<> {
    let recorder = recorder.clone();
    let mut new = 0..;
    std::iter::from_fn(move || {
        let refused = if again { look(&recorder).refused.pop_front() } else { None };
        refused.or_else(|| new.next())
    })
    .take_while(move |_| clock::now() < until)
}
