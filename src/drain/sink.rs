//! What all rounds together know of the store: whether it answers, and whether it asked for a pause.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use metrics::{Gauge, gauge};

use super::backoff::{Backoff, Jitter};
use super::breaker::{Breaker, May, Name, Verdict};
use crate::metrics::BREAKER_STATE;

/// The longest pause that a store may ask for: a mistaken `Retry-After` must not end a sale.
const PAUSE_MAX: Duration = Duration::from_secs(300);

/// What one call of the store tells about the store.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) verdict: Verdict,
    /// The call was the breaker's probe.
    pub(super) probe: bool,
    /// The store asked not to be called for so long.
    pub(super) pause: Option<Duration>,
    /// What was seen, when it was not an answer.
    pub(super) reason: Option<String>,
    /// Rights or schema are wrong.
    pub(super) misconfigured: bool,
}

#[derive(Debug)]
struct State {
    breaker: Breaker,
    jitter: Jitter,
    not_before: Duration,
    misconfigured: Option<String>,
    away: Option<String>,
}

/// Written by the rounds, read by the granter and by readiness. Instants are monotonic time.
pub(super) struct Sink {
    state: Mutex<State>,
    gauges: [(Name, Gauge); 3],
}

impl fmt::Debug for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sink").field("state", &self.state).finish_non_exhaustive()
    }
}

impl Sink {
    pub(super) fn new(retry: Backoff, jitter: Jitter) -> Self {
        let of = |name, state: &'static str| {
            (name, gauge!(BREAKER_STATE, "target" => "store", "state" => state))
        };
        let gauges =
            [of(Name::Closed, "closed"), of(Name::Open, "open"), of(Name::HalfOpen, "half_open")];
        let breaker = Breaker::new(retry);
        let state =
            State { breaker, jitter, not_before: Duration::ZERO, misconfigured: None, away: None };
        let sink = Self { state: Mutex::new(state), gauges };
        sink.show(Name::Closed);
        sink
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn show(&self, now: Name) {
        for (name, gauge) in &self.gauges {
            gauge.set(if *name == now { 1.0 } else { 0.0 });
        }
    }

    /// Changes the breaker, and shows and logs its state when that is another one.
    fn turn<T>(&self, state: &mut State, change: impl FnOnce(&mut State) -> T) -> T {
        let before = state.breaker.name();
        let answer = change(state);
        let after = state.breaker.name();
        if before != after {
            self.show(after);
            let reason = state.misconfigured.as_ref().or(state.away.as_ref());
            match after {
                Name::Open if before == Name::Closed => {
                    tracing::warn!(reason, "the store is away: the drain waits and probes");
                }
                Name::Closed => tracing::info!("the store is back"),
                Name::Open | Name::HalfOpen => {}
            }
        }
        answer
    }

    /// What may be asked of the store at `now`.
    pub(super) fn may(&self, now: Duration) -> May {
        let mut state = self.lock();
        if now < state.not_before {
            return May::After(state.not_before);
        }
        self.turn(&mut state, |state| state.breaker.may(now))
    }

    /// The probe that was allowed is under way.
    pub(super) fn probe_begins(&self) {
        self.lock().breaker.probe_begins();
    }

    /// The probe came to nothing that tells of the store.
    pub(super) fn probe_unused(&self) {
        self.lock().breaker.probe_unused();
    }

    /// A call came back.
    pub(super) fn heard(&self, report: Report, now: Duration) {
        let mut state = self.lock();
        let state = &mut *state;
        if report.verdict == Verdict::Away {
            let text =
                if report.misconfigured { &mut state.misconfigured } else { &mut state.away };
            *text = report.reason;
        } else {
            (state.misconfigured, state.away) = (None, None);
        }
        if let Some(pause) = report.pause {
            state.not_before = state.not_before.max(now + pause.min(PAUSE_MAX));
        }
        self.turn(state, |state| {
            state.breaker.heard(report.verdict, report.probe, now, &mut state.jitter);
        });
    }

    /// How long an order that could not be tried must stay away, so that the next probe takes another one.
    pub(super) fn not_within(&self, now: Duration) -> Duration {
        match self.lock().breaker.clone().may(now) {
            May::After(until) => until.saturating_sub(now).mul_f64(1.25) + Duration::from_millis(5),
            May::Any | May::Probe | May::Probing => Duration::ZERO,
        }
    }

    /// Orders may be tried by anybody, not only by a probe.
    pub(super) fn is_closed(&self) -> bool {
        self.lock().breaker.name() == Name::Closed
    }

    /// What an operator should know: the store is away or cannot be used.
    pub(super) fn trouble(&self) -> Option<String> {
        let state = self.lock();
        let reason = state.away.as_deref().unwrap_or("no answer");
        match (&state.misconfigured, state.breaker.name()) {
            (Some(reason), _) => Some(format!("store_misconfigured: {reason}")),
            (None, Name::Open | Name::HalfOpen) => Some(format!("the store is away: {reason}")),
            (None, Name::Closed) => None,
        }
    }
}
