//! The one loop that asks for permits and hands them to rounds.
//!
//! It waits for nothing but time, a free worker and the answer to its one question: claims, the store and the
//! tail are waited for by others, so that no permit is lost to them.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinSet;

use super::breaker::May;
use super::permits::{Permits, Probe};
use super::round::Round;
use super::sales::Sale;
use super::shared::{LEDGER_PAUSE, Shared};
use super::turn::Next;
use crate::ledger::Grant;

/// How long a sale rests whose ticket key is not in the keyring.
const NO_KEY_PAUSE: Duration = Duration::from_secs(1);

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
    /// The ledger could not answer: not asked before.
    ledger_at: Duration,
    ledger_failures: u32,
    /// Nothing was due when it was looked last.
    idle: bool,
}

impl Granter {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            rounds: JoinSet::new(),
            worker: None,
            ledger_at: Duration::ZERO,
            ledger_failures: 0,
            idle: false,
        }
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
                Step::Ask(next, may) => self.ask(next, may).await,
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
        let at = shared.pace().at().max(self.ledger_at);
        if at > now {
            return Step::Wait(Some(at));
        }
        let may = match shared.sink.may(now) {
            May::After(at) => return Step::Wait(Some(at)),
            May::Probing => return Step::Wait(None),
            may @ (May::Any | May::Probe) => may,
        };
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

    async fn ask(&mut self, next: Next, may: May) {
        let shared = Arc::clone(&self.shared);
        let (sale_no, asked) = (next.sale_no, shared.now());
        let Some(sale) = shared.sales.get(sale_no) else {
            // The tail tells of a sale before its orders: it is gone.
            shared.turn().forget(sale_no);
            return;
        };
        if sale.seal(&shared.keyring).is_none() {
            tracing::warn!(sale = %sale.name, "the sale's ticket key is not in the keyring: its orders wait");
            shared.turn().asked(sale_no, 0);
            shared.turn().hold(sale_no, asked + NO_KEY_PAUSE);
            return;
        }
        let most = if may == May::Probe { 1 } else { shared.pace().most() };
        let want = u32::try_from(next.due).unwrap_or(u32::MAX).min(most);
        match shared.ledger.grant(sale_no, want).await {
            Ok(grant) => {
                self.ledger_failures = 0;
                self.granted(sale, (asked, want), grant, may);
            }
            Err(fault) => {
                shared.faulted("grant", &fault);
                shared.turn().asked(sale_no, 0);
                let pause = shared.draw(|jitter| LEDGER_PAUSE.half(self.ledger_failures, jitter));
                self.ledger_failures += 1;
                self.ledger_at = shared.now() + pause;
            }
        }
    }

    fn granted(&mut self, sale: Arc<Sale>, (asked, want): (Duration, u32), grant: Grant, may: May) {
        let (shared, now) = (&self.shared, self.shared.now());
        let own = sale.own_rate.load(Ordering::Relaxed);
        shared.pace().answered((asked, now), want, &grant, own);
        let mut turn = shared.turn();
        let news = turn.asked(sale.sale_no, grant.granted);
        if let (0, Some(retry_in), true) = (grant.granted, grant.retry_in, own) {
            turn.hold(sale.sale_no, now + retry_in);
        }
        drop(turn);
        if grant.granted == 0 {
            return;
        }
        let Some(worker) = self.worker.take() else { return };
        let probe = (may == May::Probe).then(|| Probe::begins(shared));
        let permits = Permits { granted: grant.granted, at: grant.at, heard: now };
        let round = Round { shared: Arc::clone(shared), sale, permits, news, probe };
        let busy = shared.figures.worker();
        self.rounds.spawn(async move {
            round.run().await;
            drop((busy, worker));
        });
    }
}
