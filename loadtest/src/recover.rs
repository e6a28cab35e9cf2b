//! Asks again, with the same key, until it is known of every order whether it was taken.

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
    let again = Drive { arrivals: Arrivals::WhenFree, ..drive.clone() };
    let until = clock::now() + within;
    loop {
        let open = look(history).open_asks();
        if open.is_empty() {
            return;
        }
        let connections = again.connections.min(open.len());
        let round = Drive { connections, ..again.clone() };
        round.run::<W, History>(open.into_iter(), history.clone()).await;
        if clock::now() >= until {
            return;
        }
        if !look(history).open_asks().is_empty() {
            sleep(ROUND_EVERY).await;
        }
    }
}
