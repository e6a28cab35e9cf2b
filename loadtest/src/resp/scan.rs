//! Where a frame ends, found while its bytes come in: contents are counted over, not looked at.

use std::fmt;

/// A line of a frame's own: a type and a number. A line of text (`+OK`, a double) may be longer.
const HEADER_MAX: usize = 32;
/// A frame promises at most so many values and bytes: Redis itself bounds both at 512 MiB and below.
const PROMISED_MAX: u64 = 1 << 32;

/// Bytes that no frame can begin with, or be continued with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unreadable;

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bytes that are not RESP")
    }
}

impl std::error::Error for Unreadable {}

/// The end of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// How many of the bytes that were given belong to it still.
    pub at: usize,
    /// A message that nobody asked for (RESP3 `>`).
    pub push: bool,
}

/// Finds the ends of frames (RESP2 and RESP3) in pieces of any size.
#[derive(Debug)]
pub struct Scanner {
    /// Whether a command may be a line, as people type it.
    inline: bool,
    place: Place,
    /// Values that the frame still lacks, the one being read included.
    lacking: u64,
    push: bool,
}

#[derive(Debug, Default)]
enum Place {
    /// Before the first byte of a frame.
    #[default]
    Between,
    /// Before the first byte of a value within a frame.
    Value,
    /// In the line of a value that is nothing but its line.
    Line,
    /// In a command that is a line.
    Inline,
    /// In the line that says how many values or bytes follow.
    Header { kind: u8, digits: Vec<u8> },
    /// In content of known length, the line end after it included.
    Content { left: u64 },
}

impl Scanner {
    /// For what a server receives.
    #[must_use]
    pub fn of_requests() -> Self {
        Self { inline: true, place: Place::Between, lacking: 0, push: false }
    }

    /// For what a server sends.
    #[must_use]
    pub fn of_replies() -> Self {
        Self { inline: false, ..Self::of_requests() }
    }

    /// Reads until a frame ends, or all bytes are used: then `None`.
    ///
    /// # Errors
    /// When the bytes are not RESP; the scanner is of no use afterwards.
    pub fn scan(&mut self, bytes: &[u8]) -> Result<Option<Ended>, Unreadable> {
        let mut at = 0;
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            let (used, whole) = self.step(rest)?;
            at += used;
            if whole {
                self.lacking -= 1;
                self.place = Place::Value;
            }
            let between = matches!(self.place, Place::Between);
            if self.lacking == 0 && !between {
                self.place = Place::Between;
                return Ok(Some(Ended { at, push: self.push }));
            }
        }
        Ok(None)
    }

    /// Takes some bytes; says how many, and whether a value ended with them.
    fn step(&mut self, rest: &[u8]) -> Result<(usize, bool), Unreadable> {
        match &mut self.place {
            Place::Between => {
                let first = rest.first().copied().unwrap_or_default();
                (self.lacking, self.push) = (1, first == b'>');
                let inline = self.inline && first != b'*';
                self.place = if inline { Place::Inline } else { Place::Value };
                Ok((0, false))
            }
            Place::Value => {
                let kind = rest.first().copied().unwrap_or_default();
                self.place = match kind {
                    b'+' | b'-' | b':' | b'_' | b',' | b'#' | b'(' => Place::Line,
                    b'$' | b'!' | b'=' | b'*' | b'~' | b'>' | b'%' | b'|' => {
                        Place::Header { kind, digits: Vec::new() }
                    }
                    _ => return Err(Unreadable),
                };
                Ok((1, false))
            }
            Place::Line => Ok(line(rest)),
            Place::Inline => {
                let (used, whole) = line(rest);
                let taken = rest.get(..used).unwrap_or_default();
                // Other protocols have bytes that nobody types.
                let typed = |byte: &u8| !byte.is_ascii_control() || b"\t\r\n".contains(byte);
                if taken.iter().all(typed) { Ok((used, whole)) } else { Err(Unreadable) }
            }
            Place::Header { kind, digits } => {
                let (used, ended) = line(rest);
                digits.extend_from_slice(rest.get(..used).unwrap_or_default());
                if digits.len() > HEADER_MAX {
                    return Err(Unreadable);
                }
                if !ended {
                    return Ok((used, false));
                }
                let (kind, number) = (*kind, number(digits).ok_or(Unreadable)?);
                let whole = self.promised(kind, number)?;
                Ok((used, whole))
            }
            Place::Content { left } => {
                let used = rest.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= used as u64;
                let whole = *left == 0;
                Ok((used, whole))
            }
        }
    }

    /// What a header says is to come. Says whether the value is whole with its header.
    fn promised(&mut self, kind: u8, number: Option<u64>) -> Result<bool, Unreadable> {
        // `-1`: nothing, in RESP2.
        let Some(number) = number else { return Ok(true) };
        if number > PROMISED_MAX {
            return Err(Unreadable);
        }
        match kind {
            b'$' | b'!' | b'=' => {
                self.place = Place::Content { left: number + 2 };
                return Ok(false);
            }
            b'%' => self.lacking += 2 * number,
            // Attributes stand before the value that they belong to, and are none themselves.
            b'|' => self.lacking += 2 * number + 1,
            _ => self.lacking += number,
        }
        Ok(true)
    }
}

/// How much of it belongs to the line, and whether the line ends there.
fn line(rest: &[u8]) -> (usize, bool) {
    let end = rest.iter().position(|byte| *byte == b'\n');
    end.map_or((rest.len(), false), |end| (end + 1, true))
}

/// `Some(None)` is `-1`. Streamed lengths (`?`) are sent by no server.
fn number(line: &[u8]) -> Option<Option<u64>> {
    let text = std::str::from_utf8(line).ok()?.strip_suffix("\r\n")?;
    if text == "-1" { Some(None) } else { text.parse().ok().map(Some) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every kind of frame, with how often it stands there.
    const FRAMES: &[&[u8]] = &[
        b"+OK\r\n",
        b"-ERR no\r\n",
        b":42\r\n",
        b"$5\r\n*2\r\n$\r\n",
        b"$0\r\n\r\n",
        b"$-1\r\n",
        b"*-1\r\n",
        b"*0\r\n",
        b"*2\r\n*2\r\n$1\r\na\r\n*0\r\n*1\r\n:1\r\n",
        b"*1\r\n*1\r\n*1\r\n$2\r\n\r\n\r\n",
        b"_\r\n",
        b"#t\r\n",
        b",1.5e300\r\n",
        b"(3492890328409238509324850943850943825024385\r\n",
        b"!10\r\nERR\r\n none\r\n",
        b"=7\r\ntxt:a\r\n\r\n",
        b"%2\r\n+a\r\n*1\r\n:1\r\n+b\r\n%0\r\n",
        b"~2\r\n:1\r\n:2\r\n",
        b"|1\r\n+ttl\r\n:3600\r\n*1\r\n|1\r\n+x\r\n*0\r\n:7\r\n",
    ];
    const COMMANDS: &[&[u8]] = &[
        b"PING\r\n",
        b"*2\r\n$3\r\nGET\r\n$4\r\n*1\r\n\r\n",
        b"\r\n",
        b"*0\r\n",
        b"get \xc3\xa9 $5\n",
    ];

    /// Lengths of the frames found when the bytes come in pieces that end at the cuts.
    fn lengths(
        mut scanner: Scanner,
        bytes: &[u8],
        cuts: &[usize],
    ) -> Result<Vec<usize>, Unreadable> {
        let (mut found, mut length) = (Vec::new(), 0);
        let ends = cuts.iter().copied().chain([bytes.len()]);
        let mut from = 0;
        for end in ends {
            let mut piece = &bytes[from..end];
            while let Some(ended) = scanner.scan(piece)? {
                found.push(length + ended.at);
                length = 0;
                piece = &piece[ended.at..];
            }
            length += piece.len();
            from = end;
        }
        assert_eq!(length, 0, "bytes are left over");
        Ok(found)
    }

    #[test]
    fn frames_end_where_they_end_wherever_the_bytes_are_split() {
        for (scanner, frames) in
            [(Scanner::of_replies as fn() -> Scanner, FRAMES), (Scanner::of_requests, COMMANDS)]
        {
            let all = frames.concat();
            let wanted: Vec<usize> = frames.iter().map(|frame| frame.len()).collect();
            for first in 0..=all.len() {
                for second in first..=all.len().min(first + 12) {
                    let found = lengths(scanner(), &all, &[first, second]);
                    assert_eq!(found.as_ref(), Ok(&wanted), "split at {first} and {second}");
                }
            }
            let each: Vec<usize> = (0..all.len()).collect();
            assert_eq!(lengths(scanner(), &all, &each), Ok(wanted));
        }
    }

    #[test]
    fn what_nobody_asked_for_is_told() {
        let scan = |bytes: &[u8]| Scanner::of_replies().scan(bytes);
        let push = b">2\r\n+invalidate\r\n*1\r\n+key\r\n";
        assert_eq!(scan(push), Ok(Some(Ended { at: push.len(), push: true })));
        assert_eq!(scan(b"*1\r\n+message\r\n"), Ok(Some(Ended { at: 14, push: false })));
    }

    #[test]
    fn other_protocols_are_not_taken_for_frames() {
        let scan = |bytes: &[u8]| Scanner::of_replies().scan(bytes);
        // A TLS hello, a stranger within an array, lengths that are none or beyond all reason.
        for bytes in [
            b"\x16\x03\x01\x02\x00".as_slice(),
            b"*1\r\nfoo\r\n",
            b"$x\r\n",
            b"$-2\r\n",
            b"*?\r\n",
            b"$99999999999999999999\r\n",
            b"*9999999999\r\n",
            b"$5\n",
            b"$00000000000000000000000000000000000000000000000000",
        ] {
            assert_eq!(scan(bytes), Err(Unreadable), "{bytes:?}");
        }
        // What a client of MariaDB says first: it begins like a word.
        assert_eq!(Scanner::of_requests().scan(b"T\x00\x00\x01"), Err(Unreadable));
    }
}
