//! The only place that writes to the terminal: data to stdout, messages to stderr.
//!
//! A reader that goes away (`| head`) ends the output and is no failure.

use std::io;
use std::io::IsTerminal as _;
use std::io::Write;

/// Writes data to stdout.
///
/// # Errors
/// When it cannot be written, but for a reader that went away.
pub(super) fn data(bytes: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    let written = stdout.write_all(bytes).and_then(|()| stdout.flush());
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// Writes a line of data to stdout.
///
/// # Errors
/// As [`data`].
pub(super) fn line(text: &str) -> io::Result<()> {
    data(format!("{text}\n").as_bytes())
}

/// Writes a message to stderr; one that cannot be written has no reader.
pub(super) fn message(text: &str) {
    let _ = io::stderr().lock().write_all(format!("{text}\n").as_bytes());
}

/// A picture on stderr that is drawn again and again in its place; on anything but a terminal nothing is drawn.
#[derive(Debug)]
pub(super) struct Canvas {
    terminal: bool,
    drawn: usize,
}

impl Canvas {
    /// On stderr, if a person looks at it.
    pub(super) fn new() -> Self {
        Self { terminal: io::stderr().is_terminal(), drawn: 0 }
    }

    /// Whether pictures are seen.
    pub(super) fn is_seen(&self) -> bool {
        self.terminal
    }

    /// Draws these lines over those drawn before.
    pub(super) fn draw(&mut self, lines: &[String]) {
        if !self.terminal {
            return;
        }
        let mut text = String::new();
        if self.drawn > 0 {
            text.push_str(&format!("\x1b[{}A", self.drawn));
        }
        for line in lines {
            text.push_str("\x1b[2K");
            text.push_str(line);
            text.push('\n');
        }
        self.drawn = lines.len();
        // A terminal that went away has no reader.
        let _ = io::stderr().lock().write_all(text.as_bytes());
    }
}

/// Writes rows below a heading, columns aligned, numbers to the right.
///
/// # Errors
/// As [`data`].
pub(super) fn table(heading: &[&str], rows: &[Vec<String>]) -> io::Result<()> {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain(heading.get(column).map(|cell| cell.len())).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..heading.len()).map(width).collect();
    let is_number = |cell: &String| cell == "-" || cell.bytes().all(|byte| byte.is_ascii_digit());
    let numbers = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).all(is_number) && !rows.is_empty()
    };
    let numbers: Vec<bool> = (0..heading.len()).map(numbers).collect();
    let heading = heading.iter().map(|cell| (*cell).to_owned()).collect::<Vec<_>>();
    let mut text = String::new();
    for row in std::iter::once(&heading).chain(rows) {
        let mut line = String::new();
        for ((cell, width), number) in row.iter().zip(&widths).zip(&numbers) {
            let padded =
                if *number { format!("{cell:>width$}") } else { format!("{cell:<width$}") };
            line.push_str(&padded);
            line.push_str("  ");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    data(text.as_bytes())
}
