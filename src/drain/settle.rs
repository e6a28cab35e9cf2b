//! Tells the ledger what became of claimed orders, for as long as their lease holds.

use std::time::Duration;

use super::sales::Sale;
use super::shared::{LEDGER_PAUSE, Shared};
use crate::ledger::{FaultKind, Settle, Settled};

/// Settles, again while the ledger cannot answer: settling is idempotent. `until` is the end of the lease.
/// `None` when it was not recorded: the lease ends, and the next attempt finds what the store has.
pub(super) async fn settle(
    shared: &Shared,
    sale: &Sale,
    settles: &[Settle],
    until: Duration,
) -> Option<Vec<Settled>> {
    let mut tries = 0;
    loop {
        match shared.ledger.settle(settles.to_vec()).await {
            Ok(settled) => return Some(settled),
            Err(fault) => {
                shared.sale_faulted(sale, &fault);
                let pause = shared.draw(|jitter| LEDGER_PAUSE.half(tries, jitter));
                if fault.kind == FaultKind::Corrupt || shared.now() + pause >= until {
                    tracing::warn!(orders = settles.len(), reason = %fault, "orders could not be settled: they come back when their lease ends");
                    return None;
                }
                tries += 1;
                tokio::time::sleep(pause).await;
            }
        }
    }
}
