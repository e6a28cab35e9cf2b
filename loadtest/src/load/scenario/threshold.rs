//! What has to be kept: `p99 < 5ms`, `accepted >= 1000`, `errors < 0.1%`.
//!
//! ```text
//! threshold = metric op value
//! metric    = [ "service." | "polls." | "outcome." ] ( "p50" … "p99.99" | "mean" | "max" )
//!           | counter | "refused." code | "sold" | "rate" | "accepted_rate" | "regress"
//! op        = "<" | "<=" | ">" | ">=" | "="
//! value     = duration | number | share "%" | rate "/s"
//! ```
//!
//! A latency is compared with a duration, a counter with a number or with a share of what it is a part of, and a
//! threshold for which there was not one sample is missed.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::written::{Rate, Share, Span, Wanted};
use crate::verdict::CODES;

/// One thing to keep.
#[derive(Debug, Clone, PartialEq)]
pub struct Threshold {
    /// What is looked at.
    pub metric: Metric,
    op: Op,
    value: Value,
}

/// What can be looked at.
#[derive(Debug, Clone, PartialEq)]
pub enum Metric {
    /// A latency of something, at a quantile.
    Latency(Of, At),
    /// How often something happened.
    Count(Counter),
    /// Orders whose last answer was a refusal of this name.
    RefusedAs(String),
    /// Units sold or held, of all there are.
    Sold,
    /// Answers to orders, a second.
    Rate,
    /// Accepted orders, a second.
    AcceptedRate,
    /// How much worse the worst of p50, p99 and the rate is than in the baseline.
    Regress,
}

/// What takes time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    /// An order's answer, from the time at which it was due.
    Orders,
    /// The same from the time at which it was sent.
    Service,
    /// The answer to a poll.
    Polls,
    /// The buyer's knowledge of his order's end, from its acceptance.
    Outcome,
}

/// Where in the distribution.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum At {
    /// Below it lies this share.
    Quantile(f64),
    /// The mean.
    Mean,
    /// The longest.
    Max,
}

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counter {
    /// Orders that were due.
    Orders,
    /// Attempts that got an answer.
    Answers,
    /// Orders accepted.
    Accepted,
    /// Orders refused in the end.
    Refused,
    /// Attempts without an answer, and answers that say nothing: 5xx without a name, `in_doubt`, 4xx without one.
    Errors,
    /// Attempts beyond each order's first.
    Retries,
    /// Polls answered.
    Polls,
    /// Events received on streams.
    Events,
    /// Buyers who learned the end of their order.
    Outcomes,
    /// Orders that their buyers cancelled.
    Cancelled,
    /// Sends that the generator was late with though a connection was free.
    Late,
    /// Orders that were never sent: no connection was free as long as a buyer waits.
    Dropped,
    /// Sends for which no connection was free when they were due.
    Waited,
}

const COUNTERS: [(&str, Counter); 13] = [
    ("orders", Counter::Orders),
    ("answers", Counter::Answers),
    ("accepted", Counter::Accepted),
    ("refused", Counter::Refused),
    ("errors", Counter::Errors),
    ("retries", Counter::Retries),
    ("polls", Counter::Polls),
    ("events", Counter::Events),
    ("outcomes", Counter::Outcomes),
    ("cancelled", Counter::Cancelled),
    ("late", Counter::Late),
    ("dropped", Counter::Dropped),
    ("waited", Counter::Waited),
];

impl Counter {
    /// Each of them.
    pub(crate) const ALL: [Self; 13] = {
        let mut all = [Self::Orders; 13];
        let mut n = 0;
        while n < all.len() {
            all[n] = COUNTERS[n].1;
            n += 1;
        }
        all
    };

    /// As thresholds call it.
    pub(crate) fn name(self) -> &'static str {
        COUNTERS.iter().find(|(_, counter)| *counter == self).map_or("", |(name, _)| name)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Op {
    Below,
    AtMost,
    Above,
    AtLeast,
    Equal,
}

/// Longer signs first: `<=` begins like `<`.
const OPS: [(&str, Op); 5] =
    [("<=", Op::AtMost), (">=", Op::AtLeast), ("<", Op::Below), (">", Op::Above), ("=", Op::Equal)];

#[derive(Debug, Clone, Copy, PartialEq)]
enum Value {
    Time(Duration),
    Count(f64),
    Share(f64),
    PerSecond(f64),
}

/// What a run gives to look at; `None` where there was no sample.
pub trait Measured {
    /// A latency.
    fn latency(&self, of: Of, at: At) -> Option<Duration>;
    /// A count and what it is a part of.
    fn count(&self, counter: Counter) -> (u64, u64);
    /// Orders refused by this name, and all orders.
    fn refused_as(&self, code: &str) -> (u64, u64);
    /// The share of the stock that is sold or held, if a ledger was asked.
    fn sold(&self) -> Option<f64>;
    /// Answers and accepted orders a second.
    fn rates(&self) -> Option<(f64, f64)>;
    /// How much worse than the baseline, if there is one.
    fn regress(&self) -> Option<f64>;
}

impl Threshold {
    /// Whether it was kept, and what was found.
    pub fn judge(&self, measured: &impl Measured) -> (bool, String) {
        let part = |(count, of): (u64, u64)| {
            #[expect(clippy::cast_precision_loss, reason = "no run counts to 2^52")]
            let (count, of) = (count as f64, of as f64);
            match self.value {
                _ if of == 0.0 => None,
                Value::Share(_) => Some(count / of),
                Value::Time(_) | Value::Count(_) | Value::PerSecond(_) => Some(count),
            }
        };
        let found = match &self.metric {
            Metric::Latency(of, at) => measured.latency(*of, *at).map(|time| time.as_secs_f64()),
            Metric::Count(counter) => part(measured.count(*counter)),
            Metric::RefusedAs(code) => part(measured.refused_as(code)),
            Metric::Sold => measured.sold(),
            Metric::Rate => measured.rates().map(|(answers, _)| answers),
            Metric::AcceptedRate => measured.rates().map(|(_, accepted)| accepted),
            Metric::Regress => measured.regress(),
        };
        match found {
            None => (false, "no samples".to_owned()),
            Some(found) => (self.op.holds(found, self.value.number()), self.value.like(found)),
        }
    }

    fn read(metric: &str, rest: &str) -> Result<Self, Wanted> {
        let named: Metric = metric.parse()?;
        let rest = rest.trim();
        let (sign, op) = OPS.iter().find(|(sign, _)| rest.starts_with(sign)).ok_or_else(|| {
            Wanted(format!("`{rest}`: a threshold begins with <, <=, >, >= or =, like \"< 5ms\""))
        })?;
        let text = rest.get(sign.len()..).unwrap_or_default().trim();
        let value = named
            .value(text)
            .map_err(|wanted| Wanted(format!("`{text}`: {metric} is compared with {wanted}")))?;
        Ok(Self { metric: named, op: *op, value })
    }

    /// A threshold of a file: the metric is the key, the rest the value.
    pub fn of_pair(metric: &str, rest: &str) -> Result<Self, Wanted> {
        Self::read(metric.trim(), rest)
    }
}

impl FromStr for Threshold {
    type Err = Wanted;

    fn from_str(text: &str) -> Result<Self, Wanted> {
        let at = text.find(['<', '>', '=']).ok_or_else(|| {
            Wanted(format!("`{text}`: a threshold is written like \"p99 < 5ms\""))
        })?;
        let (metric, rest) = text.split_at(at);
        Self::read(metric.trim(), rest)
    }
}

impl Metric {
    /// Reads the other side by what this one is compared with; else says what that is.
    fn value(&self, text: &str) -> Result<Value, &'static str> {
        let time = || text.parse::<Span>().map(|span| Value::Time(span.0));
        let share = || text.parse::<Share>().map(|share| Value::Share(share.0));
        let rate = || text.parse::<Rate>().map(|rate| Value::PerSecond(rate.0));
        match self {
            Self::Latency(..) => time().map_err(|_| "a duration, like 5ms"),
            Self::Count(_) | Self::RefusedAs(_) => match text.parse::<u64>() {
                #[expect(clippy::cast_precision_loss, reason = "no run counts to 2^52")]
                Ok(count) => Ok(Value::Count(count as f64)),
                Err(_) => share().map_err(|_| "a whole number or a share, like 1000 or 0.1%"),
            },
            Self::Sold | Self::Regress => share().map_err(|_| "a share, like 10%"),
            Self::Rate | Self::AcceptedRate => rate().map_err(|_| "a rate, like 500/s"),
        }
    }
}

impl FromStr for Metric {
    type Err = Wanted;

    fn from_str(name: &str) -> Result<Self, Wanted> {
        if let Some((_, counter)) = COUNTERS.iter().find(|(known, _)| *known == name) {
            return Ok(Self::Count(*counter));
        }
        if let Some(code) = name.strip_prefix("refused.") {
            return match CODES.contains(&code) {
                true => Ok(Self::RefusedAs(code.to_owned())),
                false => {
                    Err(Wanted(format!("`{name}`: no refusal of an order is called `{code}`")))
                }
            };
        }
        let of = [("service.", Of::Service), ("polls.", Of::Polls), ("outcome.", Of::Outcome)];
        let (of, at) = of
            .into_iter()
            .find_map(|(prefix, of)| Some((of, name.strip_prefix(prefix)?)))
            .unwrap_or((Of::Orders, name));
        match (name, at) {
            ("sold", _) => Ok(Self::Sold),
            ("rate", _) => Ok(Self::Rate),
            ("accepted_rate", _) => Ok(Self::AcceptedRate),
            ("regress", _) => Ok(Self::Regress),
            (_, "mean") => Ok(Self::Latency(of, At::Mean)),
            (_, "max") => Ok(Self::Latency(of, At::Max)),
            _ => match at.strip_prefix('p').and_then(|share| share.parse::<f64>().ok()) {
                Some(share) if share > 0.0 && share < 100.0 => {
                    Ok(Self::Latency(of, At::Quantile(share / 100.0)))
                }
                _ => Err(Wanted(format!(
                    "`{name}` is no metric: p50 to p99.99, mean, max (also service.p99, polls.p99, outcome.p99), {}, \
                     refused.CODE, sold, rate, accepted_rate, regress",
                    COUNTERS.map(|(name, _)| name).join(", ")
                ))),
            },
        }
    }
}

impl Op {
    #[expect(clippy::float_cmp, reason = "counts are whole numbers")]
    fn holds(self, found: f64, wanted: f64) -> bool {
        match self {
            Self::Below => found < wanted,
            Self::AtMost => found <= wanted,
            Self::Above => found > wanted,
            Self::AtLeast => found >= wanted,
            Self::Equal => found == wanted,
        }
    }
}

impl Value {
    fn number(self) -> f64 {
        match self {
            Self::Time(time) => time.as_secs_f64(),
            Self::Count(number) | Self::Share(number) | Self::PerSecond(number) => number,
        }
    }

    /// A number of the same kind, in words.
    fn like(self, number: f64) -> String {
        match self {
            Self::Time(_) => format!("{:.2?}", Duration::from_secs_f64(number.max(0.0))),
            Self::Count(_) => format!("{number}"),
            Self::Share(_) => format!("{:.2}%", number * 100.0),
            Self::PerSecond(_) => format!("{number:.0}/s"),
        }
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = OPS.iter().find(|(_, op)| *op == self.op).map_or("", |(sign, _)| sign);
        let value = match self.value {
            Value::Time(time) => format!("{time:?}"),
            Value::Count(number) => format!("{number}"),
            Value::Share(share) => format!("{}%", (share * 1e8).round() / 1e6),
            Value::PerSecond(rate) => format!("{rate}/s"),
        };
        write!(f, "{} {sign} {value}", self.metric)
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Latency(of, at) => {
                let prefix = match of {
                    Of::Orders => "",
                    Of::Service => "service.",
                    Of::Polls => "polls.",
                    Of::Outcome => "outcome.",
                };
                match at {
                    At::Quantile(share) => write!(f, "{prefix}p{}", (share * 1e8).round() / 1e6),
                    At::Mean => write!(f, "{prefix}mean"),
                    At::Max => write!(f, "{prefix}max"),
                }
            }
            Self::Count(counter) => f.write_str(counter.name()),
            Self::RefusedAs(code) => write!(f, "refused.{code}"),
            Self::Sold => f.write_str("sold"),
            Self::Rate => f.write_str("rate"),
            Self::AcceptedRate => f.write_str("accepted_rate"),
            Self::Regress => f.write_str("regress"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// p99 of orders is 4 ms, of polls there was no sample; 10 errors in 1,000 answers.
    struct Run;

    impl Measured for Run {
        fn latency(&self, of: Of, _: At) -> Option<Duration> {
            (of == Of::Orders).then(|| Duration::from_millis(4))
        }

        fn count(&self, counter: Counter) -> (u64, u64) {
            match counter {
                Counter::Errors => (10, 1_000),
                Counter::Outcomes => (0, 0),
                _ => (1_000, 1_000),
            }
        }

        fn refused_as(&self, _: &str) -> (u64, u64) {
            (0, 1_000)
        }

        fn sold(&self) -> Option<f64> {
            Some(1.0)
        }

        fn rates(&self) -> Option<(f64, f64)> {
            Some((500.0, 100.0))
        }

        fn regress(&self) -> Option<f64> {
            None
        }
    }

    fn judged(text: &str) -> (bool, String) {
        text.parse::<Threshold>().unwrap().judge(&Run)
    }

    #[test]
    fn each_kind_is_compared_with_its_kind() {
        for text in [
            "p99 < 5ms",
            "p99.9<=4ms",
            "max > 1us",
            "mean = 4ms",
            "errors < 1.1%",
            "errors <= 10",
            "accepted >= 1000",
            "sold = 100%",
            "rate >= 500/s",
            "accepted_rate < 101/s",
            "refused.sold_out < 1%",
        ] {
            assert!(judged(text).0, "{text}: {:?}", judged(text));
        }
        for text in ["p99 < 4ms", "errors < 1%", "accepted > 1000", "sold < 100%", "rate > 500/s"] {
            assert!(!judged(text).0, "{text}: {:?}", judged(text));
        }
    }

    #[test]
    fn without_a_sample_nothing_is_kept() {
        for text in ["polls.p99 < 1h", "outcomes >= 0", "outcomes < 1%", "regress < 99%"] {
            assert_eq!(judged(text), (false, "no samples".to_owned()), "{text}");
        }
    }

    #[test]
    fn a_bad_one_is_refused_with_what_is_wanted() {
        for (text, said) in [
            ("p99", "like \"p99 < 5ms\""),
            ("p99 5ms", "like \"p99 < 5ms\""),
            ("p99 < 5", "a duration"),
            ("p99 < 5%", "a duration"),
            ("p101 < 5ms", "is no metric"),
            ("accepted > 5ms", "a whole number or a share"),
            ("rate > 5", "a rate"),
            ("sold > 5", "a share"),
            ("refused.sould_out < 5", "`sould_out`"),
            ("speed > 5", "is no metric"),
            ("late < -1%", "a whole number or a share"),
        ] {
            let error = text.parse::<Threshold>().unwrap_err();
            assert!(error.0.contains(said), "{text}: {error}");
        }
        assert!(Threshold::of_pair("p99", "5ms").unwrap_err().0.contains("begins with"));
    }

    #[test]
    fn it_is_shown_as_it_is_written() {
        for text in ["p99.9 < 5ms", "errors <= 0.1%", "refused.closed = 0", "rate >= 500/s"] {
            assert_eq!(text.parse::<Threshold>().unwrap().to_string(), text);
        }
    }
}
