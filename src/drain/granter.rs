//! The one loop that decides when permits are asked for, and for which sale. The asking is a round's first step.
//!
//! It waits for nothing but time and a free worker: the ledger, the store and the tail are waited for by
//! others, so that no permit is lost to them.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinSet;

use super::breaker::May;
use super::limiter::Slot;
use super::permits::{Asking, Probe};
use super::round::Round;
use super::shared::Shared;
use super::turn::Next;

/// How long a sale rests whose ticket key is not in the keyring.
const NO_KEY_PAUSE: Duration = Duration::from_secs(1);

/// Questions for permits that may be without an answer at once: as many as bridge a slow commit.
pub(super) const ASKING_MAX: usize = 4;

/// What the loop does next.
enum Step {
    /// Ask for this sale.
    Ask(Next, May),
    /// Wait for a free worker.
    Worker,
    /// Wait until then, or until something is heard.
    Wait(Option<Duration>),
}

/// The loop's own state.
#[derive(Debug)]
pub(super) struct Granter {
    shared: Arc<Shared>,
    rounds: JoinSet<()>,
    /// A worker that is free for the next round.
    worker: Option<OwnedSemaphorePermit>,
    /// Nothing was due when it was looked last.
    idle: bool,
}

impl Granter {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, rounds: JoinSet::new(), worker: None, idle: false }
    }

    /// Grants until it is dropped at a wait.
    pub(super) async fn run(&mut self) {
        let shared = Arc::clone(&self.shared);
        loop {
            while let Some(ended) = self.rounds.try_join_next() {
                if ended.is_err() {
                    // Its orders come back when their lease ends: the claim's answer has set a timer for that.
                    tracing::error!("a round of the drain broke off");
                }
            }
            match self.next() {
                Step::Ask(next, may) => self.ask(next, may),
                Step::Worker => {
                    self.worker = Arc::clone(&shared.workers).acquire_owned().await.ok();
                }
                Step::Wait(until) => {
                    let sleep = async {
                        match until {
                            Some(at) => {
                                tokio::time::sleep(at.saturating_sub(shared.now())).await;
                            }
                            None => std::future::pending().await,
                        }
                    };
                    tokio::select! {
                        () = sleep => {}
                        () = shared.wake.notified() => {}
                    }
                }
            }
        }
    }

    /// Lets the rounds end, for at most `grace`; what is still running then is dropped, and its leases end.
    pub(super) async fn finish(mut self, grace: Duration) {
        self.worker = None;
        let ended = async { while self.rounds.join_next().await.is_some() {} };
        if tokio::time::timeout(grace, ended).await.is_err() {
            tracing::warn!(
                rounds = self.rounds.len(),
                "attempts did not end in time: their orders come back when their leases end"
            );
        }
        self.rounds.shutdown().await;
    }

    fn next(&mut self) -> Step {
        let shared = &self.shared;
        let now = shared.now();
        let (at, worth) = {
            let pace = shared.pace();
            (pace.at(), pace.worth())
        };
        if at > now {
            return Step::Wait(Some(at));
        }
        if shared.asking.load(Ordering::Relaxed) >= ASKING_MAX {
            return Step::Wait(None);
        }
        let may = match shared.sink.may(now) {
            May::After(at) => return Step::Wait(Some(at)),
            May::Probing => return Step::Wait(None),
            may @ (May::Any | May::Probe) => may,
        };
        // One probe of a store that was away is little enough.
        match shared.limiter.at(worth, now) {
            Some(at) if at > now && may == May::Any => return Step::Wait(Some(at)),
            None if may == May::Any => return Step::Wait(None),
            _ => {}
        }
        if self.worker.is_none() {
            self.worker = Arc::clone(&shared.workers).try_acquire_owned().ok();
        }
        if self.worker.is_none() {
            return Step::Worker;
        }
        let mut turn = shared.turn();
        let next = turn.take(now);
        let (was_idle, next_at) = (self.idle, turn.next_at());
        self.idle = turn.is_idle();
        drop(turn);
        if self.idle && !was_idle {
            shared.idle.notify_one();
        }
        next.map_or(Step::Wait(next_at), |next| Step::Ask(next, may))
    }

    fn ask(&mut self, next: Next, may: May) {
        let shared = &self.shared;
        let (sale_no, now) = (next.sale_no, shared.now());
        let Some(sale) = shared.sales.get(sale_no) else {
            // The tail tells of a sale before its orders: it is gone.
            shared.turn().forget(sale_no);
            return;
        };
        if sale.seal(&shared.keyring).is_none() {
            tracing::warn!(sale = %sale.name, "the sale's ticket key is not in the keyring: its orders wait");
            let mut turn = shared.turn();
            turn.asked(sale_no, 0);
            turn.hold(sale_no, now + NO_KEY_PAUSE);
            return;
        }
        let Some(worker) = self.worker.take() else { return };
        let most = {
            let mut pace = shared.pace();
            pace.asked(now);
            if may == May::Probe { 1 } else { pace.most() }
        };
        let want = u32::try_from(next.due).unwrap_or(u32::MAX).min(most);
        let want = if may == May::Probe { want } else { shared.limiter.take(want, now) };
        let news = shared.turn().asked(sale_no, want);
        let probe = (may == May::Probe).then(|| Probe::begins(shared));
        let asking = Asking::begins(shared);
        let slot = Some(Slot::begins(shared));
        let round = Round { shared: Arc::clone(shared), sale, news, probe, slot };
        let busy = shared.figures.worker();
        self.rounds.spawn(async move {
            round.run(want, asking).await;
            drop((busy, worker));
        });
    }
}
