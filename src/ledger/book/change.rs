//! Changes by operators, by the configuration and by the clock: terms, switches, stock, drain, dead orders.

use super::event::Event;
use super::sale::SaleBook;
use super::{Batch, Book, DrainSettings, Now};
use crate::clock::Timestamp;
use crate::ledger::sales::NOT_HALTED;
use crate::ledger::{Change, Changed, DrainPatch, Which};
use crate::order::{Place, State};
use crate::sale::{Intake, ItemTerms, SaleName, SaleNo, Sku, Terms};

type Refusal = Changed;

fn conflict(code: &'static str, detail: impl Into<String>) -> Refusal {
    Changed::Conflict { code, detail: detail.into() }
}

impl Book {
    /// Makes one change, or says why not.
    pub fn change(&mut self, change: Change, now: Now, batch: &mut Batch) -> Changed {
        let done = match change {
            Change::PutSale { name, terms, numbers, key_id, only_new } => {
                match self.names.get(&name).copied() {
                    Some(sale_no) if only_new => Ok(self.sale_changed(sale_no, now)),
                    Some(sale_no) => self.amend(sale_no, terms, now, batch),
                    None => self.make(name, terms, &numbers, key_id, now, batch),
                }
            }
            Change::Pause(name) => self.switch(&name, Some(true), false, now, batch),
            Change::Resume(name) => self.switch(&name, Some(false), false, now, batch),
            Change::Close(name) => self.switch(&name, None, true, now, batch),
            Change::Purge(name) => self.purge(&name, now, batch),
            // A book is whole, or it is not opened.
            Change::Rebuild { sale, .. } => match self.names.get(&sale) {
                Some(_) => Err(conflict("not_halted", NOT_HALTED)),
                None => Err(Changed::NotFound),
            },
            Change::Stock { sale, sku, delta, operation } => {
                self.stock(&sale, &sku, delta, &operation, now, batch)
            }
            Change::DrainConfig { rate, burst } => Ok(self.set((rate, burst), None, now, batch)),
            Change::Drain(patch) => Ok(self.set(self.drain.configured, Some(patch), now, batch)),
            Change::RetryDead { sale, which } => self.retry_dead(&sale, &which, now, batch),
            Change::RefuseDead { sale, place, reason } => {
                let end = |sale_no, index| Event::Refused {
                    sale_no,
                    at: now.ledger,
                    index,
                    reason: reason.into(),
                };
                self.end_dead(&sale, place, end, batch)
            }
            Change::PlaceDead { sale, place, order_no } => {
                let end = |sale_no, index| Event::Placed {
                    sale_no,
                    at: now.ledger,
                    index,
                    order_no: order_no.into(),
                };
                self.end_dead(&sale, place, end, batch)
            }
            Change::Retain { tickets_micros, sales_micros } => {
                Ok(self.retain(tickets_micros, sales_micros, now, batch))
            }
        };
        done.unwrap_or_else(|refusal| refusal)
    }

    fn sale_changed(&self, sale_no: SaleNo, now: Now) -> Changed {
        match self.sales.get(&sale_no) {
            Some(sale) => Changed::Sale(Box::new(sale.doc(now.ledger))),
            None => Changed::NotFound,
        }
    }

    /// The sale of that name, if it is there and not purged.
    fn living(&self, name: &SaleName) -> Result<&SaleBook, Refusal> {
        let sale = self.names.get(name).and_then(|sale_no| self.sales.get(sale_no));
        match sale {
            None => Err(Changed::NotFound),
            Some(sale) if sale.purged_at.is_some() => {
                Err(conflict("purged", "the sale is purged: use another name"))
            }
            Some(sale) => Ok(sale),
        }
    }

    fn make(
        &mut self,
        name: SaleName,
        terms: Terms,
        numbers: &[SaleNo],
        key_id: u8,
        now: Now,
        batch: &mut Batch,
    ) -> Result<Changed, Refusal> {
        terms.check().map_err(|bad| conflict("bad_terms", bad.0))?;
        if let Some(item) = terms.items.iter().find(|item| item.stock.is_none()) {
            return Err(conflict("stock_missing", format!("state the `stock` of {}", item.sku)));
        }
        let free = |number: &&SaleNo| !self.sales.contains_key(*number);
        let sale_no = *numbers
            .iter()
            .find(free)
            .ok_or_else(|| conflict("bad_terms", "no number is free for the sale: try again"))?;
        self.commit(batch, &Event::SaleMade { sale_no, at: now.ledger, key_id, name, terms });
        match self.sale_changed(sale_no, now) {
            Changed::Sale(doc) => Ok(Changed::Created(doc)),
            other => Err(other),
        }
    }

    fn amend(
        &mut self,
        sale_no: SaleNo,
        terms: Terms,
        now: Now,
        batch: &mut Batch,
    ) -> Result<Changed, Refusal> {
        terms.check().map_err(|bad| conflict("bad_terms", bad.0))?;
        let Some(sale) = self.sales.get(&sale_no) else { return Err(Changed::NotFound) };
        if sale.purged_at.is_some() {
            return Err(conflict("purged", "the sale is purged: use another name"));
        }
        let terms = Terms { items: sale.amended_items(&terms)?, ..terms };
        let later = terms.closes_at.is_some_and(|closes| closes > now.wall);
        let closed = sale.closed && !(later && terms.closes_at != sale.terms.closes_at);
        if terms != sale.terms || closed != sale.closed {
            let event = Event::SaleAmended { sale_no, at: now.ledger, closed, terms };
            self.commit(batch, &event);
        }
        Ok(self.sale_changed(sale_no, now))
    }

    fn switch(
        &mut self,
        name: &SaleName,
        paused: Option<bool>,
        close: bool,
        now: Now,
        batch: &mut Batch,
    ) -> Result<Changed, Refusal> {
        let sale = self.living(name)?;
        let (sale_no, paused) = (sale.sale_no, paused.unwrap_or(sale.paused));
        let closed = sale.closed || close;
        if (paused, closed) != (sale.paused, sale.closed) {
            let event = Event::SaleSwitched { sale_no, at: now.ledger, paused, closed };
            self.commit(batch, &event);
        }
        Ok(self.sale_changed(sale_no, now))
    }

    fn purge(&mut self, name: &SaleName, now: Now, batch: &mut Batch) -> Result<Changed, Refusal> {
        let sale = match self.living(name) {
            Err(Changed::Conflict { code: "purged", .. }) => {
                let sale_no = self.names.get(name).copied().unwrap_or(SaleNo(0));
                return Ok(self.sale_changed(sale_no, now));
            }
            living => living?,
        };
        let sale_no = sale.sale_no;
        if !sale.is_settled(now) {
            return Err(conflict(
                "not_settled",
                "close the sale, and wait until nothing is queued, placing or dead",
            ));
        }
        self.commit(batch, &Event::SalePurged { sale_no, at: now.ledger });
        Ok(self.sale_changed(sale_no, now))
    }

    fn stock(
        &mut self,
        name: &SaleName,
        sku: &Sku,
        delta: i64,
        operation: &str,
        now: Now,
        batch: &mut Batch,
    ) -> Result<Changed, Refusal> {
        let sale = self.living(name)?;
        let sale_no = sale.sale_no;
        let found = sale.items.iter().position(|item| item.sku == *sku);
        let at = found.ok_or(Changed::NotFound)?;
        let item = u16::try_from(at).expect("a sale has at most 1,000 items");
        if let Some(known) = sale.operations.get(operation) {
            return if *known == (item, delta) {
                Ok(self.sale_changed(sale_no, now))
            } else {
                let detail = "the operation id was used for another change: use a new one";
                Err(conflict("operation_reused", detail))
            };
        }
        sale.may_move(at, delta)?;
        let operation = operation.into();
        let event = Event::StockMoved { sale_no, at: now.ledger, item, delta, operation };
        self.commit(batch, &event);
        Ok(self.sale_changed(sale_no, now))
    }

    fn set(
        &mut self,
        configured: (crate::sale::Rate, Option<u32>),
        patch: Option<DrainPatch>,
        now: Now,
        batch: &mut Batch,
    ) -> Changed {
        let patch = patch.unwrap_or_default();
        let drain = &self.drain;
        let paused = match patch.paused {
            None => drain.paused.clone(),
            Some(false) => None,
            Some(true) => Some(drain.paused.clone().unwrap_or_else(|| "operator".into())),
        };
        let next = DrainSettings {
            configured,
            operator_rate: patch.rate.unwrap_or(drain.operator_rate),
            operator_burst: patch.burst.unwrap_or(drain.operator_burst),
            paused,
            eras: drain.eras.clone(),
        };
        if next == *drain && !drain.eras.is_empty() {
            return Changed::Drain(Box::new(self.drain_doc()));
        }
        let at = self.pacer.buckets().set(next.rate(), next.burst(), now.ledger);
        let DrainSettings { operator_rate, operator_burst, paused, .. } = next;
        let event = Event::DrainSet { at, configured, operator_rate, operator_burst, paused };
        self.commit(batch, &event);
        Changed::Drain(Box::new(self.drain_doc()))
    }

    fn retry_dead(
        &mut self,
        name: &SaleName,
        which: &Which,
        now: Now,
        batch: &mut Batch,
    ) -> Result<Changed, Refusal> {
        let sale = self.living(name)?;
        let sale_no = sale.sale_no;
        let dead = |index: &u32| sale.order(*index).state == State::Dead;
        let mut indexes: Vec<u32> = match which {
            Which::All => sale.tries.keys().copied().filter(dead).collect(),
            Which::Places(places) => {
                let indexes: Option<Vec<u32>> =
                    places.iter().map(|place| sale.index(*place)).collect();
                indexes.ok_or(Changed::NotFound)?.into_iter().filter(dead).collect()
            }
        };
        indexes.sort_unstable();
        indexes.dedup();
        for index in &indexes {
            let event = Event::Retried { sale_no, at: now.ledger, index: *index };
            self.commit(batch, &event);
        }
        Ok(Changed::Count(indexes.len() as u64))
    }

    fn end_dead(
        &mut self,
        name: &SaleName,
        place: Place,
        event: impl FnOnce(SaleNo, u32) -> Event,
        batch: &mut Batch,
    ) -> Result<Changed, Refusal> {
        let sale = self.living(name)?;
        let index = sale.index(place).ok_or(Changed::NotFound)?;
        if sale.order(index).state != State::Dead {
            return Err(conflict("not_dead", "the order is not dead any more"));
        }
        let event = event(sale.sale_no, index);
        self.commit(batch, &event);
        Ok(Changed::Count(1))
    }

    fn retain(&mut self, tickets: u64, sales: u64, now: Now, batch: &mut Batch) -> Changed {
        let over = |since: Timestamp, keep: u64| now.ledger.0 >= since.0.saturating_add(keep);
        let mut events = Vec::new();
        for (sale_no, sale) in &self.sales {
            match sale.purged_at {
                Some(purged) if over(purged, sales) => {
                    events.push(Event::SaleForgotten { sale_no: *sale_no });
                }
                None if sale.is_settled(now) && over(sale.settled_since(), tickets) => {
                    events.push(Event::SalePurged { sale_no: *sale_no, at: now.ledger });
                }
                _ => {}
            }
        }
        events.iter().for_each(|event| self.commit(batch, event));
        Changed::Count(events.len() as u64)
    }
}

impl SaleBook {
    /// Closed, and nothing is queued, placing or dead.
    fn is_settled(&self, now: Now) -> bool {
        let closed = self.terms.intake(self.closed, self.paused, now.wall) == Intake::Closed;
        closed && self.open_orders() == 0
    }

    fn settled_since(&self) -> Timestamp {
        self.terms.closes_at.filter(|_| !self.closed).unwrap_or_default().max(self.touched_at)
    }

    /// The old items in their order, then the new ones; or which rule the terms break.
    fn amended_items(&self, terms: &Terms) -> Result<Vec<ItemTerms>, Refusal> {
        let stated = |sku: &Sku| terms.items.iter().find(|item| item.sku == *sku);
        let mut items = Vec::with_capacity(terms.items.len());
        for known in &self.items {
            let Some(item) = stated(&known.sku) else {
                let detail = format!("{} cannot be removed: cut its stock instead", known.sku);
                return Err(conflict("sku_removed", detail));
            };
            if item.stock.is_some_and(|stock| stock != known.initial) {
                let detail = format!(
                    "the stock of {} was {} at its creation: add or cut with /stock",
                    known.sku, known.initial
                );
                return Err(conflict("stock_fixed", detail));
            }
            items.push(ItemTerms { sku: known.sku.clone(), stock: Some(known.initial) });
        }
        let is_new = |item: &&ItemTerms| self.items.iter().all(|known| known.sku != item.sku);
        for item in terms.items.iter().filter(is_new) {
            if item.stock.is_none() {
                return Err(conflict(
                    "stock_missing",
                    format!("state the `stock` of {}", item.sku),
                ));
            }
            items.push(item.clone());
        }
        Ok(items)
    }

    fn may_move(&self, item: usize, delta: i64) -> Result<(), Refusal> {
        let item = &self.items[item];
        let units = delta.unsigned_abs();
        let max = crate::sale::STOCK_MAX;
        if delta == 0 || units > max {
            return Err(conflict("bad_delta", "`delta` must not be 0, and at most 2^53"));
        }
        if delta < 0 && units > item.available {
            let detail = format!("only {} units are available", item.available);
            return Err(conflict("below_available", detail));
        }
        let total = (item.initial + item.added).saturating_add(units);
        if delta > 0 && total > max {
            return Err(conflict("bad_delta", "all units ever added must stay within 2^53"));
        }
        Ok(())
    }
}
