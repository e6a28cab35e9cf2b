//! Breaks a book on purpose, for the tests of the verifier: what no command could do.

use super::Book;
use super::sale::SaleBook;
use crate::order::State;
use crate::sale::SaleName;

/// What is done to a book.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Sabotage {
    /// A unit too many is available.
    Available,
    /// A unit goes from sold to held, so that the counters still add up.
    SoldToHeld,
    /// The order at this index is in another state, the counters as well.
    State(u32, State),
    /// The order at this index belongs to the buyer of the other one.
    Buyer(u32, u32),
    /// So many orders were granted in one instant.
    Attempts(u32),
}

impl Book {
    /// Does it to a sale.
    pub(crate) fn sabotage(&mut self, name: &SaleName, sabotage: Sabotage) {
        let sale_no = self.names.get(name).copied().expect("the sale is there");
        let sale: &mut SaleBook = self.sales.get_mut(&sale_no).expect("the sale is there");
        match sabotage {
            Sabotage::Available => sale.items[0].available += 1,
            Sabotage::SoldToHeld => {
                sale.items[0].sold -= 1;
                sale.items[0].held += 1;
            }
            Sabotage::State(index, state) => {
                let from = std::mem::replace(&mut sale.order_mut(index).state, state);
                sale.counts[usize::from(from.code())] -= 1;
                sale.counts[usize::from(state.code())] += 1;
            }
            Sabotage::Buyer(index, other) => {
                sale.order_mut(index).buyer = sale.order(other).buyer;
            }
            Sabotage::Attempts(indexes) => {
                let at = sale.order(0).attempted_at;
                (0..indexes).for_each(|index| sale.order_mut(index).attempted_at = at);
            }
        }
    }
}
