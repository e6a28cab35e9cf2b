//! `forebay check` and `forebay config …`, and the settings of every other command.

use std::collections::BTreeMap;

use serde::Serialize;

use super::args::Check;
use super::args::Config;
use super::args::Settings;
use super::exit::Exit;
use super::exit::Failure;
use super::exit::Outcome;
use super::output;
use crate::config;
use crate::config::EffectiveValue;
use crate::config::Inputs;
use crate::config::Loaded;
use crate::config::Severity;
use crate::sale::SaleName;
use crate::sale::Terms;
use crate::units::counted;

pub(super) fn run(check: Check) -> Outcome {
    let Check { file, mut settings } = check;
    settings.config = settings.config.or(file);
    let loaded = config::load(&inputs(settings));
    for finding in &loaded.findings {
        output::line(&finding.to_string())?;
    }
    let Some(settings) = loaded.settings else { return Ok(Exit::Config) };
    output::line(&format!("memory: {}", settings.memory_told()))?;
    output::line("ok")?;
    Ok(Exit::Ok)
}

pub(super) fn config(what: Config) -> Outcome {
    let (settings, json) = match what {
        Config::Default => {
            output::data(config::MANUAL.as_bytes())?;
            return Ok(Exit::Ok);
        }
        Config::Effective { settings, json } => (settings, json),
    };
    let loaded = config::load(&inputs(settings));
    tell(&loaded);
    let text = if json { as_json(&loaded) } else { as_toml(&loaded) };
    let text =
        text.map_err(|error| Failure::new(Exit::Failed, format!("the settings: {error}")))?;
    output::data(text.as_bytes())?;
    Ok(if loaded.settings.is_some() { Exit::Ok } else { Exit::Config })
}

/// A sale as a settings file has it.
#[derive(Serialize)]
struct Sale<'a> {
    name: &'a SaleName,
    #[serde(flatten)]
    terms: &'a Terms,
}

fn sales(loaded: &Loaded) -> impl Iterator<Item = Sale<'_>> {
    let sales = loaded.settings.iter().flat_map(|settings| &settings.sales);
    sales.map(|sale| Sale { name: &sale.name, terms: &sale.terms })
}

/// The values in force, those that are sales too: each as TOML, with its origin.
fn as_json(loaded: &Loaded) -> Result<String, String> {
    let mut values = loaded.values.clone();
    for sale in sales(loaded) {
        let value = toml::Value::try_from(&sale).map_err(|error| error.to_string())?;
        let (key, origin) = ("sale".to_owned(), "file".to_owned());
        values.push(EffectiveValue { key, value: Some(value.to_string()), origin });
    }
    serde_json::to_string(&values).map(|json| json + "\n").map_err(|error| error.to_string())
}

/// The values in force as a settings file; each with its origin.
fn as_toml(loaded: &Loaded) -> Result<String, String> {
    let mut text = String::new();
    for value in &loaded.values {
        let line = match &value.value {
            Some(written) => format!("{} = {written}", value.key),
            None => format!("# {} is not set", value.key),
        };
        text.push_str(&format!("{line:<44}  # {}\n", value.origin));
    }
    for sale in sales(loaded) {
        let sales = BTreeMap::from([("sale", [sale])]);
        let written = toml::to_string(&sales).map_err(|error| error.to_string())?;
        text.push_str(&format!("\n{written}"));
    }
    Ok(text)
}

/// Where the settings come from.
pub(super) fn inputs(settings: Settings) -> Inputs {
    Inputs { file: settings.file(), flags: settings.set, variables: config::variables() }
}

/// Tells every finding as a message.
pub(super) fn tell(loaded: &Loaded) {
    for finding in &loaded.findings {
        output::message(&finding.to_string());
    }
}

/// The settings, or exit 3 with every finding told.
///
/// # Errors
/// When the settings are refused.
pub(super) fn settings(inputs: &Inputs) -> Result<config::Settings, Failure> {
    let loaded = config::load(inputs);
    tell(&loaded);
    let errors = loaded.findings.iter().filter(|f| f.severity == Severity::Error).count();
    loaded.settings.ok_or_else(|| {
        Failure::new(
            Exit::Config,
            format!("{} in the settings: nothing was started", counted(errors, "mistake")),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_force_is_a_settings_file_again() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("forebay.toml");
        let sale = |name: &str| {
            format!(
                "[[sale]]\nname = \"{name}\"\nlimit_per_buyer = 2\nadmit_rate = \"50/s\"\nopens_at = \
                 2026-11-11T00:00:00Z\nitems = [{{ sku = \"phone\", stock = 6 }}, {{ sku = \"case\", stock = 1 }}]\n"
            )
        };
        std::fs::write(&file, format!("{}{}", sale("one"), sale("two"))).unwrap();
        let load = || {
            let file = Some(file.clone());
            config::load(&Inputs { file, ..Inputs::default() })
        };
        let first = load();
        assert_eq!(first.settings.as_ref().unwrap().sales.len(), 2, "{:?}", first.findings);
        let text = as_toml(&first).unwrap();
        std::fs::write(&file, &text).unwrap();
        let again = load();
        assert_eq!(again.findings, [], "{text}");
        assert_eq!(again.settings.unwrap().sales, first.settings.as_ref().unwrap().sales);
        let json: serde_json::Value = serde_json::from_str(&as_json(&first).unwrap()).unwrap();
        let entries = json.as_array().unwrap().iter().filter(|entry| entry["key"] == "sale");
        let sales: Vec<&str> = entries.map(|entry| entry["value"].as_str().unwrap()).collect();
        assert_eq!(sales.len(), 2);
        assert!(sales[1].contains("name = \"two\"") && sales[1].contains("stock = 6"), "{sales:?}");
    }
}
