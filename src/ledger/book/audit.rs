//! The laws, recomputed from the orders one by one: what the counters say must follow from them.

use std::collections::HashMap;

use super::Book;
use super::sale::SaleBook;
use crate::order::State;

/// One broken law.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// `L1`, `L4`, `L6` … or `limit`, `key`.
    pub law: &'static str,
    /// The sale.
    pub sale: String,
    /// What does not fit.
    pub what: String,
}

impl Book {
    /// Every law of the book that does not hold. Reads all orders; for tests and for `verify --offline`.
    #[must_use]
    pub fn audit(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        for sale in self.sales.values().filter(|sale| sale.purged_at.is_none()) {
            let mut find = |law, what| {
                findings.push(Finding { law, sale: sale.name.to_string(), what });
            };
            sale.audit_stock(&mut find);
            sale.audit_states(&mut find);
            sale.audit_limits(&mut find);
            sale.audit_queue(&mut find);
        }
        findings
    }
}

type Find<'a> = &'a mut dyn FnMut(&'static str, String);

impl SaleBook {
    fn audit_stock(&self, find: Find<'_>) {
        let mut held = vec![0u64; self.items.len()];
        let mut sold = vec![0u64; self.items.len()];
        for order in &self.orders {
            for line in self.multi.of(order).as_slice() {
                let item = usize::from(line.item);
                match order.state {
                    state if state.is_sold() => sold[item] += u64::from(line.quantity),
                    state if !state.is_terminal() => held[item] += u64::from(line.quantity),
                    _ => {}
                }
            }
        }
        for (at, item) in self.items.iter().enumerate() {
            let there = item.available + item.held + item.sold;
            let made = item.initial + item.added - item.cut;
            if there != made || item.held != held[at] || item.sold != sold[at] {
                let what = format!("{item:?}, from orders: held {}, sold {}", held[at], sold[at]);
                find("L1", what);
            }
        }
    }

    fn audit_states(&self, find: Find<'_>) {
        let mut counts = [0u64; State::ALL.len()];
        let mut bytes = 0;
        for order in &self.orders {
            counts[usize::from(order.state.code())] += 1;
            if matches!(order.state, State::Queued | State::Placing) {
                bytes += u64::from(order.payload_len);
            }
        }
        if counts != self.counts || bytes != self.backlog_bytes {
            find("L1", format!("counters {:?}, from orders {counts:?}", self.counts));
        }
    }

    fn audit_limits(&self, find: Find<'_>) {
        let mut units: HashMap<u32, u64> = HashMap::new();
        let mut keys: HashMap<(u32, u64), u32> = HashMap::new();
        for order in &self.orders {
            let live = !order.state.is_terminal() || order.state.is_sold();
            let asked = self.multi.of(order).units();
            *units.entry(order.buyer).or_default() += if live { asked } else { 0 };
            *keys.entry((order.buyer, order.key)).or_default() += 1;
        }
        for (buyer, units) in units {
            let counted = self.buyers.entries[buyer as usize].units;
            if counted != units {
                let name = self.buyers.name(buyer);
                find("limit", format!("{name}: counted {counted}, from orders {units}"));
            }
        }
        if let Some(((buyer, _), count)) = keys.iter().find(|(_, count)| **count > 1) {
            find("L3", format!("{}: one key took {count} orders", self.buyers.name(*buyer)));
        }
    }

    fn audit_queue(&self, find: Find<'_>) {
        for (index, order) in (0u32..).zip(&self.orders) {
            let tries = self.tries.get(&index);
            let lease = tries.and_then(|tries| tries.lease);
            let due = tries.and_then(|tries| tries.due);
            let ok = match order.state {
                State::Queued => index >= self.cursor && tries.is_none(),
                State::Placing => lease.is_some() != due.is_some(),
                State::Dead => tries.is_some() && lease.is_none() && due.is_none(),
                _ => tries.is_none(),
            };
            let leased = lease.is_none_or(|(_, until)| self.leases.contains(&(until, index)));
            let waits = due.is_none_or(|due| self.due.contains(&(due, index)));
            if !ok || !leased || !waits {
                find("L4", format!("order {index} is {:?} with {tries:?}", order.state));
            }
            if self.index(self.place(index)) != Some(index) {
                find("L6", format!("order {index} has the place {:?}", self.place(index)));
            }
        }
        let placing = self.leases.len() as u64 + self.due.len() as u64;
        if placing != self.count(State::Placing) {
            find("L4", format!("{placing} leases and returns, {:?}", self.counts));
        }
    }
}
