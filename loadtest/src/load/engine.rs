//! The engine: connections that take errands and bring back answers, and what buyers do about those.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::dice::Dice;
use super::errand::{Errand, Errands, What};
use super::plan::{Flock, Plan};
use super::scenario::{Then, Wait};
use super::seen::Seen;
use super::waiting::Waiting;
use crate::clock;
use crate::drive::{Shared, Timing, look};
use crate::target::Target;
use crate::trail::Document;
use crate::verdict::Verdict;
use crate::wire::lean::Parts;
use crate::wire::socket::Socket;
use crate::wire::{Answer, Broken};

/// Between two tries to connect while the gateway is away.
const RECONNECT_EVERY: Duration = Duration::from_millis(20);
/// Before a buyer asks again of whose order it is unknown whether it was taken: long enough for a busy gateway
/// to breathe.
const DOUBT: Duration = Duration::from_millis(250);
/// When a buyer asks again who was not told when.
pub(super) const UNTOLD: Duration = Duration::from_secs(1);

/// One run while it goes on.
pub(super) struct Engine {
    pub(super) plan: Plan,
    pub(super) target: Target,
    pub(super) errands: Errands,
    pub(super) seen: Shared<Seen>,
    /// The rendered parts of each group's orders.
    parts: Vec<Parts>,
    /// Buyers on connections of their own.
    apart: Mutex<JoinSet<()>>,
    jitter: Dice,
    cancels: Dice,
}

impl Engine {
    /// Connects, so that making connections is no part of any latency, and starts the clock.
    pub(super) async fn start(plan: Plan, target: Target) -> (Arc<Self>, Vec<Socket>) {
        let mut connecting = JoinSet::new();
        for _ in 0..plan.connections {
            let (target, patience) = (target.clone(), plan.patience);
            connecting.spawn(async move { timeout(patience, Socket::connect(&target)).await });
        }
        let made = connecting.join_all().await;
        let sockets = made.into_iter().filter_map(|made| made.ok()?.ok()).collect();
        let header = &plan.identity_header;
        let parts = plan.flocks.iter().map(|flock| Parts::new(&target, &flock.form, header));
        let parts = parts.collect();
        let seen = Seen::new(plan.sales.len());
        let errands = Errands::new(plan.arrivals(), seen.began, plan.patience);
        let (jitter, cancels) = (Dice::new(plan.seed, 3), Dice::new(plan.seed, 4));
        let seen = crate::drive::shared(seen);
        let engine =
            Self { plan, target, errands, seen, parts, apart: Mutex::default(), jitter, cancels };
        (Arc::new(engine), sockets)
    }

    /// Sends everything and returns when every buyer has left, or the time to settle is over.
    pub(super) async fn run(self: &Arc<Self>, sockets: Vec<Socket>) {
        let mut slots = JoinSet::new();
        for socket in sockets {
            slots.spawn(Arc::clone(self).slot(socket));
        }
        let all = async {
            while slots.join_next().await.is_some() {}
            self.errands.give_up().await;
        };
        tokio::select! {
            () = all => {}
            () = self.too_long() => self.errands.end(),
        }
        while slots.join_next().await.is_some() {}
        let apart = std::mem::take(&mut *self.apart.lock().unwrap_or_else(PoisonError::into_inner));
        look(&self.seen).counts.left_waiting = self.errands.alive();
        // Who still waits is sent home.
        drop(apart);
    }

    /// Returns when the time to settle is over.
    async fn too_long(&self) {
        while !self.errands.is_exhausted() {
            sleep(RECONNECT_EVERY).await;
        }
        sleep(self.plan.settle).await;
    }

    async fn slot(self: Arc<Self>, first: Socket) {
        let (mut kept, mut request) = (Some(first), Vec::with_capacity(1_024));
        loop {
            let Some(mut socket) = self.take(&mut kept).await else { return };
            let free = clock::now();
            let Some(errand) = self.errands.next().await else { return };
            if let Some(speed) = self.slowly(&errand) {
                self.apart(super::slow::send(Arc::clone(&self), errand, speed));
                kept = Some(socket);
                continue;
            }
            if socket.has_answer() {
                let Some(new) = self.connect().await else {
                    // Somebody else may get through.
                    self.errands.push(errand);
                    return self.errands.done();
                };
                socket = new;
            }
            self.render(&errand, &mut request);
            let sent = clock::now();
            self.count_send(&errand, free, sent);
            let exchanged = timeout(self.plan.patience, socket.exchange(&request)).await;
            let received = clock::now();
            let outcome = exchanged.unwrap_or(Err(Broken::Timeout));
            let timing = Timing { ask: errand.ask, intended: errand.due, sent, received };
            self.came_back(errand, timing, outcome.map(|()| socket.answer()));
            self.errands.done();
            if outcome.is_ok() && socket.reusable() {
                kept = Some(socket);
            }
        }
    }

    /// The speed of one who orders slowly for the first time; he asks again as fast as anybody.
    fn slowly(&self, errand: &Errand) -> Option<f64> {
        let first = matches!(errand.what, What::Order { before: 0, .. });
        let speed = self.plan.flock(errand.ask)?.slow.filter(|_| first)?;
        look(&self.seen).counts.orders += 1;
        Some(speed)
    }

    /// Somebody goes on by himself, until he comes home or the run is over.
    fn apart(&self, on_his_own: impl Future<Output = ()> + Send + 'static) {
        let mut apart = self.apart.lock().unwrap_or_else(PoisonError::into_inner);
        while apart.try_join_next().is_some() {}
        apart.spawn(on_his_own);
    }

    async fn take(&self, kept: &mut Option<Socket>) -> Option<Socket> {
        match kept.take() {
            Some(socket) => Some(socket),
            None => self.connect().await,
        }
    }

    /// Connects, again and again while the gateway is away, until the run is over.
    pub(super) async fn connect(&self) -> Option<Socket> {
        self.connect_while(|| !self.errands.is_over()).await
    }

    /// The same when the run is over.
    pub(super) async fn connect_after(&self) -> Option<Socket> {
        self.connect_while(|| true).await
    }

    async fn connect_while(&self, wanted: impl Fn() -> bool) -> Option<Socket> {
        let until = clock::now() + self.plan.patience;
        while wanted() && clock::now() < until {
            let connecting = Socket::connect(&self.target);
            if let Ok(Ok(socket)) = timeout(self.plan.patience, connecting).await {
                return Some(socket);
            }
            sleep(RECONNECT_EVERY).await;
        }
        None
    }

    pub(super) fn render(&self, errand: &Errand, request: &mut Vec<u8>) {
        let host = &self.target.host;
        let head = match &errand.what {
            What::Order { .. } => {
                if let Some(parts) = self.parts.get(crate::form::Crowd::group_of(errand.ask)) {
                    parts.render(&self.plan.crowd, errand.ask, request);
                }
                return;
            }
            What::Poll { ticket } => {
                format!("GET /v1/tickets/{ticket} HTTP/1.1\r\nHost: {host}\r\n\r\n")
            }
            What::Cancel { ticket } => {
                let (header, buyer) =
                    (&self.plan.identity_header, self.plan.crowd.buyer(errand.ask));
                format!(
                    "DELETE /v1/tickets/{ticket} HTTP/1.1\r\nHost: {host}\r\n{header}: {buyer}\r\n\r\n"
                )
            }
        };
        request.clear();
        request.extend_from_slice(head.as_bytes());
    }

    fn count_send(&self, errand: &Errand, free: Instant, sent: Instant) {
        let late_after = self.plan.late_after;
        let mut seen = look(&self.seen);
        let counts = &mut seen.counts;
        if let What::Order { before, .. } = errand.what {
            counts.orders += u64::from(before == 0);
            counts.retries += u64::from(before > 0);
        }
        counts.sends += 1;
        counts.late += u64::from(sent - errand.due.max(free) > late_after);
        counts.waited += u64::from(free.saturating_duration_since(errand.due) > late_after);
    }

    /// Notes what an errand brought, and sends its buyer on.
    pub(super) fn came_back(
        self: &Arc<Self>,
        errand: Errand,
        timing: Timing,
        outcome: Result<Answer<'_>, Broken>,
    ) {
        let Some(flock) = self.plan.flock(errand.ask) else { return };
        match errand.what {
            What::Order { before, doubt } => {
                look(&self.seen).order(flock.sale, flock.slow.is_none(), timing, outcome);
                self.ordered(flock, (before, doubt), timing, outcome);
            }
            What::Poll { ticket } => self.polled(errand.ask, ticket, timing, outcome),
            What::Cancel { .. } => self.cancelled(errand.ask, timing, outcome),
        }
    }

    fn ordered(
        self: &Arc<Self>,
        flock: &Flock,
        (before, doubt): (u32, bool),
        timing: Timing,
        outcome: Result<Answer<'_>, Broken>,
    ) {
        let Timing { ask, received: now, .. } = timing;
        let verdict = Verdict::of(outcome);
        let again = |due, doubt| {
            let what = What::Order { before: before + 1, doubt };
            self.errands.push(Errand { due, ask, what });
        };
        let keyed = self.plan.crowd.keyed(ask);
        match (&verdict, outcome) {
            (Verdict::Accepted { ticket, .. }, Ok(answer)) => {
                self.accepted(flock, ticket, timing, answer);
            }
            (Verdict::Unknown { .. }, _) if keyed => again(now + DOUBT, true),
            (Verdict::Refused { .. }, _) if doubt && keyed && !verdict.settles_earlier_doubt() => {
                again(now + DOUBT, true);
            }
            (Verdict::Refused { .. }, Ok(answer)) if matches!(answer.status, 429 | 503) => {
                let Some(retry) = flock.retry.as_ref().filter(|retry| before + 1 < retry.attempts)
                else {
                    return;
                };
                let told = answer.retry_after.map_or(UNTOLD, |s| Duration::from_secs(s.into()));
                let wait = if retry.wait == Wait::Told { told } else { Duration::ZERO };
                let throw = ask.wrapping_mul(1_000).wrapping_add(before.into());
                again(now + self.jitter.longer(throw, wait, retry.jitter.0), false);
            }
            _ => {}
        }
    }

    fn accepted(self: &Arc<Self>, flock: &Flock, ticket: &str, timing: Timing, answer: Answer<'_>) {
        let Timing { ask, received: now, .. } = timing;
        let told: Document = serde_json::from_slice(answer.body).unwrap_or_default();
        let first = {
            let mut seen = look(&self.seen);
            let asked = seen.asked(timing);
            let first = seen.trails.accepted(ask, ticket, &told, asked);
            seen.counts.accepted += u64::from(first);
            first
        };
        if !first {
            return;
        }
        if flock.cancel > 0.0 && self.cancels.throw(ask) < flock.cancel {
            let what = What::Cancel { ticket: ticket.into() };
            self.errands.push(Errand { due: now + flock.cancel_after, ask, what });
        }
        let poll = |due| {
            let what = What::Poll { ticket: ticket.into() };
            self.errands.push(Errand { due, ask, what });
        };
        match flock.then {
            Then::Leave => {}
            Then::Poll => poll(now + told.poll_after().unwrap_or(UNTOLD)),
            Then::PollAtOnce => poll(now),
            how @ (Then::LongPoll | Then::Stream) => {
                self.errands.went();
                let (engine, ticket) = (Arc::clone(self), ticket.into());
                self.apart(Waiting { engine, ask, ticket }.wait(how));
            }
        }
    }

    fn polled(
        &self,
        ask: u64,
        ticket: Box<str>,
        timing: Timing,
        outcome: Result<Answer<'_>, Broken>,
    ) {
        let mut seen = look(&self.seen);
        seen.look(timing.received);
        let at_once = self.plan.flock(ask).is_some_and(|flock| flock.then == Then::PollAtOnce);
        let after = match outcome {
            Ok(Answer { status: 200, body, .. }) => {
                seen.counts.polls += 1;
                let latency = timing.received.saturating_duration_since(timing.intended);
                seen.polls.saturating_record(super::seen::micros(latency));
                let told: Document = serde_json::from_slice(body).unwrap_or_default();
                let asked = seen.asked(timing);
                seen.trails.see(ask, &told, asked);
                if told.ended() {
                    return seen.outcome(ask, timing.received);
                }
                if at_once { Duration::ZERO } else { told.poll_after().unwrap_or(UNTOLD) }
            }
            Ok(Answer { status: status @ (404 | 410), .. }) => {
                return seen.trails.denied(ask, status);
            }
            Ok(Answer { retry_after, .. }) => {
                seen.counts.poll_failures += 1;
                retry_after.map_or(UNTOLD, |seconds| Duration::from_secs(seconds.into()))
            }
            Err(_) => {
                seen.counts.poll_failures += 1;
                DOUBT
            }
        };
        drop(seen);
        self.errands.push(Errand {
            due: timing.received + after,
            ask,
            what: What::Poll { ticket },
        });
    }

    fn cancelled(&self, ask: u64, timing: Timing, outcome: Result<Answer<'_>, Broken>) {
        let mut seen = look(&self.seen);
        seen.look(timing.received);
        if let Ok(Answer { status: status @ (200 | 409), body, .. }) = outcome {
            let told: Document = serde_json::from_slice(body).unwrap_or_default();
            let done = status == 200;
            seen.counts.cancelled += u64::from(done);
            seen.counts.cancelled_too_late += u64::from(!done);
            if done {
                let asked = seen.asked(timing);
                seen.trails.see(ask, &told, asked);
            }
            seen.trails.cancelled(ask, done);
        }
    }
}
