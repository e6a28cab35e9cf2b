//! A reader of the tail, as naive as a reader can be: what it believes must be what the ledger says.

use std::collections::{HashMap, HashSet};

use proptest::prelude::*;

use crate::ledger::{ENDED, OrderDoc, SaleSnapshot, Snapshot, Tail, TailEntry, TailEvent, TailId};
use crate::order::{Place, State};

/// What is believed of the one sale of the suite.
#[derive(Debug, Default)]
pub(super) struct Follower {
    pub(super) after: TailId,
    /// `None` where a snapshot only says that the order has ended.
    states: HashMap<Place, Option<State>>,
    /// Of buyers, as the tail told of them; and of which orders it did.
    holders: HashSet<u64>,
    told: HashSet<Place>,
    levels: HashMap<u16, (u64, bool)>,
}

impl Follower {
    /// Believes a snapshot.
    pub(super) fn of(snapshot: &Snapshot) -> Self {
        let mut follower = Self { after: snapshot.tail, ..Self::default() };
        for sale in &snapshot.sales {
            follower.believe(sale);
        }
        follower
    }

    fn believe(&mut self, sale: &SaleSnapshot) {
        for (index, code) in (0u64..).zip(&sale.states) {
            let span = sale.spans.iter().rev().find(|span| span.first_index <= index);
            let span = span.expect("every order is of an epoch");
            let place = Place { epoch: span.epoch, sequence: index - span.first_index + 1 };
            let state = State::from_code(*code);
            assert!(state.is_some() || *code == ENDED, "{code} is no state");
            self.states.insert(place, state);
        }
        for level in &sale.levels {
            self.levels.insert(level.item, (level.generation, level.sold_out));
        }
    }

    /// Takes in what was read; `false` when a snapshot must be taken instead.
    pub(super) fn read(&mut self, tail: &Tail) -> bool {
        let Tail::Entries(entries) = tail else { return false };
        entries.iter().for_each(|entry| self.take_in(entry));
        true
    }

    fn take_in(&mut self, entry: &TailEntry) {
        self.after = entry.id;
        for event in &entry.events {
            match event {
                TailEvent::Admitted { first, buyers, .. } => {
                    for (sequence, buyer) in (first.sequence..).zip(buyers) {
                        let place = Place { sequence, ..*first };
                        self.states.insert(place, Some(State::Queued));
                        self.told.insert(place);
                        self.holders.insert(*buyer);
                    }
                }
                TailEvent::Moved { orders, .. } => {
                    for (place, state) in orders {
                        self.states.insert(*place, Some(*state));
                    }
                }
                TailEvent::Level(level) => {
                    let known = self.levels.entry(level.item).or_default();
                    *known = (*known).max((level.generation, level.sold_out));
                }
                TailEvent::Sale(_) | TailEvent::Forgotten(_) | TailEvent::Drain(_) => {}
            }
        }
    }

    /// What is believed is what is.
    pub(super) fn hold(&self, orders: &[OrderDoc], left: &[u64]) -> Result<(), TestCaseError> {
        prop_assert_eq!(self.states.len(), orders.len(), "the tail told of every order");
        for order in orders {
            let known = self.holders.contains(&order.buyer_hash);
            prop_assert!(known || !self.told.contains(&order.place), "L8: {:?}", order.buyer);
            match self.states.get(&order.place) {
                Some(Some(state)) => prop_assert_eq!(*state, order.state, "{:?}", order.place),
                Some(None) => prop_assert!(order.state.is_terminal(), "{:?}", order),
                None => return Err(TestCaseError::fail(format!("untold: {order:?}"))),
            }
        }
        for (item, available) in (0u16..).zip(left) {
            let sold_out = self.levels.get(&item).map(|(_, sold_out)| *sold_out);
            prop_assert_eq!(sold_out, Some(*available == 0), "item {}", item);
        }
        Ok(())
    }
}
