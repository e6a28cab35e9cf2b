//! The only place that writes to the terminal: results to stdout, messages to stderr.
//!
//! A reader that went away (a closed pipe) must not turn a verdict into a panic, so failures to write
//! are ignored: the exit code is the result that counts.

use std::fmt::Display;
use std::io::Write;

/// One line of the result, on stdout.
pub fn line(text: impl Display) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// One line for the person who watches, on stderr.
pub fn note(text: impl Display) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
