//! Bytes of events and snapshots: LEB128 numbers, length-prefixed texts. No reflection, no versions here.

/// The bytes end early or break a rule of the format. A record passed its checksum before it was decoded,
/// so this is a newer format or a fault of ours, never a torn write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the bytes do not follow this version's format")]
pub struct Truncated;

/// Something that can be read back.
pub(super) trait Decode: Sized {
    fn decode(from: &mut Reader<'_>) -> Result<Self, Truncated>;
}

/// Appends to a buffer.
#[derive(Clone, Debug, Default)]
pub struct Writer {
    out: Vec<u8>,
}

impl Writer {
    /// Goes on with `out`.
    #[must_use]
    pub fn over(out: Vec<u8>) -> Self {
        Self { out }
    }

    /// What was written.
    #[must_use]
    pub fn into_inner(self) -> Vec<u8> {
        self.out
    }

    /// What was written so far.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        &self.out
    }

    /// Bytes written so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.out.len()
    }

    /// Nothing was written yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.out.is_empty()
    }

    pub(super) fn byte(&mut self, byte: u8) {
        self.out.push(byte);
    }

    pub(super) fn flag(&mut self, flag: bool) {
        self.out.push(u8::from(flag));
    }

    pub(super) fn fixed(&mut self, value: u64) {
        self.out.extend_from_slice(&value.to_le_bytes());
    }

    #[expect(clippy::cast_possible_truncation, reason = "seven bits at a time")]
    pub(super) fn number(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.out.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.out.push(value as u8);
    }

    pub(super) fn signed(&mut self, value: i64) {
        self.number((value.cast_unsigned() << 1) ^ (value >> 63).cast_unsigned());
    }

    /// Answers where the bytes begin.
    pub(super) fn bytes(&mut self, bytes: &[u8]) -> usize {
        self.number(bytes.len() as u64);
        let at = self.out.len();
        self.out.extend_from_slice(bytes);
        at
    }

    pub(super) fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    pub(super) fn option(&mut self, value: Option<u64>) {
        self.option_with(value, Self::number);
    }

    pub(super) fn option_with<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) {
        self.flag(value.is_some());
        if let Some(value) = value {
            write(self, value);
        }
    }

    pub(super) fn head(&mut self, tag: u8, sale: crate::sale::SaleNo, at: crate::clock::Timestamp) {
        self.byte(tag);
        self.number(u64::from(sale.0));
        self.number(at.0);
    }

    pub(super) fn order(
        &mut self,
        tag: u8,
        sale: crate::sale::SaleNo,
        at: crate::clock::Timestamp,
        index: u32,
    ) {
        self.head(tag, sale, at);
        self.number(u64::from(index));
    }
}

/// Reads what a [`Writer`] wrote. Never panics, whatever the bytes are.
#[derive(Debug)]
pub struct Reader<'a> {
    all: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// From the first byte.
    #[must_use]
    pub fn new(all: &'a [u8]) -> Self {
        Self { all, at: 0 }
    }

    /// Nothing is left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.at >= self.all.len()
    }

    /// Bytes read so far.
    #[must_use]
    pub fn position(&self) -> usize {
        self.at
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], Truncated> {
        let end = self.at.checked_add(count).ok_or(Truncated)?;
        let taken = self.all.get(self.at..end).ok_or(Truncated)?;
        self.at = end;
        Ok(taken)
    }

    pub(super) fn byte(&mut self) -> Result<u8, Truncated> {
        self.take(1)?.first().copied().ok_or(Truncated)
    }

    pub(super) fn flag(&mut self) -> Result<bool, Truncated> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Truncated),
        }
    }

    pub(super) fn fixed(&mut self) -> Result<u64, Truncated> {
        let bytes = self.take(8)?.try_into().map_err(|_| Truncated)?;
        Ok(u64::from_le_bytes(bytes))
    }

    pub(super) fn number(&mut self) -> Result<u64, Truncated> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return Err(Truncated);
            }
            value |= bits << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Truncated)
    }

    pub(super) fn get<T: TryFrom<u64>>(&mut self) -> Result<T, Truncated> {
        T::try_from(self.number()?).map_err(|_| Truncated)
    }

    /// A count of things that take at least a byte each, so that a wild one allocates nothing.
    pub(super) fn count(&mut self) -> Result<usize, Truncated> {
        let count: usize = self.get()?;
        if count > self.all.len() - self.at { Err(Truncated) } else { Ok(count) }
    }

    pub(super) fn signed(&mut self) -> Result<i64, Truncated> {
        let raw = self.number()?;
        Ok((raw >> 1).cast_signed() ^ -(raw & 1).cast_signed())
    }

    pub(super) fn bytes(&mut self) -> Result<(&'a [u8], usize), Truncated> {
        let count = self.count()?;
        let at = self.at;
        Ok((self.take(count)?, at))
    }

    pub(super) fn text(&mut self) -> Result<&'a str, Truncated> {
        std::str::from_utf8(self.bytes()?.0).map_err(|_| Truncated)
    }

    pub(super) fn option(&mut self) -> Result<Option<u64>, Truncated> {
        self.option_with(Self::number)
    }

    pub(super) fn option_get<T: TryFrom<u64>>(&mut self) -> Result<Option<T>, Truncated> {
        self.option_with(Self::get)
    }

    pub(super) fn option_with<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, Truncated>,
    ) -> Result<Option<T>, Truncated> {
        if self.flag()? { read(self).map(Some) } else { Ok(None) }
    }
}
