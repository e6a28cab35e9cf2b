//! One call of the store for a batch, and what must be asked after it.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;

use super::outcome::{Answer, Why, said};
use super::shared::Shared;
use crate::order::TicketText;
use crate::store::PlaceOrder;

/// How often a store is asked about orders in doubt, at most; placing the ticket again tells as much (S1).
const FINDS: u32 = 2;

/// How long one question may take.
const FIND_TIMEOUT: Duration = Duration::from_secs(2);

/// Between two questions.
const FIND_PAUSE: Duration = Duration::from_millis(200);

/// What must be left of the lease after the last question, to settle.
const FIND_MARGIN: Duration = Duration::from_millis(500);

/// A call of the store that gave no answer. Its effect may still come (S4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoAnswer {
    TimedOut,
    Panicked,
}

/// Calls the store, for at most `limit`. Its panic is an answer that is missing, not the end of the worker.
pub(super) async fn bounded<T>(
    limit: Duration,
    call: impl Future<Output = T>,
) -> Result<T, NoAnswer> {
    match tokio::time::timeout(limit, AssertUnwindSafe(call).catch_unwind()).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(_)) => {
            tracing::error!("the store's code panicked");
            Err(NoAnswer::Panicked)
        }
        Err(_) => Err(NoAnswer::TimedOut),
    }
}

/// Attempts each order; one answer each, in their order. `until`: the end of their lease.
pub(super) async fn attempt(
    shared: &Shared,
    orders: Vec<PlaceOrder>,
    until: Duration,
) -> Vec<Answer> {
    let tickets: Vec<TicketText> = orders.iter().map(|order| order.ticket).collect();
    let limit = shared.config.attempt_timeout;
    let in_flight = shared.figures.attempts(tickets.len() as u64);
    let call =
        shared.limiter.begins(u32::try_from(tickets.len()).unwrap_or(u32::MAX), shared.now());
    let placed = bounded(limit.0, async { shared.store.place(orders).await }).await;
    drop(in_flight);
    let none = match &placed {
        Ok(_) => Answer::doubt(Why::InDoubt, "the store gave no answer for this order"),
        Err(NoAnswer::TimedOut) => {
            Answer::doubt(Why::TimedOut, format!("no answer within {limit}"))
        }
        Err(NoAnswer::Panicked) => Answer::doubt(Why::Panicked, "the store's code panicked"),
    };
    let mut answers: Vec<Answer> =
        placed.unwrap_or_default().into_iter().map(Answer::from).take(tickets.len()).collect();
    answers.resize(tickets.len(), none);
    shared.limiter.ended(call, said(&answers), shared.now());
    resolve(shared, &tickets, &mut answers, until).await;
    answers
}

/// Asks the store about the orders that are in doubt.
async fn resolve(shared: &Shared, tickets: &[TicketText], answers: &mut [Answer], until: Duration) {
    for round in 0..FINDS {
        let (asked, open): (Vec<TicketText>, Vec<&mut Answer>) = tickets
            .iter()
            .copied()
            .zip(answers.iter_mut())
            .filter(|(_, answer)| answer.is_open())
            .unzip();
        let left = until.saturating_sub(shared.now() + FIND_MARGIN);
        if open.is_empty() || left.is_zero() || (round > 0 && shared.stop.is_pulled()) {
            return;
        }
        if round > 0 {
            tokio::time::sleep(FIND_PAUSE.min(left)).await;
        }
        let limit = FIND_TIMEOUT.min(left);
        if let Ok(found) = bounded(limit, async { shared.store.find(asked).await }).await {
            open.into_iter().zip(found).for_each(|(answer, found)| answer.found(found));
        }
    }
}
