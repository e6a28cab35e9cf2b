//! `forebay check` and `forebay config …`, and the settings of every other command.

use super::args::Check;
use super::args::Config;
use super::exit::Exit;
use super::exit::Failure;
use super::exit::Outcome;
use super::output;
use crate::config;
use crate::config::Inputs;
use crate::config::Loaded;
use crate::config::Severity;

pub(super) fn run(check: Check) -> Outcome {
    let loaded = config::load(&inputs(check.file, check.set));
    for finding in &loaded.findings {
        output::line(&finding.to_string())?;
    }
    let Some(settings) = loaded.settings else { return Ok(Exit::Config) };
    let most = settings.memory_max().div_ceil(1 << 20);
    let when = "with a full [queue] and all connections and streams of [public.limits]";
    output::line(&format!("memory: at most {most} MiB, {when}"))?;
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
    let loaded = config::load(&inputs(settings.config, settings.set));
    tell(&loaded);
    if json {
        let values = serde_json::to_string(&loaded.values).unwrap_or_default();
        output::line(&values)?;
    } else {
        output::data(as_toml(&loaded).as_bytes())?;
    }
    Ok(if loaded.settings.is_some() { Exit::Ok } else { Exit::Config })
}

/// The values in force as a settings file; each with its origin.
fn as_toml(loaded: &Loaded) -> String {
    let mut text = String::new();
    for value in &loaded.values {
        let line = match &value.value {
            Some(written) => format!("{} = {written}", value.key),
            None => format!("# {} is not set", value.key),
        };
        text.push_str(&format!("{line:<44}  # {}\n", value.origin));
    }
    for sale in loaded.settings.iter().flat_map(|settings| &settings.sales) {
        let terms = toml::to_string(&sale.terms).unwrap_or_default();
        text.push_str(&format!("\n[[sale]]\nname = \"{}\"\n{terms}", sale.name));
    }
    text
}

/// Where the settings come from.
pub(super) fn inputs(file: Option<std::path::PathBuf>, flags: Vec<String>) -> Inputs {
    Inputs { file, flags, variables: config::variables() }
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
            format!("{errors} mistakes in the settings: nothing was started"),
        )
    })
}
