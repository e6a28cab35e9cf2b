//! Stock changes go into the store before the orders that count on them.

use super::attempt::{NoAnswer, bounded};
use super::sales::Sale;
use super::shared::Shared;
use crate::sale::StockChange;
use crate::store::{LaterCause, StoreError};

/// Applies the changes of a claim, oldest first, and remembers the newest once the store has said that it has
/// them. Rounds may do this at the same time: the store applies each number once.
///
/// # Errors
/// When the store could not say so; then no order of the claim may be placed.
pub(super) async fn apply_stock(
    shared: &Shared,
    sale: &Sale,
    changes: &[StockChange],
) -> Result<(), StoreError> {
    let Some(newest) = changes.iter().map(|change| change.number).max() else { return Ok(()) };
    let away =
        |reason: &str| StoreError { cause: LaterCause::StoreAway, reason: reason.to_owned() };
    let call = async { shared.store.stock(changes.to_vec()).await };
    let applied = match bounded(shared.config.attempt_timeout.0, call).await {
        Ok(applied) => applied,
        Err(NoAnswer::TimedOut) => Err(away("no answer to a stock change in time")),
        Err(NoAnswer::Panicked) => Err(away("the store's code panicked at a stock change")),
    };
    match &applied {
        Ok(()) => sale.stock_is_there(newest),
        Err(error) => {
            tracing::warn!(sale = %sale.name, reason = %error, "a stock change is not in the store yet: its sale waits");
        }
    }
    applied
}
