//! The log: to stderr, as text for people or one JSON object a line for machines.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::config::Format;
use crate::config::Log;

/// Sends everything that is logged from here on to stderr. The first call of a process counts.
///
/// A closed stderr loses the lines and ends nothing.
pub(super) fn start(log: &Log) {
    let terminal = std::io::stderr().is_terminal();
    let colour = terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let builder = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(colour)
        .log_internal_errors(false)
        .with_env_filter(EnvFilter::new(log.level.name()));
    let json = match log.format {
        Format::Auto => !terminal,
        Format::Text => false,
        Format::Json => true,
    };
    // A process that has a log already keeps it.
    let _ = if json {
        builder.json().flatten_event(true).with_current_span(false).try_init()
    } else {
        builder.with_target(false).try_init()
    };
}
