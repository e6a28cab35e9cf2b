//! Time limits of all connections of one thread, held by one timer.
//!
//! A timer for each request would cost more than the request's own parsing. So a connection only notes the tick
//! at which something began, and the keeper looks at all of them once a tick. A limit is kept to within a tick
//! below it: a twentieth of the shortest one, and a quarter of a second at most.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::time::{MissedTickBehavior, interval};

use super::pulse::Pulse;
use crate::http::config::Timeouts;

const TICK_MIN: Duration = Duration::from_millis(5);
const TICK_MAX: Duration = Duration::from_millis(250);
/// A tick is this part of the shortest limit at the start.
const TICKS_MIN: u32 = 20;
/// A body may take this long however little of it comes …
const BODY_GRACE: Duration = Duration::from_secs(5);
/// … and a second longer for each of so many bytes that have come.
const BODY_RATE: u32 = 1_024;

/// Limits in ticks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) first_byte: u32,
    pub(super) headers: u32,
    pub(super) idle: u32,
    pub(super) write: u32,
    body: u32,
    body_grace: u32,
    second: u32,
}

impl Limits {
    fn new(timeouts: &Timeouts, tick: Duration) -> Self {
        let ticks = |time: Duration| {
            let ticks = time.as_nanos() / tick.as_nanos().max(1);
            u32::try_from(ticks).unwrap_or(u32::MAX).max(1)
        };
        // One that became short by a reload is not cut by a tick that was made for longer ones.
        let limit = |time: Duration| match ticks(time) {
            few @ ..TICKS_MIN => few + 1,
            enough => enough,
        };
        Self {
            first_byte: limit(timeouts.first_byte.0),
            headers: limit(timeouts.headers.0),
            idle: limit(timeouts.idle.0),
            write: limit(timeouts.write.0),
            body: limit(timeouts.body.0),
            body_grace: ticks(BODY_GRACE),
            second: ticks(Duration::from_secs(1)),
        }
    }

    /// How long a body may take of which so many bytes have come.
    pub(super) fn body_of(&self, bytes: u32) -> u32 {
        let earned = u64::from(bytes) * u64::from(self.second) / u64::from(BODY_RATE);
        let earned = u32::try_from(earned).unwrap_or(u32::MAX);
        self.body.min(self.body_grace.saturating_add(earned))
    }
}

/// The keeper of one thread's connections.
#[derive(Debug)]
pub(super) struct Keeper {
    tick: Duration,
    timeouts: Arc<ArcSwap<Timeouts>>,
    now: AtomicU32,
    stopping: AtomicBool,
    pulses: Mutex<Vec<Arc<Pulse>>>,
}

impl Keeper {
    /// `timeouts` may become others meanwhile; the tick stays.
    pub(super) fn new(timeouts: Arc<ArcSwap<Timeouts>>) -> Arc<Self> {
        let first = timeouts.load();
        let all = [first.first_byte, first.headers, first.body, first.idle, first.write];
        let shortest = all.iter().map(|span| span.0).min().unwrap_or(TICK_MAX);
        let tick = (shortest / TICKS_MIN).clamp(TICK_MIN, TICK_MAX);
        Arc::new(Self {
            tick,
            timeouts,
            now: AtomicU32::new(1),
            stopping: AtomicBool::new(false),
            pulses: Mutex::default(),
        })
    }

    /// The present tick; never 0.
    pub(super) fn now(&self) -> u32 {
        self.now.load(Relaxed)
    }

    /// A connection to hold to the limits.
    pub(super) fn keep(self: &Arc<Self>) -> Arc<Pulse> {
        let pulse = Arc::new(Pulse::new(Arc::clone(self)));
        self.pulses.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&pulse));
        pulse
    }

    /// Whether the stop was asked for: answers end their connections.
    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Relaxed)
    }

    /// From now on answers end their connections.
    pub(super) fn stopping(&self) {
        self.stopping.store(true, Relaxed);
    }

    /// Has every connection end as soon as it may.
    pub(super) fn clear(&self) {
        let pulses = self.pulses.lock().unwrap_or_else(PoisonError::into_inner);
        pulses.iter().for_each(|pulse| pulse.leave());
    }

    /// Looks at all connections, tick by tick, for as long as it is polled.
    pub(super) async fn run(self: Arc<Self>) {
        let began = tokio::time::Instant::now();
        let mut ticks = interval(self.tick);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let passed = began.elapsed().as_nanos() / self.tick.as_nanos();
            #[expect(clippy::cast_possible_truncation, reason = "ticks wrap around")]
            let now = (passed as u32).wrapping_add(1).max(1);
            self.now.store(now, Relaxed);
            self.look(now);
        }
    }

    fn look(&self, now: u32) {
        let limits = Limits::new(&self.timeouts.load(), self.tick);
        let mut pulses = self.pulses.lock().unwrap_or_else(PoisonError::into_inner);
        pulses.retain(|pulse| {
            if pulse.is_over() {
                return false;
            }
            pulse.hold(&limits, now);
            true
        });
        // A crowd that has gone leaves no memory behind.
        if pulses.capacity() > 4 * pulses.len().max(256) {
            pulses.shrink_to_fit();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::framing::Framing;
    use super::super::pulse::End;
    use super::*;

    const TICK: Duration = Duration::from_millis(250);

    fn keeper() -> Arc<Keeper> {
        Keeper::new(Arc::new(ArcSwap::from_pointee(Timeouts::default())))
    }

    /// How many seconds after it now stands a connection is ended, and why.
    fn ends(keeper: &Arc<Keeper>, pulse: &Arc<Pulse>) -> Option<(f32, End)> {
        let began = keeper.now();
        for passed in 0..400 {
            keeper.now.store(began + passed, Relaxed);
            keeper.look(began + passed);
            if let Some(end) = pulse.end() {
                #[expect(clippy::cast_precision_loss, reason = "small")]
                return Some((passed as f32 * TICK.as_secs_f32(), end));
            }
        }
        None
    }

    fn read(pulse: &Pulse, framing: &mut Framing, bytes: &str) {
        framing.push(bytes.as_bytes());
        pulse.read(framing);
    }

    #[test]
    fn every_phase_has_its_limit() {
        let keeper = keeper();
        let (fresh, mut framing) = (keeper.keep(), Framing::new());
        assert_eq!(ends(&keeper, &fresh), Some((5.0, End::Silent)));

        let head = keeper.keep();
        read(&head, &mut framing, "POST / HTTP/1.1\r\n");
        assert_eq!(ends(&keeper, &head), Some((5.0, End::SlowHead)));

        let body = keeper.keep();
        read(&body, &mut framing, "Content-Length: 100\r\n\r\nabc");
        body.called(true);
        assert_eq!(ends(&keeper, &body), Some((5.0, End::SlowBody)));
    }

    #[test]
    fn an_answer_may_take_its_time_and_is_idle_after_it() {
        let keeper = keeper();
        let (pulse, mut framing) = (keeper.keep(), Framing::new());
        read(&pulse, &mut framing, "GET / HTTP/1.1\r\n\r\n");
        pulse.called(false);
        assert_eq!(ends(&keeper, &pulse), None);
        pulse.answered();
        assert_eq!(ends(&keeper, &pulse), Some((30.0, End::Silent)));
    }

    #[test]
    fn a_write_that_waits_is_a_stall_until_it_goes_on() {
        let keeper = keeper();
        let (pulse, mut framing) = (keeper.keep(), Framing::new());
        read(&pulse, &mut framing, "GET / HTTP/1.1\r\n\r\n");
        pulse.called(false);
        pulse.writes(true);
        pulse.writes(false);
        assert_eq!(ends(&keeper, &pulse), None);
        pulse.writes(true);
        assert_eq!(ends(&keeper, &pulse), Some((10.0, End::Stalled)));
    }

    #[test]
    fn who_sends_his_body_too_slowly_must_still_read() {
        let keeper = keeper();
        let (pulse, mut framing) = (keeper.keep(), Framing::new());
        read(&pulse, &mut framing, "GET / HTTP/1.1\r\nContent-Length: 100\r\n\r\nabc");
        pulse.called(false);
        pulse.writes(true);
        assert_eq!(ends(&keeper, &pulse), Some((5.0, End::SlowBody)));
        keeper.look(keeper.now() + 19);
        assert_eq!(pulse.end(), Some(End::SlowBody));
        keeper.look(keeper.now() + 20);
        assert_eq!(pulse.end(), Some(End::Stalled));
    }

    #[test]
    fn a_long_time_for_bodies_still_asks_for_a_rate() {
        let body = crate::units::Span(Duration::from_secs(60));
        let limits = Limits::new(&Timeouts { body, ..Timeouts::default() }, TICK);
        let seconds = |bytes: u32| limits.body_of(bytes) / 4;
        assert_eq!(seconds(0), 5);
        assert_eq!(seconds(10 * 1_024), 15);
        assert_eq!(seconds(1 << 20), 60);
    }

    #[test]
    fn a_head_that_only_one_parser_saw_is_lost() {
        use super::super::framing::Fault;
        let keeper = keeper();
        let (pulse, mut framing) = (keeper.keep(), Framing::new());
        read(&pulse, &mut framing, "GET / HTTP/1.1\r\n\r\nGET /#a HTTP/1.1\r\n\r\n");
        assert_eq!(pulse.called(false).fault(), None, "the fault is the second one's");
        assert_eq!(pulse.called(false).fault(), Some(Fault::Fragment));
        assert_eq!(pulse.called(false).fault(), Some(Fault::Lost));
    }

    #[test]
    fn closed_connections_are_forgotten() {
        let keeper = keeper();
        let pulses: Vec<_> = (0..10_000).map(|_| keeper.keep()).collect();
        pulses.iter().skip(1).for_each(|pulse| pulse.close());
        keeper.look(2);
        let kept = keeper.pulses.lock().unwrap();
        assert_eq!(kept.len(), 1);
        assert!(kept.capacity() < 2_000);
    }
}
