//! The end of a chunked body (RFC 9112, 7.1), found as hyper finds it: as lenient, and as strict.

/// What came of some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The body goes on.
    More,
    /// It has ended.
    End,
    /// It is no chunked body.
    Broken,
}

/// A chunked body that is being read.
#[derive(Debug)]
pub(super) struct Chunks {
    at: At,
    /// Bytes that are left of the chunk.
    left: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    FirstDigit,
    Size,
    Blank,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    /// The beginning of a line after the last chunk.
    Line,
    Trailer,
    TrailerLf,
    LastLf,
    End,
    Broken,
}

impl Chunks {
    pub(super) fn new() -> Self {
        Self { at: At::FirstDigit, left: 0 }
    }

    /// Takes what belongs to the body, and says how much that was.
    pub(super) fn push(&mut self, bytes: &[u8]) -> (usize, Step) {
        let mut used = 0;
        while let Some(byte) = bytes.get(used) {
            if self.at == At::Data {
                let now = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len() - used);
                self.left -= now as u64;
                used += now;
                if self.left == 0 {
                    self.at = At::DataCr;
                }
                continue;
            }
            used += 1;
            self.at = self.after(*byte);
            match self.at {
                At::End => return (used, Step::End),
                At::Broken => return (used, Step::Broken),
                _ => {}
            }
        }
        (used, Step::More)
    }

    fn after(&mut self, byte: u8) -> At {
        match (self.at, byte) {
            (At::FirstDigit | At::Size, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                let digit = char::from(byte).to_digit(16).map_or(0, u64::from);
                let larger = self.left.checked_mul(16).and_then(|left| left.checked_add(digit));
                self.left = larger.unwrap_or(0);
                if larger.is_some() { At::Size } else { At::Broken }
            }
            (At::Size | At::Blank, b' ' | b'\t') => At::Blank,
            (At::Size | At::Blank, b';') => At::Extension,
            (At::Size | At::Blank | At::Extension, b'\r') => At::SizeLf,
            (At::Extension, other) if other != b'\n' => At::Extension,
            (At::SizeLf, b'\n') if self.left == 0 => At::Line,
            (At::SizeLf, b'\n') => At::Data,
            (At::DataCr, b'\r') => At::DataLf,
            (At::DataLf, b'\n') => At::FirstDigit,
            (At::Line, b'\r') => At::LastLf,
            (At::LastLf, b'\n') => At::End,
            (At::Trailer, b'\r') => At::TrailerLf,
            (At::Line | At::Trailer, _) => At::Trailer,
            (At::TrailerLf, b'\n') => At::Line,
            _ => At::Broken,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(body: &str) -> (usize, Step) {
        Chunks::new().push(body.as_bytes())
    }

    #[test]
    fn a_body_ends_where_it_ends() {
        let body = "3;a=b\r\nabc\r\n00A \t\r\n0123456789\r\n0\r\nX: y\r\nZ:\r\n\r\n";
        assert_eq!(end(&format!("{body}GET")), (body.len(), Step::End));
        assert_eq!(end("0\r\n\r\n"), (5, Step::End));
        for cut in 1..body.len() {
            let mut chunks = Chunks::new();
            let (first, second) = body.as_bytes().split_at(cut);
            assert_eq!(chunks.push(first), (cut, Step::More));
            assert_eq!(chunks.push(second), (body.len() - cut, Step::End));
        }
    }

    #[test]
    fn what_is_no_chunked_body_is_broken() {
        for bad in [
            "zz\r\n",
            "0x3\r\nabc\r\n",
            "+3\r\n",
            "-0x0\r\n",
            "0_2e\r\n",
            " 3\r\n",
            "\r\n",
            "FFFFFFFFFFFFFFFFF\r\n",
            "3\nabc\n",
            "3\r\nabc0\r\n\r\n",
            "2\r\r;a\r\nab\r\n",
            "2;a\nb\r\n",
            "2;a\rb\r\nab\r\n",
            "0\r\n\r\r",
            "0\r\nA: b\rC",
        ] {
            assert_eq!(end(bad).1, Step::Broken, "{bad:?}");
        }
    }
}
