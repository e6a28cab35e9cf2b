//! Settings: file, environment and flags, checked whole before a port opens.
//!
//! Two stages: what was said, key by key (`read`, `overrides`, `said`), and what is meant (`meant`), where
//! relations between keys are checked. Every finding is collected; nothing is accepted and ignored.
//! Precedence: flag > `FOREBAY_SECTION__KEY` > file > default.

mod changes;
mod effective;
mod finding;
mod known;
mod log;
mod meant;
mod memory;
mod not_built;
mod overrides;
mod read;
mod rules;
mod said;
mod sale;
mod secrets;
mod source;

use std::path::PathBuf;

pub use changes::{SettingChange, changes};
pub use effective::EffectiveValue;
use finding::Findings;
pub use finding::{At, Finding, Severity};
pub use log::{Format, Level, Log};
pub use meant::Settings;
pub use said::{Engine, Ledger, Retention, Store, StoreKind, Verify};
pub use sale::ConfiguredSale;
pub use source::Place;
use source::Source;

/// The annotated file with every key and its default.
pub const MANUAL: &str = include_str!("../config/forebay.toml");

/// Where settings come from.
#[derive(Clone, Debug, Default)]
pub struct Inputs {
    /// The file, if one is named.
    pub file: Option<PathBuf>,
    /// `section.key=value` of flags.
    pub flags: Vec<String>,
    /// Environment variables; those without our prefix are passed over.
    pub variables: Vec<(String, String)>,
}

/// What became of the inputs.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The settings; `None` when an error was found.
    pub settings: Option<Settings>,
    /// Everything that was found, errors first.
    pub findings: Vec<Finding>,
    /// Every key with its value in force.
    pub values: Vec<EffectiveValue>,
}

/// The environment's variables that bear our prefix. One that is not UTF-8 keeps what can be read of it, so
/// that it is refused by name and not passed over.
#[must_use]
pub fn variables() -> Vec<(String, String)> {
    std::env::vars_os()
        .map(|(name, value)| (name.to_string_lossy().into(), value.to_string_lossy().into()))
        .filter(|(name, _): &(String, String)| name.starts_with(overrides::PREFIX))
        .collect()
}

/// Reads and checks everything.
#[must_use]
pub fn load(inputs: &Inputs) -> Loaded {
    let mut findings = Findings::default();
    let source = match inputs.file.as_deref().map(Source::read).transpose() {
        Ok(source) => source.unwrap_or_default(),
        Err(message) => {
            findings.add(Finding::error(At::Nowhere, message));
            return Loaded { settings: None, findings: findings.sorted(), values: Vec::new() };
        }
    };
    let mut reading = read::document(&source, &mut findings);
    overrides::variables(&inputs.variables, &mut reading, &mut findings);
    overrides::flags(&inputs.flags, &mut reading, &mut findings);
    let values = effective::values(&reading, &source);
    let said = reading.said(&mut findings);
    let settings = meant::check(said, reading, &source, &mut findings);
    let settings = settings.filter(|_| !findings.any_error());
    Loaded { settings, findings: findings.sorted(), values }
}

#[cfg(test)]
mod tests;
