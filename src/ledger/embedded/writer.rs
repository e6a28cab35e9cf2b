//! The writer thread: decides, encodes, commits, answers, and nothing else.
//!
//! A turn takes everything that waits. Inside a turn the book runs ahead of the disk, so nothing of it is
//! answered, read or told to the tail before its one record is durable (L2). When the record cannot be written
//! the book is read again from disk, and the turn never happened; when it cannot be synced nobody knows, and
//! the ledger stays closed.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use metrics::{Gauge, Histogram};

use super::journal::Journal;
use super::queue::{Command, Decide, Look, Taken, View};
use super::{CommitError, Lsn, Shared, load, mark};
use crate::clock::SharedClock;
use crate::ledger::book::{Batch, Book, Now};
use crate::ledger::{Fault, TailEvent};

/// A record takes no further command once it is this long; what is left waits for the next turn.
const RECORD_MAX: usize = 4 << 20;

/// How often a full disk is tried again.
const PROBE_EVERY: Duration = Duration::from_secs(1);

/// Its orders are gone, or all of it.
fn drops_a_sale(event: &TailEvent) -> bool {
    match event {
        TailEvent::Sale(doc) => doc.purged,
        TailEvent::Forgotten(_) => true,
        _ => false,
    }
}

/// How the ledger stands.
#[derive(Debug)]
enum Health {
    Good,
    /// Nothing can be written; tried again at this monotonic time.
    Full {
        fault: Fault,
        probe_at: Duration,
    },
    /// Closed until the process is started again.
    Closed(Fault),
}

/// What the writer thread owns.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) book: Book,
    pub(super) journal: Journal,
    pub(super) clock: SharedClock,
    pub(super) shared: Arc<Shared>,
    /// Each commit is synced.
    pub(super) synced: bool,
    pub(super) fsync_duration: Histogram,
    pub(super) book_bytes: Gauge,
}

/// The writer at work.
#[derive(Debug)]
struct Work {
    own: Writer,
    buffer: Vec<u8>,
    health: Health,
    /// Where the last segment began when the follower was told of one.
    told: Lsn,
}

impl Writer {
    /// Runs until the queue is stopped and empty; then leaves the mark of a clean close.
    pub(super) fn run(self) {
        let told = self.journal.segment_base();
        self.tell_size();
        let mut work = Work { own: self, buffer: Vec::new(), health: Health::Good, told };
        let mut pending = VecDeque::new();
        loop {
            let patience = match work.health {
                Health::Full { .. } => Some(PROBE_EVERY),
                Health::Good | Health::Closed(_) => None,
            };
            match work.own.shared.queue.take(&mut pending, patience) {
                Taken::Stop => break,
                Taken::NothingYet => work.probe(),
                Taken::Work => {
                    work.probe();
                    work.turn(&mut pending);
                }
            }
        }
        work.close();
    }

    fn tell_size(&self) {
        #[expect(clippy::cast_precision_loss, reason = "no book has 2^52 bytes")]
        self.book_bytes.set(self.book.memory_bytes() as f64);
    }
}

impl Work {
    fn now(&self) -> Now {
        let clock = &self.own.shared.ledger_clock;
        Now { ledger: clock.now(), wall: clock.wall() }
    }

    /// The fault with which commands are answered now.
    fn fault(&self) -> Option<&Fault> {
        match &self.health {
            Health::Good => None,
            Health::Full { fault, .. } | Health::Closed(fault) => Some(fault),
        }
    }

    fn turn(&mut self, pending: &mut VecDeque<Command>) {
        let now = self.now();
        let base = self.own.journal.next_body().0;
        let mut batch = Batch::reuse(base, std::mem::take(&mut self.buffer));
        let mut writes: Vec<Box<dyn Decide>> = Vec::with_capacity(pending.len());
        let mut reads: Vec<Box<dyn Look>> = Vec::new();
        while batch.bytes().len() < RECORD_MAX
            && let Some(command) = pending.pop_front()
        {
            match (command, self.fault()) {
                (Command::Write(write), Some(fault)) => write.answer(Some(fault)),
                (Command::Write(mut write), None) => {
                    write.decide(&mut self.own.book, now, &mut batch);
                    writes.push(write);
                }
                (Command::Read(read), _) => reads.push(read),
            }
        }
        let committed = self.commit(batch);
        for write in writes {
            write.answer(committed.as_ref().err());
        }
        self.answer_reads(reads);
    }

    /// Reads see what is committed: the book of a full disk, but never that of a closed ledger.
    fn answer_reads(&self, reads: Vec<Box<dyn Look>>) {
        if reads.is_empty() {
            return;
        }
        // Whoever reads the metrics reads the census first; commits do not go through all sales.
        self.own.tell_size();
        let tail = self.own.shared.ring.newest();
        let view = View { book: &self.own.book, now: self.now(), tail };
        for read in reads {
            match &self.health {
                Health::Closed(fault) => read.look(Err(fault)),
                Health::Good | Health::Full { .. } => read.look(Ok(&view)),
            }
        }
    }

    /// Makes a batch durable and tells the tail.
    fn commit(&mut self, batch: Batch) -> Result<(), Fault> {
        if batch.is_empty() {
            (self.buffer, _) = batch.into_parts();
            return Ok(());
        }
        let written = self.own.journal.append(batch.bytes());
        let durable = written.and_then(|()| self.sync());
        let (buffer, events) = batch.into_parts();
        self.buffer = buffer;
        match durable {
            Ok(()) => {
                let dropped = events.iter().any(drops_a_sale);
                self.own.shared.ring.push(events);
                // A segment may have begun before this commit: in one that failed, or when room was looked for.
                let base = self.own.journal.segment_base();
                if std::mem::replace(&mut self.told, base) != base {
                    self.own.shared.follow.closed_before(base);
                }
                if dropped {
                    self.make_room();
                }
                Ok(())
            }
            Err(error) => Err(self.failed(&error)),
        }
    }

    /// After a sale was dropped: when most of what lies on the disk is of no use, the follower lets go of it now
    /// and not some day. It reads closed segments only, so this one is closed.
    fn make_room(&mut self) {
        let live = self.own.book.memory_bytes() as u64;
        let segment_size = self.own.journal.segment_size();
        if self.own.shared.follow.is_mostly_waste(live, segment_size) {
            match self.own.journal.close_segment() {
                Ok(()) => self.own.shared.follow.ask(self.own.journal.segment_base()),
                // The next commit meets what is wrong.
                Err(error) => {
                    tracing::warn!(%error, "the disk space of a dropped sale stays for now")
                }
            }
        }
    }

    fn sync(&mut self) -> Result<(), CommitError> {
        if !self.own.synced {
            return Ok(());
        }
        let began = self.own.clock.monotonic();
        let synced = self.own.journal.sync();
        let took = self.own.clock.monotonic().saturating_sub(began);
        self.own.fsync_duration.record(took);
        synced
    }

    /// What a failed commit means; answers the fault for those who waited for it.
    fn failed(&mut self, error: &CommitError) -> Fault {
        let in_doubt = matches!(error, CommitError::SyncFailed(_));
        // Nobody is granted anything by settings that were decided and are not on disk.
        self.own.shared.set_trouble(Some(&error.to_string().into()));
        if self.own.journal.is_closed() || self.read_again() {
            self.cannot_write(error);
        } else {
            self.shut("the journal could neither be written nor read again");
        }
        match self.fault() {
            Some(fault) if in_doubt => Fault::in_doubt(&fault.reason),
            Some(fault) => fault.clone(),
            None => Fault::in_doubt("the commit failed"),
        }
    }

    /// Nothing can be written: for now, or for good when the journal is closed.
    fn cannot_write(&mut self, error: &CommitError) {
        if self.own.journal.is_closed() {
            self.shut(&error.to_string());
            return;
        }
        if matches!(self.health, Health::Good) {
            tracing::error!(%error, "the ledger takes no orders: free some disk space");
        }
        let fault = Fault::unavailable(&format!("{error}; it is tried again each second"));
        let probe_at = self.own.clock.monotonic() + PROBE_EVERY;
        self.own.shared.set_trouble(Some(&fault.reason));
        self.health = Health::Full { fault, probe_at };
    }

    /// Closes the ledger until somebody restarts the process.
    fn shut(&mut self, why: &str) {
        tracing::error!(why, "the ledger is closed: check the disk, then restart by hand");
        let fault = Fault::unavailable(&format!("{why}; the ledger is closed: restart by hand"));
        self.own.shared.set_trouble(Some(&fault.reason));
        self.health = Health::Closed(fault);
    }

    /// The book as it is on disk. `false` when it cannot be read.
    fn read_again(&mut self) -> bool {
        let shared = Arc::clone(&self.own.shared);
        // The follower deletes no file meanwhile.
        let _files = shared.files();
        self.own.book = Book::new();
        let segments = shared.reader.segments();
        match load::up_to(&shared.directory, &segments, self.own.journal.next()) {
            Ok(loaded) => {
                self.own.book = loaded.base.book;
                self.own.book.take_over(&shared.pacer, shared.ledger_clock.now());
                true
            }
            Err(error) => {
                tracing::error!(%error, "the journal cannot be read again");
                false
            }
        }
    }

    /// With a full disk: tries whether records can be written again. The first one opens the book anew, since
    /// grants and leases of the time before are not in the book that was read from disk (L4, L7).
    fn probe(&mut self) {
        let Health::Full { probe_at, .. } = self.health else { return };
        let monotonic = self.own.clock.monotonic();
        if monotonic < probe_at {
            return;
        }
        if let Err(error) = self.own.journal.probe() {
            self.cannot_write(&error);
            return;
        }
        let now = self.now();
        let base = self.own.journal.next_body().0;
        let mut batch = Batch::reuse(base, std::mem::take(&mut self.buffer));
        self.own.book.open(false, now, &mut batch);
        if self.commit(batch).is_ok() {
            self.health = Health::Good;
            self.own.shared.set_trouble(None);
            tracing::info!("the ledger takes orders again");
        }
    }

    fn close(mut self) {
        if matches!(self.health, Health::Closed(_)) {
            return;
        }
        let end = self.own.journal.next();
        let marked =
            self.own.journal.sync().map_err(|error| error.to_string()).and_then(|()| {
                mark::write(&self.own.shared.directory, end).map_err(|e| e.to_string())
            });
        if let Err(error) = marked {
            tracing::warn!(error, "the ledger ended without the mark of a clean close");
        }
    }
}
