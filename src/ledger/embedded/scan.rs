//! Reading segments from the first record on, and judging where they end.
//!
//! Everything acknowledged was synced before the next record was written. So what follows the last valid
//! record is zeros, or a record that nobody was answered for (a torn tail). A valid record *behind* something
//! invalid means that acknowledged bytes were changed: that is refused, never skipped.

use std::path::Path;

use super::format::{RECORD_HEAD, SegmentHead};
use super::segments::Segment;
use super::{Lsn, OpenError};

/// The records of one segment, in order, up to the first that is not valid.
#[derive(Debug)]
pub(super) struct Records<'a> {
    head: SegmentHead,
    bytes: &'a [u8],
    at: usize,
}

/// What follows the last valid record of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rest {
    /// Zeros.
    Clean,
    /// So many bytes without a valid record in them.
    Torn(u64),
    /// A valid record lies somewhere behind the damage.
    Damaged,
}

impl<'a> Records<'a> {
    pub(super) fn new(head: SegmentHead, bytes: &'a [u8]) -> Self {
        Self { head, bytes, at: super::format::SEGMENT_HEAD }
    }

    /// Where in the file the next record begins.
    pub(super) fn offset(&self) -> usize {
        self.at
    }

    /// The position of the next record.
    pub(super) fn lsn(&self) -> Lsn {
        self.head.lsn(self.at)
    }

    /// Judges what is left, once the iteration has ended.
    pub(super) fn rest(&self) -> Rest {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let Some(last) = rest.iter().rposition(|byte| *byte != 0) else { return Rest::Clean };
        let valid = |offset: &usize| self.head.record(self.bytes, *offset).is_some();
        // A segment that was not synced record by record may have holes: only its valid beginning counts.
        if !self.head.relaxed && (self.at..=self.at + last).any(|offset| valid(&offset)) {
            return Rest::Damaged;
        }
        Rest::Torn(last as u64 + 1)
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = (Lsn, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let body = self.head.record(self.bytes, self.at)?;
        let lsn = self.lsn();
        self.at += RECORD_HEAD + body.len();
        Some((lsn, body))
    }
}

/// Where the journal ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct End {
    /// The position of the next record.
    pub(super) lsn: Lsn,
    /// Bytes behind it that belong to no valid record.
    pub(super) torn: u64,
    /// From here on the last segment was read and may not be on the disk: its last record, or all of them where
    /// they are not synced one by one.
    pub(super) unsure: Lsn,
}

/// Reads the records of `segments` in order, those of segments that end before `from` excepted, and gives each
/// with its position to `each`, which may say what is wrong with it. With `until` the records must end exactly
/// there; else they end where the last segment does.
pub(super) fn replay(
    directory: &Path,
    segments: &[Segment],
    from: Lsn,
    until: Option<Lsn>,
    mut each: impl FnMut(Lsn, &[u8]) -> Result<(), &'static str>,
) -> Result<End, OpenError> {
    let mut end = End::default();
    for (at, segment) in segments.iter().enumerate() {
        let next = segments.get(at + 1).map(|next| next.head.base).or(until);
        if next.is_some_and(|next| next <= from) && segments.get(at + 1).is_some() {
            continue;
        }
        let path = directory.join(segment.name());
        let bytes = std::fs::read(&path).map_err(OpenError::io("read", &path))?;
        let mut records = Records::new(segment.head, &bytes);
        let (mut offset, mut unsure) = (records.offset(), records.lsn());
        while let Some((lsn, body)) = records.next() {
            each(lsn, body).map_err(|what| OpenError::damaged(&path, offset as u64, what))?;
            offset = records.offset();
            unsure = if segment.head.relaxed { unsure } else { lsn };
        }
        end = End { lsn: records.lsn(), torn: 0, unsure };
        let whole = match (next, records.rest()) {
            (Some(next), _) => end.lsn == next,
            (None, Rest::Damaged) => false,
            (None, Rest::Torn(bytes)) => {
                end.torn = bytes;
                true
            }
            (None, Rest::Clean) => true,
        };
        if !whole {
            let what = "a record fails its checksum, and valid records follow it";
            return Err(OpenError::damaged(&path, offset as u64, what));
        }
    }
    Ok(end)
}
