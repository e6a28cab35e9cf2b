//! A scenario: who comes when, what they do, and what has to be kept. One TOML file, read whole: what is
//! wrong is told with its line and column.

pub mod shipped;
pub mod threshold;
pub mod written;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use serde::Deserialize;
use toml::Spanned;

use self::threshold::Threshold;
use self::written::{Rate, Share, Span, Speed};

/// The longest name of a part.
const NAME_MAX: usize = 40;

/// A whole file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// What it shows, in a sentence.
    pub about: String,
    /// All chance comes from it: the same seed, the same arrivals.
    #[serde(default = "one")]
    pub seed: u64,
    /// Keep-alive connections that carry orders, polls and cancels, one at a time each.
    #[serde(default = "connections")]
    pub connections: u64,
    /// How long a buyer waits for one answer, and for a connection on which he can order.
    #[serde(default = "patience")]
    pub patience: Span,
    /// How long after the last arrival every accepted order may take to its end.
    #[serde(default = "minute")]
    pub settle: Span,
    /// A send later than this though a connection was free is the generator's own fault.
    #[serde(default = "late_after")]
    pub late_after: Span,
    /// The header in which the gateway hears who the buyer is.
    #[serde(default = "identity_header")]
    pub identity_header: String,
    /// What is sold.
    pub sale: Vec<Sale>,
    /// Who comes.
    pub buyers: Vec<Buyers>,
    /// When they come, one after the other.
    pub phase: Vec<Phase>,
    /// What has to be kept.
    #[serde(default)]
    thresholds: BTreeMap<Spanned<String>, Spanned<Bounds>>,
    /// The same, read.
    #[serde(skip)]
    pub keep: Vec<Threshold>,
}

/// One bound or several.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum Bounds {
    One(String),
    Several(Vec<String>),
}

/// A sale that is wanted.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sale {
    /// Its name, and the beginning of its name where a run makes one of its own.
    pub name: Spanned<String>,
    /// Units by item.
    pub stock: BTreeMap<String, u64>,
    /// Units that one buyer may have.
    pub limit_per_buyer: Option<u64>,
    /// Order calls a second that each gateway lets through.
    pub admit_rate: Option<Rate>,
    /// The sale's own rate at the drain.
    pub drain_rate: Option<Rate>,
}

/// Some of the buyers, who are alike.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Buyers {
    /// What they are called in the report.
    pub name: Spanned<String>,
    /// Which sale; the first if it is not said.
    pub sale: Option<Spanned<String>>,
    /// Which item; the sale's first if it is not said. One that the sale does not have is refused by the gateway.
    pub sku: Option<String>,
    /// Units an order.
    #[serde(default = "one")]
    pub quantity: u64,
    /// Which part of the arrivals they are, relative to the other groups'.
    #[serde(default = "whole")]
    pub weight: f64,
    /// Orders that each of them sends, right after one another.
    #[serde(default = "one")]
    pub orders_each: u64,
    /// So many identities take turns; by default each buyer is new.
    pub identities: Option<u64>,
    /// Whether each order bears an idempotency key.
    #[serde(default = "yes")]
    pub keys: bool,
    /// Bytes of payload an order; 0: none.
    #[serde(default)]
    pub payload: usize,
    /// What they do when they are refused for now.
    pub retry: Option<Retry>,
    /// What they do when their order is accepted.
    #[serde(default)]
    pub then: Then,
    /// Which share of them cancels.
    #[serde(default = "nobody")]
    pub cancel: Share,
    /// How long after the acceptance they cancel.
    #[serde(default)]
    pub cancel_after: Option<Span>,
    /// They send their orders at this speed, a connection each; their latency is not measured.
    pub slow: Option<Speed>,
}

/// What a buyer does who is refused with 429 or 503.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retry {
    /// How often he asks in all.
    pub attempts: u32,
    /// When he asks again.
    pub wait: Wait,
    /// Up to so much longer than that, at random.
    #[serde(default = "nobody")]
    pub jitter: Share,
}

/// When a buyer asks again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wait {
    /// After `Retry-After`; after a second where there is none.
    Told,
    /// At once.
    None,
}

/// What a buyer does whose order is accepted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Then {
    /// He leaves.
    #[default]
    Leave,
    /// He polls each time after `poll_after_ms`.
    Poll,
    /// He polls as often as his connection allows.
    PollAtOnce,
    /// He asks for an answer that is held until something changes, on a connection of his own.
    LongPoll,
    /// He listens to the stream, on a connection of his own.
    Stream,
}

/// A stretch of time in which buyers come.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Phase {
    /// What it is called in the report.
    pub name: Spanned<String>,
    /// How long it takes.
    #[serde(rename = "for")]
    pub length: Span,
    /// Open loop: so many orders a second, whether answers come or not.
    pub rate: Option<Rate>,
    /// Goes evenly from `rate` to this one.
    pub to: Option<Spanned<Rate>>,
    /// How arrivals are spread.
    #[serde(default)]
    pub spread: Spread,
    /// Closed loop instead: each connection sends as soon as it is free.
    #[serde(default)]
    pub closed: bool,
    /// Which groups come; all if it is not said.
    pub buyers: Option<Vec<Spanned<String>>>,
}

/// How arrivals are spread within a phase.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Spread {
    /// As people come who do not know of each other.
    #[default]
    Poisson,
    /// One like the other.
    Even,
}

fn one() -> u64 {
    1
}

fn connections() -> u64 {
    64
}

fn patience() -> Span {
    Span(Duration::from_secs(10))
}

fn minute() -> Span {
    Span(Duration::from_secs(60))
}

fn late_after() -> Span {
    Span(Duration::from_millis(10))
}

fn identity_header() -> String {
    "X-Buyer-Id".to_owned()
}

fn whole() -> f64 {
    1.0
}

fn yes() -> bool {
    true
}

fn nobody() -> Share {
    Share(0.0)
}

impl Scenario {
    /// Reads a shipped scenario by its name, or a file by its path.
    ///
    /// # Errors
    /// When there is neither, or when something in it is wrong: with line and column.
    pub fn load(name: &str) -> anyhow::Result<Self> {
        if let Some(text) = shipped::text(name) {
            return Self::read(name, text);
        }
        let path = Path::new(name);
        if !path.exists() && !name.contains(['/', '.']) {
            let known = shipped::SHIPPED.map(|(name, _)| name).join(", ");
            bail!("no scenario is called `{name}`: there are {known}; or give the path of a file");
        }
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("the scenario {name} cannot be read"))?;
        Self::read(name, &text)
    }

    /// Reads the text of a scenario; `name` is what errors call it.
    ///
    /// # Errors
    /// When something in it is wrong: with line and column.
    pub fn read(name: &str, text: &str) -> anyhow::Result<Self> {
        let mut scenario: Self = toml::from_str(text)
            .map_err(|error| anyhow!("{name}: {}", error.to_string().trim()))?;
        let wrong = scenario.check().err();
        match wrong {
            None => Ok(scenario),
            Some((at, what)) => {
                let before = text.get(..at).unwrap_or_default();
                let line = before.matches('\n').count() + 1;
                let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
                bail!("{name}: line {line}, column {column}: {what}")
            }
        }
    }

    /// What the form of each value cannot say; the place and the sentence.
    fn check(&mut self) -> Result<(), (usize, String)> {
        self.check_sales()?;
        self.check_buyers()?;
        self.check_phases()?;
        for (metric, bounds) in &self.thresholds {
            let texts = match bounds.get_ref() {
                Bounds::One(text) => std::slice::from_ref(text),
                Bounds::Several(texts) => texts,
            };
            for text in texts {
                let threshold = Threshold::of_pair(metric.get_ref(), text);
                self.keep.push(threshold.map_err(|wrong| (metric.span().start, wrong.0))?);
            }
        }
        for (seconds, name) in [(self.patience, "patience"), (self.late_after, "late_after")] {
            if seconds.0.is_zero() {
                return Err((0, format!("`{name}` is above 0")));
            }
        }
        if self.connections == 0 {
            return Err((0, "`connections` is 1 or more".to_owned()));
        }
        Ok(())
    }

    fn check_sales(&self) -> Result<(), (usize, String)> {
        if self.sale.is_empty() {
            return Err((0, "a scenario needs a [[sale]]".to_owned()));
        }
        let mut seen = Vec::new();
        for sale in &self.sale {
            named(&sale.name, &mut seen)?;
            if sale.stock.is_empty() {
                let what = "a sale needs `stock`, like { phone = 1000 }";
                return Err((sale.name.span().start, what.to_owned()));
            }
        }
        Ok(())
    }

    fn check_buyers(&self) -> Result<(), (usize, String)> {
        if self.buyers.is_empty() {
            return Err((0, "a scenario needs [[buyers]]".to_owned()));
        }
        let mut seen = Vec::new();
        for buyers in &self.buyers {
            named(&buyers.name, &mut seen)?;
            let at = buyers.name.span().start;
            let fail = |what: &str| Err((at, format!("{}: {what}", buyers.name.get_ref())));
            if let Some(sale) = &buyers.sale
                && !self.sale.iter().any(|known| known.name.get_ref() == sale.get_ref())
            {
                return Err((
                    sale.span().start,
                    format!("no [[sale]] is called `{}`", sale.get_ref()),
                ));
            }
            if !(buyers.weight > 0.0 && buyers.weight.is_finite()) {
                return fail("`weight` is above 0");
            }
            if buyers.orders_each == 0 || buyers.quantity == 0 || buyers.identities == Some(0) {
                return fail("`orders_each`, `quantity` and `identities` are 1 or more");
            }
            if (1..11).contains(&buyers.payload) || buyers.payload > 4_096 {
                return fail("`payload` is 0, or 11 to 4096 bytes");
            }
            if buyers.retry.as_ref().is_some_and(|retry| retry.attempts < 2) {
                return fail("`attempts` of `retry` is 2 or more: it counts the first one");
            }
            if buyers.cancel_after.is_some() && buyers.cancel.0 == 0.0 {
                return fail("`cancel_after` needs `cancel`, the share of those who do");
            }
        }
        Ok(())
    }

    fn check_phases(&self) -> Result<(), (usize, String)> {
        if self.phase.is_empty() {
            return Err((0, "a scenario needs a [[phase]]".to_owned()));
        }
        for phase in &self.phase {
            for group in phase.buyers.iter().flatten() {
                if !self.buyers.iter().any(|known| known.name.get_ref() == group.get_ref()) {
                    let what = format!("no [[buyers]] are called `{}`", group.get_ref());
                    return Err((group.span().start, what));
                }
            }
            let name = phase.name.get_ref();
            let wrong = match (phase.rate, phase.closed) {
                _ if phase.length.0.is_zero() => "`for` is above 0",
                _ if phase.buyers.as_ref().is_some_and(Vec::is_empty) => "`buyers` names nobody",
                (Some(_), true) => "a closed loop has no `rate`",
                (None, false) => "a `rate` is needed, or `closed = true`",
                (None, true) if phase.to.is_some() => "a closed loop has no rate to go `to`",
                _ => continue,
            };
            return Err((phase.name.span().start, format!("phase {name}: {wrong}")));
        }
        Ok(())
    }
}

/// A name as sales have them, and not given before.
fn named<'a>(name: &'a Spanned<String>, seen: &mut Vec<&'a str>) -> Result<(), (usize, String)> {
    let (at, text) = (name.span().start, name.get_ref().as_str());
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if text.is_empty() || text.len() > NAME_MAX || !text.bytes().all(fits) || text.starts_with('-')
    {
        return Err((at, format!("`{text}`: a name is 1 to {NAME_MAX} of a-z, 0-9 and -")));
    }
    if seen.contains(&text) {
        return Err((at, format!("`{text}` is there twice")));
    }
    seen.push(text);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"about = "x"

[[sale]]
name = "s"
stock = { phone = 10 }

[[buyers]]
name = "fans"

[[phase]]
name = "p"
for = "1s"
rate = "10/s"

[thresholds]
p99 = ["< 5ms", "> 1us"]
"polls.p99" = "< 1s"
"#;

    #[test]
    fn the_least_is_enough() {
        let scenario = Scenario::read("good", GOOD).unwrap();
        let shown: Vec<String> = scenario.keep.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["p99 < 5ms", "p99 > 1µs", "polls.p99 < 1s"]);
        assert!(scenario.buyers[0].keys && scenario.buyers[0].then == Then::Leave);
    }

    /// Each mistake is told with its line and column, and with what is wanted.
    #[test]
    fn mistakes_are_told_with_their_place() {
        for (from, to, place, said) in [
            ("about", "abuot", (1, 1), "unknown field `abuot`"),
            ("for = \"1s\"", "for = \"1\"", (12, 7), "like \"500us\", \"250ms\""),
            ("rate = \"10/s\"", "rate = 10", (13, 8), "expected a string"),
            ("rate = \"10/s\"", "", (11, 8), "a `rate` is needed"),
            ("10/s", "0/s", (13, 8), "above 0"),
            ("< 1s", "< 5", (17, 1), "compared with a duration"),
            ("polls.p99", "pols.p99", (17, 1), "is no metric"),
            ("name = \"s\"", "name = \"S!\"", (4, 8), "1 to 40 of a-z"),
            (
                "name = \"fans\"",
                "name = \"fans\"\nsale = \"t\"",
                (9, 8),
                "no [[sale]] is called `t`",
            ),
            ("rate =", "buyers = [\"x\"]\nrate =", (13, 11), "no [[buyers]] are called `x`"),
            ("rate =", "closed = true\nrate =", (11, 8), "a closed loop has no `rate`"),
            ("{ phone = 10 }", "{}", (4, 8), "a sale needs `stock`"),
        ] {
            assert!(GOOD.contains(from), "{from}");
            let text = GOOD.replacen(from, to, 1);
            let error = Scenario::read("bad", &text).unwrap_err().to_string();
            assert!(error.contains(said), "{to}: {error}");
            let (line, column) = place;
            assert!(error.contains(&format!("line {line}, column {column}")), "{to}: {error}");
        }
    }

    #[test]
    fn a_name_that_is_none_is_answered_with_those_there_are() {
        let error = Scenario::load("open-spke").unwrap_err().to_string();
        assert!(error.contains("open-spike, ramp"), "{error}");
        let error = format!("{:#}", Scenario::load("./no/such.toml").unwrap_err());
        assert!(error.contains("./no/such.toml cannot be read"), "{error}");
    }
}
