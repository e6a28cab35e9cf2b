//! The writing end of the journal: append, sync, and what to do when either fails.
//!
//! Invariants: what lies before [`Journal::next`] in closed segments is on disk, and in the last one from the
//! last [`Journal::sync`] on; a failed write leaves no trace that a later open could take for a record; after
//! a failed sync nothing is ever written again, since the kernel may have dropped the pages and a second sync
//! would lie.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::format::{RECORD_HEAD, SEGMENT_HEAD, SegmentHead};
use super::reader::Reader;
use super::scan::End;
use super::segments::{self, SPARE, Segment};
use super::{CommitError, Lsn, OpenError, disk};

/// Room that [`Journal::probe`] asks for.
const PROBE: u64 = 1 << 10;

/// How a journal is written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Options {
    /// Bytes of a segment file.
    pub(super) segment_size: u64,
    /// Records are not synced one by one.
    pub(super) relaxed: bool,
    /// Random; see [`super::format`].
    pub(super) salt: u64,
}

/// The writing end. There is one, and the writer thread has it.
#[derive(Debug)]
pub(super) struct Journal {
    directory: PathBuf,
    options: Options,
    reader: Arc<Reader>,
    segment: Segment,
    file: File,
    next: Lsn,
    /// Bytes of the last segment that may be used; what does not fit goes to the next one.
    capacity: u64,
    scratch: Vec<u8>,
    closed: bool,
}

impl Journal {
    /// Goes on where the records end. A torn tail is cut off, and what was read is made durable: a record that
    /// was written but not synced before the process died is acknowledged from here on. It is written once more
    /// for that: if its sync had failed, the kernel holds it as written, and no sync would write it.
    pub(super) fn open(
        directory: &Path,
        options: Options,
        reader: Arc<Reader>,
        end: End,
    ) -> Result<Self, OpenError> {
        segments::clean_up(directory, options.segment_size)?;
        let Some(segment) = reader.segments().last().copied() else {
            return Self::begin(directory, options, reader);
        };
        let path = directory.join(segment.name());
        let file = OpenOptions::new().read(true).write(true).open(&path);
        let file = file.map_err(OpenError::io("open", &path))?;
        let offset = segment.head.offset(end.lsn);
        if end.torn > 0 {
            segments::zero(&file, offset, end.torn).map_err(OpenError::io("write", &path))?;
        }
        write_again(&file, segment.head.offset(end.unsure), offset)
            .map_err(OpenError::io("write", &path))?;
        file.sync_all().map_err(OpenError::io("sync", &path))?;
        disk::sync_directory(directory).map_err(OpenError::io("sync", directory))?;
        let mut capacity = file.metadata().map_err(OpenError::io("read", &path))?.len();
        if segment.head.relaxed != options.relaxed {
            capacity = offset;
        }
        let directory = directory.to_path_buf();
        let (next, scratch, closed) = (end.lsn, Vec::new(), false);
        Ok(Self { directory, options, reader, segment, file, next, capacity, scratch, closed })
    }

    /// The first segment of a new journal.
    fn begin(directory: &Path, options: Options, reader: Arc<Reader>) -> Result<Self, OpenError> {
        let head = SegmentHead { base: Lsn(0), salt: options.salt, relaxed: options.relaxed };
        let segment = Segment { ordinal: 1, head };
        let capacity = options.segment_size;
        let file = place(directory, segment, capacity, capacity)
            .and_then(|file| disk::sync_directory(directory).map(|()| file));
        let file = file.map_err(OpenError::io("make the journal in", directory))?;
        reader.add(segment);
        let directory = directory.to_path_buf();
        let (next, scratch, closed) = (Lsn(0), Vec::new(), false);
        Ok(Self { directory, options, reader, segment, file, next, capacity, scratch, closed })
    }

    /// The position of the next record.
    pub(super) fn next(&self) -> Lsn {
        self.next
    }

    /// The position of the first byte of the next record's body.
    pub(super) fn next_body(&self) -> Lsn {
        Lsn(self.next.0 + RECORD_HEAD as u64)
    }

    /// Where the last segment begins: all before lies in closed segments.
    pub(super) fn segment_base(&self) -> Lsn {
        self.segment.head.base
    }

    /// Nothing will be written any more.
    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    fn offset(&self) -> u64 {
        self.segment.head.offset(self.next)
    }

    /// Writes one record, not empty, at [`Self::next`]. It is not durable before [`Self::sync`].
    pub(super) fn append(&mut self, body: &[u8]) -> Result<(), CommitError> {
        debug_assert!(!body.is_empty(), "a run of zeros is the end of the journal");
        if self.closed {
            return Err(CommitError::Closed);
        }
        let len = (RECORD_HEAD + body.len()) as u64;
        if self.offset() + len > self.capacity {
            self.roll(SEGMENT_HEAD as u64 + len)?;
        }
        self.scratch.clear();
        self.scratch.extend_from_slice(&self.segment.head.record_head(self.next, body));
        self.scratch.extend_from_slice(body);
        let written = self.file.write_all_at(&self.scratch, self.offset());
        if let Err(error) = written {
            self.cut(len);
            return Err(CommitError::WriteFailed(error));
        }
        self.next.0 += len;
        Ok(())
    }

    /// Goes on in a new segment, so that what was written lies in closed ones.
    pub(super) fn close_segment(&mut self) -> Result<(), CommitError> {
        self.roll(SEGMENT_HEAD as u64)
    }

    /// Bytes of a segment file.
    pub(super) fn segment_size(&self) -> u64 {
        self.options.segment_size
    }

    /// Makes all records durable: one `fdatasync`. A failure closes the journal for good.
    pub(super) fn sync(&mut self) -> Result<(), CommitError> {
        if self.closed {
            return Err(CommitError::Closed);
        }
        self.file.sync_data().map_err(|error| {
            self.closed = true;
            CommitError::SyncFailed(error)
        })
    }

    /// Whether a record could be written now: writes zeros where the next record goes, or goes on in a new
    /// segment when this one has no room.
    pub(super) fn probe(&mut self) -> Result<(), CommitError> {
        if self.closed {
            return Err(CommitError::Closed);
        }
        if self.offset() + PROBE > self.capacity {
            return self.roll(SEGMENT_HEAD as u64 + PROBE);
        }
        segments::zero(&self.file, self.offset(), PROBE).map_err(CommitError::WriteFailed)
    }

    /// Takes away what a failed write left. Without room to write zeros, the file is made shorter.
    fn cut(&mut self, len: u64) {
        let offset = self.offset();
        if segments::zero(&self.file, offset, len).is_err() {
            self.capacity = offset;
            self.closed = self.file.set_len(offset).is_err();
        }
    }

    /// Goes on in a new segment, in which `need` bytes have room. Its head is durable before its name is.
    fn roll(&mut self, need: u64) -> Result<(), CommitError> {
        if self.segment.head.relaxed {
            self.sync()?;
        }
        let size = self.options.segment_size.max(need);
        let (salt, relaxed) = (self.options.salt, self.options.relaxed);
        let head = SegmentHead { base: self.next, salt, relaxed };
        let segment = Segment { ordinal: self.segment.ordinal + 1, head };
        let placed = place(&self.directory, segment, size, self.options.segment_size);
        let file = placed.map_err(CommitError::WriteFailed)?;
        // The name is there: whether it lasts is in doubt if this fails.
        disk::sync_directory(&self.directory).map_err(|error| {
            self.closed = true;
            CommitError::SyncFailed(error)
        })?;
        self.reader.add(segment);
        (self.segment, self.file, self.capacity) = (segment, file, size);
        Ok(())
    }
}

/// Writes the bytes of a file from `from` to `to` as they are.
fn write_again(file: &File, from: u64, to: u64) -> io::Result<()> {
    let len = usize::try_from(to - from).map_err(io::Error::other)?;
    let mut bytes = vec![0; len];
    file.read_exact_at(&mut bytes, from)?;
    file.write_all_at(&bytes, from)
}

/// Turns the spare, or a new file where it does not fit, into a segment. The directory is not synced yet.
fn place(directory: &Path, segment: Segment, size: u64, spare_size: u64) -> io::Result<File> {
    let spare = (size == spare_size)
        .then(|| OpenOptions::new().read(true).write(true).open(directory.join(SPARE)).ok())
        .flatten();
    let unfinished = format!("next{}", disk::UNFINISHED);
    let (file, name) = match spare {
        Some(file) => (file, SPARE),
        None => (segments::fill(directory, &unfinished, size)?, unfinished.as_str()),
    };
    file.write_all_at(&segment.head.encode(), 0)?;
    // What a file holds after a failed sync is unknown for good: the next try has another file.
    file.sync_all().map_err(|error| disk::give_up(&directory.join(name), error))?;
    std::fs::rename(directory.join(name), directory.join(segment.name()))?;
    Ok(file)
}
