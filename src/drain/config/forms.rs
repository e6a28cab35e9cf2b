//! How the settings of the drain are written: a number or `"auto"`, a share or `"off"`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A number, or `"auto"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Said", into = "Said")]
pub enum Burst {
    /// `1 + ceil(rate × 10 ms)`.
    Auto,
    /// As many.
    Of(u32),
}

/// A number, or `"auto"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Said", into = "Said")]
pub enum Batch {
    /// What the pace gives in a few milliseconds, at most the burst.
    Auto,
    /// As many, at most the burst.
    Of(u32),
}

/// How [`Burst`] and [`Batch`] are written.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected \"auto\" or a whole number")]
enum Said {
    Number(u32),
    Word(String),
}

impl Said {
    fn read(self) -> Result<Option<u32>, &'static str> {
        match self {
            Self::Number(number) => Ok(Some(number)),
            Self::Word(word) if word == "auto" => Ok(None),
            Self::Word(_) => Err("expected \"auto\" or a whole number"),
        }
    }

    fn of(number: Option<u32>) -> Self {
        number.map_or_else(|| Self::Word("auto".to_owned()), Self::Number)
    }
}

impl TryFrom<Said> for Burst {
    type Error = &'static str;

    fn try_from(said: Said) -> Result<Self, &'static str> {
        said.read().map(|number| number.map_or(Self::Auto, Self::Of))
    }
}

impl From<Burst> for Said {
    fn from(burst: Burst) -> Self {
        Self::of(if let Burst::Of(number) = burst { Some(number) } else { None })
    }
}

impl TryFrom<Said> for Batch {
    type Error = &'static str;

    fn try_from(said: Said) -> Result<Self, &'static str> {
        said.read().map(|number| number.map_or(Self::Auto, Self::Of))
    }
}

impl From<Batch> for Said {
    fn from(batch: Batch) -> Self {
        Self::of(if let Batch::Of(number) = batch { Some(number) } else { None })
    }
}

/// `"50%"`, or `"off"`: when more than this share of the last decided orders were refused, the drain pauses
/// itself. The percent goes with each settle; the ledger counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RefusalBrake(pub Option<u8>);

/// A text is not a share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a share from \"1%\" to \"100%\", or \"off\"")]
pub struct BadBrake;

impl FromStr for RefusalBrake {
    type Err = BadBrake;

    fn from_str(text: &str) -> Result<Self, BadBrake> {
        if text == "off" {
            return Ok(Self(None));
        }
        let digits = text.strip_suffix('%').ok_or(BadBrake)?;
        let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
        let percent: u8 = digits.parse().map_err(|_| BadBrake)?;
        if plain && (1..=100).contains(&percent) { Ok(Self(Some(percent))) } else { Err(BadBrake) }
    }
}

impl fmt::Display for RefusalBrake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(percent) => write!(f, "{percent}%"),
            None => f.write_str("off"),
        }
    }
}

impl TryFrom<String> for RefusalBrake {
    type Error = BadBrake;

    fn try_from(text: String) -> Result<Self, BadBrake> {
        text.parse()
    }
}

impl From<RefusalBrake> for String {
    fn from(brake: RefusalBrake) -> Self {
        brake.to_string()
    }
}
