//! `forebay doctor`: what would go wrong in the sale, looked for before it. It changes nothing; where it must write
//! to learn something, it takes away what it wrote.

mod data;
mod disk;
mod http;
mod machine;
mod mysql;
mod neighbours;
mod redis;

use serde::Serialize;

use crate::clock::SharedClock;
use crate::config::At;
use crate::config::Engine;
use crate::config::Loaded;
use crate::config::Settings;
use crate::config::Severity;

/// How one thing stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Grade {
    /// As it should be.
    Ok,
    /// The sale can run; read why it may run badly.
    Warn,
    /// The sale cannot run, or not as promised.
    Fail,
}

/// Whose failure it is: the exit code follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The machine: ports, directories, descriptors.
    Machine,
    /// The settings.
    Settings,
    /// What is needed from elsewhere: store, shop.
    Dependency,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Examined {
    /// Its stable name.
    pub check: &'static str,
    /// How it stands.
    pub grade: Grade,
    /// What was seen.
    pub found: String,
    /// What to do; empty when nothing is to be done.
    pub advice: String,
    /// Whose failure it is, if it is one.
    #[serde(skip)]
    pub cause: Cause,
}

/// Everything that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Examination {
    /// Nothing failed.
    pub ok: bool,
    /// One entry a thing, in the order in which they were looked at.
    pub checks: Vec<Examined>,
}

impl Examined {
    fn ok(check: &'static str, found: impl Into<String>) -> Self {
        let (found, advice) = (found.into(), String::new());
        Self { check, grade: Grade::Ok, found, advice, cause: Cause::Machine }
    }

    fn warn(check: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { grade: Grade::Warn, advice: advice.into(), ..Self::ok(check, found) }
    }

    fn fail(check: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { grade: Grade::Fail, advice: advice.into(), ..Self::ok(check, found) }
    }

    fn because(self, cause: Cause) -> Self {
        Self { cause, ..self }
    }
}

/// Looks at the machine, and at what the settings name as far as they can be used.
#[must_use]
pub fn examine(loaded: &Loaded, clock: &SharedClock) -> Examination {
    let mut checks = settings(loaded);
    checks.push(machine::backlog());
    checks.push(machine::clock(clock.wall()));
    if let Some(settings) = &loaded.settings {
        with(settings, clock, &mut checks);
    }
    let ok = checks.iter().all(|check| check.grade != Grade::Fail);
    Examination { ok, checks }
}

fn with(settings: &Settings, clock: &SharedClock, checks: &mut Vec<Examined>) {
    checks.push(machine::descriptors(settings));
    checks.push(machine::memory(settings));
    let (ledger, at_work) = data::ledger(settings, clock.wall());
    checks.extend(neighbours::ports(settings, at_work));
    checks.extend(disk::directories(settings));
    if settings.ledger.engine == Engine::Embedded {
        checks.push(disk::syncs(settings, clock, at_work));
    }
    checks.extend(ledger);
    checks.extend(data::store(settings));
    checks.extend(neighbours::shop(settings));
}

fn settings(loaded: &Loaded) -> Vec<Examined> {
    let found = loaded.findings.iter().map(|finding| {
        let text = finding.one_line();
        let advice = match (finding.severity, &finding.at) {
            (Severity::Error, At::File(_)) => "`forebay check` shows the place",
            (Severity::Error, At::Nowhere) => {
                "see --config, FOREBAY_CONFIG and `forebay config default`"
            }
            _ => "see `forebay config default`",
        };
        match finding.severity {
            Severity::Warning => Examined::warn("settings", text, advice),
            Severity::Error => Examined::fail("settings", text, advice).because(Cause::Settings),
        }
    });
    let found: Vec<Examined> = found.collect();
    if found.is_empty() { vec![Examined::ok("settings", "no mistakes")] } else { found }
}
