//! Durations, sizes and shares as people write them in settings: `250ms`, `64MiB`, `50%`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A text does not have the form that is asked for; says which form that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadUnit(&'static str);

/// A duration written with its unit: `0s`, `250ms`, `10s`, `5m`, `1000h`, `90d`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Span(pub Duration);

/// How often something is done: `off`, or a duration of at least a second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Every(pub Option<Duration>);

/// A size in bytes written with its unit: `4KiB`, `64MiB`, `1GiB`, `512B`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Size(pub u64);

const SPANS: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];
const SIZES: [(&str, u64); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

fn parse(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

fn write(f: &mut fmt::Formatter<'_>, value: u64, units: &[(&str, u64)], zero: &str) -> fmt::Result {
    match units.iter().find(|(_, factor)| value >= *factor && value.is_multiple_of(*factor)) {
        Some((name, factor)) => write!(f, "{}{name}", value / factor),
        None => f.write_str(zero),
    }
}

impl FromStr for Span {
    type Err = BadUnit;

    fn from_str(text: &str) -> Result<Self, BadUnit> {
        parse(text, &SPANS)
            .filter(|millis| *millis <= 36_500 * 86_400_000)
            .map(|millis| Self(Duration::from_millis(millis)))
            .ok_or(BadUnit(
                "a duration is written like \"250ms\", \"10s\", \"5m\", \"2h\" or \"7d\"",
            ))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        write(f, millis, &SPANS, "0s")
    }
}

impl FromStr for Every {
    type Err = BadUnit;

    fn from_str(text: &str) -> Result<Self, BadUnit> {
        if text == "off" {
            return Ok(Self(None));
        }
        let Span(every) = text.parse()?;
        if every < Duration::from_secs(1) {
            return Err(BadUnit("it is done every second at most: \"1s\", \"5m\", or \"off\""));
        }
        Ok(Self(Some(every)))
    }
}

impl fmt::Display for Every {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(every) => Span(every).fmt(f),
            None => f.write_str("off"),
        }
    }
}

impl FromStr for Size {
    type Err = BadUnit;

    fn from_str(text: &str) -> Result<Self, BadUnit> {
        parse(text, &SIZES)
            .map(Self)
            .ok_or(BadUnit("a size is written like \"512B\", \"4KiB\", \"64MiB\" or \"1GiB\""))
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write(f, self.0, &SIZES, "0B")
    }
}

macro_rules! text_form {
    ($name:ident) => {
        impl TryFrom<String> for $name {
            type Error = BadUnit;

            fn try_from(text: String) -> Result<Self, BadUnit> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.to_string()
            }
        }
    };
}

text_form!(Span);
text_form!(Every);
text_form!(Size);

/// A whole number as people read it: `1,234,567`.
#[must_use]
pub fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// So many of a thing in words: `1 mistake`, `2 mistakes`.
pub fn counted(count: impl fmt::Display, thing: &str) -> String {
    let count = count.to_string();
    let plural = if count == "1" { "" } else { "s" };
    format!("{count} {thing}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_thing_is_one() {
        assert_eq!([counted(0, "thing"), counted(1, "thing")], ["0 things", "1 thing"]);
    }

    #[test]
    fn what_is_written_is_read_back() {
        for text in ["0s", "250ms", "10s", "5m", "1000h", "7d"] {
            let span: Span = text.parse().unwrap();
            assert_eq!(span.to_string().parse::<Span>().unwrap(), span, "{text}");
        }
        assert_eq!("90s".parse::<Span>().unwrap().0, Duration::from_secs(90));
        assert_eq!("64MiB".parse::<Size>().unwrap(), Size(64 << 20));
        for text in ["", "10", "s", "-1s", "1.5s", "10 s", "99999999999999999999s", "1S"] {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
        for text in ["64", "64MB", "MiB", "99999999999GiB"] {
            assert!(text.parse::<Size>().is_err(), "{text}");
        }
    }
}
