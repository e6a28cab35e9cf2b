//! The bytes of a segment: its head, and the head of each record. Nothing else knows them.
//!
//! Segment, little endian: magic 8 · version 4 · flags 4 · base 8 · salt 8 · CRC32C of all that 4 · zero 4,
//! then records, then zeros. Record: length 4 · CRC32C of the body 4 · CRC32C of salt, position, length and
//! body checksum 4, then the body. Twelve zeros are the clean end.
//!
//! The head has a checksum of its own, so that a wrong length is seen before it is followed. The position and
//! the salt are part of it, so that neither an old record nor bytes that a buyer chose pass for a record here.

use super::Lsn;

pub(super) const MAGIC: [u8; 8] = *b"FOREBAYJ";
pub(super) const VERSION: u32 = 1;
pub(super) const SEGMENT_HEAD: usize = 40;
pub(super) const RECORD_HEAD: usize = 12;

/// The flag of a segment whose records are not synced one by one.
const RELAXED: u32 = 1;

/// The head of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SegmentHead {
    /// Position of the first record.
    pub(super) base: Lsn,
    /// Random, part of each record's checksum.
    pub(super) salt: u64,
    /// Records are synced only when the segment is left: after a power cut there may be holes.
    pub(super) relaxed: bool,
}

/// Why a segment's head cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BadHead {
    Newer(u32),
    Damaged(&'static str),
}

impl SegmentHead {
    pub(super) fn encode(&self) -> [u8; SEGMENT_HEAD] {
        let mut out = [0; SEGMENT_HEAD];
        let flags = if self.relaxed { RELAXED } else { 0 };
        out[..8].copy_from_slice(&MAGIC);
        out[8..12].copy_from_slice(&VERSION.to_le_bytes());
        out[12..16].copy_from_slice(&flags.to_le_bytes());
        out[16..24].copy_from_slice(&self.base.0.to_le_bytes());
        out[24..32].copy_from_slice(&self.salt.to_le_bytes());
        let check = crc32c::crc32c(&out[..32]);
        out[32..36].copy_from_slice(&check.to_le_bytes());
        out
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, BadHead> {
        let Some(head) = bytes.first_chunk::<SEGMENT_HEAD>() else {
            return Err(BadHead::Damaged("the head of the segment is cut"));
        };
        if head[..8] != MAGIC {
            return Err(BadHead::Damaged("this is not a segment of a journal"));
        }
        if word(head, 8) > VERSION {
            return Err(BadHead::Newer(word(head, 8)));
        }
        let rest = head[36..].iter().all(|byte| *byte == 0);
        if word(head, 32) != crc32c::crc32c(&head[..32]) || !rest || word(head, 12) > RELAXED {
            return Err(BadHead::Damaged("the head of the segment fails its checksum"));
        }
        Ok(Self {
            base: Lsn(long(head, 16)),
            salt: long(head, 24),
            relaxed: word(head, 12) == RELAXED,
        })
    }

    /// Where in the file a position of this segment lies.
    pub(super) fn offset(&self, lsn: Lsn) -> u64 {
        SEGMENT_HEAD as u64 + (lsn.0 - self.base.0)
    }

    /// The position of a place in the file.
    pub(super) fn lsn(&self, offset: usize) -> Lsn {
        Lsn(self.base.0 + (offset - SEGMENT_HEAD) as u64)
    }

    /// The head of a record with this body at this position.
    pub(super) fn record_head(&self, lsn: Lsn, body: &[u8]) -> [u8; RECORD_HEAD] {
        let len = u32::try_from(body.len()).expect("a record is bounded far below 4 GiB");
        let body = crc32c::crc32c(body);
        let mut out = [0; RECORD_HEAD];
        out[..4].copy_from_slice(&len.to_le_bytes());
        out[4..8].copy_from_slice(&body.to_le_bytes());
        let check = self.check(lsn, &out[..8]);
        out[8..].copy_from_slice(&check.to_le_bytes());
        out
    }

    fn check(&self, lsn: Lsn, length_and_body: &[u8]) -> u32 {
        let salted = crc32c::crc32c(&self.salt.to_le_bytes());
        let placed = crc32c::crc32c_append(salted, &lsn.0.to_le_bytes());
        crc32c::crc32c_append(placed, length_and_body)
    }

    /// The body of the record at `offset` of the segment's bytes; `None` when there is no valid one.
    pub(super) fn record<'a>(&self, bytes: &'a [u8], offset: usize) -> Option<&'a [u8]> {
        let head: &[u8; RECORD_HEAD] = bytes.get(offset..)?.first_chunk()?;
        let len = word(head, 0) as usize;
        let begin = offset + RECORD_HEAD;
        if len == 0 || len > bytes.len() - begin {
            return None;
        }
        if word(head, 8) != self.check(self.lsn(offset), &head[..8]) {
            return None;
        }
        let body = &bytes[begin..begin + len];
        (word(head, 4) == crc32c::crc32c(body)).then_some(body)
    }
}

pub(super) fn word(bytes: &[u8], at: usize) -> u32 {
    let four = bytes.get(at..).and_then(|rest| rest.first_chunk());
    u32::from_le_bytes(four.copied().unwrap_or_default())
}

pub(super) fn long(bytes: &[u8], at: usize) -> u64 {
    let eight = bytes.get(at..).and_then(|rest| rest.first_chunk());
    u64::from_le_bytes(eight.copied().unwrap_or_default())
}
