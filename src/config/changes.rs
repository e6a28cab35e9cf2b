//! What differs between the settings in force and those that were read again, and what of it a running process
//! can take over.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;

use super::known;
use super::meant::Settings;
use super::said::Said;
use super::sale::ConfiguredSale;
use super::source;
use crate::identity::Means;
use crate::sale::SaleName;

/// Keys that a running process takes over, whole sections by their names. Everything else needs a restart.
/// `config/forebay.toml` lists the same.
pub(super) const LIVE: [&str; 29] = [
    "public.trusted_proxies",
    "public.order_deadline",
    "public.limits.streams",
    "public.timeouts.first_byte",
    "public.timeouts.headers",
    "public.timeouts.body",
    "public.timeouts.idle",
    "public.timeouts.write",
    "admin.token_file",
    "admin.hosts",
    "admin.metrics_open",
    "identity.header",
    "identity.algorithm",
    "identity.key_file",
    "identity.issuer",
    "identity.audience",
    "identity.leeway",
    "identity.url",
    "identity.cache",
    "identity.rate",
    "identity.timeout",
    "limits",
    "queue",
    "drain.rate",
    "drain.burst",
    "retention",
    "tickets.key_files",
    "log.level",
    "sale",
];

/// One setting that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SettingChange {
    /// Dotted; a `[[sale]]` is `sale.NAME`.
    pub key: String,
    /// What is in force. `None` when nothing is set; a secret is never shown.
    pub old: Option<String>,
    /// What was read.
    pub new: Option<String>,
    /// It takes a restart.
    #[serde(skip)]
    pub restart: bool,
}

/// Every key that has a value, with secrets, which `Debug` does not show.
#[derive(Clone)]
pub(super) struct Written(BTreeMap<String, String>);

impl fmt::Debug for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// Every key that has a value. Units are written in one way, so that `60s` and `1m` are the same.
pub(super) fn written(said: &Said) -> Written {
    let mut written = BTreeMap::new();
    // What was read from TOML can be written as TOML.
    if let Ok(value) = toml::Value::try_from(said) {
        flatten("", value, &mut written);
    }
    Written(written)
}

fn flatten(path: &str, value: toml::Value, into: &mut BTreeMap<String, String>) {
    match value {
        toml::Value::Table(table) => {
            for (key, value) in table {
                let path = if path.is_empty() { key } else { format!("{path}.{key}") };
                flatten(&path, value, into);
            }
        }
        value => {
            into.insert(path.to_owned(), value.to_string());
        }
    }
}

/// What differs, in the order of the keys: values, then files whose content does, then sales.
#[must_use]
pub fn changes(old: &Settings, new: &Settings) -> Vec<SettingChange> {
    let (Written(was), Written(is)) = (&old.written, &new.written);
    let keys: BTreeSet<&String> = was.keys().chain(is.keys()).collect();
    let differs = keys.into_iter().filter(|key| was.get(*key) != is.get(*key));
    let mut changes: Vec<SettingChange> =
        differs.map(|key| change(key, was.get(key).cloned(), is.get(key).cloned())).collect();
    for (key, differs) in files(old, new) {
        if differs && !changes.iter().any(|change| change.key == key) {
            let content = |word: &str| Some(format!("{word} content"));
            changes.push(change(key, content("old"), content("new")));
        }
    }
    if let Some(keys) = changes.iter_mut().find(|change| change.key == "tickets.key_files") {
        // Tickets that a key has signed are out there: it can be joined by others, never go.
        keys.restart = !old.ticket_keys.iter().all(|key| new.ticket_keys.contains(key));
    }
    changes.extend(sales(&old.sales, &new.sales));
    changes
}

fn change(key: &str, old: Option<String>, new: Option<String>) -> SettingChange {
    let shown = |value: Option<String>| value.map(|value| source::shown(key, value));
    SettingChange { key: key.to_owned(), old: shown(old), new: shown(new), restart: !is_live(key) }
}

fn is_live(key: &str) -> bool {
    LIVE.contains(&key) || LIVE.contains(&known::split(key).0)
}

/// Keys that name files, and whether what is in them differs.
fn files(old: &Settings, new: &Settings) -> [(&'static str, bool); 3] {
    let keys = match (&old.identity, &new.identity) {
        (Means::Jwt(old), Means::Jwt(new)) => old.keys != new.keys,
        _ => false,
    };
    [
        ("admin.token_file", !old.admin_access.same_tokens(&new.admin_access)),
        ("identity.key_file", keys),
        ("tickets.key_files", old.ticket_keys != new.ticket_keys),
    ]
}

fn sales(old: &[ConfiguredSale], new: &[ConfiguredSale]) -> Vec<SettingChange> {
    let terms = |sales: &[ConfiguredSale], name: &SaleName| {
        let sale = sales.iter().find(|sale: &&ConfiguredSale| sale.name == *name)?;
        serde_json::to_string(&sale.terms).ok()
    };
    let names: BTreeSet<_> = old.iter().chain(new).map(|sale| &sale.name).collect();
    let differs = names.into_iter().map(|name| (name, terms(old, name), terms(new, name)));
    differs
        .filter(|(_, old, new)| old != new)
        .map(|(name, old, new)| change(&format!("sale.{name}"), old, new))
        .collect()
}
