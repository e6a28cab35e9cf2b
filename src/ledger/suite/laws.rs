//! The laws, checked after every step through the seam alone.

use std::collections::HashMap;

use proptest::prelude::*;

use super::model::LIMIT;
use crate::clock::Timestamp;
use crate::ledger::{OrderDoc, SaleDoc};
use crate::order::{Place, State, may_follow};
use crate::sale::Rate;

/// What was seen before, so that what must never change can be held to it.
#[derive(Debug, Default)]
pub(super) struct Laws {
    seen: HashMap<Place, OrderDoc>,
    pace: Pace,
}

/// L7 in its one-pass form, over the time in which one rate is in force.
#[derive(Debug, Default)]
struct Pace {
    rate: Option<Rate>,
    from: u64,
    given: i128,
    lowest: i128,
}

impl Laws {
    /// L1, L3, L5, L6 and the limit, from one census and the export that was read with it.
    pub(super) fn hold(&mut self, doc: &SaleDoc, orders: &[OrderDoc]) -> Result<(), TestCaseError> {
        conservation(doc, orders)?;
        limits(orders)?;
        sequences(orders)?;
        self.transitions(orders)
    }

    fn transitions(&mut self, orders: &[OrderDoc]) -> Result<(), TestCaseError> {
        prop_assert!(orders.len() >= self.seen.len(), "L2: an accepted order is gone");
        for order in orders {
            if let Some(before) = self.seen.get(&order.place) {
                let (from, to) = (before.state, order.state);
                // A step may make two transitions: an answer for an order that was given up.
                let through = may_follow(from, State::Placing) && may_follow(State::Placing, to);
                prop_assert!(
                    from == to || may_follow(from, to) || through,
                    "L5: {from:?} to {to:?}"
                );
                prop_assert!(!from.is_terminal() || before == order, "L5: {before:?} {order:?}");
                prop_assert_eq!(
                    (&before.buyer, &before.lines, before.accepted_at),
                    (&order.buyer, &order.lines, order.accepted_at)
                );
            }
            self.seen.insert(order.place, order.clone());
        }
        Ok(())
    }

    /// L7: a grant was made. Another rate starts another count.
    pub(super) fn granted(
        &mut self,
        rate: Rate,
        count: u32,
        at: Timestamp,
    ) -> Result<(), TestCaseError> {
        let Rate::Per { permits, .. } = rate else { return Ok(()) };
        if self.pace.rate != Some(rate) {
            self.pace = Pace { rate: Some(rate), from: at.0, given: 0, lowest: 0 };
        }
        let pace = &mut self.pace;
        let earned = i128::from(permits) * i128::from(at.0 - pace.from);
        pace.lowest = pace.lowest.min(pace.given * 1_000_000 - earned);
        pace.given += i128::from(count);
        let above = pace.given * 1_000_000 - earned - pace.lowest;
        let burst = i128::from(rate.burst_auto().unwrap_or(0));
        prop_assert!(above <= burst * 1_000_000, "L7: {} above the burst of {burst}", above);
        Ok(())
    }
}

fn conservation(doc: &SaleDoc, orders: &[OrderDoc]) -> Result<(), TestCaseError> {
    let census = &doc.census;
    for item in &census.items {
        let made = item.initial + item.added - item.cut;
        prop_assert_eq!(made, item.available + item.held + item.sold, "L1: {:?}", item);
        let units = |wanted: &dyn Fn(State) -> bool| -> u64 {
            let of = orders.iter().filter(|order| wanted(order.state));
            let lines = of.flat_map(|order| &order.lines).filter(|line| line.sku == item.sku);
            lines.map(|line| u64::from(line.quantity)).sum()
        };
        prop_assert_eq!(item.held, units(&|state| !state.is_terminal()), "L1: held");
        prop_assert_eq!(item.sold, units(&State::is_sold), "L1: sold");
    }
    let count = |state| orders.iter().filter(|order| order.state == state).count() as u64;
    let by_state = [
        (census.queued, State::Queued),
        (census.placing, State::Placing),
        (census.placed, State::Placed),
        (census.refused, State::Refused),
        (census.cancelled, State::Cancelled),
        (census.dead, State::Dead),
    ];
    for (counted, state) in by_state {
        prop_assert_eq!(counted, count(state), "L1: orders in {:?}", state);
    }
    prop_assert_eq!(census.accepted, orders.len() as u64, "L1: accepted");
    Ok(())
}

fn limits(orders: &[OrderDoc]) -> Result<(), TestCaseError> {
    let mut held: HashMap<&str, u64> = HashMap::new();
    for order in orders.iter().filter(|order| !order.state.is_terminal() || order.state.is_sold()) {
        let units: u64 = order.lines.iter().map(|line| u64::from(line.quantity)).sum();
        *held.entry(order.buyer.as_str()).or_default() += units;
    }
    prop_assert!(held.values().all(|units| *units <= LIMIT), "limit: {held:?}");
    Ok(())
}

fn sequences(orders: &[OrderDoc]) -> Result<(), TestCaseError> {
    let mut next: HashMap<u16, u64> = HashMap::new();
    for order in orders {
        let expected = next.entry(order.place.epoch).or_insert(1);
        prop_assert_eq!(order.place.sequence, *expected, "L6: sequences have no gap");
        *expected += 1;
    }
    Ok(())
}
