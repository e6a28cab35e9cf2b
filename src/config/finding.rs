//! What is wrong with the settings, and where it was said.

use std::fmt;

use super::source::Place;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth a look; the settings can be used.
    Warning,
    /// The settings are refused.
    Error,
}

/// Where a finding points.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum At {
    /// A place in the settings file.
    File(Box<Place>),
    /// An environment variable, by its name.
    Variable(String),
    /// A flag of the command line, as it is written.
    Flag(String),
    /// No place: a file that cannot be read, or a default that clashes.
    Nowhere,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Whether the settings can be used.
    pub severity: Severity,
    /// Where it was said.
    pub at: At,
    /// What is wrong and what to do, in a sentence.
    pub message: String,
}

impl Finding {
    /// The settings are refused.
    pub(super) fn error(at: At, message: impl Into<String>) -> Self {
        Self { severity: Severity::Error, at, message: message.into() }
    }

    /// The settings can be used.
    pub(super) fn warning(at: At, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, at, message: message.into() }
    }

    /// The finding in one line, without the text that it points at.
    #[must_use]
    pub fn one_line(&self) -> String {
        match &self.at {
            At::File(place) => {
                format!("{}:{}:{}: {}", place.file, place.line, place.column, self.message)
            }
            At::Variable(name) | At::Flag(name) => format!("{name}: {}", self.message),
            At::Nowhere => self.message.clone(),
        }
    }

    /// The line that the finding is on, to tell follow-ups of one mistake from other mistakes.
    fn line(&self) -> Option<usize> {
        match &self.at {
            At::File(place) => Some(place.line),
            At::Variable(_) | At::Flag(_) | At::Nowhere => None,
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self.severity {
            Severity::Warning => "warning",
            Severity::Error => "error",
        };
        write!(f, "{word}: ")?;
        match &self.at {
            At::Variable(name) | At::Flag(name) => write!(f, "{name}: {}", self.message),
            At::Nowhere => f.write_str(&self.message),
            At::File(place) => write!(f, "{}\n{place}", self.message),
        }
    }
}

/// Findings as they are collected.
#[derive(Clone, Debug, Default)]
pub(super) struct Findings {
    list: Vec<Finding>,
    /// Lines with a syntax error: what else is found there is a follow-up of it.
    broken: Vec<usize>,
}

impl Findings {
    /// Adds a finding, but for follow-ups of a syntax error.
    pub(super) fn add(&mut self, finding: Finding) {
        let follows = finding.line().is_some_and(|line| self.broken.contains(&line));
        if !follows && !self.list.contains(&finding) {
            self.list.push(finding);
        }
    }

    /// Adds a syntax error.
    pub(super) fn add_syntax(&mut self, finding: Finding) {
        let line = finding.line();
        self.add(finding);
        self.broken.extend(line);
    }

    /// All of them: errors of the file in its order, then the others, warnings last.
    pub(super) fn sorted(mut self) -> Vec<Finding> {
        self.list.sort_by_key(|finding| {
            (std::cmp::Reverse(finding.severity), finding.line().unwrap_or(usize::MAX))
        });
        self.list
    }

    /// Whether the settings must be refused.
    pub(super) fn any_error(&self) -> bool {
        self.list.iter().any(|finding| finding.severity == Severity::Error)
    }
}
