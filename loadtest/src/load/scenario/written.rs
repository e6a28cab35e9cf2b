//! Values as people write them in a scenario: `500/s`, `250ms`, `5%`, `2KiB/s`.

use std::str::FromStr;
use std::time::Duration;

use serde::Deserialize;

/// The form that was wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted(pub String);

impl std::error::Error for Wanted {}

impl std::fmt::Display for Wanted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// So many a second, above 0.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(try_from = "String")]
pub struct Rate(pub f64);

/// A length of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Span(pub Duration);

/// A part of a whole, 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(try_from = "String")]
pub struct Share(pub f64);

/// Bytes a second, above 0.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(try_from = "String")]
pub struct Speed(pub f64);

const SPANS: [(&str, f64); 6] =
    [("us", 1e-6), ("ms", 1e-3), ("s", 1.0), ("m", 60.0), ("h", 3_600.0), ("d", 86_400.0)];
const RATES: [(&str, f64); 3] = [("/s", 1.0), ("/m", 1.0 / 60.0), ("/h", 1.0 / 3_600.0)];
const SPEEDS: [(&str, f64); 3] = [("B/s", 1.0), ("KiB/s", 1_024.0), ("MiB/s", 1_048_576.0)];
/// A century: more is a slip of the pen.
const SECONDS_MAX: f64 = 3.2e9;

/// A number, 0 or more and without an exponent or a sign, and one of the units after it.
fn read(text: &str, units: &[(&str, f64)]) -> Option<f64> {
    let digits = text.bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b'.').count();
    let (number, unit) = text.split_at(digits);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    number.parse::<f64>().ok().map(|number| number * factor).filter(|value| value.is_finite())
}

fn wanted(text: &str, form: &str) -> Wanted {
    Wanted(format!("`{text}`: {form}"))
}

impl FromStr for Rate {
    type Err = Wanted;

    fn from_str(text: &str) -> Result<Self, Wanted> {
        let form = "a rate is written like \"500/s\", \"30/m\" or \"10/h\" and is above 0";
        read(text, &RATES).filter(|rate| *rate > 0.0).map(Self).ok_or_else(|| wanted(text, form))
    }
}

impl FromStr for Span {
    type Err = Wanted;

    fn from_str(text: &str) -> Result<Self, Wanted> {
        let form = "a duration is written like \"500us\", \"250ms\", \"10s\", \"5m\" or \"2h\"";
        let seconds = read(text, &SPANS).filter(|seconds| *seconds <= SECONDS_MAX);
        seconds.map(|s| Self(Duration::from_secs_f64(s))).ok_or_else(|| wanted(text, form))
    }
}

impl FromStr for Share {
    type Err = Wanted;

    fn from_str(text: &str) -> Result<Self, Wanted> {
        let form = "a share is written like \"5%\" or \"0.1%\", 0 to 100";
        let share = read(text, &[("%", 0.01)]).filter(|share| *share <= 1.0);
        share.map(Self).ok_or_else(|| wanted(text, form))
    }
}

impl FromStr for Speed {
    type Err = Wanted;

    fn from_str(text: &str) -> Result<Self, Wanted> {
        let form = "a speed is written like \"200B/s\" or \"2KiB/s\" and is above 0";
        let speed = read(text, &SPEEDS).filter(|speed| *speed > 0.0);
        speed.map(Self).ok_or_else(|| wanted(text, form))
    }
}

macro_rules! from_text {
    ($($name:ident),*) => {$(
        impl TryFrom<String> for $name {
            type Error = Wanted;

            fn try_from(text: String) -> Result<Self, Wanted> {
                text.parse()
            }
        }
    )*};
}

from_text!(Rate, Span, Share, Speed);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_its_unit_is_read_and_nothing_else() {
        assert!(("30/m".parse::<Rate>().unwrap().0 - 0.5).abs() < 1e-12);
        assert_eq!("1.5s".parse::<Span>().unwrap().0, Duration::from_millis(1_500));
        assert_eq!("500us".parse::<Span>().unwrap().0, Duration::from_micros(500));
        assert!(("0.1%".parse::<Share>().unwrap().0 - 0.001).abs() < 1e-12);
        assert!(("2KiB/s".parse::<Speed>().unwrap().0 - 2_048.0).abs() < 1e-12);
        for text in ["", "500", "0/s", "-1/s", "1e3/s", "5/day", "/s", "1.2.3/s"] {
            assert!(text.parse::<Rate>().unwrap_err().0.contains("500/s"), "{text}");
        }
        for text in ["10", "10 s", "-1s", "s", "99999999999999d"] {
            assert!(text.parse::<Span>().unwrap_err().0.contains("250ms"), "{text}");
        }
        for text in ["5", "101%", "-1%", "%"] {
            assert!(text.parse::<Share>().unwrap_err().0.contains("0 to 100"), "{text}");
        }
        assert!("0B/s".parse::<Speed>().is_err() && "5".parse::<Speed>().is_err());
    }
}
