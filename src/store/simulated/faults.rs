//! The fault plan: what is wrong with the simulated server, changed while it runs.
//!
//! It is a row of the database, so that it is in force in every process of the host within a second.

use serde::{Deserialize, Serialize};

use super::codes::Code;

/// What is wrong with the server. All zeros: nothing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FaultPlan {
    /// Connections are refused.
    pub outage: bool,
    /// Calls are never answered until this is false again; then they are carried out.
    pub freeze: bool,
    /// Added to every call, in milliseconds.
    pub latency_ms: u64,
    /// Brown-out: the share of the server's capacity that is gone, 0 to 0.999.
    pub brown_out: f64,
    /// Share of calls that fail with `error_code` before anything happens, 0 to 1.
    pub error_rate: f64,
    /// 1040, 1205, 1213, 1290, 1142 or 2013.
    pub error_code: u16,
    /// Share of calls that are carried out, and whose reply is lost (2013), 0 to 1.
    pub lost_reply_rate: f64,
    /// Share of orders that the shop refuses (a permanent row error, 1406), 0 to 1.
    pub refuse_rate: f64,
    /// The same seed and calls give the same faults.
    pub seed: u64,
}

/// A fault plan cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadFaults(pub String);

/// The error codes that can be asked for.
const CODES: [Code; 6] = [
    Code::TooManyConnections,
    Code::LockWaitTimeout,
    Code::Deadlock,
    Code::ReadOnly,
    Code::Denied,
    Code::Lost,
];

impl FaultPlan {
    /// The plan with the fields of `patch` in place of its own.
    ///
    /// # Errors
    /// When a field is unknown, of the wrong type or out of range.
    pub fn patched(&self, patch: &serde_json::Value) -> Result<Self, BadFaults> {
        let bad = |error: serde_json::Error| BadFaults(error.to_string());
        let mut merged = serde_json::to_value(self).map_err(bad)?;
        let (Some(fields), Some(patch)) = (merged.as_object_mut(), patch.as_object()) else {
            return Err(BadFaults("a fault plan is an object".to_owned()));
        };
        fields.extend(patch.clone());
        let plan: Self = serde_json::from_value(merged).map_err(bad)?;
        plan.check()?;
        Ok(plan)
    }

    /// What `error_code` names.
    pub(super) fn error(&self) -> Option<Code> {
        Code::of(self.error_code).filter(|code| CODES.contains(code))
    }

    fn check(&self) -> Result<(), BadFaults> {
        let rates = [
            ("error_rate", self.error_rate),
            ("lost_reply_rate", self.lost_reply_rate),
            ("refuse_rate", self.refuse_rate),
        ];
        if !(0.0..=0.999).contains(&self.brown_out) {
            return Err(BadFaults("`brown_out` must be 0 to 0.999".to_owned()));
        }
        for (name, rate) in rates {
            if !(0.0..=1.0).contains(&rate) {
                return Err(BadFaults(format!("`{name}` must be 0 to 1")));
            }
        }
        if self.error_rate > 0.0 && self.error().is_none() {
            let numbers = CODES.map(Code::number);
            return Err(BadFaults(format!("`error_code` must be one of {numbers:?}")));
        }
        Ok(())
    }
}

/// Draws that repeat: the n-th draw of a seed is always the same number in 0..1.
#[derive(Debug, Default)]
pub(super) struct Dice {
    drawn: u64,
}

impl Dice {
    /// Whether an event with this probability happens now.
    pub(super) fn falls(&mut self, seed: u64, probability: f64) -> bool {
        if probability <= 0.0 {
            return false;
        }
        let nth = self.drawn;
        self.drawn += 1;
        draw(seed, nth) < probability
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014), as a number in 0..1.
fn draw(seed: u64, nth: u64) -> f64 {
    let mut z = seed.wrapping_add(nth.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^= z >> 31;
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
    let unit = (z >> 11) as f64 / (1u64 << 53) as f64;
    unit
}
