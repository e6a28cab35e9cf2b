//! What the ledger knows to be placed and the store has lost is placed again: a database that came back from a backup,
//! or whose replica took over without its last rows.
//!
//! The orders keep their tickets, and with them the numbers that their buyers were told. They are attempts like any
//! other and go at the ledger's pace (L7). Their payloads are gone: the ledger keeps one until its order is settled.
//! Nothing here refuses an order, and none takes a unit that the ledger still has to give: rows that somebody moved away
//! by hand are told, and not placed a second time.

use std::collections::HashMap;
use std::time::Duration;

use super::operations::{answered, last_attempt};
use super::store_access::Lent;
use crate::clock::Timestamp;
use crate::http::operations::{LeftOut, Lost, OperationFault, Redriven};
use crate::ledger::{ItemCensus, OrderDoc, SharedLedger};
use crate::order::TicketText;
use crate::store::{Found, PlaceOrder, Placement, SharedStore, StockRow};

/// Orders that are read from the ledger, and that the store is asked for, at once.
const PAGE: usize = 256;
/// A call ends once it has read so many orders, placed or left out so many, or waited so long for permits, and says
/// where to go on: neither a large sale nor a slow pace holds an answer up.
const READ_MAX: usize = 50_000;
const TOLD_MAX: usize = 1_000;
const WAITED_MAX: Duration = Duration::from_secs(20);

/// An order whose row is missing.
type Missing = (TicketText, OrderDoc);

/// One call's work.
struct Redrive<'a> {
    ledger: &'a SharedLedger,
    store: &'a SharedStore,
    lost: &'a Lost,
    /// For permits.
    waited: Duration,
    done: Redriven,
}

pub(super) async fn redrive(
    ledger: &SharedLedger,
    lent: &Lent,
    lost: &Lost,
) -> Result<Redriven, OperationFault> {
    let (store, waited) = (&lent.store, Duration::ZERO);
    let mut work = Redrive { ledger, store, lost, waited, done: Redriven::default() };
    let (mut next, mut read) = (Some(lost.from), 0);
    while let Some(from) = next
        && read < READ_MAX
        && work.done.placed.len() + work.done.left.len() < TOLD_MAX
    {
        match work.page(from).await {
            Ok(Some((orders, after))) => (read, next) = (read + orders, after),
            Ok(None) if work.done.placed.is_empty() => {
                let text = "the drain's pace gives no permit for a long time, and this keeps to it: raise it first";
                return Err(OperationFault::Paused(text.to_owned()));
            }
            Ok(None) => break,
            // What was placed has lost its payload: that must be told, whatever comes between.
            Err(fault) if work.done.placed.is_empty() => return Err(fault),
            Err(fault) => {
                work.done.stopped = Some(fault.to_string());
                break;
            }
        }
    }
    Ok(Redriven { next, ..work.done })
}

impl Redrive<'_> {
    /// One page of the sale: how many orders it has, and where the next one begins; none when there was no time for all
    /// of it, so that it must be looked at again.
    async fn page(&mut self, from: u64) -> Result<Option<(usize, Option<u64>)>, OperationFault> {
        let page = self.ledger.export(self.lost.sale.sale_no, from, PAGE).await?;
        let read = page.orders.len();
        if read == 0 && from > 0 {
            let text = "the sale has no orders from there on: it was purged, or `from` is none of its pages";
            return Err(OperationFault::Store(text.to_owned()));
        }
        let sold = page.orders.into_iter().filter(|order| order.state.is_sold());
        let sold: Vec<Missing> = sold.map(|order| (order.ticket(&self.lost.seal), order)).collect();
        let looked = sold.len() as u64;
        let missing = self.missing(sold).await?;
        let (fit, mut left) = self.sorted(missing).await?;
        if !self.place(&fit, &mut left).await? {
            return Ok(None);
        }
        self.done.looked += looked;
        self.done.left.append(&mut left);
        Ok(Some((read, page.next)))
    }

    /// Those of which the store has nothing.
    async fn missing(&self, sold: Vec<Missing>) -> Result<Vec<Missing>, OperationFault> {
        if sold.is_empty() {
            return Ok(sold);
        }
        let tickets = sold.iter().map(|(ticket, _)| *ticket).collect();
        let found = answered(self.store.find(tickets)).await?;
        let mut missing = Vec::new();
        for (order, found) in sold.into_iter().zip(found) {
            match found {
                Found::NotThere => missing.push(order),
                Found::Unknown { reason } => return Err(OperationFault::Store(reason)),
                // Whether it is the same order is for the verifier to say.
                Found::Placed { .. } | Found::Refused { .. } | Found::Voided => {}
            }
        }
        Ok(missing)
    }

    /// Those that can be placed, and why the others cannot.
    async fn sorted(
        &self,
        missing: Vec<Missing>,
    ) -> Result<(Vec<Missing>, Vec<LeftOut>), OperationFault> {
        let (mut fit, mut unfit) = (Vec::new(), Vec::new());
        if missing.is_empty() {
            return Ok((fit, unfit));
        }
        let mut spare = self.spare().await?;
        for (ticket, order) in missing {
            match self.in_the_way(ticket, &order, &mut spare)? {
                None => fit.push((ticket, order)),
                Some(reason) => unfit.push(LeftOut { ticket, reason }),
            }
        }
        Ok((fit, unfit))
    }

    /// Units of each item that the store has beyond all that the ledger may still place: lost orders gave them back.
    ///
    /// The census is read first: what the drain places meanwhile makes the answer too small, and never too large. So
    /// does stock that the store has and the census had not.
    async fn spare(&self) -> Result<HashMap<String, u64>, OperationFault> {
        let sale = self.ledger.census(self.lost.sale.name.clone()).await?;
        let items = sale.map(|sale| sale.census.items).unwrap_or_default();
        let rows = answered(self.store.stock_rows()).await?;
        let rows = rows.map_err(|error| OperationFault::Store(error.reason))?;
        let of_sale = rows.into_iter().filter(|row| row.sale_no == self.lost.sale.sale_no);
        let spare = of_sale.filter_map(|row| {
            let item = items.iter().find(|item| item.sku.as_str() == row.sku)?;
            Some((row.sku.clone(), spare_of(item, &row)))
        });
        Ok(spare.collect())
    }

    fn in_the_way(
        &self,
        ticket: TicketText,
        order: &OrderDoc,
        spare: &mut HashMap<String, u64>,
    ) -> Result<Option<String>, OperationFault> {
        let Some(gives) = self.store.number_of(&ticket) else {
            let text = "this store numbers an order anew when it is placed again, and its buyer was told the first number: \
                        `forebay verify` names what is missing, bring that back there";
            return Err(OperationFault::NotSupported(text.to_owned()));
        };
        let told = order.order_no.as_deref().unwrap_or("none");
        if told != gives {
            let reason = format!("its buyer was told number {told}, and this store gives {gives}");
            return Ok(Some(reason));
        }
        for line in &order.lines {
            let sku = line.sku.as_str();
            match spare.get(sku) {
                Some(spare) if *spare >= u64::from(line.quantity) => {}
                Some(_) => {
                    return Ok(Some(format!(
                        "its units of {sku} are still taken at the store: not lost with its row, or already given to others"
                    )));
                }
                None => {
                    return Ok(Some(format!("the store has no stock row of {sku} in this sale")));
                }
            }
        }
        for line in &order.lines {
            if let Some(spare) = spare.get_mut(line.sku.as_str()) {
                *spare -= u64::from(line.quantity);
            }
        }
        Ok(None)
    }

    /// Places them as permits come, and tells which were not taken; false when permits would come too late.
    async fn place(
        &mut self,
        orders: &[Missing],
        left: &mut Vec<LeftOut>,
    ) -> Result<bool, OperationFault> {
        let mut rest = orders;
        while !rest.is_empty() {
            let Some((permits, at)) = self.granted(rest.len()).await? else { return Ok(false) };
            let Some((now, later)) = rest.split_at_checked(permits) else { break };
            let attempts = now.iter().map(|order| self.attempt(order, at)).collect();
            let answers = answered(self.store.place(attempts)).await?;
            for ((ticket, _), answer) in now.iter().zip(answers) {
                left.extend(self.note(*ticket, answer));
            }
            rest = later;
        }
        Ok(true)
    }

    fn attempt(&self, (ticket, order): &Missing, at: Timestamp) -> PlaceOrder {
        let last = last_attempt(&self.lost.sale.name, *ticket, order);
        PlaceOrder { attempted_at: at, attempt: last.attempt + 1, confirmed: true, ..last }
    }

    /// Waits for permits of the pacer: how many, and when they were given; none when they would come too late.
    async fn granted(&mut self, want: usize) -> Result<Option<(usize, Timestamp)>, OperationFault> {
        let want = u32::try_from(want).unwrap_or(u32::MAX);
        loop {
            let grant = self.ledger.grant(self.lost.sale.sale_no, want).await?;
            match (grant.granted, grant.retry_in) {
                (0, None) => {
                    let text = "the drain is paused, and this keeps to its pace: resume it, then ask again";
                    return Err(OperationFault::Paused(text.to_owned()));
                }
                (0, Some(retry_in)) if self.waited + retry_in > WAITED_MAX => return Ok(None),
                (0, Some(retry_in)) => {
                    self.waited += retry_in;
                    tokio::time::sleep(retry_in).await;
                }
                (granted, _) => return Ok(Some((granted.min(want) as usize, grant.at))),
            }
        }
    }

    fn note(&mut self, ticket: TicketText, answer: Placement) -> Option<LeftOut> {
        let reason = match answer {
            Placement::Placed { .. } => {
                let sale = self.lost.sale.name.as_str();
                tracing::info!(target: "audit", sale, %ticket, "placed again, without its payload");
                self.done.placed.push(ticket);
                return None;
            }
            Placement::Refused { reason } => format!("refused at the store: {reason}"),
            Placement::Voided => "voided at the store".to_owned(),
            Placement::Later(later) => later.reason,
            Placement::InDoubt { reason } | Placement::Conflict { reason } => reason,
        };
        Some(LeftOut { ticket, reason })
    }
}

fn spare_of(item: &ItemCensus, row: &StockRow) -> u64 {
    let total = (item.initial + item.added).saturating_sub(item.cut);
    let unknown = row.initial.saturating_sub(total);
    row.available.saturating_sub(item.available + item.held).saturating_sub(unknown)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sale::SaleNo;

    #[test]
    fn only_units_that_the_ledger_has_not_to_give_are_spare() {
        let item = |available, held, added| ItemCensus {
            sku: "phone".parse().unwrap(),
            initial: 100,
            added,
            cut: 10,
            available,
            held,
            sold: 90 + added - available - held,
        };
        let row = |initial, available| StockRow {
            sale_no: SaleNo(1),
            sku: "phone".to_owned(),
            initial,
            available,
            newest_change: 1,
        };
        for (item, row, spare) in [
            (item(40, 0, 0), row(90, 45), 5), // five rows were lost with their units
            (item(40, 0, 0), row(90, 40), 0), // rows were moved away, their units were not
            (item(40, 3, 0), row(90, 45), 2), // some are still to be placed
            (item(40, 0, 0), row(90, 30), 0), // units were given away
            (item(40, 0, 0), row(110, 65), 5), // the store has stock of which the census knew nothing
            (item(60, 0, 20), row(90, 45), 0), // and the other way round
        ] {
            assert_eq!(spare_of(&item, &row), spare, "{item:?} {row:?}");
        }
    }
}
