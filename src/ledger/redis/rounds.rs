//! The follower's rounds: which have begun and ended, who waits for one, and when the next is due.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, mpsc, oneshot, watch};

use crate::ledger::{Fault, Snapshot};

/// Between two rounds while a client waits for news: on a stream, or for a held answer.
const AWAITED: Duration = Duration::from_millis(10);
/// Between two rounds while there is news, or somebody asked for a round.
const PAUSE: Duration = Duration::from_millis(25);
/// Between two rounds otherwise. Not longer: stock that an operator adds to a sale where nothing moves reaches every
/// gateway within 200 ms, and this is only the first part of the way to its latches.
const IDLE: Duration = Duration::from_millis(100);

/// A reader who wants all that a gateway remembers.
pub(super) type Wanted = oneshot::Sender<Result<Snapshot, Fault>>;

/// Which rounds have begun and ended; a reader waits for one that begins after he asked.
#[derive(Debug)]
pub(super) struct Rounds {
    /// The last round that began, and the last one that ended well.
    count: watch::Sender<(u64, u64)>,
    asked: Notify,
    /// A client waits for news.
    awaited: AtomicBool,
    wanted: mpsc::UnboundedSender<Wanted>,
    /// Taken by the follower.
    wants: Mutex<Option<mpsc::UnboundedReceiver<Wanted>>>,
}

impl Default for Rounds {
    fn default() -> Self {
        let (wanted, wants) = mpsc::unbounded_channel();
        let (count, _) = watch::channel((0, 0));
        Self {
            count,
            asked: Notify::new(),
            awaited: AtomicBool::new(false),
            wanted,
            wants: Mutex::new(Some(wants)),
        }
    }
}

impl Rounds {
    /// Resolves when a round has ended that began after this call; a fault when none does within `wait`.
    pub(super) async fn one(&self, wait: Duration) -> Result<(), Fault> {
        let mut count = self.count.subscribe();
        let next = count.borrow().0 + 1;
        self.asked.notify_one();
        let ended = count.wait_for(|(_, ended)| *ended >= next);
        match tokio::time::timeout(wait, ended).await {
            Ok(Ok(_)) => Ok(()),
            _ => Err(Fault::unavailable("the tail in Redis cannot be read")),
        }
    }

    /// There is news that was made here.
    pub(super) fn nudge(&self) {
        self.asked.notify_one();
    }

    /// Whether a client waits for news from now on.
    pub(super) fn set_awaited(&self, awaited: bool) {
        if !self.awaited.swap(awaited, Ordering::AcqRel) && awaited {
            // The pause that has begun is too long for him.
            self.asked.notify_one();
        }
    }

    /// All that a gateway remembers, exactly as of the ring's newest entry.
    pub(super) async fn snapshot(&self) -> Result<Snapshot, Fault> {
        let (reply, answer) = oneshot::channel();
        let gone = || Fault::unavailable("the ledger is closed");
        self.wanted.send(reply).map_err(|_| gone())?;
        self.asked.notify_one();
        answer.await.map_err(|_| gone())?
    }

    /// Who wants a snapshot; once, for the follower.
    pub(super) fn wants(&self) -> Option<mpsc::UnboundedReceiver<Wanted>> {
        self.wants.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// A round begins.
    pub(super) fn begin(&self) {
        self.count.send_modify(|(begun, _)| *begun += 1);
    }

    /// The round that began last has ended well.
    pub(super) fn end(&self) {
        self.count.send_modify(|(begun, ended)| *ended = *begun);
    }

    /// Waits until another round is due after one that has `spent` so much; `news` is whether it brought any.
    pub(super) async fn rest(&self, spent: Duration, news: bool) {
        let now = tokio::time::Instant::now();
        let at = |pause| now + self.at_most(pause).saturating_sub(spent);
        let until = at(if news { PAUSE } else { IDLE });
        if tokio::time::timeout_at(until, self.asked.notified()).await.is_ok() {
            tokio::time::sleep_until(at(PAUSE)).await;
        }
    }

    fn at_most(&self, pause: Duration) -> Duration {
        if self.awaited.load(Ordering::Acquire) { AWAITED } else { pause }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How long after its end another round is due.
    async fn due(rounds: &Rounds, news: bool) -> Duration {
        let ended = tokio::time::Instant::now();
        rounds.rest(Duration::ZERO, news).await;
        ended.elapsed()
    }

    /// The runtime's timer counts whole milliseconds, and rounds up.
    fn is(due: Duration, wanted: Duration) {
        assert!(due >= wanted && due - wanted <= Duration::from_millis(1), "{due:?} {wanted:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_pause_is_as_short_as_news_and_waiting_clients_need_it() {
        let rounds = Rounds::default();
        is(due(&rounds, false).await, IDLE);
        is(due(&rounds, true).await, PAUSE);
        rounds.nudge();
        is(due(&rounds, false).await, PAUSE);
        rounds.set_awaited(true);
        for (nudged, news) in [(false, false), (false, true), (true, false), (false, false)] {
            if nudged {
                rounds.nudge();
            }
            is(due(&rounds, news).await, AWAITED);
        }
        rounds.set_awaited(false);
        is(due(&rounds, false).await, IDLE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_round_that_took_long_is_not_waited_for_again() {
        let rounds = Rounds::default();
        let ended = tokio::time::Instant::now();
        rounds.rest(Duration::from_millis(70), false).await;
        is(ended.elapsed(), Duration::from_millis(30));
        rounds.rest(Duration::from_secs(1), false).await;
        is(ended.elapsed(), Duration::from_millis(30));
    }

    #[tokio::test(start_paused = true)]
    async fn who_begins_to_wait_ends_a_long_pause() {
        let rounds = Rounds::default();
        for (after, due) in [(4, AWAITED), (60, Duration::from_millis(60))] {
            let ended = tokio::time::Instant::now();
            let waits = async {
                tokio::time::sleep(Duration::from_millis(after)).await;
                rounds.set_awaited(true);
            };
            tokio::join!(rounds.rest(Duration::ZERO, false), waits);
            is(ended.elapsed(), due);
            rounds.set_awaited(false);
        }
    }
}
