//! Known first (L8): some of those whose orders were accepted send them again with the same key when all is over,
//! and must get the same ticket.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::engine::Engine;
use super::errand::{Errand, What};
use crate::clock;
use crate::drive::{Recorder, Timing, look};
use crate::verdict::Verdict;
use crate::wire::Broken;

/// Enough of them to be sure, few enough to take no time.
const ASKED_AGAIN: usize = 200;
/// How often a holder who meets a limit comes back.
const TRIES: usize = 5;
const AGAIN_AFTER: Duration = Duration::from_millis(300);

/// Asks again; says how many were asked and how many got a ticket. Whether it is the same one is the verdict's.
pub(super) async fn ask_again(engine: &Arc<Engine>) -> (u64, u64) {
    let asks = chosen(engine);
    let (mut asked, mut given) = (0, 0);
    let Some(mut socket) = engine.connect_after().await else { return (0, 0) };
    let mut request = Vec::new();
    for ask in asks {
        let Some(flock) = engine.plan.flock(ask) else { continue };
        let mut sent = clock::now();
        let errand = Errand { due: sent, ask, what: What::Order { before: 1, doubt: false } };
        engine.render(&errand, &mut request);
        let mut outcome = Err(Broken::Timeout);
        for _ in 0..TRIES {
            sent = clock::now();
            let exchanged = timeout(engine.plan.patience, socket.exchange(&request)).await;
            outcome = exchanged.unwrap_or(Err(Broken::Timeout));
            let usable = outcome.is_ok() && socket.reusable();
            // A limit of rate holds for holders too, and passes; so does a connection that broke.
            if outcome.is_ok() && !matches!(socket.answer().status, 429 | 503) {
                break;
            }
            sleep(AGAIN_AFTER).await;
            if !usable {
                let Some(new) = engine.connect_after().await else { return (asked + 1, given) };
                socket = new;
                outcome = Err(Broken::Reset);
            }
        }
        let timing = Timing { ask, intended: sent, sent, received: clock::now() };
        let answer = outcome.map(|()| socket.answer());
        if let Some(history) = look(&engine.seen).histories.get_mut(flock.sale) {
            history.record(timing, answer);
        }
        asked += 1;
        given += u64::from(matches!(Verdict::of(answer), Verdict::Accepted { .. }));
        if outcome.is_err() || !socket.reusable() {
            let Some(new) = engine.connect_after().await else { break };
            socket = new;
        }
    }
    (asked, given)
}

/// Some of the accepted orders that bear a key, from the first to the last.
fn chosen(engine: &Engine) -> Vec<u64> {
    let seen = look(&engine.seen);
    let mut accepted: Vec<u64> = seen.trails.all().map(|(ask, _)| *ask).collect();
    accepted.retain(|ask| engine.plan.crowd.keyed(*ask));
    accepted.sort_unstable();
    let every = accepted.len().div_ceil(ASKED_AGAIN).max(1);
    accepted.into_iter().step_by(every).collect()
}
