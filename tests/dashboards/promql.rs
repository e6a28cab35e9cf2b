//! Enough of PromQL to see which metrics an expression reads, with which labels, and under which function.

use forebay::metrics::{ALL, Kind, Metric};

/// One selector of an expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Selector {
    /// The name as it stands.
    pub(crate) name: String,
    /// What stands between its braces; empty without.
    pub(crate) matchers: String,
    /// What stands between its brackets; empty without.
    pub(crate) range: String,
    /// The function or aggregation around it, if it stands directly in one.
    pub(crate) function: String,
}

impl Selector {
    /// The labels that it matches.
    pub(crate) fn labels(&self) -> Vec<&str> {
        let name = |part: &'_ str| part.find(['=', '!']).map_or(part.len(), |at| at);
        split_outside_quotes(&self.matchers)
            .into_iter()
            .map(|part| part[..name(part)].trim())
            .collect()
    }
}

fn split_outside_quotes(text: &str) -> Vec<&str> {
    let (mut parts, mut from, mut quoted) = (Vec::new(), 0, false);
    for (at, c) in text.char_indices() {
        match c {
            '"' => quoted = !quoted,
            ',' if !quoted => {
                parts.push(&text[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[from..]);
    parts.retain(|part| !part.trim().is_empty());
    parts
}

const KEYWORDS: [&str; 8] =
    ["by", "without", "on", "ignoring", "and", "or", "unless", "group_left"];

fn word_at(text: &str) -> &str {
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || "_:".contains(c)));
    &text[..end.unwrap_or(text.len())]
}

/// What stands in `open … close` at the beginning of `text`, quotes respected; and what comes behind it.
fn inside(text: &str, open: char, close: char) -> Option<(&str, &str)> {
    let rest = text.strip_prefix(open)?;
    let mut quoted = false;
    for (at, c) in rest.char_indices() {
        match c {
            '"' => quoted = !quoted,
            c if c == close && !quoted => return Some((&rest[..at], &rest[at + 1..])),
            _ => {}
        }
    }
    None
}

/// Every selector of an expression, in its order.
pub(crate) fn selectors(expression: &str) -> Vec<Selector> {
    let (mut found, mut rest, mut functions) = (Vec::new(), expression, Vec::new());
    let mut last = String::new();
    while let Some(c) = rest.chars().next() {
        if c == '"' {
            let (_, behind) = inside(rest, '"', '"').expect("strings end");
            rest = behind;
        } else if c.is_ascii_alphabetic() || c == '_' {
            let word = word_at(rest);
            rest = &rest[word.len()..];
            let next = rest.trim_start().chars().next();
            if KEYWORDS.contains(&word) {
                // Labels are no metrics.
                if let Some((_, behind)) = inside(rest.trim_start(), '(', ')') {
                    rest = behind;
                }
            } else if next == Some('(') || rest.trim_start().starts_with("by") {
                last = word.to_owned();
            } else {
                let (matchers, behind) = inside(rest, '{', '}').unwrap_or(("", rest));
                let (range, behind) = inside(behind, '[', ']').unwrap_or(("", behind));
                let function = functions.last().cloned().unwrap_or_default();
                let [name, matchers, range] = [word, matchers, range].map(str::to_owned);
                found.push(Selector { name, matchers, range, function });
                rest = behind;
            }
        } else {
            match c {
                '(' => functions.push(std::mem::take(&mut last)),
                ')' => drop(functions.pop()),
                _ => {}
            }
            // A number with its unit is no name.
            let taken = if c.is_ascii_digit() { word_at(rest).len() } else { c.len_utf8() };
            rest = &rest[taken..];
        }
    }
    found
}

/// Labels that are put to every series by Prometheus.
const SCRAPED: [&str; 2] = ["job", "instance"];

/// The metric that a name of a series belongs to.
pub(crate) fn metric_of(name: &str) -> Option<&'static Metric> {
    ALL.iter().find(|metric| match metric.kind {
        Kind::Histogram(_) => {
            let part = name.strip_prefix(metric.name);
            part.is_some_and(|part| ["_bucket", "_sum", "_count"].contains(&part))
        }
        Kind::Counter | Kind::Gauge => metric.name == name,
    })
}

/// What is wrong with the metrics that an expression reads; `recorded` are the names that rules make.
pub(crate) fn unknown(expression: &str, recorded: &[String]) -> Vec<String> {
    let mut findings = Vec::new();
    for selector in selectors(expression) {
        let name = &selector.name;
        if name == "up" || recorded.contains(name) {
            continue;
        }
        let Some(metric) = metric_of(name) else {
            findings.push(format!("there is no metric {name}"));
            continue;
        };
        let known = |label: &&str| {
            SCRAPED.contains(label) || metric.labels.contains(label) || *label == "le"
        };
        for label in selector.labels().into_iter().filter(|label| !known(label)) {
            findings.push(format!("{name} has no label {label}"));
        }
        let changes = ["rate", "irate", "increase", "resets"].contains(&selector.function.as_str());
        let counts = !matches!(metric.kind, Kind::Gauge);
        if counts && !changes {
            findings.push(format!("{name} only goes up: read it by rate, irate or increase"));
        }
        if !counts && changes {
            findings.push(format!("{name} is a gauge: `{}` says nothing of it", selector.function));
        }
    }
    findings
}
