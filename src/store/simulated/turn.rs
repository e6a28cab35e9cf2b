//! One call's turn at the tables, whatever it asks and whatever its answer looks like.

use rusqlite::Transaction;
use tokio::sync::oneshot;

use super::Connected;
use crate::clock::Timestamp;

/// A call on its way through the store's thread.
pub(super) trait Turn: Send {
    /// Does the work; `false` when it failed and nothing of it may stay.
    fn work(&mut self, transaction: &Transaction<'_>, now: Timestamp) -> bool;

    /// The transaction in which it took part failed as a whole.
    fn fails(&mut self, error: &rusqlite::Error);

    /// Tells the caller, if he still waits, and gives the connection back.
    fn answer(self: Box<Self>);
}

/// A call with an answer of type `T`.
pub(super) struct Asked<T, W, F> {
    work: W,
    failed: F,
    answer: Option<T>,
    reply: oneshot::Sender<T>,
    /// The reply never comes.
    lost: bool,
    connected: Connected,
}

impl<T, W, F> Asked<T, W, F>
where
    T: Send + 'static,
    W: FnMut(&Transaction<'_>, Timestamp) -> rusqlite::Result<T> + Send + 'static,
    F: Fn(&rusqlite::Error) -> T + Send + 'static,
{
    /// `failed`: the answer when the tables could not be used. The second is where the answer comes.
    pub(super) fn boxed(
        connected: Connected,
        work: W,
        failed: F,
        lost: bool,
    ) -> (Box<dyn Turn>, oneshot::Receiver<T>) {
        let (reply, answer) = oneshot::channel();
        (Box::new(Self { work, failed, answer: None, reply, lost, connected }), answer)
    }
}

impl<T, W, F> Turn for Asked<T, W, F>
where
    T: Send + 'static,
    W: FnMut(&Transaction<'_>, Timestamp) -> rusqlite::Result<T> + Send + 'static,
    F: Fn(&rusqlite::Error) -> T + Send + 'static,
{
    fn work(&mut self, transaction: &Transaction<'_>, now: Timestamp) -> bool {
        let done = (self.work)(transaction, now);
        let well = done.is_ok();
        self.answer = Some(done.unwrap_or_else(|error| (self.failed)(&error)));
        well
    }

    fn fails(&mut self, error: &rusqlite::Error) {
        self.answer = Some((self.failed)(error));
    }

    fn answer(self: Box<Self>) {
        // Whoever hears the answer may connect at once.
        drop(self.connected);
        if let (false, Some(answer)) = (self.lost, self.answer) {
            // A caller that went away needs none.
            let _ = self.reply.send(answer);
        }
    }
}
