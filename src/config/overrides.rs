//! Environment variables and `--set`: values for single keys, over those of the file.

use toml::Spanned;
use toml::de::DeString;
use toml::de::DeValue;

use super::finding::At;
use super::finding::Finding;
use super::finding::Findings;
use super::known;
use super::not_built;
use super::read::Given;
use super::read::Origin;
use super::read::Reading;
use super::read::one_line;
use super::read::tried;
use super::said::Said;

/// The prefix of our variables.
pub(super) const PREFIX: &str = "FOREBAY_";

/// Variables with our prefix that are no settings.
const NOT_SETTINGS: [&str; 3] = ["FOREBAY_CONFIG", "FOREBAY_ADMIN_URL", "FOREBAY_TOKEN_FILE"];

/// Variables with this prefix belong to tests.
const TESTS: &str = "FOREBAY_TEST_";

/// Takes `FOREBAY_SECTION__KEY` variables. One of this form that names no key is refused like an unknown key of the
/// file. Of another form it is a warning: it may be meant for something else (`FOREBAY_PORT` of an orchestrator).
pub(super) fn variables<'t>(
    variables: &'t [(String, String)],
    reading: &mut Reading<'t>,
    findings: &mut Findings,
) {
    let keys = known::keys_of::<Said>();
    for (name, text) in variables {
        let Some(rest) = name.strip_prefix(PREFIX) else { continue };
        if NOT_SETTINGS.contains(&name.as_str()) || name.starts_with(TESTS) {
            continue;
        }
        let path = rest.replace("__", ".").to_ascii_lowercase();
        let at = At::Variable(name.clone());
        if keys.contains(&path) || not_built::key(&path).is_some() {
            one(&path, text, at, Origin::Variable(name.clone()), reading, findings);
        } else {
            let hint = known::meant_by(&path, &keys)
                .unwrap_or_else(|| "a key of a section is written FOREBAY_SECTION__KEY".to_owned());
            let message = format!("names no setting: {hint}");
            findings.add(if rest.contains("__") {
                Finding::error(at, message)
            } else {
                Finding::warning(at, message)
            });
        }
    }
}

/// Takes `--set section.key=value`. One that names no key is refused.
pub(super) fn flags<'t>(sets: &'t [String], reading: &mut Reading<'t>, findings: &mut Findings) {
    let keys = known::keys_of::<Said>();
    for set in sets {
        let Some((path, text)) = set.split_once('=') else {
            let at = At::Flag(format!("--set {set}"));
            findings.add(Finding::error(at, "write --set section.key=value"));
            continue;
        };
        let path = path.trim();
        let flag = format!("--set {path}");
        let at = At::Flag(flag.clone());
        if keys.iter().any(|key| key == path) || not_built::key(path).is_some() {
            one(path, text, at, Origin::Flag(flag), reading, findings);
        } else {
            let hint = known::meant_by(path, &keys)
                .unwrap_or_else(|| "`forebay config default` shows every key".to_owned());
            findings.add(Finding::error(at, format!("names no setting: {hint}")));
        }
    }
}

fn one<'t>(
    path: &str,
    text: &'t str,
    at: At,
    origin: Origin,
    reading: &mut Reading<'t>,
    findings: &mut Findings,
) {
    if let Some(message) = not_built::key(path) {
        return findings.add(Finding::error(at, message));
    }
    match typed(path, text) {
        Ok(value) => {
            reading.refused.remove(path);
            reading.given.insert(path.to_owned(), Given { value, origin });
        }
        Err(message) => {
            reading.refused.insert(path.to_owned());
            findings.add(Finding::error(at, message));
        }
    }
}

/// The value that a key's type takes: the text itself if it takes a text, else what the text is in TOML.
fn typed<'t>(path: &str, text: &'t str) -> Result<Spanned<DeValue<'t>>, String> {
    let plain = Spanned::new(0..text.len(), DeValue::String(DeString::Borrowed(text)));
    let Err(as_text) = tried(path, &plain) else { return Ok(plain) };
    let as_text = one_line(as_text.message());
    let Ok(value) = DeValue::parse(text) else { return Err(as_text) };
    match tried(path, &value) {
        Ok(()) => Ok(value),
        // The text is of another kind altogether: what is wrong with it as a number says more.
        Err(error) if as_text.starts_with("invalid type: string") => Err(one_line(error.message())),
        Err(_) => Err(as_text),
    }
}
