//! The whole book as bytes. The first number is the version; another version is refused by name.

use std::collections::VecDeque;

use hashbrown::HashMap;

use super::codec::{Reader, Truncated, Writer};
use super::event::{decode_rate, decode_terms, encode_rate, encode_terms};
use super::orders::{Buyers, Keys, Order, Tries};
use super::pacer::Pacer;
use super::sale::{Item, Outcome, SaleBook, StockMove};
use super::{Book, DrainSettings};
use crate::clock::Timestamp;
use crate::ledger::{AttemptNote, EpochSpan, LeaseId, PaceEra};
use crate::order::{ItemLine, State};
use crate::sale::SaleNo;

/// The version that is written.
const VERSION: u64 = 1;

/// The names of attempts' outcomes, by code; a code is never given another name. Of two codes the last is written.
const OUTCOMES: [&str; 9] =
    ["open", "placed", "refused", "later", "dead", "unstarted", "lease_ended", "cancelled", "dead"];

/// A death whose attempt bears the code of the order in place of what was seen: nobody had kept that.
const DEAD_UNSEEN: usize = 4;

/// By key, so that the same book is always the same bytes.
fn sorted<K: Ord, V>(map: &HashMap<K, V>) -> impl Iterator<Item = (&K, &V)> {
    let mut all: Vec<(&K, &V)> = map.iter().collect();
    all.sort_unstable_by_key(|(key, _)| *key);
    all.into_iter()
}

impl Book {
    /// Appends the whole book. The same book is the same bytes.
    pub fn encode_snapshot(&self, out: &mut Writer) {
        out.number(VERSION);
        out.number(u64::from(self.epoch));
        out.number(self.last_at.0);
        out.number(self.leases_given);
        out.number(self.answers);
        out.number(self.refusals.window.len() as u64);
        self.refusals.window.iter().for_each(|refused| out.flag(*refused));
        self.drain.encode(out);
        out.number(self.sales.len() as u64);
        sorted(&self.sales).for_each(|(_, sale)| sale.encode(out));
    }

    /// Reads a book back.
    ///
    /// # Errors
    /// When the bytes are of another version or break its rules.
    pub fn decode_snapshot(from: &mut Reader<'_>) -> Result<Self, Truncated> {
        if from.number()? != VERSION {
            return Err(Truncated);
        }
        let mut book = Self::new();
        book.epoch = from.get()?;
        book.last_at = Timestamp(from.number()?);
        book.leases_given = from.number()?;
        book.answers = from.number()?;
        for _ in 0..from.count()? {
            book.refusals.window.push_back(from.flag()?);
        }
        book.drain = DrainSettings::decode(from)?;
        for _ in 0..from.count()? {
            let sale = SaleBook::decode(from)?;
            book.names.insert(sale.name.clone(), sale.sale_no);
            book.sales.insert(sale.sale_no, sale);
        }
        book.pacer = Pacer::new(book.drain.rate(), book.drain.burst(), book.last_at);
        book.tell_pacer(book.last_at);
        book.sales.values().for_each(|sale| book.tell_pacer_of(sale));
        Ok(book)
    }
}

impl DrainSettings {
    fn encode(&self, out: &mut Writer) {
        encode_rate(out, self.configured.0);
        out.option(self.configured.1.map(u64::from));
        out.option_with(self.operator_rate, encode_rate);
        out.option(self.operator_burst.map(u64::from));
        out.option_with(self.paused.as_deref(), Writer::text);
        out.number(self.eras.len() as u64);
        for era in &self.eras {
            out.number(era.from.0);
            encode_rate(out, era.rate);
            out.option(era.burst.map(u64::from));
        }
    }

    fn decode(from: &mut Reader<'_>) -> Result<Self, Truncated> {
        let configured = (decode_rate(from)?, from.option_get()?);
        let operator_rate = from.option_with(decode_rate)?;
        let operator_burst = from.option_get()?;
        let paused = from.option_with(|from| Ok(from.text()?.into()))?;
        let mut eras = VecDeque::new();
        for _ in 0..from.count()? {
            let at = Timestamp(from.number()?);
            let rate = decode_rate(from)?;
            eras.push_back(PaceEra { from: at, rate, burst: from.option_get()? });
        }
        Ok(Self { configured, operator_rate, operator_burst, paused, eras })
    }
}

impl SaleBook {
    fn encode(&self, out: &mut Writer) {
        out.number(u64::from(self.sale_no.0));
        out.text(self.name.as_str());
        encode_terms(out, &self.terms);
        out.number(self.made_at.0);
        out.number(u64::from(self.key_id));
        out.flag(self.paused);
        out.flag(self.closed);
        out.option(self.purged_at.map(|at| at.0));
        out.number(self.touched_at.0);
        out.number(self.revision);
        out.option(self.limit_loosest);
        self.encode_stock(out);
        out.number(self.spans.len() as u64);
        for span in &self.spans {
            out.number(u64::from(span.epoch));
            out.number(span.first_index);
        }
        self.counts.iter().for_each(|count| out.number(*count));
        out.number(u64::from(self.cursor));
        out.number(self.multi.0.len() as u64);
        for lines in &self.multi.0 {
            out.number(lines.len() as u64);
            for line in lines {
                out.number(u64::from(line.item));
                out.number(u64::from(line.quantity));
            }
        }
        self.encode_orders(out);
        out.number(self.tries.len() as u64);
        sorted(&self.tries).for_each(|(index, tries)| tries.encode(*index, out));
        out.number(self.outcomes.len() as u64);
        for (index, outcome) in sorted(&self.outcomes) {
            out.number(u64::from(*index));
            out.option_with(outcome.order_no.as_deref(), Writer::text);
            out.option_with(outcome.reason.as_deref(), Writer::text);
            encode_notes(out, &outcome.notes);
        }
    }

    fn encode_stock(&self, out: &mut Writer) {
        out.number(self.items.len() as u64);
        for item in &self.items {
            out.text(item.sku.as_str());
            for count in [item.initial, item.added, item.cut, item.available, item.held, item.sold]
            {
                out.number(count);
            }
            out.number(item.generation);
        }
        out.number(self.moves.len() as u64);
        for change in &self.moves {
            out.number(u64::from(change.item));
            out.flag(change.creates);
            out.signed(change.delta);
        }
        out.number(self.operations.len() as u64);
        for (operation, (item, delta)) in sorted(&self.operations) {
            out.text(operation);
            out.number(u64::from(*item));
            out.signed(*delta);
        }
    }

    fn encode_orders(&self, out: &mut Writer) {
        out.number(self.buyers.entries.len() as u64);
        for (buyer, entry) in (0u32..).zip(&self.buyers.entries) {
            out.fixed(entry.hash);
            out.text(self.buyers.name(buyer));
            out.number(entry.units);
            out.number(u64::from(entry.newest));
        }
        out.number(self.orders.len() as u64);
        for order in &self.orders {
            let (item, quantity) = order.asked();
            out.number(order.accepted_at.0);
            out.number(order.attempted_at.0);
            out.number(order.settled_at.0);
            out.fixed(order.key);
            out.fixed(order.fingerprint);
            out.number(order.payload_at);
            out.number(u64::from(order.buyer));
            out.number(u64::from(item));
            out.number(u64::from(quantity));
            out.number(u64::from(order.payload_len));
            out.number(u64::from(order.version));
            out.byte(order.attempts);
            out.byte(order.state.code());
        }
    }

    fn decode(from: &mut Reader<'_>) -> Result<Self, Truncated> {
        let sale_no = SaleNo(from.get()?);
        let name = from.text()?.parse().map_err(|_| Truncated)?;
        let terms = decode_terms(from)?;
        let made_at = Timestamp(from.number()?);
        let key_id = from.get()?;
        let mut sale = Self::new(sale_no, name, terms, made_at, key_id, 0);
        sale.paused = from.flag()?;
        sale.closed = from.flag()?;
        sale.purged_at = from.option()?.map(Timestamp);
        sale.touched_at = Timestamp(from.number()?);
        sale.revision = from.number()?;
        sale.limit_loosest = from.option()?;
        sale.decode_stock(from)?;
        sale.spans.clear();
        for _ in 0..from.count()? {
            let epoch = from.get()?;
            sale.spans.push(EpochSpan { epoch, first_index: from.number()? });
        }
        for count in &mut sale.counts {
            *count = from.number()?;
        }
        sale.cursor = from.get()?;
        for _ in 0..from.count()? {
            let lines = from.count()?;
            let line =
                |from: &mut Reader<'_>| Ok(ItemLine { item: from.get()?, quantity: from.get()? });
            sale.multi.0.push((0..lines).map(|_| line(from)).collect::<Result<_, _>>()?);
        }
        sale.decode_orders(from)?;
        for _ in 0..from.count()? {
            sale.decode_tries(from)?;
        }
        sale.outcomes = HashMap::new();
        for _ in 0..from.count()? {
            let index = from.get()?;
            let order_no = from.option_with(|from| Ok(from.text()?.into()))?;
            let reason = from.option_with(|from| Ok(from.text()?.into()))?;
            let notes = decode_notes(from)?.into();
            sale.outcomes.insert(index, Outcome { order_no, reason, notes });
        }
        Ok(sale)
    }

    fn decode_stock(&mut self, from: &mut Reader<'_>) -> Result<(), Truncated> {
        self.items.clear();
        for _ in 0..from.count()? {
            self.items.push(Item {
                sku: from.text()?.parse().map_err(|_| Truncated)?,
                initial: from.number()?,
                added: from.number()?,
                cut: from.number()?,
                available: from.number()?,
                held: from.number()?,
                sold: from.number()?,
                generation: from.number()?,
            });
        }
        self.moves.clear();
        for _ in 0..from.count()? {
            let item = from.get()?;
            let creates = from.flag()?;
            self.moves.push(StockMove { item, creates, delta: from.signed()? });
        }
        for _ in 0..from.count()? {
            let operation = from.text()?.into();
            let item = from.get()?;
            self.operations.insert(operation, (item, from.signed()?));
        }
        Ok(())
    }

    fn decode_orders(&mut self, from: &mut Reader<'_>) -> Result<(), Truncated> {
        let buyers = from.count()?;
        self.buyers = Buyers::with_capacity(buyers);
        for _ in 0..buyers {
            let hash = from.fixed()?;
            let buyer = self.buyers.find_or_add(hash, from.text()?);
            let entry = self.buyers.entries.get_mut(buyer as usize).ok_or(Truncated)?;
            entry.units = from.number()?;
            entry.newest = from.get()?;
        }
        let orders = from.count()?;
        self.orders = Vec::with_capacity(orders);
        self.keys = Keys::with_capacity(orders);
        self.backlog_bytes = 0;
        for index in 0..u32::try_from(orders).map_err(|_| Truncated)? {
            let order = decode_order(from)?;
            let known = (order.buyer as usize) < self.buyers.entries.len();
            if !known {
                return Err(Truncated);
            }
            if matches!(order.state, State::Queued | State::Placing) {
                self.backlog_bytes += u64::from(order.payload_len);
            }
            self.orders.push(order);
            self.keys.add(&self.orders, index);
        }
        Ok(())
    }

    fn decode_tries(&mut self, from: &mut Reader<'_>) -> Result<(), Truncated> {
        let index = from.get()?;
        let lease =
            from.option_with(|from| Ok((LeaseId(from.number()?), Timestamp(from.number()?))))?;
        let due = from.option()?.map(Timestamp);
        let tries = Tries {
            lease,
            due,
            claims: from.get()?,
            unanswered: from.get()?,
            answers_at_claim: from.number()?,
            notes: decode_notes(from)?,
        };
        self.leases.extend(lease.map(|(_, until)| (until, index)));
        self.due.extend(due.map(|due| (due, index)));
        self.tries.insert(index, tries);
        Ok(())
    }
}

fn decode_order(from: &mut Reader<'_>) -> Result<Order, Truncated> {
    let accepted_at = Timestamp(from.number()?);
    let attempted_at = Timestamp(from.number()?);
    let settled_at = Timestamp(from.number()?);
    let (key, fingerprint) = (from.fixed()?, from.fixed()?);
    let payload_at = from.number()?;
    let buyer = from.get()?;
    let asked = Order::restore_asked(from.get()?, from.get()?);
    let mut order = Order::new(accepted_at, key, fingerprint, buyer, asked);
    order.attempted_at = attempted_at;
    order.settled_at = settled_at;
    order.payload_at = payload_at;
    order.payload_len = from.get()?;
    order.version = from.get()?;
    order.attempts = from.byte()?;
    order.state = State::from_code(from.byte()?).ok_or(Truncated)?;
    Ok(order)
}

impl Tries {
    fn encode(&self, index: u32, out: &mut Writer) {
        out.number(u64::from(index));
        out.option_with(self.lease, |out, (lease, until)| {
            out.number(lease.0);
            out.number(until.0);
        });
        out.option(self.due.map(|due| due.0));
        out.number(u64::from(self.claims));
        out.number(u64::from(self.unanswered));
        out.number(self.answers_at_claim);
        encode_notes(out, &self.notes);
    }
}

fn encode_notes(out: &mut Writer, notes: &[AttemptNote]) {
    out.number(notes.len() as u64);
    for note in notes {
        out.number(note.at.0);
        out.option(note.ended_at.map(|at| at.0));
        let code = OUTCOMES.iter().rposition(|name| *name == note.outcome);
        out.number(code.expect("every outcome of an attempt has a code") as u64);
        out.option_with(note.reason.as_deref(), Writer::text);
    }
}

fn decode_notes(from: &mut Reader<'_>) -> Result<Vec<AttemptNote>, Truncated> {
    let note = |from: &mut Reader<'_>| {
        let at = Timestamp(from.number()?);
        let ended_at = from.option()?.map(Timestamp);
        let code: usize = from.get()?;
        let outcome = OUTCOMES.get(code).copied().ok_or(Truncated)?;
        let reason = from.option_with(|from| Ok(from.text()?.into()))?;
        let reason = reason.filter(|_| code != DEAD_UNSEEN);
        Ok(AttemptNote { at, ended_at, outcome, reason })
    };
    let count = from.count()?;
    (0..count).map(|_| note(from)).collect()
}
