//! The one loop that sends orders. Who comes and until when (an iterator of asks), at what times
//! ([`Arrivals`]) and what is noted down ([`Recorder`]) are values given to it.
//!
//! Latency counts from the *intended* time of a send: a buyer who had to wait for a free connection
//! because the gateway was slow waited, whatever the socket saw. A generator that was itself too slow
//! to send spoils the run; it is counted as `late` and judged by the caller.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::alarm::Alarm;
use crate::clock;
use crate::form::OrderForm;
use crate::target::Target;
use crate::wire::{Answer, Broken, Wire};

/// Between two tries to connect while the gateway is away.
const RECONNECT_EVERY: Duration = Duration::from_millis(20);

/// When orders are due.
#[derive(Debug, Clone, Copy)]
pub enum Arrivals {
    /// Closed loop: as soon as a connection is free.
    WhenFree,
    /// Open loop: so many a second, evenly spread, whether answers come or not.
    PerSecond(f64),
}

impl Arrivals {
    fn intended(self, start: Instant, nth: u64, free: Instant) -> Instant {
        match self {
            Self::WhenFree => free,
            #[expect(clippy::cast_precision_loss, reason = "no run sends 2^52 orders")]
            Self::PerSecond(rate) => start + Duration::from_secs_f64(nth as f64 / rate),
        }
    }
}

/// The times of one attempt.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// Which ask was sent.
    pub ask: u64,
    /// When it should have been sent.
    pub intended: Instant,
    /// When it was.
    pub sent: Instant,
    /// When its answer was whole, or it was known that none would come.
    pub received: Instant,
}

/// Takes down what became of each attempt.
pub trait Recorder: Send + 'static {
    /// Called once an attempt, in the order in which they end.
    fn record(&mut self, timing: Timing, outcome: Result<Answer<'_>, Broken>);
}

/// How a run is driven.
#[derive(Debug, Clone)]
pub struct Drive {
    /// Where to.
    pub target: Target,
    /// What is asked.
    pub form: OrderForm,
    /// Connections, each carrying one order at a time.
    pub connections: usize,
    /// When orders are due.
    pub arrivals: Arrivals,
    /// How long an answer, or a connection, is waited for.
    pub patience: Duration,
    /// A send later than this, though a connection was free, is the generator's own fault.
    pub late_after: Duration,
}

/// How the generator itself did.
#[derive(Debug, Clone, Copy, Default)]
pub struct Driven {
    /// Orders sent.
    pub sends: u64,
    /// Sends that the generator was late with though a connection was free.
    pub late: u64,
    /// Sends that were due while every connection was busy: the gateway was slow, or they are too few.
    pub waited: u64,
    /// Connections that could not be made again within the patience; their share of asks went to others.
    pub connections_lost: usize,
    /// From the first to the last moment.
    pub elapsed: Duration,
}

impl Driven {
    /// Which share of the sends the generator was late with.
    #[expect(clippy::cast_precision_loss, reason = "a share needs no more than 52 bits")]
    pub fn late_share(&self) -> f64 {
        self.late as f64 / self.sends.max(1) as f64
    }
}

/// A recorder that can be looked at while the run goes on.
pub type Shared<R> = Arc<Mutex<R>>;

/// Wraps a recorder for a run.
pub fn shared<R>(recorder: R) -> Shared<R> {
    Arc::new(Mutex::new(recorder))
}

/// Locks a recorder. A panic in another holder is reported by its own task; the counts stay usable.
pub fn look<R>(recorder: &Mutex<R>) -> MutexGuard<'_, R> {
    recorder.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Run<R> {
    drive: Drive,
    start: Instant,
    /// A turnstile: who holds it waits until his order is due, so one alarm serves all connections.
    line: tokio::sync::Mutex<Line>,
    recorder: Shared<R>,
    exhausted: AtomicBool,
}

/// The asks that are still to come, and how many came.
struct Line {
    asks: Box<dyn Iterator<Item = u64> + Send>,
    nth: u64,
    alarm: Alarm,
}

impl Drive {
    /// Sends every ask once and returns when each has its answer or is known to have none.
    ///
    /// The clock starts when the connections stand: making them is no part of any latency.
    pub async fn run<W: Wire, R: Recorder>(
        &self,
        asks: impl Iterator<Item = u64> + Send + 'static,
        recorder: Shared<R>,
    ) -> Driven {
        let mut connecting = JoinSet::new();
        for _ in 0..self.connections {
            let drive = self.clone();
            connecting.spawn(async move { drive.connect::<W>(|| false).await });
        }
        let wires = connecting.join_all().await;
        let line = Line { asks: Box::new(asks), nth: 0, alarm: Alarm::default() };
        let line = tokio::sync::Mutex::new(line);
        let (start, exhausted) = (clock::now(), AtomicBool::new(false));
        let run = Arc::new(Run { drive: self.clone(), start, line, recorder, exhausted });
        let mut driven = Driven::default();
        let mut slots = JoinSet::new();
        for wire in wires {
            match wire {
                Some(wire) => drop(slots.spawn(slot::<W, R>(Arc::clone(&run), wire))),
                None => driven.connections_lost += 1,
            }
        }
        for part in slots.join_all().await {
            driven.sends += part.sends;
            driven.late += part.late;
            driven.waited += part.waited;
            driven.connections_lost += part.connections_lost;
        }
        driven.elapsed = clock::now() - start;
        driven
    }

    /// Connects, again and again while the gateway is away, until there is nothing left to send.
    async fn connect<W: Wire>(&self, exhausted: impl Fn() -> bool) -> Option<W> {
        let until = clock::now() + self.patience;
        while !exhausted() && clock::now() < until {
            let connecting = W::connect(&self.target, &self.form);
            if let Ok(Ok(wire)) = timeout(self.patience, connecting).await {
                return Some(wire);
            }
            sleep(RECONNECT_EVERY).await;
        }
        None
    }
}

async fn slot<W: Wire, R: Recorder>(run: Arc<Run<R>>, first: W) -> Driven {
    let drive = &run.drive;
    let mut done = Driven::default();
    let mut kept = Some(first);
    let exhausted = || run.exhausted.load(Ordering::Relaxed);
    loop {
        let mut wire = match kept.take() {
            Some(wire) => wire,
            None => match drive.connect(exhausted).await {
                Some(wire) => wire,
                None => {
                    done.connections_lost += usize::from(!exhausted());
                    return done;
                }
            },
        };
        let free = clock::now();
        let Some((ask, intended)) = due(&run, free).await else { return done };
        let sent = clock::now();
        let exchanged = timeout(drive.patience, wire.exchange(ask)).await;
        let received = clock::now();
        let outcome = exchanged.unwrap_or(Err(Broken::Timeout));
        done.sends += 1;
        done.late += u64::from(sent - intended.max(free) > drive.late_after);
        done.waited += u64::from(free.saturating_duration_since(intended) > drive.late_after);
        let timing = Timing { ask, intended, sent, received };
        look(&run.recorder).record(timing, outcome.map(|()| wire.answer()));
        if outcome.is_ok() && wire.reusable() {
            kept = Some(wire);
        }
    }
}

/// Takes the next ask and waits until it is due.
async fn due<R>(run: &Run<R>, free: Instant) -> Option<(u64, Instant)> {
    let mut line = run.line.lock().await;
    let Some(ask) = line.asks.next() else {
        run.exhausted.store(true, Ordering::Relaxed);
        return None;
    };
    let intended = run.drive.arrivals.intended(run.start, line.nth, free);
    line.nth += 1;
    line.alarm.until(intended).await;
    Some((ask, intended))
}
