//! Rates as people write them: `500/s`, `30/m`, `10/h`, and `off` or `unlimited`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Permits per period, kept as they were written so that arithmetic on them is exact.
///
/// `off` and `unlimited` mean the same wherever a rate is expected: no bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Rate {
    /// No bound.
    Unlimited,
    /// So many permits in so many microseconds; both are at least 1.
    Per {
        /// Permits in one period.
        permits: u32,
        /// The period in microseconds: a second, a minute or an hour.
        period_micros: u64,
    },
}

/// A text is not a rate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadRate {
    /// Not of the form at all.
    #[error("a rate is written like \"500/s\", \"30/m\", \"10/h\", or \"off\" (no limit)")]
    Form,
    /// Zero is not a rate.
    #[error("a rate of 0 is refused: pause instead")]
    Zero,
    /// Above what can be paced.
    #[error("a rate is at most 1000000 per second")]
    TooHigh,
}

const SECOND: u64 = 1_000_000;

impl Rate {
    /// `permits` each second.
    #[must_use]
    pub const fn per_second(permits: u32) -> Self {
        Self::Per { permits, period_micros: SECOND }
    }

    /// Permits a second, infinite when there is no bound. For estimates and display only.
    #[must_use]
    pub fn as_per_second(self) -> f64 {
        match self {
            Self::Unlimited => f64::INFINITY,
            Self::Per { permits, period_micros } => {
                #[expect(clippy::cast_precision_loss, reason = "periods are at most an hour")]
                let period = period_micros as f64;
                f64::from(permits) * 1e6 / period
            }
        }
    }

    /// The default burst of a pacer: `1 + ceil(rate × 10 ms)`; `None` when there is no bound.
    #[must_use]
    pub fn burst_auto(self) -> Option<u32> {
        match self {
            Self::Unlimited => None,
            Self::Per { permits, period_micros } => {
                let in_ten_ms = (u64::from(permits) * 10_000).div_ceil(period_micros);
                Some(1 + u32::try_from(in_ten_ms).unwrap_or(u32::MAX - 1))
            }
        }
    }
}

impl FromStr for Rate {
    type Err = BadRate;

    fn from_str(text: &str) -> Result<Self, BadRate> {
        if matches!(text, "off" | "unlimited") {
            return Ok(Self::Unlimited);
        }
        if text == "0" {
            return Err(BadRate::Zero);
        }
        let (count, unit) = text.split_once('/').ok_or(BadRate::Form)?;
        let period_micros = match unit {
            "s" => SECOND,
            "m" => 60 * SECOND,
            "h" => 3_600 * SECOND,
            _ => return Err(BadRate::Form),
        };
        if count.is_empty() || !count.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(BadRate::Form);
        }
        let permits: u32 = count.parse().map_err(|_| BadRate::TooHigh)?;
        if permits == 0 {
            return Err(BadRate::Zero);
        }
        if u64::from(permits) * SECOND > 1_000_000 * period_micros {
            return Err(BadRate::TooHigh);
        }
        Ok(Self::Per { permits, period_micros })
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unlimited => f.write_str("unlimited"),
            Self::Per { permits, period_micros } => {
                let unit = match *period_micros / SECOND {
                    1 => "s",
                    60 => "m",
                    _ => "h",
                };
                write!(f, "{permits}/{unit}")
            }
        }
    }
}

impl TryFrom<String> for Rate {
    type Error = BadRate;

    fn try_from(text: String) -> Result<Self, BadRate> {
        text.parse()
    }
}

impl From<Rate> for String {
    fn from(rate: Rate) -> Self {
        rate.to_string()
    }
}
