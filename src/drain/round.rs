//! One round of a worker: grant, claim, place, settle.
//!
//! Invariants: an order is placed only while its lease outlasts the attempt (L4), within 50 ms of the answer to
//! its claim (L7), and after the stock changes of its claim are in the store. Else it is given back unstarted.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::attempt::attempt;
use super::limiter::Slot;
use super::outcome::{Answer, Tries, fate, verdict};
use super::permits::{Asking, Permits, Probe};
use super::sales::Sale;
use super::settle::settle;
use super::shared::{LEDGER_PAUSE, Shared};
use super::sink::Report;
use super::status::UNSTARTED;
use super::stock::apply_stock;
use crate::ledger::{
    Claim, Claimed, ClaimedOrder, Fate, FaultKind, Grant, LeaseId, Settle, Settled,
};
use crate::store::{LaterCause, PlaceOrder};

/// An attempt starts this long after the answer to its claim, at the latest (L7).
const START_WITHIN: Duration = Duration::from_millis(50);

/// What a fault of the pacer is told under.
const PACER: &str = "the pacer";

/// What must be left of a lease after an attempt, to settle it. The settings leave a second for this and for
/// the answer to the claim.
const SETTLE_MARGIN: Duration = Duration::from_millis(250);

/// A worker's task.
#[derive(Debug)]
pub(super) struct Round {
    pub(super) shared: Arc<Shared>,
    pub(super) sale: Arc<Sale>,
    /// What [`super::turn::Turn::asked`] answered.
    pub(super) news: u64,
    pub(super) probe: Option<Probe>,
    /// Held until the store has answered.
    pub(super) slot: Option<Slot>,
}

/// The lease of a claim in monotonic time.
#[derive(Clone, Copy, Debug)]
struct Lease {
    id: LeaseId,
    /// It ends then at the earliest.
    until: Duration,
}

impl Round {
    /// Asks for `want` permits, and does what there is to do with them.
    pub(super) async fn run(mut self, want: u32, asking: Asking) {
        let Some(permits) = self.grant(want).await else { return };
        drop(asking);
        let Some((claimed, until)) = self.claim(permits).await else { return };
        let answered = self.shared.now();
        let lease = Lease { id: claimed.lease, until };
        let orders = claimed.orders;
        if !self.stock_is_there(&claimed.changes).await || !self.may_start(answered, until) {
            return self.give_back(orders, lease).await;
        }
        self.note_waits(&orders, permits);
        let tries = orders.iter().map(|order| (order.place, order.accepted_at, Tries::of(order)));
        let tries: Vec<_> = tries.collect();
        let answers = attempt(&self.shared, self.place_orders(orders, permits), until).await;
        self.report(&answers);
        self.slot = None;
        let rules = self.shared.rules();
        let labels: Vec<_> = answers.iter().map(Answer::retry_label).collect();
        let fates = answers.into_iter().zip(&tries);
        let settles: Vec<Settle> = self.shared.draw(|jitter| {
            fates
                .map(|(answer, (place, _, tries))| {
                    self.settle_of(*place, lease, fate(answer, *tries, rules, jitter))
                })
                .collect()
        });
        let Some(settled) = settle(&self.shared, &self.sale, &settles, until).await else { return };
        for (((settle, settled), (_, accepted_at, _)), label) in
            settles.iter().zip(settled).zip(tries).zip(labels)
        {
            self.note(&settle.fate, settled, permits.waited(self.shared.now(), accepted_at), label);
        }
    }

    /// Asks the pacer; `None` when it grants nothing now.
    async fn grant(&self, want: u32) -> Option<Permits> {
        let (shared, sale_no) = (&self.shared, self.sale.sale_no);
        let answer = shared.ledger.grant(sale_no, want).await;
        let now = shared.now();
        let own = self.sale.own_rate.load(Ordering::Relaxed);
        let grant = match answer {
            Ok(grant) => grant,
            Err(fault) => {
                shared.faulted(PACER, &fault);
                let failures = shared.pace().failures();
                let pause = shared.draw(|jitter| LEDGER_PAUSE.half(failures, jitter));
                shared.pace().failed(now, pause);
                self.not_granted(want);
                shared.with_turn(|turn| turn.ungranted(sale_no, want));
                return None;
            }
        };
        shared.figures.mended(PACER);
        shared.pace().answered(now, want, &grant, own);
        let missing = want.saturating_sub(grant.granted);
        self.not_granted(missing);
        shared.with_turn(|turn| {
            if let (0, Some(retry_in), true) = (grant.granted, grant.retry_in, own) {
                turn.hold(sale_no, now + retry_in);
            }
            // The granter may have set its timer before it could know that there is more.
            let wake = turn.ungranted(sale_no, missing);
            wake || missing == 0 || own
        });
        let Grant { granted, at, .. } = grant;
        (granted > 0).then_some(Permits { granted, at, heard: now })
    }

    fn not_granted(&self, permits: u32) {
        if self.probe.is_none() {
            self.shared.limiter.give_back(permits);
        }
    }

    /// Claims what was granted. Answers with the monotonic instant at which the lease ends at the earliest;
    /// `None` when there is nothing to do.
    async fn claim(&self, permits: Permits) -> Option<(Claimed, Duration)> {
        let (shared, sale_no) = (&self.shared, self.sale.sale_no);
        let lease = shared.config.lease.0;
        let sent = shared.now();
        let claim = Claim {
            sale_no,
            max: permits.granted,
            lease,
            granted_at: permits.at,
            stock_seen: self.sale.stock_seen(),
        };
        match shared.ledger.claim(claim).await {
            Ok(claimed) => {
                shared.figures.mended(self.sale.name.as_str());
                let next = claimed.next_due.map(|at| permits.instant(at));
                let (news, more) = (self.news, claimed.more);
                shared.with_turn(|turn| turn.heard(sale_no, news, more, next));
                (!claimed.orders.is_empty()).then_some((claimed, sent + lease))
            }
            Err(fault) => {
                shared.sale_faulted(&self.sale, &fault);
                let now = shared.now();
                shared.with_turn(|turn| {
                    turn.due(sale_no, u64::from(permits.granted));
                    if fault.kind == FaultKind::InDoubt {
                        turn.due_at(sale_no, now + lease);
                    }
                    true
                });
                None
            }
        }
    }

    /// Makes sure that the store has the claim's stock changes; false when it has not.
    async fn stock_is_there(&mut self, changes: &[crate::sale::StockChange]) -> bool {
        let Some(error) = apply_stock(&self.shared, &self.sale, changes).await.err() else {
            return true;
        };
        let now = self.shared.now();
        if error.cause != LaterCause::ThisOrder {
            let report = Report {
                verdict: super::breaker::Verdict::Away,
                probe: self.take_probe(),
                pause: None,
                reason: Some(error.reason),
                misconfigured: error.cause == LaterCause::Misconfigured,
            };
            self.shared.sink.heard(report, now);
        }
        let rest = self.shared.draw(|jitter| self.shared.rules().backoff.half(0, jitter));
        self.shared.turn().hold(self.sale.sale_no, now + rest);
        false
    }

    /// Whether attempts may start now.
    fn may_start(&self, answered: Duration, until: Duration) -> bool {
        let (shared, now) = (&self.shared, self.shared.now());
        let outlasts = now + shared.config.attempt_timeout.0 + SETTLE_MARGIN <= until;
        let in_time = now <= answered + START_WITHIN;
        let allowed = self.probe.is_some() || shared.sink.is_closed();
        outlasts && in_time && allowed && !shared.stop.is_pulled()
    }

    /// The orders go back as if they had not been claimed; their grants are lost.
    async fn give_back(&self, orders: Vec<ClaimedOrder>, lease: Lease) {
        let count = orders.len() as u64;
        let unstarted = |order: ClaimedOrder| self.settle_of(order.place, lease, Fate::Unstarted);
        let settles: Vec<Settle> = orders.into_iter().map(unstarted).collect();
        if settle(&self.shared, &self.sale, &settles, lease.until).await.is_some() {
            self.shared.figures.went_back(UNSTARTED, count);
            self.shared.with_turn(|turn| turn.due(self.sale.sale_no, count));
        }
    }

    fn settle_of(&self, place: crate::order::Place, lease: Lease, fate: Fate) -> Settle {
        let brake = self.shared.config.refusal_brake.0;
        Settle { sale_no: self.sale.sale_no, place, lease: lease.id, fate, brake }
    }

    fn place_orders(&self, orders: Vec<ClaimedOrder>, permits: Permits) -> Vec<PlaceOrder> {
        let seal = self.sale.seal(&self.shared.keyring);
        let seal = seal.expect("the granter asks only for sales whose key is there");
        let of = |order: ClaimedOrder| PlaceOrder {
            ticket: seal.mint(order.place, order.accepted_at, order.buyer_hash),
            sale_no: self.sale.sale_no,
            sale: self.sale.name.clone(),
            buyer: order.buyer,
            place: order.place,
            lines: order.lines,
            payload: order.payload,
            accepted_at: order.accepted_at,
            attempted_at: permits.at,
            attempt: order.claims + 1,
            confirmed: false,
        };
        orders.into_iter().map(of).collect()
    }

    fn take_probe(&mut self) -> bool {
        self.probe.as_mut().is_some_and(Probe::report)
    }

    /// Tells the sink what the call showed of the store.
    fn report(&mut self, answers: &[Answer]) {
        let mut report = Report {
            verdict: verdict(answers),
            probe: self.take_probe(),
            pause: None,
            reason: None,
            misconfigured: false,
        };
        for answer in answers {
            match answer {
                Answer::Later(later) => {
                    report.pause = report.pause.max(later.after);
                    report.misconfigured |= later.cause == LaterCause::Misconfigured;
                    report.reason = Some(later.reason.clone());
                }
                Answer::Doubt(doubt) => report.reason = Some(doubt.reason.clone()),
                Answer::Conflict(reason) => tracing::warn!(
                    reason,
                    "the store cannot say what became of an order: an operator must"
                ),
                Answer::Placed(_) | Answer::Refused(_) => {}
            }
        }
        self.shared.sink.heard(report, self.shared.now());
        // The granter may be waiting for the probe.
        self.probe = None;
    }

    fn note_waits(&self, orders: &[ClaimedOrder], permits: Permits) {
        for order in orders.iter().filter(|order| order.claims == 0) {
            let waited = permits.at.since(order.accepted_at);
            self.sale.meters.queue_wait.record(waited);
        }
    }

    /// Counts what was settled, and looks again when the order is due again.
    fn note(
        &self,
        fate: &Fate,
        settled: Settled,
        since_acceptance: Duration,
        label: Option<&'static str>,
    ) {
        if settled != Settled::Done {
            return;
        }
        let now = self.shared.now();
        let meters = &self.sale.meters;
        match fate {
            Fate::Placed { .. } | Fate::Refused { .. } => {
                meters.completion.record(since_acceptance);
            }
            Fate::Dead { .. } => meters.dead.increment(1),
            Fate::Later { after, .. } => {
                self.shared.figures.went_back(label.unwrap_or(UNSTARTED), 1);
                self.shared.with_turn(|turn| turn.due_at(self.sale.sale_no, now + *after));
            }
            Fate::Unstarted => {}
        }
    }
}

impl Tries {
    fn of(order: &ClaimedOrder) -> Self {
        Self { attempts: order.attempts, claims: order.claims }
    }
}
