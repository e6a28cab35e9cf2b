//! The first stage: what was said, key by key, from the file and from what overrides it.
//!
//! Each key is tried alone against the type that reads it, so that one mistake hides no other.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::ops::Range;

use serde::Deserialize;
use toml::Spanned;
use toml::de::DeString;
use toml::de::DeTable;
use toml::de::DeValue;

use super::finding::At;
use super::finding::Finding;
use super::finding::Findings;
use super::known;
use super::not_built;
use super::said::Said;
use super::source::Source;

/// Who said a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// The file; the spans of the key and of the value.
    File(Range<usize>, Range<usize>),
    /// An environment variable.
    Variable(String),
    /// A flag.
    Flag(String),
}

/// A value that was said for a key, and by whom.
#[derive(Clone, Debug)]
pub(super) struct Given<'t> {
    pub(super) value: Spanned<DeValue<'t>>,
    pub(super) origin: Origin,
}

/// All that was said.
#[derive(Debug, Default)]
pub(super) struct Reading<'t> {
    /// By dotted key; only keys that exist, each with a value that its type takes.
    pub(super) given: BTreeMap<String, Given<'t>>,
    /// Keys whose value was refused: their defaults stand in for them and prove nothing.
    pub(super) refused: BTreeSet<String>,
    /// Each `[[sale]]`: the span of its header, and its keys.
    pub(super) sales: Vec<(Range<usize>, DeTable<'t>)>,
}

/// Reads the file's text.
pub(super) fn document<'t>(source: &'t Source, findings: &mut Findings) -> Reading<'t> {
    let (root, errors) = DeTable::parse_recoverable(source.text());
    for error in errors {
        let message = one_line(error.message());
        let finding = match error.span() {
            None => Finding::error(At::Nowhere, message),
            Some(span) => {
                let place = source.place(span);
                let message = match unquoted(&place.text) {
                    Some(text) => format!("a text is written in quotes: \"{text}\""),
                    None => message,
                };
                Finding::error(At::File(Box::new(place)), message)
            }
        };
        findings.add_syntax(finding);
    }
    let mut reader = Reader { source, keys: known::keys_of::<Said>(), findings };
    let mut reading = Reading::default();
    for (key, value) in root.into_inner() {
        if key.get_ref() == "sale" {
            reading.sales.extend(reader.sales(&key, value));
        } else {
            reader.entry("", &key, value, &mut reading);
        }
    }
    reading
}

/// The text of a line `key = text` whose quotes were forgotten.
fn unquoted(line: &str) -> Option<&str> {
    let (_, value) = line.split_once('=')?;
    let text = value.split('#').next().unwrap_or_default().trim();
    let fits = |letter: char| letter.is_ascii_alphanumeric() || "/:._%-".contains(letter);
    (!text.is_empty() && text.chars().all(fits)).then_some(text)
}

/// A place in the file.
pub(super) fn at(source: &Source, span: Range<usize>) -> At {
    At::File(Box::new(source.place(span)))
}

struct Reader<'s, 'f> {
    source: &'s Source,
    keys: Vec<String>,
    findings: &'f mut Findings,
}

impl Reader<'_, '_> {
    fn refuse(&mut self, span: Range<usize>, message: impl Into<String>) {
        self.findings.add(Finding::error(at(self.source, span), message));
    }

    fn entry<'t>(
        &mut self,
        section: &str,
        key: &Spanned<DeString<'t>>,
        value: Spanned<DeValue<'t>>,
        reading: &mut Reading<'t>,
    ) {
        let name = key.get_ref();
        let path = if section.is_empty() { name.to_string() } else { format!("{section}.{name}") };
        if let Some(message) = not_built::key(&path) {
            return self.refuse(key.span(), message);
        }
        if self.keys.contains(&path) {
            return self.leaf(path, key.span(), value, reading);
        }
        let inside = format!("{path}.");
        if !self.keys.iter().any(|known| known.starts_with(&inside)) {
            return self.unknown(&path, key.span());
        }
        let span = value.span();
        match value.into_inner() {
            DeValue::Table(table) => {
                for (key, value) in table {
                    self.entry(&path, &key, value, reading);
                }
            }
            _ => self.refuse(span, format!("`{path}` is a section: write [{path}] and its keys")),
        }
    }

    fn unknown(&mut self, path: &str, span: Range<usize>) {
        let (section, name) = known::split(path);
        let place = if section.is_empty() { String::new() } else { format!(" in [{section}]") };
        let hint = known::meant_by(path, &self.keys).unwrap_or_else(|| {
            "`forebay config default` prints every key that there is".to_owned()
        });
        self.refuse(span, format!("unknown key `{name}`{place}: {hint}"));
    }

    fn leaf<'t>(
        &mut self,
        path: String,
        key: Range<usize>,
        value: Spanned<DeValue<'t>>,
        reading: &mut Reading<'t>,
    ) {
        let span = value.span();
        if span.is_empty() {
            // What the parser made up for a value that has a syntax error, which is told already.
            reading.refused.insert(path);
            return;
        }
        match tried(&path, &value) {
            Ok(()) => {
                let origin = Origin::File(key, span);
                reading.given.insert(path, Given { value, origin });
            }
            Err(error) => {
                let span = error.span().unwrap_or(span);
                let message = as_text(&path, &value).unwrap_or(one_line(error.message()));
                self.refuse(span, format!("`{path}`: {message}"));
                reading.refused.insert(path);
            }
        }
    }

    fn sales<'t>(
        &mut self,
        key: &Spanned<DeString<'t>>,
        value: Spanned<DeValue<'t>>,
    ) -> Vec<(Range<usize>, DeTable<'t>)> {
        let DeValue::Array(entries) = value.into_inner() else {
            self.refuse(key.span(), "a sale is written with two brackets: [[sale]]");
            return Vec::new();
        };
        let mut sales = Vec::new();
        for entry in entries {
            let span = entry.span();
            match entry.into_inner() {
                DeValue::Table(table) => sales.push((span, table)),
                _ => self.refuse(span, "a sale is a table: write [[sale]] and its keys"),
            }
        }
        sales
    }
}

/// Whether the type that reads a key takes a value, whatever stands elsewhere.
pub(super) fn tried(path: &str, value: &Spanned<DeValue<'_>>) -> Result<(), toml::de::Error> {
    let mut root = DeTable::new();
    put(&mut root, path, value.clone());
    Said::deserialize(toml::Deserializer::from(Spanned::new(0..0, root))).map(drop)
}

/// What to write for a bare number where a text with a unit is expected.
fn as_text(path: &str, value: &Spanned<DeValue<'_>>) -> Option<String> {
    let number = match value.get_ref() {
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        _ => return None,
    };
    let text = DeValue::String(DeString::Owned(number.clone()));
    match tried(path, &Spanned::new(value.span(), text)) {
        Ok(()) => Some(format!("a text is written in quotes: \"{number}\"")),
        Err(error) => Some(one_line(error.message())).filter(|m| !m.starts_with("invalid type")),
    }
}

/// Errors of the parser may be written over several lines and in its own words; findings are sentences.
pub(super) fn one_line(message: &str) -> String {
    match message {
        "invalid socket address syntax" => {
            "write an address and a port, such as \"127.0.0.1:8080\" or \"[::1]:8080\"".to_owned()
        }
        "wanted string or table" => "write one of its words, in quotes".to_owned(),
        _ => message.split_whitespace().collect::<Vec<_>>().join(" "),
    }
}

fn put<'t>(table: &mut DeTable<'t>, path: &str, value: Spanned<DeValue<'t>>) {
    let span = value.span();
    let key = |name: &str| Spanned::new(span.clone(), DeString::Owned(name.to_owned()));
    match path.split_once('.') {
        None => {
            table.insert(key(path), value);
        }
        Some((section, rest)) => {
            let empty = Spanned::new(span.clone(), DeValue::Table(DeTable::new()));
            let inner = table.entry(key(section)).or_insert(empty);
            if let DeValue::Table(inner) = inner.get_mut() {
                put(inner, rest, value);
            }
        }
    }
}

impl Reading<'_> {
    /// Everything that was said, over the defaults. Each value was tried alone before, so the whole can
    /// only fail by a rule between two keys of one component; that is a finding without a place.
    pub(super) fn said(&self, findings: &mut Findings) -> Said {
        let mut root = DeTable::new();
        for (path, given) in &self.given {
            put(&mut root, path, given.value.clone());
        }
        match Said::deserialize(toml::Deserializer::from(Spanned::new(0..0, root))) {
            Ok(said) => said,
            Err(error) => {
                findings.add(Finding::error(At::Nowhere, one_line(error.message())));
                Said::default()
            }
        }
    }

    /// Where the value of a key was said; `At::Nowhere` when it is the default.
    pub(super) fn at(&self, source: &Source, path: &str) -> At {
        match self.given.get(path).map(|given| &given.origin) {
            None => At::Nowhere,
            Some(Origin::File(key, _)) => at(source, key.clone()),
            Some(Origin::Variable(name)) => At::Variable(name.clone()),
            Some(Origin::Flag(flag)) => At::Flag(flag.clone()),
        }
    }
}
