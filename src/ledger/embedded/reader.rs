//! Reads bytes of the journal by position, from any thread, while the writer goes on.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Lsn;
use super::segments::Segment;

/// Files that are kept open: claims go through the journal from front to back.
const OPEN_MAX: usize = 4;

/// Pieces that lie at most this far apart are read together.
const GAP_MAX: u64 = 4 << 10;

/// Pieces are read together up to this size.
const SPAN_MAX: u64 = 256 << 10;

/// The list of segments and how to read them. The writer adds, the follower removes, anybody reads.
#[derive(Debug)]
pub(super) struct Reader {
    directory: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    segments: VecDeque<Segment>,
    open: VecDeque<(u64, Arc<File>)>,
}

impl Reader {
    pub(super) fn new(directory: PathBuf, segments: Vec<Segment>) -> Self {
        let state = State { segments: segments.into(), open: VecDeque::new() };
        Self { directory, state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add(&self, segment: Segment) {
        self.state().segments.push_back(segment);
    }

    /// The segments, oldest first.
    pub(super) fn segments(&self) -> Vec<Segment> {
        self.state().segments.iter().copied().collect()
    }

    /// Forgets the oldest segment, whose file is gone.
    pub(super) fn forget_oldest(&self) {
        let mut state = self.state();
        if let Some(gone) = state.segments.pop_front() {
            state.open.retain(|(ordinal, _)| *ordinal != gone.ordinal);
        }
    }

    /// The file in which a position lies, and where in it.
    fn locate(&self, lsn: Lsn) -> io::Result<(Arc<File>, u64)> {
        let mut state = self.state();
        let after = state.segments.partition_point(|segment| segment.head.base <= lsn);
        let found = after.checked_sub(1).and_then(|at| state.segments.get(at)).copied();
        let segment = found.ok_or(io::ErrorKind::NotFound)?;
        let offset = segment.head.offset(lsn);
        if let Some((_, file)) = state.open.iter().find(|(ordinal, _)| *ordinal == segment.ordinal)
        {
            return Ok((Arc::clone(file), offset));
        }
        let file = Arc::new(File::open(self.directory.join(segment.name()))?);
        if state.open.len() == OPEN_MAX {
            state.open.pop_front();
        }
        state.open.push_back((segment.ordinal, Arc::clone(&file)));
        Ok((file, offset))
    }

    /// `len` bytes from a position within one record.
    pub(super) fn read_at(&self, lsn: Lsn, len: usize) -> io::Result<Vec<u8>> {
        let (file, offset) = self.locate(lsn)?;
        let mut bytes = vec![0; len];
        file.read_exact_at(&mut bytes, offset)?;
        Ok(bytes)
    }

    /// Many pieces, each within one record, in the order asked. Neighbours are read together, since waiting
    /// orders lie one behind the other.
    pub(super) fn read_many(&self, pieces: &[(Lsn, usize)]) -> io::Result<Vec<bytes::Bytes>> {
        let mut read = Vec::with_capacity(pieces.len());
        let mut at = 0;
        while let Some((first, len)) = pieces.get(at) {
            let limit = self.end_of_segment(*first);
            let mut end = first.0 + *len as u64;
            let mut count = 1;
            while let Some((next, len)) = pieces.get(at + count) {
                let reach = next.0 + *len as u64;
                let near = next.0 >= end && next.0 - end <= GAP_MAX;
                if !near || reach - first.0 > SPAN_MAX || limit.is_some_and(|end| next.0 >= end) {
                    break;
                }
                end = reach;
                count += 1;
            }
            let span = usize::try_from(end - first.0).unwrap_or(usize::MAX);
            let span = bytes::Bytes::from(self.read_at(*first, span)?);
            for (lsn, len) in &pieces[at..at + count] {
                let from = usize::try_from(lsn.0 - first.0).unwrap_or(usize::MAX);
                read.push(span.slice(from..from + len));
            }
            at += count;
        }
        Ok(read)
    }

    /// The position at which the segment that holds `lsn` ends; `None` while it is the last.
    fn end_of_segment(&self, lsn: Lsn) -> Option<u64> {
        let state = self.state();
        let after = state.segments.partition_point(|segment| segment.head.base <= lsn);
        state.segments.get(after).map(|next| next.head.base.0)
    }
}
