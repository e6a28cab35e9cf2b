//! The log: to stderr, as text for people or one JSON object a line for machines.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::reload::Handle;

use crate::config::Format;
use crate::config::Level;
use crate::config::Log;

/// Changes what is logged while the process runs.
pub(super) struct Verbosity(Box<dyn Fn(EnvFilter) + Send + Sync>);

impl std::fmt::Debug for Verbosity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Verbosity")
    }
}

impl Verbosity {
    fn of<S: 'static>(handle: Handle<EnvFilter, S>) -> Self {
        Self(Box::new(move |filter| {
            // It fails only where the log of a process that had one already stayed.
            let _ = handle.reload(filter);
        }))
    }

    pub(super) fn set(&self, level: Level) {
        (self.0)(filter(level));
    }
}

/// What is written at a level. The audit log is a record and no chatter: it always is.
fn filter(level: Level) -> EnvFilter {
    EnvFilter::new(format!("{},audit=info", level.name()))
}

/// Sends everything that is logged from here on to stderr. The first call of a process counts.
///
/// A closed stderr loses the lines and ends nothing.
pub(super) fn start(log: &Log) -> Verbosity {
    let terminal = std::io::stderr().is_terminal();
    let colour = terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let builder = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(colour)
        .log_internal_errors(false);
    let filter = filter(log.level);
    let json = match log.format {
        Format::Auto => !terminal,
        Format::Text => false,
        Format::Json => true,
    };
    // A process that has a log already keeps it.
    if json {
        let builder = builder.json().flatten_event(true).with_current_span(false);
        let builder = builder.with_env_filter(filter).with_filter_reloading();
        let verbosity = Verbosity::of(builder.reload_handle());
        let _ = builder.try_init();
        verbosity
    } else {
        let builder = builder.with_target(false).with_env_filter(filter).with_filter_reloading();
        let verbosity = Verbosity::of(builder.reload_handle());
        let _ = builder.try_init();
        verbosity
    }
}
