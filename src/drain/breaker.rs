//! Stops asking a store that is away, and finds out with single orders when it is back.
//!
//! # closed → open
//! After [`FAILURES`] calls in a row in which the store answered for no order.
//! # open → half-open
//! After a pause that doubles with each probe that failed. Then one probe at a time.
//! # half-open → closed
//! When the store answers a probe, whatever it answers.
//! # half-open → open
//! When it does not.

use std::time::Duration;

use super::backoff::{Backoff, Jitter};

/// Calls in a row that the store may leave unanswered.
pub(super) const FAILURES: u32 = 5;

/// The longest pause between two probes: what a store that is back waits at most.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// What a call of the store tells about the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It answered for at least one order.
    Answered,
    /// It answered for none, but it could be asked.
    Unclear,
    /// It is not there, or not usable.
    Away,
}

/// What may be asked of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum May {
    /// Anything.
    Any,
    /// One order, and then nothing until its call has an answer.
    Probe,
    /// Nothing before this instant.
    After(Duration),
    /// Nothing until the probe has an answer.
    Probing,
}

/// The breaker's state, for the metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Name {
    Closed,
    Open,
    HalfOpen,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Closed { failures: u32 },
    Open { until: Duration },
    HalfOpen { probing: bool },
}

/// Written by the rounds, read by the granter; instants are monotonic time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Breaker {
    state: State,
    probes_failed: u32,
    pause: Backoff,
}

impl Breaker {
    /// Closed. `retry` bounds the pauses.
    pub(super) fn new(retry: Backoff) -> Self {
        let pause = Backoff { base: retry.base, cap: retry.cap.min(PAUSE_MAX) };
        Self { state: State::Closed { failures: 0 }, probes_failed: 0, pause }
    }

    pub(super) fn name(&self) -> Name {
        match self.state {
            State::Closed { .. } => Name::Closed,
            State::Open { .. } => Name::Open,
            State::HalfOpen { .. } => Name::HalfOpen,
        }
    }

    /// What may be asked at `now`. [`May::Probe`] is a promise to report with `probe` set, or
    /// [`Self::probe_unused`].
    pub(super) fn may(&mut self, now: Duration) -> May {
        match self.state {
            State::Closed { .. } => May::Any,
            State::Open { until } if now < until => May::After(until),
            State::HalfOpen { probing: true } => May::Probing,
            State::Open { .. } | State::HalfOpen { probing: false } => {
                self.state = State::HalfOpen { probing: false };
                May::Probe
            }
        }
    }

    /// The probe that was allowed is under way.
    pub(super) fn probe_begins(&mut self) {
        self.state = State::HalfOpen { probing: true };
    }

    /// The probe found no order to try, or was not started: another may be sent.
    pub(super) fn probe_unused(&mut self) {
        if let State::HalfOpen { .. } = self.state {
            self.state = State::HalfOpen { probing: false };
        }
    }

    /// A call came back.
    pub(super) fn heard(
        &mut self,
        verdict: Verdict,
        probe: bool,
        now: Duration,
        jitter: &mut Jitter,
    ) {
        match (self.state, verdict) {
            (State::HalfOpen { .. }, Verdict::Away) if probe => self.open(now, jitter),
            (State::HalfOpen { .. }, _) if probe => {
                self.probes_failed = 0;
                self.state = State::Closed { failures: 0 };
            }
            (State::Closed { .. }, Verdict::Answered) => {
                self.state = State::Closed { failures: 0 };
            }
            (State::Closed { failures }, Verdict::Away) if failures + 1 >= FAILURES => {
                self.open(now, jitter);
            }
            (State::Closed { failures }, Verdict::Away) => {
                self.state = State::Closed { failures: failures + 1 };
            }
            // Calls that began before it opened say nothing about the store now.
            (State::Closed { .. } | State::Open { .. } | State::HalfOpen { .. }, _) => {}
        }
    }

    fn open(&mut self, now: Duration, jitter: &mut Jitter) {
        let until = now + self.pause.half(self.probes_failed, jitter);
        self.probes_failed = self.probes_failed.saturating_add(1);
        self.state = State::Open { until };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn breaker() -> (Breaker, Jitter) {
        let retry = Backoff { base: Duration::from_millis(200), cap: 30 * SECOND };
        (Breaker::new(retry), Jitter::seeded(1))
    }

    fn opened() -> (Breaker, Jitter) {
        let (mut breaker, mut jitter) = breaker();
        for _ in 0..FAILURES {
            assert_eq!(breaker.may(SECOND), May::Any);
            breaker.heard(Verdict::Away, false, SECOND, &mut jitter);
        }
        (breaker, jitter)
    }

    #[test]
    fn it_opens_only_on_failures_in_a_row() {
        let (mut breaker, mut jitter) = breaker();
        for _ in 0..100 {
            for _ in 1..FAILURES {
                breaker.heard(Verdict::Away, false, SECOND, &mut jitter);
            }
            breaker.heard(Verdict::Answered, false, SECOND, &mut jitter);
        }
        assert_eq!(breaker.name(), Name::Closed);
        assert_eq!(opened().0.name(), Name::Open);
    }

    #[test]
    fn open_lets_one_probe_through_after_its_pause() {
        let (mut breaker, mut jitter) = opened();
        let May::After(until) = breaker.may(SECOND) else { panic!("it must wait") };
        assert!(until >= SECOND + Duration::from_millis(100), "{until:?}");
        assert!(until <= SECOND + Duration::from_millis(200), "{until:?}");
        assert_eq!(breaker.may(until), May::Probe);
        breaker.probe_begins();
        assert_eq!(breaker.may(until), May::Probing, "one at a time");
        breaker.heard(Verdict::Answered, false, until, &mut jitter);
        assert_eq!(breaker.may(until), May::Probing, "an older call decides nothing");
        breaker.probe_unused();
        assert_eq!(breaker.may(until), May::Probe, "the probe was not used");
        breaker.probe_begins();
        breaker.heard(Verdict::Answered, true, until, &mut jitter);
        assert_eq!(breaker.may(until), May::Any);
    }

    #[test]
    fn probes_that_fail_grow_the_pause_up_to_its_bound() {
        let (mut breaker, mut jitter) = opened();
        let mut now = SECOND;
        let mut pauses = Vec::new();
        for _ in 0..12 {
            let May::After(until) = breaker.may(now) else { panic!("it must wait") };
            pauses.push(until - now);
            now = until;
            assert_eq!(breaker.may(now), May::Probe);
            breaker.probe_begins();
            breaker.heard(Verdict::Away, true, now, &mut jitter);
        }
        assert!(pauses.iter().all(|pause| *pause <= PAUSE_MAX), "{pauses:?}");
        assert!(pauses[11] >= PAUSE_MAX / 2, "{pauses:?}");
        let (mut again, mut jitter) = (breaker, jitter);
        let May::After(until) = again.may(now) else { panic!("it must wait") };
        assert_eq!(again.may(until), May::Probe);
        again.probe_begins();
        again.heard(Verdict::Unclear, true, until, &mut jitter);
        assert_eq!(again.name(), Name::Closed, "it could be asked: it is there");
        for _ in 0..FAILURES {
            again.heard(Verdict::Away, false, until, &mut jitter);
        }
        let May::After(next) = again.may(until) else { panic!("it must wait") };
        assert!(next - until <= Duration::from_millis(200), "the pause began anew");
    }
}
