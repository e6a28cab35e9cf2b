//! Asks again, with the same key, until it is known of every order whether it was taken, or until it was decided.

use std::time::Duration;

use tokio::time::sleep;

use crate::clock;
use crate::drive::{Arrivals, Drive, Shared, look};
use crate::history::History;
use crate::wire::Wire;

/// Between two rounds: long enough for a busy gateway to breathe.
const ROUND_EVERY: Duration = Duration::from_millis(250);

/// Repeats every open ask of the history until none is open or the time is over.
pub async fn recover<W: Wire>(drive: &Drive, history: &Shared<History>, within: Duration) {
    repeat::<W>(drive, history, within, History::open_asks).await;
}

/// The same of every ask that was turned away for now too (a gateway that was busy or had no ledger), as buyers do
/// who want to have the thing.
pub async fn insist<W: Wire>(drive: &Drive, history: &Shared<History>, within: Duration) {
    repeat::<W>(drive, history, within, History::unserved_asks).await;
}

async fn repeat<W: Wire>(
    drive: &Drive,
    history: &Shared<History>,
    within: Duration,
    asks: fn(&History) -> Vec<u64>,
) {
    let again = Drive { arrivals: Arrivals::WhenFree, ..drive.clone() };
    let until = clock::now() + within;
    loop {
        let left = asks(&look(history));
        if left.is_empty() {
            return;
        }
        let connections = again.connections.min(left.len());
        let round = Drive { connections, ..again.clone() };
        round.run::<W, History>(left.into_iter(), history.clone()).await;
        if clock::now() >= until {
            return;
        }
        if !asks(&look(history)).is_empty() {
            sleep(ROUND_EVERY).await;
        }
    }
}
