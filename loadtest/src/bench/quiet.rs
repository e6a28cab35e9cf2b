//! Which rounds count on a machine that others use too: beside each turn stands what they did meanwhile.

use std::time::Instant;

use crate::clock;
use crate::cpu::{cpu_time, machine_busy};

/// Cores that processes which are not ours may use in a turn that counts as quiet.
const QUIET: f64 = 0.15;

/// Whether so many cores of others leave a turn undisturbed.
pub(super) fn is_quiet(others: f64) -> bool {
    others < QUIET
}

/// All but our processes, from now on.
pub(super) struct Others {
    ours: Vec<u32>,
    began: Instant,
    /// CPU seconds.
    before: f64,
}

impl Others {
    pub(super) fn since_now(ours: Vec<u32>) -> anyhow::Result<Self> {
        let before = used(&ours)?;
        Ok(Self { ours, began: clock::now(), before })
    }

    /// Cores that they used since then.
    pub(super) fn cores(&self) -> anyhow::Result<f64> {
        let took = (clock::now() - self.began).as_secs_f64();
        Ok((used(&self.ours)? - self.before) / took)
    }
}

fn used(ours: &[u32]) -> anyhow::Result<f64> {
    Ok(machine_busy()?.as_secs_f64() - cpu_time(ours)?.as_secs_f64())
}

/// Turns of a peer, each beside the yardstick's of the same round: the rounds in which neither was disturbed, or all
/// of them when there is none; and how many were quiet.
pub(super) fn counted<T: Copy>(
    turns: &[T],
    yardstick: &[T],
    others: fn(&T) -> f64,
) -> (Vec<(T, T)>, usize) {
    let pairs: Vec<(T, T)> = turns.iter().copied().zip(yardstick.iter().copied()).collect();
    let undisturbed =
        |(turn, yardstick): &(T, T)| is_quiet(others(turn)) && is_quiet(others(yardstick));
    let quiet: Vec<(T, T)> = pairs.iter().copied().filter(undisturbed).collect();
    let count = quiet.len();
    (if quiet.is_empty() { pairs } else { quiet }, count)
}
