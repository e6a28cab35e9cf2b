//! Where the requests of a connection begin and end, told from the raw bytes before hyper parses them.
//!
//! hyper drops what it finds redundant: a second `Content-Length` with the same value, a `Content-Length` beside
//! `Transfer-Encoding`, a fragment. Each of them is how two parsers come to count requests differently, so they
//! are looked for here. hyper still parses the same bytes itself; where the two disagree, the connection ends.

mod chunks;
#[cfg(test)]
mod tests;

use chunks::{Chunks, Step};

/// The longest line that is put together of several reads: hyper ends a connection with a longer head itself.
const LINE_MAX: usize = 16 << 10;

/// Why a request is refused for the way in which it is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(in crate::http) enum Fault {
    /// Both `Content-Length` and `Transfer-Encoding`.
    TwoFramings = 1,
    /// More than one `Content-Length`, or one that is no plain number.
    Length,
    /// More than one `Transfer-Encoding`, or a list in which `chunked` does not stand once and last.
    Coding,
    /// A coding before `chunked`.
    UnknownCoding,
    /// A fragment in the target.
    Fragment,
    /// It is not known where the request began.
    Lost,
}

impl Fault {
    const ALL: [Self; 6] = [
        Self::TwoFramings,
        Self::Length,
        Self::Coding,
        Self::UnknownCoding,
        Self::Fragment,
        Self::Lost,
    ];

    /// The fault of a number; 0 is none.
    pub(super) fn of(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|fault| *fault as u8 == number)
    }
}

/// What the next byte belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Reading {
    /// A request that has not begun; empty lines before it do not count.
    Start,
    /// A head that has begun.
    Head,
    /// A body.
    Body,
}

#[derive(Debug)]
enum At {
    Start,
    RequestLine,
    Fields,
    Length(u64),
    Chunks(Chunks),
    Lost,
}

/// The requests of one connection so far.
#[derive(Debug)]
pub(super) struct Framing {
    at: At,
    /// The beginning of a line whose end has not come yet.
    partial: Vec<u8>,
    fields: Fields,
    /// Heads that came whole.
    pub(super) heads: u32,
    /// Requests that came whole.
    pub(super) ends: u32,
    /// Bytes of the present body that have come.
    pub(super) body: u64,
    /// What is wrong with the last head, after which nothing is looked at any more.
    pub(super) fault: Option<Fault>,
}

/// What frames the request whose head is being read.
#[derive(Debug, Default)]
struct Fields {
    lengths: u32,
    length: Option<u64>,
    codings: u32,
    coding: Option<Fault>,
    fragment: bool,
    too_long: bool,
}

impl Framing {
    pub(super) fn new() -> Self {
        Self {
            at: At::Start,
            partial: Vec::new(),
            fields: Fields::default(),
            heads: 0,
            ends: 0,
            body: 0,
            fault: None,
        }
    }

    pub(super) fn reading(&self) -> Reading {
        match self.at {
            At::Start => Reading::Start,
            At::RequestLine | At::Fields => Reading::Head,
            At::Length(_) | At::Chunks(_) | At::Lost => Reading::Body,
        }
    }

    /// Whether a length was given that no body has.
    pub(super) fn is_endless(&self) -> bool {
        matches!(self.at, At::Length(left) if left > u64::MAX / 2)
    }

    /// The next bytes of the connection.
    pub(super) fn push(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            bytes = match &mut self.at {
                At::Start | At::RequestLine | At::Fields => self.head(bytes),
                At::Length(left) => {
                    let now = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                    *left -= now as u64;
                    self.body += now as u64;
                    if *left == 0 {
                        self.request_ends();
                    }
                    &bytes[now..]
                }
                At::Chunks(chunks) => {
                    let (used, step) = chunks.push(bytes);
                    self.body += used as u64;
                    match step {
                        Step::More => {}
                        Step::End => self.request_ends(),
                        Step::Broken => self.at = At::Lost,
                    }
                    &bytes[used..]
                }
                At::Lost => return,
            };
        }
    }

    /// Up to the end of a line.
    fn head<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let Some(end) = memchr::memchr(b'\n', bytes) else {
            if self.partial.len() + bytes.len() > LINE_MAX {
                self.fields = Fields { too_long: true, ..Fields::default() };
                self.head_ends();
                return &[];
            }
            self.partial.extend_from_slice(bytes);
            if matches!(self.at, At::Start) && self.partial != b"\r" {
                self.at = At::RequestLine;
            }
            return &[];
        };
        let (line, rest) = bytes.split_at(end + 1);
        if self.partial.is_empty() {
            self.line(line);
        } else {
            let mut whole = std::mem::take(&mut self.partial);
            whole.extend_from_slice(line);
            self.line(&whole);
        }
        rest
    }

    fn line(&mut self, line: &[u8]) {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        match (&self.at, line.first()) {
            (At::Start, None) => {}
            (At::Start | At::RequestLine, _) => {
                self.fields = Fields { fragment: line.contains(&b'#'), ..Fields::default() };
                self.at = At::Fields;
            }
            (_, None) => self.head_ends(),
            (_, Some(b'c' | b'C')) => {
                if let Some(value) = value_of(line, b"content-length:") {
                    self.fields.lengths += 1;
                    self.fields.length = number(value);
                }
            }
            (_, Some(b't' | b'T')) => {
                if let Some(value) = value_of(line, b"transfer-encoding:") {
                    self.fields.codings += 1;
                    self.fields.coding = coding_fault(value);
                }
            }
            _ => {}
        }
    }

    fn head_ends(&mut self) {
        self.heads = self.heads.wrapping_add(1);
        self.body = 0;
        self.fault = self.fields.fault();
        if self.fault.is_some() {
            self.at = At::Lost;
        } else if self.fields.codings > 0 {
            self.at = At::Chunks(Chunks::new());
        } else {
            match self.fields.length {
                None | Some(0) => self.request_ends(),
                Some(length) => self.at = At::Length(length),
            }
        }
    }

    fn request_ends(&mut self) {
        self.ends = self.ends.wrapping_add(1);
        self.at = At::Start;
    }
}

impl Fields {
    fn fault(&self) -> Option<Fault> {
        match self {
            Self { too_long: true, .. } => Some(Fault::Lost),
            Self { lengths: 1.., codings: 1.., .. } => Some(Fault::TwoFramings),
            Self { lengths: 2.., .. } | Self { lengths: 1, length: None, .. } => {
                Some(Fault::Length)
            }
            Self { codings: 2.., .. } => Some(Fault::Coding),
            Self { fragment: true, coding: None, .. } => Some(Fault::Fragment),
            Self { coding, .. } => *coding,
        }
    }
}

/// The value of a line that begins with a name in whatever case, without the blanks around it.
fn value_of<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let (begins, value) = line.split_at_checked(name.len())?;
    begins.eq_ignore_ascii_case(name).then(|| value.trim_ascii())
}

/// A length as RFC 9110 writes it, and without zeros before it, which some read as octal.
fn number(value: &[u8]) -> Option<u64> {
    let plain = matches!(value, [b'0'] | [b'1'..=b'9', ..]) && value.iter().all(u8::is_ascii_digit);
    if !plain {
        return None;
    }
    std::str::from_utf8(value).ok()?.parse().ok()
}

fn coding_fault(value: &[u8]) -> Option<Fault> {
    if value.eq_ignore_ascii_case(b"chunked") {
        return None;
    }
    let mut codings = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).rev();
    let chunked = |coding: &[u8]| coding.eq_ignore_ascii_case(b"chunked");
    let last = codings.next().is_some_and(chunked);
    // A name, with parameters or without; anything else is no list of codings.
    let token = |coding: &[u8]| coding.first().is_some_and(u8::is_ascii_alphanumeric);
    let others = codings.all(|coding| token(coding) && !chunked(coding));
    Some(if last && others { Fault::UnknownCoding } else { Fault::Coding })
}
