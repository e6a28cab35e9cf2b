//! What is still to be sent, and when: arrivals as the plan has them, and what buyers come back for.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::arrivals::{Arrival, Arrivals, Due};
use crate::alarm::Alarm;
use crate::clock;

/// One thing that a buyer does on a connection.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Errand {
    /// When it should be sent.
    pub(super) due: Instant,
    pub(super) ask: u64,
    pub(super) what: What,
}

/// What he does.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum What {
    /// He orders: how often he did before, and whether it is unknown what became of that.
    Order { before: u32, doubt: bool },
    /// He asks how his order stands.
    Poll { ticket: Box<str> },
    /// He cancels it.
    Cancel { ticket: Box<str> },
}

/// All that is still to be sent. Connections take from it in turn: who holds the turnstile waits until the
/// next errand is due, so that one alarm serves all.
#[derive(Debug)]
pub(super) struct Errands {
    start: Instant,
    patience: Duration,
    turnstile: tokio::sync::Mutex<Turnstile>,
    later: Mutex<BinaryHeap<Reverse<Errand>>>,
    /// Something came that may be due before what is waited for, or the last one went.
    stir: Notify,
    /// Errands that are out or to come, arrivals not counted.
    alive: AtomicU64,
    exhausted: AtomicBool,
    over: AtomicBool,
    dropped: AtomicU64,
}

#[derive(Debug)]
struct Turnstile {
    arrivals: Arrivals,
    next: Option<Arrival>,
    alarm: Alarm,
}

impl Errands {
    /// All arrivals, from `start` on. An order that could not be sent within `patience` is dropped: its buyer left.
    pub(super) fn new(arrivals: Arrivals, start: Instant, patience: Duration) -> Self {
        let turnstile = Turnstile { arrivals, next: None, alarm: Alarm::default() };
        Self {
            start,
            patience,
            turnstile: tokio::sync::Mutex::new(turnstile),
            later: Mutex::default(),
            stir: Notify::new(),
            alive: AtomicU64::new(0),
            exhausted: AtomicBool::new(false),
            over: AtomicBool::new(false),
            dropped: AtomicU64::new(0),
        }
    }

    /// A buyer comes back at `errand.due`.
    pub(super) fn push(&self, errand: Errand) {
        self.alive.fetch_add(1, Ordering::Relaxed);
        let mut later = self.later();
        let first = later.peek().is_none_or(|first| errand.due < first.0.due);
        later.push(Reverse(errand));
        if first {
            self.stir.notify_one();
        }
    }

    /// Somebody is out who is no errand here: he waits on a connection of his own.
    pub(super) fn went(&self) {
        self.alive.fetch_add(1, Ordering::Relaxed);
    }

    /// An errand is done, or somebody came home.
    pub(super) fn done(&self) {
        if self.alive.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.stir.notify_one();
        }
    }

    /// Buyers who are out or will come back.
    pub(super) fn alive(&self) -> u64 {
        self.alive.load(Ordering::Relaxed)
    }

    /// Nothing more is sent.
    pub(super) fn end(&self) {
        self.over.store(true, Ordering::Relaxed);
        self.stir.notify_one();
    }

    pub(super) fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// Whether all who were to come have come.
    pub(super) fn is_exhausted(&self) -> bool {
        self.exhausted.load(Ordering::Relaxed)
    }

    /// Orders that no connection was free for in time, or that nobody was left to send.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Counts the arrivals that nobody is left to send.
    pub(super) async fn give_up(&self) {
        let mut turnstile = self.turnstile.lock().await;
        let elapsed = Duration::MAX;
        let waiting = u64::from(turnstile.next.take().is_some());
        let mut left = waiting;
        while turnstile.arrivals.next(elapsed).is_some() {
            left += 1;
        }
        self.dropped.fetch_add(left, Ordering::Relaxed);
    }

    /// The next errand, at the time at which it is due. `None` when there will be none.
    pub(super) async fn next(&self) -> Option<Errand> {
        let mut turnstile = self.turnstile.lock().await;
        let Turnstile { arrivals, next, alarm } = &mut *turnstile;
        loop {
            if self.is_over() {
                return None;
            }
            let now = clock::now();
            if next.is_none() {
                *next = arrivals.next(now - self.start);
                if next.is_none() {
                    self.exhausted.store(true, Ordering::Relaxed);
                }
            }
            let arrives = next.as_ref().map(|arrival| match arrival.due {
                Due::At(after) => self.start + after,
                Due::WhenFree => now,
            });
            let returns = self.later().peek().map(|first| first.0.due);
            let soonest = match (arrives, returns) {
                (Some(arrives), Some(returns)) => arrives.min(returns),
                (Some(soonest), None) | (None, Some(soonest)) => soonest,
                (None, None) if self.alive.load(Ordering::Relaxed) == 0 => {
                    self.end();
                    return None;
                }
                (None, None) => {
                    self.stir.notified().await;
                    continue;
                }
            };
            if soonest > now {
                tokio::select! {
                    () = alarm.until(soonest) => {}
                    () = self.stir.notified() => continue,
                }
            }
            if returns == Some(soonest) {
                return self.later().pop().map(|first| first.0);
            }
            let Some(Arrival { ask, .. }) = next.take() else { continue };
            if clock::now().saturating_duration_since(soonest) > self.patience {
                self.dropped.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            self.alive.fetch_add(1, Ordering::Relaxed);
            return Some(Errand {
                due: soonest,
                ask,
                what: What::Order { before: 0, doubt: false },
            });
        }
    }

    fn later(&self) -> std::sync::MutexGuard<'_, BinaryHeap<Reverse<Errand>>> {
        self.later.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
