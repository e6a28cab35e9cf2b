//! From files to a book: the newest snapshot that can be read, then every event behind it.

use std::path::Path;

use super::format::RECORD_HEAD;
use super::scan::{self, End};
use super::segments::Segment;
use super::{Lsn, OpenError, mark, snapshot};
use crate::ledger::book::{Book, Event, Reader};

/// A book as of a position.
#[derive(Debug)]
pub(super) struct Base {
    pub(super) book: Book,
    pub(super) lsn: Lsn,
    /// Bytes of the snapshot it was read from; 0 without one.
    pub(super) snapshot_bytes: u64,
}

/// The newest snapshot that can be read; an empty book if there is none. An older one serves as long as the
/// journal reaches back to it.
pub(super) fn base(directory: &Path, first: Option<Segment>) -> Result<Base, OpenError> {
    let first_lsn = first.map_or(Lsn(0), |segment| segment.head.base);
    let mut unreadable = None;
    for lsn in snapshot::list(directory)? {
        if first.is_none() {
            let what = "a snapshot is there but the journal behind it is not; restore it";
            return Err(OpenError::Missing { path: directory.join("journal-*"), what });
        }
        match read_snapshot(directory, lsn) {
            Ok(base) if first_lsn <= lsn => return Ok(base),
            Err(newer @ OpenError::Newer { .. }) => return Err(newer),
            Err(error) => unreadable = unreadable.or(Some(error)),
            Ok(_) => break,
        }
    }
    if first_lsn == Lsn(0) {
        return Ok(Base { book: Book::new(), lsn: Lsn(0), snapshot_bytes: 0 });
    }
    let what = "the journal begins behind position 0 and needs a snapshot; restore it";
    Err(unreadable.unwrap_or(OpenError::Missing { path: directory.join("snapshot-*"), what }))
}

fn read_snapshot(directory: &Path, lsn: Lsn) -> Result<Base, OpenError> {
    let bytes = snapshot::read(directory, lsn)?;
    let mut reader = Reader::new(&bytes);
    let book = Book::decode_snapshot(&mut reader).ok().filter(|_| reader.is_empty());
    let path = snapshot::path(directory, lsn);
    let what = "the snapshot passes its checksum and cannot be read: a newer Forebay wrote it";
    let book = book.ok_or_else(|| OpenError::damaged(&path, reader.position() as u64, what))?;
    Ok(Base { book, lsn, snapshot_bytes: bytes.len() as u64 })
}

/// Applies the events of one record.
pub(super) fn apply(book: &mut Book, lsn: Lsn, body: &[u8]) -> Result<(), &'static str> {
    let mut reader = Reader::new(body);
    while !reader.is_empty() {
        let (event, payload_at) = Event::decode(&mut reader)
            .map_err(|_| "the record passes its checksum and cannot be read: a newer Forebay?")?;
        book.apply(&event, lsn.0 + (RECORD_HEAD + payload_at) as u64);
    }
    Ok(())
}

/// A book and where the journal behind it ends.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) base: Base,
    pub(super) end: End,
    /// Records behind the snapshot.
    pub(super) records: u64,
}

/// Reads the whole directory. Every record of every segment is checked, those behind the snapshot are applied.
pub(super) fn everything(directory: &Path, segments: &[Segment]) -> Result<Loaded, OpenError> {
    let first = segments.first().copied();
    let loaded = replay(directory, segments, base(directory, first)?, Lsn(0), None)?;
    reaches_the_mark(directory, segments.last(), loaded.end.lsn)?;
    let first_lsn = first.map_or(0, |segment| segment.head.base.0);
    let book = &loaded.base.book;
    let cut = book.payload_floor().is_some_and(|floor| floor < first_lsn);
    if cut || !book.dead_payloads_below(first_lsn).is_empty() {
        let what = "payloads of waiting orders lie in a segment before the first; restore it";
        return Err(OpenError::Missing { path: directory.join("journal-*"), what });
    }
    Ok(loaded)
}

/// All before the mark of a clean close was on disk: what is missing there was acknowledged and is no torn tail.
fn reaches_the_mark(directory: &Path, last: Option<&Segment>, end: Lsn) -> Result<(), OpenError> {
    if mark::position(directory).is_none_or(|mark| mark <= end) {
        return Ok(());
    }
    let Some(last) = last else {
        let what = "the ledger was closed in order and its journal is gone; restore it";
        return Err(OpenError::Missing { path: directory.join("journal-*"), what });
    };
    let what = "a record fails its checksum, and the ledger was closed in order behind it";
    Err(OpenError::damaged(&directory.join(last.name()), last.head.offset(end), what))
}

/// Reads what is needed for the book as of `until`, at which a record ends.
pub(super) fn up_to(
    directory: &Path,
    segments: &[Segment],
    until: Lsn,
) -> Result<Loaded, OpenError> {
    let base = base(directory, segments.first().copied())?;
    let from = base.lsn;
    replay(directory, segments, base, from, Some(until))
}

fn replay(
    directory: &Path,
    segments: &[Segment],
    mut base: Base,
    from: Lsn,
    until: Option<Lsn>,
) -> Result<Loaded, OpenError> {
    let mut records = 0;
    let end = scan::replay(directory, segments, from, until, |lsn, body| {
        if lsn < base.lsn {
            return Ok(());
        }
        records += 1;
        apply(&mut base.book, lsn, body)
    })?;
    if let Some(last) = segments.last().filter(|_| end.lsn < base.lsn) {
        let what = "the journal ends before its snapshot";
        let path = directory.join(last.name());
        return Err(OpenError::damaged(&path, last.head.offset(end.lsn), what));
    }
    Ok(Loaded { base, end, records })
}
