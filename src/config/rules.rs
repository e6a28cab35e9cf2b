//! Bounds of single values that their types do not hold, and what is doubtful about a sale.

use std::time::Duration;

use super::said::Said;
use super::sale::ConfiguredSale;
use crate::ledger::embedded::SEGMENT_SIZE_MIN;
use crate::units::Size;
use crate::units::Span;

/// More cores than any machine has.
const CORES_MAX: u32 = 1_024;

/// Every bound that is broken: the key and what to do.
pub(super) fn broken(said: &Said) -> Vec<(&'static str, String)> {
    let (timeouts, queue) = (&said.public.timeouts, &said.queue);
    let simulated = &said.store.simulated;
    let none = Duration::ZERO;
    let zero = [
        ("public.order_deadline", said.public.order_deadline.0 == none),
        ("public.limits.connections", said.public.limits.connections == 0),
        ("public.timeouts.first_byte", timeouts.first_byte.0 == none),
        ("public.timeouts.headers", timeouts.headers.0 == none),
        ("public.timeouts.body", timeouts.body.0 == none),
        ("public.timeouts.idle", timeouts.idle.0 == none),
        ("public.timeouts.write", timeouts.write.0 == none),
        ("public.timeouts.shutdown", timeouts.shutdown.0 == none),
        ("limits.per_buyer_burst", said.limits.per_buyer_burst == 0),
        ("limits.per_address_burst", said.limits.per_address_burst == Some(0)),
        ("limits.gateway_burst", said.limits.gateway_burst == Some(0)),
        ("queue.max_wait", queue.max_wait.0 == none),
        ("queue.capacity", queue.capacity == 0),
        ("queue.memory", queue.memory.0 == 0),
        ("ledger.embedded.snapshot_after", said.ledger.embedded.snapshot_after.0 == 0),
        ("store.simulated.connections", simulated.connections == 0),
        ("store.simulated.server.cores", simulated.server.cores == 0),
        ("retention.tickets", said.retention.tickets.0 == none),
        ("retention.sales", said.retention.sales.0 == none),
    ];
    let mut broken: Vec<(&'static str, String)> = zero
        .into_iter()
        .filter(|(_, is_zero)| *is_zero)
        .map(|(key, _)| (key, format!("`{key}` must be more than zero")))
        .collect();
    if said.ledger.embedded.segment_size.0 < SEGMENT_SIZE_MIN {
        let key = "ledger.embedded.segment_size";
        broken.push((key, format!("`{key}` must be at least {}", Size(SEGMENT_SIZE_MIN))));
    }
    if simulated.server.cores > CORES_MAX {
        let key = "store.simulated.server.cores";
        broken.push((key, format!("`{key}` must be at most {CORES_MAX}")));
    }
    for key in simulated.server.too_long() {
        broken.push((key, format!("`{key}` must be at most an hour")));
    }
    broken
}

/// What a sale's terms will hardly have been meant to say.
pub(super) fn doubts(sale: &ConfiguredSale, said: &Said) -> Vec<String> {
    let terms = &sale.terms;
    let stock: u64 = terms.items.iter().filter_map(|item| item.stock).sum();
    let mut doubts = Vec::new();
    if let Some(limit) = terms.limit_per_buyer.filter(|limit| *limit > stock) {
        doubts.push(format!(
            "sale `{}`: limit_per_buyer ({limit}) is above the whole stock ({stock})",
            sale.name
        ));
    }
    let own = terms.drain_rate.filter(|own| own.as_per_second() < said.drain.rate.as_per_second());
    let rate = own.unwrap_or(said.drain.rate);
    #[expect(clippy::cast_precision_loss, reason = "stock is at most 2^53")]
    let seconds = stock as f64 / rate.as_per_second();
    let max_wait = said.queue.max_wait;
    if seconds > max_wait.0.as_secs_f64() {
        let takes = Duration::try_from_secs_f64(seconds.ceil()).unwrap_or(Duration::MAX);
        doubts.push(format!(
            "sale `{}`: {stock} units at {rate} take {}, longer than queue.max_wait ({max_wait}): buyers \
             beyond it are told to come back (`backlog_full`); raise the rate or queue.max_wait",
            sale.name,
            Span(takes)
        ));
    }
    doubts
}
