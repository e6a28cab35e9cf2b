//! `forebay migrate`: the tables of the MySQL store, as a DBA reads them, or made.

use std::time::Duration;

use crate::config::Settings;
use crate::config::StoreKind;
use crate::store::mysql;

/// A server may wait for a lock on its dictionary; nobody waits longer for it.
const WITHIN: Duration = Duration::from_secs(60);

/// Why the tables were not made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotApplied {
    /// The settings name another store.
    #[error(
        "store.kind is not \"mysql\": there is no database to make tables in; see [store] in `forebay config default`"
    )]
    NoServer,
    /// The server cannot be reached, or refuses.
    #[error("{0}")]
    Server(String),
}

/// The tables as SQL that can be fed to a client.
#[must_use]
pub fn ddl() -> String {
    mysql::TABLES.map(|(_, ddl)| format!("{ddl};\n")).join("\n")
}

/// Makes the tables that are missing, and looks at all; the names of all.
///
/// # Errors
/// When the server cannot be reached, refuses, or has a table that is not as it must be.
pub fn apply(settings: &Settings) -> Result<Vec<&'static str>, NotApplied> {
    if settings.store.kind != StoreKind::Mysql {
        return Err(NotApplied::NoServer);
    }
    let server = |error: &dyn std::fmt::Display| NotApplied::Server(error.to_string());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| server(&error))?;
    let making =
        async { tokio::time::timeout(WITHIN, mysql::migrate(&settings.store.mysql)).await };
    match runtime.block_on(making) {
        Ok(made) => made.map_err(|error| server(&error))?,
        Err(_) => {
            return Err(NotApplied::Server(format!("no answer within {} s", WITHIN.as_secs())));
        }
    }
    Ok(mysql::TABLES.map(|(name, _)| name).to_vec())
}
