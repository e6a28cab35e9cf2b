//! What a reply says.

use std::fmt;

/// A reply. What RESP3 tells apart and tests do not (maps, sets, doubles) is read as lists and text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Nothing.
    Nil,
    /// A whole number.
    Number(i64),
    /// A simple or a bulk string, a double, a boolean (`t`, `f`).
    Text(Vec<u8>),
    /// An error, with its code word.
    Error(String),
    /// An array, a set, a push; of a map its keys and values in turn.
    List(Vec<Value>),
}

impl Value {
    /// A text or a number as text; of anything else its form for people.
    #[must_use]
    pub fn text(&self) -> String {
        self.to_string()
    }

    /// A number, also where it is written as text.
    #[must_use]
    pub fn number(&self) -> Option<i64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Text(text) => std::str::from_utf8(text).ok()?.parse().ok(),
            _ => None,
        }
    }

    /// The values of a list; none of anything else.
    #[must_use]
    pub fn list(&self) -> &[Self] {
        if let Self::List(values) = self { values } else { &[] }
    }

    /// Reads one frame that is whole.
    pub(crate) fn read(frame: &[u8]) -> Option<Self> {
        let mut rest = frame;
        value(&mut rest)
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nil => f.write_str("(nil)"),
            Self::Number(number) => write!(f, "{number}"),
            Self::Text(text) => f.write_str(&String::from_utf8_lossy(text)),
            Self::Error(text) => write!(f, "(error) {text}"),
            Self::List(values) => f.debug_list().entries(values.iter().map(Self::text)).finish(),
        }
    }
}

fn value(rest: &mut &[u8]) -> Option<Value> {
    let (kind, line) = line(rest)?.split_first()?;
    let text = || String::from_utf8_lossy(line).into_owned();
    let number = || std::str::from_utf8(line).ok()?.parse::<i64>().ok();
    let length = || number().and_then(|length| usize::try_from(length).ok());
    Some(match kind {
        b'+' | b',' | b'#' | b'(' => Value::Text(line.to_vec()),
        b'-' => Value::Error(text()),
        b':' => Value::Number(number()?),
        b'_' => Value::Nil,
        b'$' | b'!' | b'=' | b'*' | b'~' | b'>' if line == b"-1" => Value::Nil,
        b'$' => Value::Text(content(rest, length()?)?.to_vec()),
        // Three letters and a colon say what kind of text it is.
        b'=' => Value::Text(content(rest, length()?)?.get(4..)?.to_vec()),
        b'!' => Value::Error(String::from_utf8_lossy(content(rest, length()?)?).into_owned()),
        b'*' | b'~' | b'>' => values(rest, length()?)?,
        b'%' => values(rest, length()?.checked_mul(2)?)?,
        b'|' => {
            values(rest, length()?.checked_mul(2)?)?;
            value(rest)?
        }
        _ => return None,
    })
}

fn values(rest: &mut &[u8], many: usize) -> Option<Value> {
    (0..many).map(|_| value(rest)).collect::<Option<Vec<_>>>().map(Value::List)
}

fn line<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let end = rest.windows(2).position(|two| two == b"\r\n")?;
    content(rest, end)
}

fn content<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (content, after) = rest.split_at_checked(length)?;
    *rest = after.strip_prefix(b"\r\n")?;
    Some(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value {
        Value::Text(text.into())
    }

    #[test]
    fn replies_are_read_whatever_their_type() {
        let read = |frame: &str| Value::read(frame.as_bytes());
        assert_eq!(read("+OK\r\n"), Some(text("OK")));
        assert_eq!(read("$4\r\na\r\nb\r\n"), Some(text("a\r\nb")));
        assert_eq!(read("=7\r\ntxt:a b\r\n"), Some(text("a b")));
        assert_eq!(read(":-7\r\n"), Some(Value::Number(-7)));
        assert_eq!(read("-ERR no\r\n"), Some(Value::Error("ERR no".to_owned())));
        assert_eq!(read("!6\r\nERR no\r\n"), Some(Value::Error("ERR no".to_owned())));
        assert!(["$-1\r\n", "*-1\r\n", "_\r\n"].iter().all(|nil| read(nil) == Some(Value::Nil)));
        let list = Value::List(vec![text("a"), Value::List(vec![]), Value::Number(1)]);
        assert_eq!(read("*3\r\n+a\r\n~0\r\n:1\r\n"), Some(list));
        let map = Value::List(vec![text("a"), text("1.5")]);
        assert_eq!(read("|1\r\n+x\r\n:1\r\n%1\r\n+a\r\n,1.5\r\n"), Some(map));
        assert_eq!(read("*2\r\n+a\r\n"), None);
    }
}
