//! What the ledger knows to be placed and the store has lost is placed again: a database that came back from a backup,
//! or whose replica took over without its last rows.
//!
//! The orders keep their tickets, and with them the numbers that their buyers were told. They are attempts like any
//! other and go at the ledger's pace (L7). Their payloads are gone: the ledger keeps one until its order is settled.

use std::collections::HashMap;
use std::time::Duration;

use super::store_access::Lent;
use crate::clock::Timestamp;
use crate::http::operations::{LeftOut, Lost, OperationFault, Redriven};
use crate::ledger::{OrderDoc, SharedLedger};
use crate::order::{SaleSeal, TicketText};
use crate::store::{Found, PlaceOrder, Placement, SharedStore};

/// Orders that are read from the ledger, and that the store is asked for, at once.
const PAGE: usize = 256;
/// A call ends once it has looked at so many orders or placed so many, and says where to go on: none takes for ever.
const LOOKED_MAX: u64 = 50_000;
const PLACED_MAX: usize = 1_000;
/// How long the store may take for one batch.
const ANSWERED_WITHIN: Duration = Duration::from_secs(30);

/// One call's work.
struct Redrive<'a> {
    ledger: &'a SharedLedger,
    store: &'a SharedStore,
    lost: &'a Lost,
    /// Units that the store has left of each item of the sale.
    left: HashMap<String, u64>,
    done: Redriven,
}

pub(super) async fn redrive(
    ledger: &SharedLedger,
    lent: &Lent,
    lost: &Lost,
) -> Result<Redriven, OperationFault> {
    let store = &lent.store;
    if !store.numbers_by_ticket() {
        let text = "this store would give the orders other numbers than their buyers were told, or cannot be asked \
                    what it has: `forebay verify` names what is missing, bring that back there";
        return Err(OperationFault::NotSupported(text.to_owned()));
    }
    let rows = store.stock_rows().await.map_err(|error| OperationFault::Store(error.reason))?;
    let of_sale = rows.into_iter().filter(|row| row.sale_no == lost.sale.sale_no);
    let left = of_sale.map(|row| (row.sku, row.available)).collect();
    let mut work = Redrive { ledger, store, lost, left, done: Redriven::default() };
    let mut next = Some(lost.from);
    while let Some(from) = next
        && work.done.looked < LOOKED_MAX
        && work.done.placed.len() < PLACED_MAX
    {
        let page = ledger.export(lost.sale.sale_no, from, PAGE).await?;
        work.page(page.orders).await?;
        next = page.next;
    }
    Ok(Redriven { next, ..work.done })
}

impl Redrive<'_> {
    async fn page(&mut self, orders: Vec<OrderDoc>) -> Result<(), OperationFault> {
        let sold = orders.into_iter().filter(|order| order.state.is_sold());
        let sold: Vec<(TicketText, OrderDoc)> =
            sold.map(|order| (mint(&self.lost.seal, &order), order)).collect();
        if sold.is_empty() {
            return Ok(());
        }
        self.done.looked += sold.len() as u64;
        let tickets = sold.iter().map(|(ticket, _)| *ticket).collect();
        let mut missing = Vec::new();
        for ((ticket, order), found) in sold.into_iter().zip(self.store.find(tickets).await) {
            match found {
                Found::NotThere => missing.push((ticket, order)),
                Found::Unknown { reason } => return Err(OperationFault::Store(reason)),
                // Whether it is the same order is for the verifier to say.
                Found::Placed { .. } | Found::Refused { .. } | Found::Voided => {}
            }
        }
        missing.retain(|(ticket, order)| self.fits(*ticket, order));
        self.place(&missing).await
    }

    /// Whether the store has the units; an order that it refused now would be refused for good.
    fn fits(&mut self, ticket: TicketText, order: &OrderDoc) -> bool {
        for line in &order.lines {
            let sku = line.sku.as_str();
            let reason = match self.left.get(sku) {
                Some(left) if *left >= u64::from(line.quantity) => continue,
                Some(left) => format!("the store has {left} units of {sku} left"),
                None => format!(
                    "the store has no stock of {sku}: a drain that is restarted brings it with its next claim"
                ),
            };
            self.done.left.push(LeftOut { ticket, reason });
            return false;
        }
        for line in &order.lines {
            if let Some(left) = self.left.get_mut(line.sku.as_str()) {
                *left -= u64::from(line.quantity);
            }
        }
        true
    }

    async fn place(&mut self, orders: &[(TicketText, OrderDoc)]) -> Result<(), OperationFault> {
        let mut rest = orders;
        while !rest.is_empty() {
            let (permits, at) = self.granted(rest.len()).await?;
            let Some((now, later)) = rest.split_at_checked(permits) else { break };
            let sale = &self.lost.sale.name;
            let attempts = now.iter().map(|(ticket, order)| PlaceOrder {
                ticket: *ticket,
                sale_no: order.sale_no,
                sale: sale.clone(),
                buyer: order.buyer.clone(),
                place: order.place,
                lines: order.lines.clone(),
                payload: bytes::Bytes::new(),
                accepted_at: order.accepted_at,
                attempted_at: at,
                attempt: order.attempts + 1,
            });
            let placing = self.store.place(attempts.collect());
            let Ok(answers) = tokio::time::timeout(ANSWERED_WITHIN, placing).await else {
                let text =
                    "the store did not answer in time: ask again, and it is asked what it has";
                return Err(OperationFault::Store(text.to_owned()));
            };
            for ((ticket, order), answer) in now.iter().zip(answers) {
                self.answered(*ticket, order, answer);
            }
            rest = later;
        }
        Ok(())
    }

    /// Waits for permits of the pacer: how many, and when they were given.
    async fn granted(&self, want: usize) -> Result<(usize, Timestamp), OperationFault> {
        let want = u32::try_from(want).unwrap_or(u32::MAX);
        loop {
            let grant = self.ledger.grant(self.lost.sale.sale_no, want).await?;
            match (grant.granted, grant.retry_in) {
                (0, Some(retry_in)) => tokio::time::sleep(retry_in).await,
                (0, None) => {
                    let text = "the drain is paused, and this keeps to its pace: resume it first";
                    return Err(OperationFault::Paused(text.to_owned()));
                }
                (granted, _) => return Ok((granted.min(want) as usize, grant.at)),
            }
        }
    }

    fn answered(&mut self, ticket: TicketText, order: &OrderDoc, answer: Placement) {
        let reason = match answer {
            Placement::Placed { order_no } if order.order_no.as_deref() == Some(&*order_no) => {
                self.done.placed.push(ticket);
                return;
            }
            Placement::Placed { order_no } => format!("the store has it as {order_no}"),
            Placement::Refused { reason } => format!("refused: {reason}"),
            Placement::Voided => "voided at the store".to_owned(),
            Placement::Later(later) => later.reason,
            Placement::InDoubt { reason } | Placement::Conflict { reason } => reason,
        };
        self.done.left.push(LeftOut { ticket, reason });
    }
}

fn mint(seal: &SaleSeal, order: &OrderDoc) -> TicketText {
    seal.mint(order.place, order.accepted_at, order.buyer_hash)
}
