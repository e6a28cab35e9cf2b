//! What is known of one connection while it is served: told by its wire and its answers, looked at by the keeper.
//!
//! All of it lives on one thread; the atomics only make it shareable, and cost what plain fields cost.

use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Waker;

use super::framing::{Fault, Framing, Reading};
use super::keeper::{Keeper, Limits};
use super::takeover::{Next, Takeover};

/// Why a connection is ended from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum End {
    /// Nothing came, or nothing more: there is nobody to tell.
    Silent = 1,
    /// A head took too long: 408.
    SlowHead,
    /// A body took too long: 408, unless the answer has gone out.
    SlowBody,
    /// The client does not read.
    Stalled,
}

/// One connection. Times are ticks of its keeper.
#[derive(Debug)]
pub(super) struct Pulse {
    keeper: Arc<Keeper>,
    pub(super) takeover: Takeover,
    /// The connection's task: set once, and used when the connection is ended from outside.
    task: Mutex<Option<Waker>>,
    leaving: AtomicBool,
    reading: AtomicU8,
    /// Since when: the connection, the head, the body, or the last answer.
    since: AtomicU32,
    /// Since when a write waits for the client; 0: none does.
    stalled: AtomicU32,
    body: AtomicU32,
    heads: AtomicU32,
    ends: AtomicU32,
    fault: AtomicU8,
    /// Requests that were given to the service.
    calls: AtomicU32,
    answering: AtomicBool,
    /// A request whose sender may have closed his side already is still answered.
    patient: AtomicBool,
    /// The client has closed his side behind the last request that is known of.
    half_closed: AtomicBool,
    /// Somebody throws the rest of a body away.
    draining: AtomicBool,
    end: AtomicU8,
    over: AtomicBool,
}

impl Pulse {
    pub(super) fn new(keeper: Arc<Keeper>) -> Self {
        let since = AtomicU32::new(keeper.now());
        Self {
            keeper,
            takeover: Takeover::default(),
            task: Mutex::new(None),
            leaving: AtomicBool::new(false),
            reading: AtomicU8::new(Reading::Start as u8),
            since,
            stalled: AtomicU32::new(0),
            body: AtomicU32::new(0),
            heads: AtomicU32::new(0),
            ends: AtomicU32::new(0),
            fault: AtomicU8::new(0),
            calls: AtomicU32::new(0),
            answering: AtomicBool::new(false),
            patient: AtomicBool::new(false),
            half_closed: AtomicBool::new(false),
            draining: AtomicBool::new(false),
            end: AtomicU8::new(0),
            over: AtomicBool::new(false),
        }
    }

    /// The wire has read something.
    pub(super) fn read(&self, framing: &Framing) {
        let reading = framing.reading() as u8;
        let begun = framing.heads != self.heads.load(Relaxed);
        if reading != self.reading.load(Relaxed) || begun {
            self.reading.store(reading, Relaxed);
            self.since.store(self.keeper.now(), Relaxed);
        }
        self.heads.store(framing.heads, Relaxed);
        self.ends.store(framing.ends, Relaxed);
        self.body.store(u32::try_from(framing.body).unwrap_or(u32::MAX), Relaxed);
        self.fault.store(framing.fault.map_or(0, |fault| fault as u8), Relaxed);
    }

    /// A write waits for the client, or goes on.
    pub(super) fn writes(&self, waits: bool) {
        if !waits {
            self.stalled.store(0, Relaxed);
        } else if self.stalled.load(Relaxed) == 0 {
            self.stalled.store(self.keeper.now().max(1), Relaxed);
        }
    }

    /// hyper found a head and gives it to the service.
    pub(super) fn called(self: &Arc<Self>, patient: bool) -> Arrival {
        let calls = self.calls.load(Relaxed).wrapping_add(1);
        self.calls.store(calls, Relaxed);
        self.answering.store(true, Relaxed);
        self.patient.store(patient, Relaxed);
        self.draining.store(false, Relaxed);
        if self.reading.load(Relaxed) == Reading::Body as u8 {
            // Behind an earlier request nobody could read it.
            self.since.store(self.keeper.now(), Relaxed);
        }
        let fault = match calls.wrapping_sub(self.heads.load(Relaxed)) {
            // Only the last head that was read can have one: nothing is read after it.
            0 => Fault::of(self.fault.load(Relaxed)),
            // Behind the last head by requests that came in one piece with it.
            behind if behind > u32::MAX / 2 => None,
            // A head where none was found: the two parsers do not agree.
            _ => Some(Fault::Lost),
        };
        Arrival { pulse: Arc::clone(self), fault }
    }

    /// The answer is ready, or all of it if it is a stream.
    pub(super) fn answered(&self) {
        self.answering.store(false, Relaxed);
        if self.reading.load(Relaxed) != Reading::Body as u8 {
            self.since.store(self.keeper.now(), Relaxed);
        }
    }

    /// Whether a head has come, whole or in part, that the service was not given.
    pub(super) fn unserved(&self) -> bool {
        self.reading.load(Relaxed) == Reading::Head as u8
            || self.heads.load(Relaxed) != self.calls.load(Relaxed)
    }

    /// Whether the client closing his side means nothing yet.
    pub(super) fn is_patient(&self) -> bool {
        self.answering.load(Relaxed) && self.patient.load(Relaxed) && self.is_complete()
    }

    /// The client sends nothing more: the wire has read that, and keeps it from hyper.
    pub(super) fn half_closes(&self) {
        self.half_closed.store(true, Relaxed);
    }

    /// Whether the present request is the last one, since the client sends nothing more.
    pub(super) fn is_last(&self) -> bool {
        self.half_closed.load(Relaxed) && self.heads.load(Relaxed) == self.calls.load(Relaxed)
    }

    /// Whether the request that the service has came whole.
    pub(super) fn is_complete(&self) -> bool {
        let behind = self.calls.load(Relaxed).wrapping_sub(self.ends.load(Relaxed));
        behind == 0 || behind > u32::MAX / 2
    }

    pub(super) fn is_draining(&self) -> bool {
        self.draining.load(Relaxed)
    }

    /// Who is woken to end the connection.
    pub(super) fn wake_by(&self, task: Waker) {
        *self.task.lock().unwrap_or_else(PoisonError::into_inner) = Some(task);
    }

    fn wake(&self) {
        if let Some(task) = &*self.task.lock().unwrap_or_else(PoisonError::into_inner) {
            task.wake_by_ref();
        }
    }

    /// Has the connection end as soon as it may.
    pub(super) fn leave(&self) {
        self.leaving.store(true, Relaxed);
        self.wake();
    }

    pub(super) fn is_leaving(&self) -> bool {
        self.leaving.load(Relaxed)
    }

    /// Whether answers end the connection.
    pub(super) fn is_stopping(&self) -> bool {
        self.keeper.is_stopping()
    }

    pub(super) fn end(&self) -> Option<End> {
        let all = [End::Silent, End::SlowHead, End::SlowBody, End::Stalled];
        let number = self.end.load(Relaxed);
        all.into_iter().find(|end| *end as u8 == number)
    }

    /// The connection is closed: the keeper forgets it.
    pub(super) fn close(&self) {
        self.over.store(true, Relaxed);
    }

    pub(super) fn is_over(&self) -> bool {
        self.over.load(Relaxed)
    }

    /// Ends the connection if it takes longer than it may.
    pub(super) fn hold(&self, limits: &Limits, now: u32) {
        // Who sends his body too slowly may still refuse to read what he is told of it.
        let end = self.end();
        if matches!(end, None | Some(End::SlowBody))
            && let Some(due) = self.due(limits, now)
            && end != Some(due)
        {
            let end = due;
            self.end.store(end as u8, Relaxed);
            self.wake();
        }
    }

    fn due(&self, limits: &Limits, now: u32) -> Option<End> {
        let stalled = self.stalled.load(Relaxed);
        if stalled != 0 && now.wrapping_sub(stalled) >= limits.write {
            return Some(End::Stalled);
        }
        let passed = now.wrapping_sub(self.since.load(Relaxed));
        let reading = self.reading.load(Relaxed);
        if reading == Reading::Body as u8 {
            // Behind a request that is still being answered nothing is read.
            let present = self.heads.load(Relaxed) == self.calls.load(Relaxed);
            let slow = passed >= limits.body_of(self.body.load(Relaxed));
            return (present && slow).then_some(End::SlowBody);
        }
        if self.answering.load(Relaxed) || stalled != 0 {
            return None;
        }
        if reading == Reading::Head as u8 {
            return (passed >= limits.headers).then_some(End::SlowHead);
        }
        let fresh = self.calls.load(Relaxed) == 0;
        let limit = if fresh { limits.first_byte } else { limits.idle };
        (passed >= limit).then_some(End::Silent)
    }
}

/// What the edge knows of a request beside its head.
#[derive(Clone, Debug)]
pub struct Arrival {
    pulse: Arc<Pulse>,
    fault: Option<Fault>,
}

impl Arrival {
    /// What is wrong with its framing.
    pub(in crate::http) fn fault(&self) -> Option<Fault> {
        self.fault
    }

    /// Whether it came whole, body and all.
    pub(in crate::http) fn is_complete(&self) -> bool {
        self.pulse.is_complete()
    }

    /// Whether its body took longer than `[public.timeouts] body` allows.
    pub(in crate::http) fn is_slow(&self) -> bool {
        self.pulse.end() == Some(End::SlowBody)
    }

    /// Takes the connection from the HTTP engine once all earlier answers are written; the request ends here. From
    /// then on only what goes on with the socket holds it to limits.
    pub(in crate::http) async fn take(&self, next: Next) -> Infallible {
        self.pulse.takeover.ask(next);
        std::future::pending().await
    }

    /// Whether the connection was taken.
    pub(in crate::http) fn is_taken(&self) -> bool {
        self.pulse.takeover.is_taken()
    }

    /// Says that the rest of the body is being thrown away, so that the connection can go on.
    pub(in crate::http) fn drains(&self) {
        self.pulse.draining.store(true, Relaxed);
    }
}
