//! Calls of the store that have no answer yet.

use std::collections::BTreeMap;
use std::time::Duration;

/// A call that was begun.
#[derive(Debug)]
pub(in super::super) struct Call(u64);

/// What is known of a call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    pub(super) orders: u32,
    pub(super) begun: Duration,
    /// No other was in flight when it began.
    pub(super) alone: bool,
    /// It was counted as slow before it ended.
    pub(super) counted: bool,
}

/// All calls in flight.
#[derive(Clone, Debug, Default)]
pub(super) struct Flight {
    calls: BTreeMap<u64, Known>,
    last: u64,
}

impl Flight {
    /// A call begins.
    pub(super) fn begins(&mut self, orders: u32, now: Duration) -> Call {
        self.last += 1;
        let alone = self.calls.is_empty();
        self.calls.insert(self.last, Known { orders, begun: now, alone, counted: false });
        Call(self.last)
    }

    /// A call has ended.
    #[expect(clippy::needless_pass_by_value, reason = "a call ends once")]
    pub(super) fn ended(&mut self, call: Call) -> Option<Known> {
        self.calls.remove(&call.0)
    }

    /// When the calls began, from `since` on, that are late by `is_late(orders, begun)`; each is told once.
    pub(super) fn late(
        &mut self,
        since: Duration,
        is_late: impl Fn(u32, Duration) -> bool,
    ) -> Vec<Duration> {
        let mut late = Vec::new();
        for call in self.calls.values_mut() {
            if !call.counted && call.begun >= since && is_late(call.orders, call.begun) {
                call.counted = true;
                late.push(call.begun);
            }
        }
        late
    }
}
