//! A request as a fault looks at it, and which requests a fault is for.

use std::fmt;
use std::sync::Arc;

use super::frames::PACKET_HEAD;
use crate::resp::Value;

/// A request: the words of its command. What nobody asked for (a push) has none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Call {
    words: Vec<Vec<u8>>,
}

impl Call {
    /// Reads a packet of a MySQL client that is whole: the words of its statement, if it is one.
    pub(super) fn read_packet(packet: &[u8]) -> Self {
        /// A command whose text is SQL.
        const QUERY: u8 = 3;
        let statement = match packet.get(PACKET_HEAD..) {
            Some([QUERY, statement @ ..]) => statement,
            _ => &[],
        };
        let words = statement.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        Self { words: words.map(<[u8]>::to_vec).collect() }
    }

    /// Reads a request that is whole.
    pub(super) fn read(frame: &[u8]) -> Self {
        let words = if frame.starts_with(b"*") {
            let values = Value::read(frame);
            let values = values.as_ref().map(Value::list).unwrap_or_default();
            values.iter().map(|value| value.text().into_bytes()).collect()
        } else {
            let words = frame.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
            words.map(<[u8]>::to_vec).collect()
        };
        Self { words }
    }

    /// The command's name in capitals, like `FCALL`.
    #[must_use]
    pub fn command(&self) -> String {
        self.word(0).to_ascii_uppercase()
    }

    /// A word of the command, 0 being its name; empty beyond the last one.
    #[must_use]
    pub fn word(&self, at: usize) -> String {
        let word = self.words.get(at).map(Vec::as_slice).unwrap_or_default();
        String::from_utf8_lossy(word).into_owned()
    }

    /// The words of the command as they went over the wire.
    #[must_use]
    pub fn words(&self) -> &[Vec<u8>] {
        &self.words
    }

    /// The function that it calls, if it calls one.
    #[must_use]
    pub fn function(&self) -> Option<String> {
        matches!(self.command().as_str(), "FCALL" | "FCALL_RO").then(|| self.word(1))
    }

    /// A line without words is answered by nobody.
    pub(super) fn is_answered(&self) -> bool {
        !self.words.is_empty()
    }
}

type Choice = dyn Fn(&Call) -> bool + Send + Sync;

/// Which calls a fault is for.
#[derive(Clone)]
pub struct Calls {
    /// `None`: all, and also what belongs to no call.
    chosen: Option<Arc<Choice>>,
}

impl Calls {
    /// All, and also what belongs to no call: pushes, and bytes that are not RESP.
    #[must_use]
    pub fn all() -> Self {
        Self { chosen: None }
    }

    /// Those of which this is true.
    #[must_use]
    pub fn that(chosen: impl Fn(&Call) -> bool + Send + Sync + 'static) -> Self {
        Self { chosen: Some(Arc::new(chosen)) }
    }

    /// Those of one command, whatever the case.
    #[must_use]
    pub fn command(name: &str) -> Self {
        let name = name.to_ascii_uppercase();
        Self::that(move |call| call.command() == name)
    }

    /// Those of a function (FCALL, FCALL_RO); `*` stands for any characters.
    #[must_use]
    pub fn function(pattern: &str) -> Self {
        let pattern = pattern.to_owned();
        Self::that(move |call| call.function().is_some_and(|name| matches(&pattern, &name)))
    }

    pub(super) fn choose(&self, call: &Call) -> bool {
        self.chosen.as_ref().is_none_or(|chosen| chosen(call))
    }
}

impl fmt::Debug for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.chosen.is_none() { "all" } else { "chosen" })
    }
}

/// Whether a pattern, in which `*` stands for any characters, is the whole of a name.
fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((before, after)) => name.strip_prefix(before).is_some_and(|rest| {
            let ends = rest.char_indices().map(|(at, _)| at).chain([rest.len()]);
            ends.filter_map(|at| rest.get(at..)).any(|rest| matches(after, rest))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::request;

    #[test]
    fn calls_are_read_from_arrays_and_from_lines() {
        let call = Call::read(&request(&["fcall", "reserve_1", "1", "{forebay:1}:m", "a b"]));
        assert_eq!((call.command().as_str(), call.word(4).as_str()), ("FCALL", "a b"));
        assert_eq!(call.function().as_deref(), Some("reserve_1"));
        assert_eq!(Call::read(b" get  a\r\n"), Call::read(&request(&["get", "a"])));
        assert_eq!(Call::read(b"get reserve\r\n").function(), None);
        assert!(!Call::read(b"\r\n").is_answered() && !Call::read(b"*0\r\n").is_answered());
    }

    #[test]
    fn functions_are_chosen_by_pattern() {
        let chosen = |pattern: &str, name: &str| {
            Calls::function(pattern).choose(&Call::read(&request(&["FCALL", name, "0"])))
        };
        for pattern in ["reserve", "reserve*", "*reserve", "*", "r*s*e", "*serv*"] {
            assert!(chosen(pattern, "reserve"), "{pattern}");
        }
        for pattern in ["", "reserv", "eserve", "*x*", "reserve*e", "r*s"] {
            assert!(!chosen(pattern, "reserve"), "{pattern}");
        }
        assert!(chosen("forebay*_reserve*", "forebay1_reserve"));
        assert!(Calls::command("get").choose(&Call::read(b"GET a\r\n")));
        assert!(
            !Calls::command("get").choose(&Call::default())
                && Calls::all().choose(&Call::default())
        );
    }
}
