//! A source file as the rules read it.

/// One file with its comments and the contents of its strings blanked out.
pub(crate) struct Source {
    pub(crate) path: String,
    code: String,
    lines: usize,
    /// First line of the inline test module at its end, if it has one.
    tests_from: usize,
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let code = blanked(text);
        let tests_from = inline_tests(&code).unwrap_or(usize::MAX);
        Self { path: path.to_owned(), code, lines: text.lines().count(), tests_from }
    }

    pub(crate) fn lines(&self) -> usize {
        self.lines
    }

    /// Lines of code with their numbers.
    pub(crate) fn code_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        (1..).zip(self.code.lines())
    }

    /// The module at the root of the crate to which the file belongs.
    pub(crate) fn module(&self) -> Option<&str> {
        let inside = self.path.strip_prefix("src/")?;
        let first = inside.split('/').next()?;
        Some(first.strip_suffix(".rs").unwrap_or(first))
    }

    /// Whether the line is part of a test.
    pub(crate) fn is_test(&self, line: usize) -> bool {
        let part = |part: &str| matches!(part, "tests" | "tests.rs" | "suite" | "suite.rs");
        line >= self.tests_from || self.path.split('/').any(part)
    }

    /// Files of one group share the way in which their clock runs: a folder of tests, or a file alone.
    pub(crate) fn test_group(&self) -> &str {
        match self.path.find("/tests/").or_else(|| self.path.find("/tests.rs")) {
            Some(at) => &self.path[..at],
            None => &self.path,
        }
    }

    /// Modules at the crate's root that are named here, with the line; `{` for a group of them.
    pub(crate) fn imported(&self) -> Vec<(usize, String)> {
        let mut found = Vec::new();
        for (line, text) in self.code_lines() {
            for (at, _) in text.match_indices("crate::") {
                let before = text[..at].chars().next_back().unwrap_or(' ');
                if !(before.is_alphanumeric() || before == '_' || before == '$') {
                    found.push((line, first_word(&text[at + "crate::".len()..])));
                }
            }
            if let Some(other) = self.climbed(line, text) {
                found.push((line, other));
            }
        }
        found
    }

    /// What a chain of `super::` names that leads out of the file's own module. Inline modules make a chain
    /// one longer than it looks, so inside of them only longer ones count.
    fn climbed(&self, line: usize, text: &str) -> Option<String> {
        let at = text.find("super::")?;
        let chain = &text[at..];
        let steps = chain.split("::").take_while(|part| *part == "super").count();
        let depth = self.path.split('/').count() - 1;
        let inline = usize::from(line >= self.tests_from);
        (steps >= depth + inline).then(|| first_word(&chain[steps * "super::".len()..]))
    }
}

fn first_word(text: &str) -> String {
    if text.starts_with('{') {
        return "{".to_owned();
    }
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

/// Whether `text` has the call, and not one whose name only ends like it.
pub(crate) fn calls(text: &str, call: &str) -> bool {
    text.match_indices(call).any(|(at, _)| {
        let before = text[..at].chars().next_back().unwrap_or(' ');
        call.starts_with('.') || !(before.is_alphanumeric() || before == '_')
    })
}

/// The line on which the inline test module begins.
fn inline_tests(code: &str) -> Option<usize> {
    let lines: Vec<&str> = code.lines().collect();
    let begins = |pair: &[&str]| {
        pair[0].trim() == "#[cfg(test)]" && pair[1].starts_with("mod ") && pair[1].ends_with('{')
    };
    lines.windows(2).position(begins).map(|at| at + 1)
}

/// The text without comments, and with strings and characters emptied; its lines stay where they are.
fn blanked(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let taken = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |at| at + 2)
        } else if let Some(taken) = raw_string(rest, &out) {
            out.push_str("\"\"");
            taken
        } else if next == '"' {
            out.push_str("\"\"");
            quoted(rest)
        } else if next == '\'' && is_character(rest) {
            out.push_str("' '");
            quoted(rest)
        } else {
            out.push(next);
            rest = &rest[next.len_utf8()..];
            continue;
        };
        out.extend(rest[..taken].chars().filter(|c| *c == '\n'));
        rest = &rest[taken..];
    }
    out
}

/// Bytes of the string or character that begins here, its quotes included.
fn quoted(text: &str) -> usize {
    let quote = text.as_bytes()[0];
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            byte if byte == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// A character, and not a lifetime.
fn is_character(text: &str) -> bool {
    let mut chars = text.chars().skip(1);
    match chars.next() {
        Some('\\') => true,
        Some(_) => chars.next() == Some('\''),
        None => false,
    }
}

/// Bytes of the raw string that begins here.
fn raw_string(text: &str, before: &str) -> Option<usize> {
    if before.ends_with(|c: char| c.is_alphanumeric() || c == '_') && !before.ends_with('b') {
        return None;
    }
    let hashes = text.strip_prefix('r')?.bytes().take_while(|byte| *byte == b'#').count();
    let open = format!("r{}\"", "#".repeat(hashes));
    let inside = text.strip_prefix(&open)?;
    let close = format!("\"{}", "#".repeat(hashes));
    let end = inside.find(&close).map_or(inside.len(), |at| at + close.len());
    Some(open.len() + end)
}
