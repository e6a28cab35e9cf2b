//! The shape of the code is a test: a rule that nobody checks is a rule that nobody keeps. Each ban names what to
//! do instead, and each rule is shown to bite by a seeded violation.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Which module may import which: DESIGN section 2, with the leaves `units` and `metrics`. Whoever adds a row keeps
/// the order: a row names only rows above it.
const LAYERS: &[(&str, &[&str])] = &[
    ("clock", &[]),
    ("units", &[]),
    ("sale", &["clock"]),
    ("order", &["clock", "sale"]),
    ("metrics", &[]),
    ("tasks", &["metrics"]),
    ("identity", &["clock", "order", "metrics", "tasks"]),
    ("admission", &["clock", "sale", "order"]),
    ("ledger", &["clock", "sale", "order", "metrics", "tasks", "units"]),
    ("watch", &["clock", "sale", "order", "metrics", "tasks", "admission", "ledger"]),
    ("store", &["clock", "sale", "order", "metrics", "tasks", "units"]),
    ("drain", &["clock", "sale", "order", "metrics", "tasks", "ledger", "store", "units"]),
    ("verify", &["clock", "sale", "order", "metrics", "tasks", "ledger", "store"]),
    (
        "http",
        &[
            "clock",
            "sale",
            "order",
            "metrics",
            "tasks",
            "identity",
            "admission",
            "ledger",
            "watch",
            "units",
        ],
    ),
    (
        "config",
        &[
            "clock", "units", "sale", "order", "identity", "ledger", "store", "drain", "http",
            "tasks", "metrics", "watch",
        ],
    ),
    (
        "app",
        &[
            "clock",
            "units",
            "sale",
            "order",
            "metrics",
            "tasks",
            "identity",
            "admission",
            "ledger",
            "watch",
            "store",
            "drain",
            "verify",
            "http",
            "config",
        ],
    ),
    (
        "cli",
        &[
            "clock", "units", "sale", "order", "metrics", "tasks", "ledger", "store", "verify",
            "config", "app",
        ],
    ),
];

/// A call that is banned, where it is allowed, and what to use instead.
struct Ban {
    pattern: &'static str,
    allowed: &'static [&'static str],
    instead: &'static str,
}

const BANS: &[Ban] = &[
    Ban {
        pattern: "println!(",
        allowed: &["src/cli/output.rs", "loadtest/src/output.rs"],
        instead: "the output module",
    },
    Ban {
        pattern: "eprintln!(",
        allowed: &["src/cli/output.rs", "loadtest/src/output.rs"],
        instead: "the output module, or tracing",
    },
    Ban {
        pattern: "Instant::now(",
        allowed: &["src/clock.rs", "loadtest/src/clock.rs"],
        instead: "a Clock by parameter",
    },
    Ban {
        pattern: "SystemTime::now(",
        allowed: &["src/clock.rs", "loadtest/src/clock.rs"],
        instead: "a Clock by parameter",
    },
    Ban { pattern: "thread::sleep(", allowed: &[], instead: "an event, a channel or a clock" },
    Ban { pattern: "process::exit(", allowed: &[], instead: "return an exit code to main" },
    Ban {
        pattern: "unsafe {",
        allowed: &[],
        instead: "safe code: the gain would have to be measured beside it",
    },
    Ban {
        pattern: "use crate::{",
        allowed: &[],
        instead: "one path a line, so that this test can read it",
    },
];

const NAMES: &[&str] = &["util", "utils", "common", "helpers", "manager", "types", "misc"];
const LINES_MAX: usize = 500;
const FILE_MAX: u64 = 512 << 10;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn files_below(folder: &Path, out: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        let hidden = path.file_name().is_some_and(|name| name == "target" || name == ".git");
        if path.is_dir() && !hidden {
            files_below(&path, out);
        } else if path.is_file() {
            out.push(path);
        }
    }
}

fn sources() -> Vec<(String, String)> {
    let mut files = Vec::new();
    for folder in ["src", "loadtest", "tests"] {
        files_below(&root().join(folder), &mut files);
    }
    let relative = |path: &PathBuf| {
        path.strip_prefix(root()).expect("below the root").to_string_lossy().into_owned()
    };
    let rust = files.iter().filter(|path| path.extension().is_some_and(|end| end == "rs"));
    rust.map(|path| (relative(path), fs::read_to_string(path).expect("text"))).collect()
}

/// Code without comments and without what stands in strings is not needed: a path in a comment is harmless, because
/// only `use` lines and `crate::` paths count.
fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with("//")
}

fn module_of(file: &str) -> Option<&str> {
    let below = file.strip_prefix("src/")?;
    let first = below.split('/').next()?;
    let name = first.strip_suffix(".rs").unwrap_or(first);
    (!matches!(name, "lib" | "main")).then_some(name)
}

/// Test code may reach across: it drives whole parts together.
fn is_test(file: &str) -> bool {
    file.contains("/tests/") || file.ends_with("/tests.rs") || file.contains("/suite")
}

fn imports(text: &str) -> BTreeSet<&str> {
    let mut found = BTreeSet::new();
    let production = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or(text);
    for line in production.lines().filter(|line| !is_comment(line)) {
        for after in line.split("crate::").skip(1) {
            let end = after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            found.insert(&after[..end.unwrap_or(after.len())]);
        }
    }
    found
}

fn layer_findings(sources: &[(String, String)]) -> Vec<String> {
    let layers: BTreeMap<&str, &[&str]> = LAYERS.iter().copied().collect();
    let mut findings = Vec::new();
    for (file, text) in sources {
        let Some(module) = module_of(file).filter(|_| !is_test(file)) else { continue };
        let Some(allowed) = layers.get(module) else {
            findings.push(format!("{file}: module {module} has no row in the layer table"));
            continue;
        };
        for import in imports(text) {
            if import != module && layers.contains_key(import) && !allowed.contains(&import) {
                findings.push(format!("{file}: {module} may not import {import}"));
            }
        }
    }
    findings
}

fn ban_findings(sources: &[(String, String)]) -> Vec<String> {
    let mut findings = Vec::new();
    for (file, text) in sources.iter().filter(|(file, _)| file != "tests/tidy.rs") {
        let applies = |ban: &&Ban| {
            let imports = ban.pattern.starts_with("use ");
            !ban.allowed.contains(&file.as_str()) && (!imports || file.starts_with("src/"))
        };
        for ban in BANS.iter().filter(applies) {
            for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !is_comment(line)) {
                // Time that tokio's paused clock gives is a test's own.
                let paused = line.contains("tokio::time::Instant::now(");
                if line.contains(ban.pattern) && !paused {
                    findings
                        .push(format!("{file}:{number}: `{}`: use {}", ban.pattern, ban.instead));
                }
            }
        }
    }
    findings
}

fn size_findings(sources: &[(String, String)]) -> Vec<String> {
    let long = sources.iter().filter(|(_, text)| text.lines().count() > LINES_MAX);
    let long =
        long.map(|(file, _)| format!("{file}: more than {LINES_MAX} lines: split it by job"));
    let named = sources.iter().filter(|(file, _)| {
        let stem = Path::new(file).file_stem().and_then(|stem| stem.to_str()).unwrap_or("");
        NAMES.contains(&stem)
    });
    long.chain(named.map(|(file, _)| format!("{file}: name it for what it does"))).collect()
}

fn leftover_findings(sources: &[(String, String)]) -> Vec<String> {
    let words = [["FIX", "ME"].concat(), ["TO", "DO"].concat(), ["XX", "X"].concat()];
    let mut findings = Vec::new();
    for (file, text) in sources {
        for (number, line) in (1..).zip(text.lines()) {
            if words.iter().any(|word| line.contains(word.as_str())) {
                findings.push(format!("{file}:{number}: do it, or open an issue"));
            }
        }
    }
    findings
}

#[test]
fn modules_import_only_what_their_layer_allows() {
    assert_eq!(layer_findings(&sources()), Vec::<String>::new());
}

#[test]
fn the_layer_table_has_no_cycle() {
    for (at, (module, allowed)) in LAYERS.iter().enumerate() {
        for import in *allowed {
            let above = LAYERS[..at].iter().any(|(name, _)| name == import);
            assert!(above, "{module} names {import}, which is not above it");
        }
    }
}

#[test]
fn banned_calls_are_not_made() {
    assert_eq!(ban_findings(&sources()), Vec::<String>::new());
}

#[test]
fn files_are_small_and_named_for_their_job() {
    assert_eq!(size_findings(&sources()), Vec::<String>::new());
}

#[test]
fn nothing_is_left_for_later_in_the_code() {
    assert_eq!(leftover_findings(&sources()), Vec::<String>::new());
}

#[test]
fn seeded_violations_are_caught() {
    let file = |name: &str, text: &str| (name.to_owned(), text.to_owned());
    let of = |name: &str, text: &str| vec![file(name, text)];
    assert_eq!(layer_findings(&of("src/store/x.rs", "use crate::ledger::Ledger;")).len(), 1);
    assert_eq!(layer_findings(&of("src/http/x.rs", "fn f(d: crate::drain::Drain) {}")).len(), 1);
    assert_eq!(layer_findings(&of("src/novel.rs", "")).len(), 1);
    assert!(layer_findings(&of("src/store/x.rs", "// see crate::ledger::Ledger")).is_empty());
    assert_eq!(ban_findings(&of("src/drain/x.rs", "    std::thread::sleep(d);")).len(), 1);
    assert_eq!(ban_findings(&of("src/drain/x.rs", "println!(\"x\")")).len(), 1);
    assert!(ban_findings(&of("src/cli/output.rs", "println!(\"x\")")).is_empty());
    assert_eq!(size_findings(&of("src/a.rs", &"x\n".repeat(LINES_MAX + 1))).len(), 1);
    assert_eq!(size_findings(&of("src/http/helpers.rs", "")).len(), 1);
    let later = ["// FIX", "ME: later"].concat();
    assert_eq!(leftover_findings(&of("src/a.rs", &later)).len(), 1);
}

#[test]
fn every_metric_bears_the_prefix_and_its_unit() {
    for metric in forebay::metrics::ALL {
        assert!(metric.name.starts_with("forebay_"), "{}", metric.name);
        let counter = metric.kind == forebay::metrics::Kind::Counter;
        assert_eq!(metric.name.ends_with("_total"), counter, "{}", metric.name);
        assert!(metric.help.ends_with('.'), "{}: help is a sentence", metric.name);
    }
}

#[test]
fn proofs_can_be_run_and_nothing_large_is_kept() {
    use std::os::unix::fs::PermissionsExt;
    let mut files = Vec::new();
    files_below(&root(), &mut files);
    for path in files {
        let about = fs::metadata(&path).expect("a file");
        let data = path.starts_with(root().join("data"));
        let proof = path.starts_with(root().join("loadtest/prove"));
        assert!(data || about.len() <= FILE_MAX, "{}: too large for the tree", path.display());
        assert!(
            !proof || about.permissions().mode() & 0o111 != 0,
            "{}: not executable",
            path.display()
        );
    }
}
