//! `[drain]` and `[retry]` as they are written, and what must hold between them.

mod forms;

use std::time::Duration;

pub use forms::{Batch, Burst, RefusalBrake};
use serde::{Deserialize, Serialize};

use crate::sale::Rate;
use crate::setting::BadSetting;
use crate::units::Span;

/// What may pass between the end of an attempt and its settle: the lease must outlast it.
const SETTLE_MARGIN: Duration = Duration::from_secs(1);

/// The most orders of one call of the store.
pub(super) const BATCH_MAX: u32 = 500;

/// The most workers: each holds at most one batch in memory and one connection of the store.
const WORKERS_MAX: u32 = 1_024;

/// `[drain]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Attempts a second over the whole deployment, until an operator sets another.
    pub rate: Rate,
    /// The most that is granted at one instant.
    pub burst: Burst,
    /// Calls of the store in flight at once, at most.
    pub workers: u32,
    /// Orders of one call of the store, at most.
    pub batch: Batch,
    /// How long a claim holds before its orders go back.
    pub lease: Span,
    /// How long one call of the store may take.
    pub attempt_timeout: Span,
    /// Asks for less than the rate, and has fewer calls in flight, while the store is slower or fails.
    pub adaptive: bool,
    /// The least that an adaptive rate falls to; `None`: a hundredth of the rate, and at least one a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub floor: Option<Rate>,
    /// The share of refused orders at which the drain pauses itself.
    pub refusal_brake: RefusalBrake,
}

/// `[retry]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Retry {
    /// Answers about one order after which it is dead.
    pub attempts: u32,
    /// The bound of the first backoff; doubles with each try.
    pub base: Span,
    /// The bound that backoffs do not grow beyond.
    pub cap: Span,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            rate: Rate::per_second(500),
            burst: Burst::Auto,
            workers: 16,
            batch: Batch::Auto,
            lease: Span(Duration::from_secs(10)),
            attempt_timeout: Span(Duration::from_secs(5)),
            adaptive: false,
            floor: None,
            refusal_brake: RefusalBrake(Some(50)),
        }
    }
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            attempts: 8,
            base: Span(Duration::from_millis(200)),
            cap: Span(Duration::from_secs(30)),
        }
    }
}

impl Config {
    /// The burst as the ledger takes it (`Change::DrainConfig`): `None` is `auto`.
    #[must_use]
    pub fn burst(&self) -> Option<u32> {
        match self.burst {
            Burst::Auto => None,
            Burst::Of(burst) => Some(burst),
        }
    }

    /// All that is wrong in `[drain]`; empty when nothing is.
    #[must_use]
    pub fn check(&self) -> Vec<BadSetting> {
        let mut found = Vec::new();
        let (lease, attempt) = (self.lease, self.attempt_timeout);
        if attempt.0 + SETTLE_MARGIN >= lease.0 {
            found.push(BadSetting::new(
                &["drain.attempt_timeout", "drain.lease"],
                format!(
                    "drain.attempt_timeout ({attempt}) + 1s must be less than drain.lease ({lease}): \
                     an attempt must be settled before its lease ends"
                ),
            ));
        }
        if attempt.0.is_zero() {
            found.push(BadSetting::new(
                &["drain.attempt_timeout"],
                "drain.attempt_timeout must not be 0s",
            ));
        }
        if !(1..=WORKERS_MAX).contains(&self.workers) {
            found.push(BadSetting::new(&["drain.workers"], "drain.workers must be 1 to 1024"));
        }
        if self.burst == Burst::Of(0) {
            found.push(BadSetting::new(
                &["drain.burst"],
                "drain.burst must be at least 1, or \"auto\"",
            ));
        }
        if let Batch::Of(batch) = self.batch {
            if !(1..=BATCH_MAX).contains(&batch) {
                found.push(BadSetting::new(
                    &["drain.batch"],
                    "drain.batch must be 1 to 500, or \"auto\"",
                ));
            }
            let burst = self.burst().or(self.rate.burst_auto());
            if let Some(burst) = burst.filter(|burst| batch > *burst) {
                found.push(BadSetting::new(
                    &["drain.batch", "drain.burst"],
                    format!(
                        "drain.batch ({batch}) must not be larger than drain.burst ({burst} with \
                         this rate): a batch is granted at one instant"
                    ),
                ));
            }
        }
        if let Some(floor) = self.floor
            && floor.as_per_second() > self.rate.as_per_second()
        {
            let rate = self.rate;
            found.push(BadSetting::new(
                &["drain.floor", "drain.rate"],
                format!("drain.floor ({floor}) must not be above drain.rate ({rate})"),
            ));
        }
        if self.floor == Some(Rate::Unlimited) && self.rate == Rate::Unlimited {
            found.push(BadSetting::new(&["drain.floor"], "drain.floor must be a rate"));
        }
        found
    }
}

impl Retry {
    /// All that is wrong in `[retry]`; empty when nothing is.
    #[must_use]
    pub fn check(&self) -> Vec<BadSetting> {
        let mut found = Vec::new();
        if !(1..=255).contains(&self.attempts) {
            found.push(BadSetting::new(&["retry.attempts"], "retry.attempts must be 1 to 255"));
        }
        if self.base.0.is_zero() {
            found.push(BadSetting::new(&["retry.base"], "retry.base must not be 0s"));
        }
        if self.base > self.cap {
            found.push(BadSetting::new(
                &["retry.base", "retry.cap"],
                format!("retry.base ({}) must not be above retry.cap ({})", self.base, self.cap),
            ));
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(text: &str) -> Vec<Vec<&'static str>> {
        let config: Config = toml::from_str(text).unwrap();
        config.check().into_iter().map(|found| found.keys).collect()
    }

    #[test]
    fn the_defaults_hold_together_and_are_written_as_they_are_read() {
        assert_eq!(Config::default().check(), []);
        assert_eq!(Retry::default().check(), []);
        let written = toml::to_string(&Config::default()).unwrap();
        assert!(
            written.contains("burst = \"auto\"") && written.contains("refusal_brake = \"50%\"")
        );
        assert_eq!(toml::from_str::<Config>(&written).unwrap(), Config::default());
        let set = Config { burst: Burst::Of(7), batch: Batch::Of(3), ..Config::default() };
        let written = toml::to_string(&set).unwrap();
        assert_eq!(toml::from_str::<Config>(&written).unwrap(), set);
    }

    #[test]
    fn what_conflicts_is_named_with_both_keys() {
        assert_eq!(
            keys("attempt_timeout = \"9s\""),
            [["drain.attempt_timeout", "drain.lease"]],
            "9 s + 1 s is not less than 10 s"
        );
        assert_eq!(keys("attempt_timeout = \"8999ms\""), [[""; 0]; 0]);
        assert_eq!(keys("rate = \"100/s\"\nbatch = 3"), [["drain.batch", "drain.burst"]]);
        assert_eq!(keys("rate = \"unlimited\"\nbatch = 500"), [[""; 0]; 0]);
        assert_eq!(
            keys("rate = \"30/m\"\nfloor = \"1/s\"\nadaptive = true"),
            [["drain.floor", "drain.rate"]]
        );
        assert_eq!(keys("rate = \"60/m\"\nfloor = \"1/s\"\nadaptive = true"), [[""; 0]; 0]);
        assert_eq!(keys("rate = \"off\"\nfloor = \"off\""), [["drain.floor"]]);
        assert_eq!(keys("workers = 0\nburst = 0\nbatch = 501").len(), 4);
        let retry: Retry = toml::from_str("base = \"31s\"").unwrap();
        assert_eq!(retry.check()[0].keys, ["retry.base", "retry.cap"]);
    }

    #[test]
    fn other_forms_are_refused() {
        for text in [
            "burst = \"many\"",
            "batch = -1",
            "batch = \"5\"",
            "refusal_brake = \"0%\"",
            "refusal_brake = \"101%\"",
            "refusal_brake = \"+5%\"",
            "refusal_brake = 50",
            "rate = \"0/s\"",
            "speed = 1",
        ] {
            assert!(toml::from_str::<Config>(text).is_err(), "{text}");
        }
    }
}
