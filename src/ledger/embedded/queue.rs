//! What waits for the writer thread. Lanes push, the writer takes all at once: one wake-up a batch.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::ledger::book::{Batch, Book, Now};
use crate::ledger::{Fault, TailId};

/// What is said once nothing more is taken in.
pub(super) const CLOSED: &str = "the ledger is closed";

/// The receiving end of an answer.
pub(super) type Reply<T> = oneshot::Receiver<Result<T, Fault>>;

/// A command that may change the book.
pub(super) trait Decide: Send {
    /// Runs the command on the book; the answer is kept until the commit.
    fn decide(&mut self, book: &mut Book, now: Now, batch: &mut Batch);

    /// Answers, with what was decided or with a fault.
    fn answer(self: Box<Self>, fault: Option<&Fault>);
}

/// What a read sees: all that is committed, and the tail id for which that stands.
pub(super) struct View<'a> {
    pub(super) book: &'a Book,
    pub(super) now: Now,
    pub(super) tail: TailId,
}

/// A read of the book.
pub(super) trait Look: Send {
    /// Reads and answers, or answers with a fault.
    fn look(self: Box<Self>, view: Result<&View<'_>, &Fault>);
}

/// One command.
pub(super) enum Command {
    Write(Box<dyn Decide>),
    Read(Box<dyn Look>),
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Write(_) => "Write",
            Self::Read(_) => "Read",
        })
    }
}

struct Write<T, F> {
    command: Option<F>,
    outcome: Option<T>,
    reply: oneshot::Sender<Result<T, Fault>>,
}

impl<T, F> Decide for Write<T, F>
where
    T: Send,
    F: FnOnce(&mut Book, Now, &mut Batch) -> T + Send,
{
    fn decide(&mut self, book: &mut Book, now: Now, batch: &mut Batch) {
        self.outcome = self.command.take().map(|command| command(book, now, batch));
    }

    fn answer(self: Box<Self>, fault: Option<&Fault>) {
        let answer = match (fault, self.outcome) {
            (None, Some(outcome)) => Ok(outcome),
            (Some(fault), _) => Err(fault.clone()),
            (None, None) => Err(Fault::unavailable("the ledger did not run the command")),
        };
        // Whoever asked may have gone; what was decided stands.
        let _ = self.reply.send(answer);
    }
}

struct Read<T, F> {
    read: F,
    reply: oneshot::Sender<Result<T, Fault>>,
}

impl<T, F> Look for Read<T, F>
where
    T: Send,
    F: FnOnce(&View<'_>) -> T + Send,
{
    fn look(self: Box<Self>, view: Result<&View<'_>, &Fault>) {
        let answer = view.map(self.read).map_err(Fault::clone);
        let _ = self.reply.send(answer);
    }
}

impl Command {
    /// A command that may change the book, and where its answer comes.
    pub(super) fn write<T, F>(command: F) -> (Self, Reply<T>)
    where
        T: Send + 'static,
        F: FnOnce(&mut Book, Now, &mut Batch) -> T + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let write = Write { command: Some(command), outcome: None, reply };
        (Self::Write(Box::new(write)), answer)
    }

    /// A read, and where its answer comes.
    pub(super) fn read<T, F>(read: F) -> (Self, Reply<T>)
    where
        T: Send + 'static,
        F: FnOnce(&View<'_>) -> T + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        (Self::Read(Box::new(Read { read, reply })), answer)
    }

    /// Answers without running.
    pub(super) fn refuse(self, fault: &Fault) {
        match self {
            Self::Write(write) => write.answer(Some(fault)),
            Self::Read(read) => read.look(Err(fault)),
        }
    }
}

/// What the writer found when it looked for work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    Work,
    NothingYet,
    Stop,
}

/// The commands that wait.
#[derive(Debug, Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Debug, Default)]
struct State {
    commands: Vec<Command>,
    /// The writer waits for a wake-up.
    asleep: bool,
    /// Nothing more is taken in.
    stopped: bool,
}

impl Queue {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands a command to the writer; answers it with a fault once the ledger is closed.
    pub(super) fn push(&self, command: Command) {
        let mut state = self.state();
        if state.stopped {
            drop(state);
            command.refuse(&Fault::unavailable(CLOSED));
            return;
        }
        state.commands.push(command);
        let wake = std::mem::take(&mut state.asleep);
        drop(state);
        if wake {
            self.wake.notify_one();
        }
    }

    /// Nothing more is taken in.
    pub(super) fn is_stopped(&self) -> bool {
        self.state().stopped
    }

    /// Takes no more commands; the writer still runs those that wait.
    pub(super) fn stop(&self) {
        self.state().stopped = true;
        self.wake.notify_one();
    }

    /// The writer is gone: what waits is never answered, and whoever asked learns that it is in doubt.
    pub(super) fn end(&self) {
        let mut state = self.state();
        state.stopped = true;
        state.commands.clear();
    }

    /// Moves all that waits behind `pending`. With nothing anywhere it waits for work, or for `patience`.
    pub(super) fn take(
        &self,
        pending: &mut VecDeque<Command>,
        patience: Option<Duration>,
    ) -> Taken {
        let mut state = self.state();
        loop {
            pending.extend(state.commands.drain(..));
            if !pending.is_empty() {
                return Taken::Work;
            }
            if state.stopped {
                return Taken::Stop;
            }
            state.asleep = true;
            let Some(patience) = patience else {
                state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let (woken, timeout) =
                self.wake.wait_timeout(state, patience).unwrap_or_else(PoisonError::into_inner);
            state = woken;
            if timeout.timed_out() && state.commands.is_empty() && !state.stopped {
                state.asleep = false;
                return Taken::NothingYet;
            }
        }
    }
}
