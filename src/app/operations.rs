//! What the admin listener asks of drain, store and verifier, done with the engines of this process.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::value::RawValue;

use super::StartError;
use super::redrive::redrive;
use super::reload::Reloader;
use super::store_access::Lent;
use super::store_access::StoreAccess;
use super::verifier::RunningVerifier;
use crate::drain::AdaptiveLimits;
use crate::drain::DrainStatus;
use crate::http::operations::AdaptiveLive;
use crate::http::operations::DeadOrder;
use crate::http::operations::DeadRefused;
use crate::http::operations::DrainLive;
use crate::http::operations::Lost;
use crate::http::operations::Operation;
use crate::http::operations::OperationFault;
use crate::http::operations::Operations;
use crate::http::operations::Redriven;
use crate::ledger::Change;
use crate::ledger::Changed;
use crate::ledger::OrderDoc;
use crate::ledger::SharedLedger;
use crate::ledger::StoredUnits;
use crate::order::FORCED;
use crate::order::TicketText;
use crate::sale::SaleName;
use crate::store::Comparable;
use crate::store::Found;
use crate::store::PlaceOrder;
use crate::store::StockRow;
use crate::store::simulated::Simulated;

/// The engines behind the operations.
#[derive(Debug)]
pub(super) struct OfEngines {
    pub(super) ledger: SharedLedger,
    pub(super) store: StoreAccess,
    /// The drain of this process, if it has one.
    pub(super) drain: Option<DrainStatus>,
    pub(super) waiting: Waiting,
    pub(super) verifier: Arc<RunningVerifier>,
    pub(super) reloader: Arc<Reloader>,
}

impl OfEngines {
    async fn refuse(&self, dead: DeadOrder) -> Result<DeadRefused, OperationFault> {
        let (sale, place) = (dead.sale.clone(), dead.order.place);
        let lent = self.store.lend().await?;
        let found = match (lent.store.can_void(), dead.force) {
            (true, _) => voided(&lent, &dead).await?,
            (false, false) => return Ok(DeadRefused::NeedsForce),
            // What the shop has all the same is not given away a second time.
            (false, true) => match only(answered(lent.store.find(vec![dead.ticket])).await?)? {
                found @ (Found::Placed { .. } | Found::Refused { .. }) => found,
                // One that could be asked is waited for.
                found @ Found::Unknown { .. } if lent.store.comparable() != Comparable::None => {
                    found
                }
                _ => Found::Refused { reason: FORCED.to_owned() },
            },
        };
        let change = match found {
            Found::Placed { order_no } => Change::PlaceDead { sale, place, order_no },
            Found::Refused { reason } => Change::RefuseDead { sale, place, reason },
            Found::Voided => Change::RefuseDead { sale, place, reason: "operator".to_owned() },
            Found::NotThere => {
                return Err(OperationFault::Store("the store did not void the order".to_owned()));
            }
            Found::Unknown { reason } => return Err(OperationFault::Store(reason)),
        };
        let placed = matches!(change, Change::PlaceDead { .. });
        match self.ledger.change(change).await? {
            Changed::NotFound | Changed::Conflict { .. } => Ok(DeadRefused::NotDead),
            _ if placed => Ok(DeadRefused::Placed),
            _ => Ok(DeadRefused::Refused),
        }
    }

    async fn make_anew(&self, sale: SaleName) -> Result<Changed, OperationFault> {
        let lent = self.store.lend().await?;
        if lent.store.comparable() != Comparable::All {
            let text = "this store does not list what it has, so nobody knows what was sold: make a new sale with \
                        what is left, and close this one";
            return Err(OperationFault::NotSupported(text.to_owned()));
        }
        let rows = answered(lent.store.stock_rows()).await?;
        let rows = rows.map_err(|error| OperationFault::Store(error.reason))?;
        let units = |row: StockRow| StoredUnits {
            sale_no: row.sale_no,
            sku: row.sku,
            units: row.initial,
            newest_change: row.newest_change,
        };
        let store = rows.into_iter().map(units).collect();
        Ok(self.ledger.change(Change::Rebuild { sale, store }).await?)
    }
}

/// What the store says once no attempt at the order can succeed any more (L5 b).
async fn voided(lent: &Lent, dead: &DeadOrder) -> Result<Found, OperationFault> {
    let attempt = last_attempt(&dead.sale, dead.ticket, &dead.order);
    only(answered(lent.store.void(vec![attempt])).await?)
}

/// The newest attempt at an order, as the ledger can still tell it: without its payload.
pub(super) fn last_attempt(sale: &SaleName, ticket: TicketText, order: &OrderDoc) -> PlaceOrder {
    PlaceOrder {
        ticket,
        sale_no: order.sale_no,
        sale: sale.clone(),
        buyer: order.buyer.clone(),
        place: order.place,
        lines: order.lines.clone(),
        payload: bytes::Bytes::new(),
        accepted_at: order.accepted_at,
        attempted_at: order.attempted_at.unwrap_or(order.accepted_at),
        attempt: order.attempts,
        confirmed: false,
    }
}

/// How long the store may take for one answer to an operator.
const ANSWERED_WITHIN: Duration = Duration::from_secs(10);

/// A store that stands still holds no operator up, and no connection for one; whatever it does late, it is asked again.
pub(super) async fn answered<T>(answer: impl Future<Output = T>) -> Result<T, OperationFault> {
    let late = |_| {
        let text = "the store did not answer in time: ask again, and it is asked what it has";
        OperationFault::Store(text.to_owned())
    };
    tokio::time::timeout(ANSWERED_WITHIN, answer).await.map_err(late)
}

fn only(found: Vec<Found>) -> Result<Found, OperationFault> {
    let found = found.into_iter().next();
    found.ok_or_else(|| OperationFault::Store("the store gave no answer".to_owned()))
}

impl From<StartError> for OperationFault {
    /// The store cannot be opened.
    fn from(error: StartError) -> Self {
        Self::Store(error.message)
    }
}

impl OfEngines {
    /// The store whose faults are planned: that of the drain.
    async fn planned(&self) -> Result<Arc<Simulated>, OperationFault> {
        if matches!(self.store, StoreAccess::AtNeed { .. }) {
            let text =
                "this process carries no orders to the store: ask one with --role drain or all";
            return Err(OperationFault::NotSupported(text.to_owned()));
        }
        let lent = self.store.lend().await?;
        lent.simulated.clone().ok_or_else(|| {
            let text = "faults are planned for the simulated store only: this is a real one";
            OperationFault::NotSupported(text.to_owned())
        })
    }
}

/// How many orders wait, as of the last look.
#[derive(Clone, Debug, Default)]
pub(super) struct Waiting(Arc<AtomicU64>);

/// How old the figure may be.
const LOOK_EVERY: Duration = Duration::from_millis(500);

impl Waiting {
    /// Looks now and then; an answer that does not come leaves the last figure.
    pub(super) async fn follow(self, ledger: SharedLedger) {
        loop {
            if let Ok(sales) = ledger.sales().await {
                let waiting = sales.iter().map(|sale| sale.census.queued + sale.census.placing);
                self.0.store(waiting.sum(), Ordering::Relaxed);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

fn json(document: &impl serde::Serialize) -> Result<Box<RawValue>, OperationFault> {
    serde_json::value::to_raw_value(document)
        .map_err(|error| OperationFault::Malformed(error.to_string()))
}

impl Operations for OfEngines {
    fn drain_live(&self) -> DrainLive {
        let waiting = self.waiting.0.load(Ordering::Relaxed);
        let Some(drain) = &self.drain else {
            return DrainLive { waiting, ..DrainLive::default() };
        };
        let in_flight = drain.in_flight();
        DrainLive {
            attempts_per_second: drain.attempts_per_second(),
            waiting: waiting.saturating_sub(in_flight),
            in_flight,
            workers: u64::from(drain.workers()),
            adaptive: drain
                .adaptive()
                .map(|AdaptiveLimits { rate, concurrency }| AdaptiveLive { rate, concurrency }),
        }
    }

    fn verify(&self) -> Operation<'_, Box<RawValue>> {
        Box::pin(async { json(&self.verifier.verify().await?) })
    }

    fn reload(&self) -> Operation<'_, Box<RawValue>> {
        Box::pin(async { json(&self.reloader.reload().await?) })
    }

    fn faults(&self) -> Operation<'_, Box<RawValue>> {
        Box::pin(async { json(&self.planned().await?.faults()) })
    }

    fn patch_faults(&self, patch: Box<RawValue>) -> Operation<'_, Box<RawValue>> {
        Box::pin(async move {
            let malformed =
                |error: &dyn std::fmt::Display| OperationFault::Malformed(error.to_string());
            let patch: serde_json::Value =
                serde_json::from_str(patch.get()).map_err(|error| malformed(&error))?;
            let plan = self.planned().await?.patch_faults(&patch).await;
            json(&plan.map_err(|error| malformed(&error))?)
        })
    }

    fn rebuild(&self, sale: SaleName) -> Operation<'_, Changed> {
        Box::pin(self.make_anew(sale))
    }

    fn redrive(&self, lost: Lost) -> Operation<'_, Redriven> {
        Box::pin(async move {
            let lent = self.store.lend().await?;
            redrive(&self.ledger, &lent, &lost).await
        })
    }

    fn refuse_dead(&self, order: DeadOrder) -> Operation<'_, DeadRefused> {
        Box::pin(self.refuse(order))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_store_that_stands_still_holds_no_operator_up() {
        assert_eq!(answered(std::future::ready(7)).await, Ok(7));
        let late = answered(std::future::pending::<()>()).await;
        assert!(matches!(late, Err(OperationFault::Store(_))), "{late:?}");
    }
}
