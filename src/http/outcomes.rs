//! What settled orders became: documents that never change again.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;

use crate::order::{Place, State};
use crate::sale::SaleNo;

/// The end of an order.
#[derive(Clone, Debug)]
pub(super) struct Outcome {
    pub(super) state: State,
    pub(super) version: u32,
    pub(super) document: Bytes,
}

/// The outcomes that were asked for last. Two generations: when the younger is full, the older goes. Bounded by
/// twice [`Self::GENERATION`].
#[derive(Debug, Default)]
pub(super) struct Outcomes {
    kept: Mutex<(Generation, Generation)>,
}

type Generation = HashMap<(SaleNo, Place), Outcome>;

impl Outcomes {
    const GENERATION: usize = 32_768;

    pub(super) fn get(&self, order: (SaleNo, Place)) -> Option<Outcome> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.0.get(&order).or_else(|| kept.1.get(&order)).cloned()
    }

    pub(super) fn put(&self, order: (SaleNo, Place), outcome: Outcome) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.0.len() >= Self::GENERATION {
            kept.1 = std::mem::take(&mut kept.0);
        }
        kept.0.insert(order, outcome);
    }
}
