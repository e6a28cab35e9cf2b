//! What the admin listener asks of drain, store and verifier, done with the engines of this process.

use std::sync::Arc;

use serde_json::value::RawValue;

use crate::http::operations::DeadOrder;
use crate::http::operations::DeadRefused;
use crate::http::operations::DrainLive;
use crate::http::operations::Operation;
use crate::http::operations::OperationFault;
use crate::http::operations::Operations;
use crate::ledger::Change;
use crate::ledger::Changed;
use crate::ledger::SharedLedger;
use crate::store::Found;
use crate::store::PlaceOrder;
use crate::store::SharedStore;
use crate::store::simulated::Simulated;

/// The engines behind the operations.
#[derive(Debug)]
pub(super) struct Engines {
    pub(super) ledger: SharedLedger,
    pub(super) store: SharedStore,
    pub(super) simulated: Arc<Simulated>,
}

impl Engines {
    async fn refuse(&self, dead: DeadOrder) -> Result<DeadRefused, OperationFault> {
        let (sale, place) = (dead.sale.clone(), dead.order.place);
        let change = match self.voided(&dead).await? {
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

    /// What the store says once no attempt at the order can succeed any more (L5 b).
    async fn voided(&self, dead: &DeadOrder) -> Result<Found, OperationFault> {
        let order = &dead.order;
        let attempt = PlaceOrder {
            ticket: dead.ticket,
            sale_no: order.sale_no,
            sale: dead.sale.clone(),
            buyer: order.buyer.clone(),
            place: order.place,
            lines: order.lines.clone(),
            payload: bytes::Bytes::new(),
            accepted_at: order.accepted_at,
            attempted_at: order.attempted_at.unwrap_or(order.accepted_at),
            attempt: order.attempts,
        };
        let found = self.store.void(vec![attempt]).await.into_iter().next();
        found.ok_or_else(|| OperationFault::Store("the store gave no answer".to_owned()))
    }
}

