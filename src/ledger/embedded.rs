//! The embedded engine: the book, and a journal that makes it durable. No server, one process.
//!
//! Three threads meet here: whoever calls the seam, the *writer* (the only one that changes the book and
//! writes the journal), the *follower* (folds closed segments into snapshots). In the directory:
//! `journal-<ordinal>` (events), `snapshot-<position>` (a whole book), `spare` (the next segment), `keys`,
//! `lock`, `closed` (the mark of a clean close). Formats are in `format` and `sealed`, each with its version.
//!
//! Positions are logical ([`Lsn`]): where in the stream of all records, not where in which file. So an event
//! knows where its payload will lie before it is known into which segment its record falls.

mod config;
mod disk;
mod error;
mod follower;
mod format;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod journal;
mod keys;
mod load;
mod lock;
mod mark;
pub mod offline;
mod queue;
mod reader;
#[cfg(test)]
pub(crate) mod sabotage;
mod scan;
mod sealed;
mod seam;
mod segments;
mod snapshot;
#[cfg(test)]
mod tests;
mod writer;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread::JoinHandle;

pub use config::{Config, Durability, SEGMENT_SIZE_MIN};
pub use error::{CommitError, OpenError};
use follower::{Follow, Follower};
use journal::{Journal, Options};
use lock::Lock;
use queue::Queue;
use reader::Reader;
use writer::Writer;

use crate::clock::{LedgerClock, SharedClock};
use crate::ledger::book::{Batch, Book, Now, Pacer};
use crate::ledger::ring::Ring;
use crate::metrics::{LEDGER_BOOK_BYTES, LEDGER_FSYNC_DURATION};
use crate::order::Keyring;

/// A position in the stream of all records: bytes since the ledger was made, record heads included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lsn(pub u64);

/// What the threads share.
#[derive(Debug)]
struct Shared {
    directory: PathBuf,
    queue: Queue,
    ring: Ring,
    reader: Arc<Reader>,
    follow: Follow,
    ledger_clock: LedgerClock,
    /// The book's, asked without its writer: a disk that is slow costs no permits.
    pacer: Pacer,
    /// Held by whoever deletes old files, and by whoever reads them all.
    files: Mutex<()>,
    /// Written by the writer, read by anybody.
    trouble: RwLock<Option<Arc<str>>>,
}

impl Shared {
    fn files(&self) -> MutexGuard<'_, ()> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_trouble(&self, trouble: Option<&Arc<str>>) {
        *self.trouble.write().unwrap_or_else(PoisonError::into_inner) = trouble.cloned();
    }

    fn trouble(&self) -> Option<Arc<str>> {
        self.trouble.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What an open found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Records that were replayed behind the snapshot.
    pub records: u64,
    /// Bytes of a torn tail that was cut off; nobody was answered for them.
    pub torn_bytes: u64,
    /// A new epoch began: something that was acknowledged may be missing.
    pub new_epoch: bool,
    /// The epoch in force.
    pub epoch: u16,
}

/// The embedded ledger, open.
#[derive(Debug)]
pub struct Embedded {
    shared: Arc<Shared>,
    durability: Durability,
    opened: Opened,
    running: Mutex<Option<Running>>,
}

#[derive(Debug)]
struct Running {
    writer: JoinHandle<()>,
    follower: JoinHandle<()>,
    _lock: Lock,
}

impl Embedded {
    /// Opens the ledger in its directory, or makes one, and puts its ticket key into `keyring`. Reads all that
    /// is there: call it where blocking is allowed.
    ///
    /// # Errors
    /// When the directory cannot be used, another process has it open, or what lies in it is damaged or of a
    /// newer format. Nothing was changed then.
    pub fn open(
        config: &Config,
        clock: &SharedClock,
        keyring: &Keyring,
    ) -> Result<Self, OpenError> {
        let directory = config.directory.as_path();
        disk::make_directory(directory)?;
        let lock = Lock::take(directory)?;
        disk::check_writable(directory)?;
        let segments = segments::list(directory)?;
        keys::load(directory, keyring, segments.is_empty())?;
        let load::Loaded { base, end, records } = load::everything(directory, &segments)?;
        let load::Base { mut book, lsn: covered, snapshot_bytes } = base;

        let process = config.durability == Durability::Process;
        let relaxed = process || ends_relaxed(&segments, end.lsn);
        let new_epoch = end.lsn > Lsn(0) && relaxed && mark::position(directory) != Some(end.lsn);
        let options = Options {
            segment_size: config.segment_size.0.max(SEGMENT_SIZE_MIN),
            relaxed: process,
            salt: salt(directory)?,
        };
        let reader = Arc::new(Reader::new(directory.to_path_buf(), segments));
        let mut journal = Journal::open(directory, options, Arc::clone(&reader), end)?;
        let ledger_clock = LedgerClock::open(Arc::clone(clock), book.last_at());
        let now = Now { ledger: ledger_clock.now(), wall: ledger_clock.wall() };
        begin_life(&mut book, &mut journal, new_epoch, now, directory)?;

        let epoch = book.epoch();
        let opened = Opened { records, torn_bytes: end.torn, new_epoch, epoch };
        tell(&opened, directory);
        let shared = Arc::new(Shared {
            directory: directory.to_path_buf(),
            queue: Queue::default(),
            ring: Ring::new(epoch),
            reader,
            follow: Follow::default(),
            ledger_clock,
            pacer: book.pacer().share(),
            files: Mutex::default(),
            trouble: RwLock::default(),
        });
        shared.follow.covered(covered, snapshot_bytes);
        shared.follow.closed_before(journal.segment_base());
        let follower = Follower {
            shared: Arc::clone(&shared),
            segment_size: options.segment_size,
            snapshot_after: config.snapshot_after.0,
        };
        let writer = Writer {
            book,
            journal,
            clock: Arc::clone(clock),
            shared: Arc::clone(&shared),
            synced: !process,
            fsync_duration: metrics::histogram!(LEDGER_FSYNC_DURATION),
            book_bytes: metrics::gauge!(LEDGER_BOOK_BYTES),
        };
        let running = start(writer, follower, lock, directory)?;
        let running = Mutex::new(Some(running));
        Ok(Self { shared, durability: config.durability, opened, running })
    }

    /// What the open found.
    #[must_use]
    pub fn opened(&self) -> Opened {
        self.opened
    }

    /// Runs what waits, makes it durable, leaves the mark of a clean close, and lets go of the directory.
    /// Blocks until that is done; again does nothing.
    pub fn close(&self) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(running) = running else { return };
        self.shared.queue.stop();
        self.shared.follow.stop();
        // A panic of either was told when it happened; here both only have to be over.
        let _ = running.writer.join();
        let _ = running.follower.join();
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        self.close();
    }
}

fn salt(directory: &Path) -> Result<u64, OpenError> {
    let salt = getrandom::u64().map_err(io::Error::other);
    salt.map_err(OpenError::io("get random bytes for the journal in", directory))
}

/// Whether what the end of the journal says was synced only now and then. An open that died before its first record
/// leaves a segment of its own level and no epoch: so all that come behind the last record are looked at.
fn ends_relaxed(segments: &[segments::Segment], end: Lsn) -> bool {
    let last = segments.iter().rposition(|segment| segment.head.base < end).unwrap_or(0);
    segments.iter().skip(last).any(|segment| segment.head.relaxed)
}

/// Opens the book, durably whatever the level: the mark of the last close is good for one open only.
fn begin_life(
    book: &mut Book,
    journal: &mut Journal,
    new_epoch: bool,
    now: Now,
    directory: &Path,
) -> Result<(), OpenError> {
    let mut batch = Batch::at(journal.next_body().0);
    book.open(new_epoch, now, &mut batch);
    let written = journal.append(batch.bytes()).and_then(|()| journal.sync());
    written.map_err(|error| {
        let source = match error {
            CommitError::WriteFailed(source) | CommitError::SyncFailed(source) => source,
            CommitError::Closed => io::ErrorKind::Other.into(),
        };
        OpenError::io("write the journal in", directory)(source)
    })
}

fn tell(opened: &Opened, directory: &Path) {
    let (bytes, epoch, records) = (opened.torn_bytes, opened.epoch, opened.records);
    let directory = directory.display();
    if bytes > 0 {
        tracing::warn!(%directory, bytes, "cut a torn tail off the journal: nobody was answered for it");
    }
    if opened.new_epoch {
        tracing::warn!(%directory, epoch, "a new epoch: the last close was not clean, orders may be missing");
    }
    tracing::info!(%directory, epoch, records, "the ledger is open");
}

fn start(
    writer: Writer,
    follower: Follower,
    lock: Lock,
    directory: &Path,
) -> Result<Running, OpenError> {
    let shared = Arc::clone(&writer.shared);
    let builder = |name: &str| std::thread::Builder::new().name(name.to_owned());
    let failed = OpenError::io("start a thread for the ledger in", directory);
    let guard = Guard(Arc::clone(&shared));
    let writer = builder("ledger-writer").spawn(move || {
        let _guard = guard;
        writer.run();
    });
    let writer = writer.map_err(failed)?;
    let follower = builder("ledger-follower").spawn(move || follower.run());
    let follower = follower.map_err(|error| {
        shared.queue.stop();
        OpenError::io("start a thread for the ledger in", directory)(error)
    })?;
    Ok(Running { writer, follower, _lock: lock })
}

/// Lets nobody wait for a writer that is gone.
#[derive(Debug)]
struct Guard(Arc<Shared>);

impl Drop for Guard {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let why = "the ledger's writer has failed: restart by hand".into();
            self.0.set_trouble(Some(&why));
        }
        self.0.queue.end();
    }
}
