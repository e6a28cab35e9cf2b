//! The faults in force, what they have done, and whoever waits for it.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::watch;

use super::{Call, Dialect, Fault, Kind};

/// What a proxy has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Connections that came, refused ones too.
    pub connections: u64,
    /// Connections that stand.
    pub open: u64,
    /// Requests that reached the server.
    pub requests: u64,
    /// Replies that reached the client.
    pub replies: u64,
    /// Requests that were swallowed, by a hit or in the silence after it.
    pub swallowed: u64,
    /// Replies that were dropped, by a hit or in the silence after it.
    pub dropped: u64,
    /// Connections that were reset on purpose.
    pub resets: u64,
    /// Connections that were refused.
    pub refused: u64,
    /// Connections that were accepted and never answered.
    pub blackholed: u64,
    /// Connections that were reset because nobody listened upstream.
    pub unreachable: u64,
}

/// A fault in force.
#[derive(Debug)]
pub(super) struct Active {
    pub(super) fault: Fault,
    hits: watch::Sender<u64>,
    /// The connections that it has caught, with the bytes that went over each since.
    caught: Mutex<HashMap<u64, u64>>,
}

impl Active {
    /// Whether it hits this frame; counts the hit.
    fn hit(&self, call: &Call) -> bool {
        let fault = &self.fault;
        fault.chooses(call)
            && self.hits.send_if_modified(|hits| {
                let more = fault.times.is_none_or(|times| *hits < times);
                *hits += u64::from(more);
                more
            })
    }

    /// Whether it holds this connection, from this frame on if not before.
    fn catches(&self, connection: u64, call: &Call) -> bool {
        let mut caught = lock(&self.caught);
        if !caught.contains_key(&connection) && self.hit(call) {
            caught.insert(connection, 0);
        }
        caught.contains_key(&connection)
    }

    /// Notes bytes that went over a caught connection; says how many there were before.
    pub(super) fn sends(&self, connection: u64, bytes: u64) -> u64 {
        let mut caught = lock(&self.caught);
        let sent = caught.entry(connection).or_default();
        let before = *sent;
        *sent += bytes;
        before
    }
}

/// All that the connections of a proxy share.
#[derive(Debug)]
pub(super) struct Board {
    dialect: Dialect,
    upstream: Mutex<SocketAddr>,
    active: watch::Sender<Vec<Arc<Active>>>,
    resets: watch::Sender<()>,
    counts: watch::Sender<Counts>,
}

impl Board {
    pub(super) fn new(dialect: Dialect, upstream: SocketAddr) -> Self {
        Self {
            dialect,
            upstream: Mutex::new(upstream),
            active: watch::Sender::default(),
            resets: watch::Sender::default(),
            counts: watch::Sender::default(),
        }
    }

    pub(super) fn dialect(&self) -> Dialect {
        self.dialect
    }

    pub(super) fn upstream(&self) -> SocketAddr {
        *lock(&self.upstream)
    }

    pub(super) fn set_upstream(&self, upstream: SocketAddr) {
        *lock(&self.upstream) = upstream;
    }

    pub(super) fn inject(self: &Arc<Self>, fault: Fault) -> Injected {
        let (hits, caught) = (watch::Sender::default(), Mutex::default());
        let active = Arc::new(Active { fault, hits, caught });
        self.active.send_modify(|all| all.push(Arc::clone(&active)));
        Injected { active, board: Arc::downgrade(self) }
    }

    pub(super) fn clear(&self) {
        self.active.send_modify(Vec::clear);
    }

    fn lift(&self, lifted: &Arc<Active>) {
        self.active.send_modify(|all| all.retain(|active| !Arc::ptr_eq(active, lifted)));
    }

    /// What the first fault of some kind that hits this frame does.
    pub(super) fn hit<T>(&self, call: &Call, of: impl Fn(Kind) -> Option<T>) -> Option<T> {
        let active = self.active.borrow();
        let mut hit = active.iter().filter_map(|active| Some((active, of(active.fault.kind)?)));
        hit.find(|(active, _)| active.hit(call)).map(|(_, what)| what)
    }

    /// The same for faults that hold a connection.
    pub(super) fn caught<T>(
        &self,
        connection: u64,
        call: &Call,
        of: impl Fn(Kind) -> Option<T>,
    ) -> Option<(Arc<Active>, T)> {
        let active = self.active.borrow();
        let mut hit = active.iter().filter_map(|active| Some((active, of(active.fault.kind)?)));
        let found = hit.find(|(active, _)| active.catches(connection, call));
        found.map(|(active, what)| (Arc::clone(active), what))
    }

    /// Waits while a stall holds this connection.
    pub(super) async fn moves(&self, connection: u64, call: &Call) {
        let mut changes = self.active.subscribe();
        while self.caught(connection, call, |kind| (kind == Kind::Stall).then_some(())).is_some() {
            // The sender is the board's own.
            let _ = changes.changed().await;
        }
    }

    pub(super) fn reset(&self) -> u64 {
        let open = self.counts().open;
        self.resets.send_replace(());
        open
    }

    /// Hears of resets from now on.
    pub(super) fn resets(&self) -> watch::Receiver<()> {
        self.resets.subscribe()
    }

    pub(super) fn count(&self, count: impl FnOnce(&mut Counts)) {
        self.counts.send_modify(count);
    }

    pub(super) fn counts(&self) -> Counts {
        *self.counts.borrow()
    }

    pub(super) async fn until(&self, reached: impl Fn(&Counts) -> bool) -> Counts {
        let mut changes = self.counts.subscribe();
        let reached = changes.wait_for(reached).await.map(|counts| *counts);
        reached.expect("the sender is the board's own")
    }
}

/// A fault that was put in force.
#[derive(Debug, Clone)]
pub struct Injected {
    active: Arc<Active>,
    board: Weak<Board>,
}

impl Injected {
    /// How often it hit.
    #[must_use]
    pub fn hits(&self) -> u64 {
        *self.active.hits.borrow()
    }

    /// Waits for its first hit. Whoever calls bounds the time.
    pub async fn hit(&self) {
        self.hit_times(1).await;
    }

    /// Waits until it has hit so often.
    pub async fn hit_times(&self, times: u64) {
        let mut hits = self.active.hits.subscribe();
        hits.wait_for(|hits| *hits >= times).await.expect("the sender is the fault's own");
    }

    /// Lifts it, and lets go what it held. Says how often it hit.
    pub fn lift(&self) -> u64 {
        if let Some(board) = self.board.upgrade() {
            board.lift(&self.active);
        }
        self.hits()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing is half done under these locks.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
