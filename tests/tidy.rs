//! The shape of the code, as a test: who may import whom, how long a file is, what is not called, what things
//! are named. Each rule names what to do instead, and `tidy/seeds.rs` shows that each rule bites.
//!
//! Sources are read as text with comments and string contents blanked out. What macros make is not seen.

#[path = "tidy/layers.rs"]
mod layers;
#[path = "tidy/seeds.rs"]
mod seeds;
#[path = "tidy/text.rs"]
mod text;

use std::path::{Path, PathBuf};
use std::process::Command;

use text::Source;

const LINES_MAX: usize = 500;
const BYTES_MAX: u64 = 512 * 1024;
const GRAB_BAGS: [&str; 8] =
    ["util", "utils", "common", "helper", "helpers", "manager", "types", "misc"];

/// A call that is not made, where it may be made after all, and what is called instead.
struct Ban {
    call: &'static str,
    tests_too: bool,
    allowed: &'static [&'static str],
    instead: &'static str,
}

const OUTPUT: &[&str] = &["src/cli/output.rs", "loadtest/src/output.rs"];
const CLOCKS: &[&str] = &["src/clock.rs", "loadtest/src/clock.rs"];
const BANS: &[Ban] = &[
    Ban {
        call: "println!(",
        tests_too: false,
        allowed: OUTPUT,
        instead: "cli::output, or tracing",
    },
    Ban { call: "print!(", tests_too: false, allowed: OUTPUT, instead: "cli::output, or tracing" },
    Ban {
        call: "eprintln!(",
        tests_too: false,
        allowed: OUTPUT,
        instead: "cli::output, or tracing",
    },
    Ban { call: "eprint!(", tests_too: false, allowed: OUTPUT, instead: "cli::output, or tracing" },
    Ban { call: "io::stdout(", tests_too: false, allowed: OUTPUT, instead: "cli::output" },
    Ban { call: "Instant::now(", tests_too: true, allowed: CLOCKS, instead: "crate::clock" },
    Ban { call: "SystemTime::now(", tests_too: true, allowed: CLOCKS, instead: "crate::clock" },
    Ban { call: "thread::sleep(", tests_too: true, allowed: &[], instead: "an event, or a clock" },
    Ban {
        call: "process::exit(",
        tests_too: true,
        // app: the second stop signal ends the process whatever main waits for.
        allowed: &["src/main.rs", "src/app.rs"],
        instead: "return the exit code to main",
    },
    Ban {
        call: ".unwrap()",
        tests_too: false,
        allowed: &[],
        instead: "`?`, or expect(why it cannot fail)",
    },
    Ban { call: "env::set_var(", tests_too: true, allowed: &[], instead: "pass the value" },
];

/// Tests in which the runtime's own clock is real and something outside can only be looked for again.
const MAY_SLEEP: &[&str] = &["loadtest/tests/it/process.rs", "tests/faults/rig.rs"];

fn root() -> PathBuf {
    // Cargo and nextest set it for each run: the tree that is tested, wherever it was built.
    let root = std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo says where the package lies");
    PathBuf::from(root)
}

/// The files that belong to the project, by their paths from the root.
fn files(root: &Path) -> Vec<String> {
    let listed = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output();
    let mut files: Vec<String> = match listed {
        Ok(listed) if listed.status.success() => {
            let text = String::from_utf8_lossy(&listed.stdout).into_owned();
            text.split_terminator('\0').map(str::to_owned).collect()
        }
        // An unpacked archive has no git.
        _ => walk(root, root),
    };
    files.retain(|file| root.join(file).is_file());
    files.sort();
    assert!(files.iter().any(|file| file == "src/lib.rs"), "nothing found in {}", root.display());
    files
}

fn walk(root: &Path, directory: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).expect("the tree can be read").flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        if path.is_dir()
            && ![".git", "target", "data", "node_modules"].iter().any(|skip| name == **skip)
        {
            found.extend(walk(root, &path));
        } else if path.is_file() {
            let inside = path.strip_prefix(root).expect("walked from the root");
            found.push(inside.to_string_lossy().into_owned());
        }
    }
    found
}

fn sources() -> Vec<Source> {
    let root = root();
    let rust = files(&root).into_iter().filter(|file| file.ends_with(".rs"));
    let read = |file: String| {
        let text = std::fs::read_to_string(root.join(&file)).expect("sources are UTF-8");
        Source::new(&file, &text)
    };
    rust.map(read).collect()
}

fn hold(findings: &[String]) {
    assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));
}

fn of_each(sources: &[Source], rule: impl Fn(&Source) -> Vec<String>) -> Vec<String> {
    sources.iter().flat_map(rule).collect()
}

#[test]
fn files_are_short() {
    hold(&of_each(&sources(), |source| length(source).into_iter().collect()));
}

fn length(source: &Source) -> Option<String> {
    let lines = source.lines();
    (lines > LINES_MAX)
        .then(|| format!("{}: {lines} lines, at most {LINES_MAX}: one job a file", source.path))
}

#[test]
fn banned_calls_are_not_made() {
    let sources = sources();
    hold(&of_each(&sources, banned));
    hold(&sleeping(&sources));
}

fn banned(source: &Source) -> Vec<String> {
    let mut findings = Vec::new();
    for (line, text) in source.code_lines() {
        for ban in BANS.iter().filter(|ban| !ban.allowed.contains(&source.path.as_str())) {
            // The runtime's own clock is what a test of paused time goes by.
            let text = text.replace("tokio::time::Instant::now(", "");
            if text::calls(&text, ban.call) && (ban.tests_too || !source.is_test(line)) {
                let Ban { call, instead, .. } = ban;
                findings.push(format!("{}:{line}: `{call}` instead use {instead}", source.path));
            }
        }
    }
    findings
}

/// No test sleeps, but where the runtime's clock is paused and a sleep takes no time.
fn sleeping(sources: &[Source]) -> Vec<String> {
    let paused = |source: &&Source| {
        source
            .code_lines()
            .any(|(_, text)| text.contains("start_paused") || text.contains("time::pause()"))
    };
    let paused: Vec<&str> = sources.iter().filter(paused).map(Source::test_group).collect();
    let mut findings = Vec::new();
    for source in sources {
        if paused.contains(&source.test_group()) || MAY_SLEEP.contains(&source.path.as_str()) {
            continue;
        }
        for (line, text) in source.code_lines() {
            if source.is_test(line) && text::calls(text, "time::sleep(") {
                findings.push(format!(
                    "{}:{line}: a test that sleeps: wait for the event, or pause the clock",
                    source.path
                ));
            }
        }
    }
    findings
}

#[test]
fn names_say_what_is_inside() {
    hold(&files(&root()).iter().filter_map(|file| grab_bag(file)).collect::<Vec<_>>());
}

fn grab_bag(path: &str) -> Option<String> {
    let code =
        path.starts_with("src/") || path.starts_with("loadtest/") || path.starts_with("tests/");
    let stem = |part: &str| part.split('.').next().unwrap_or_default().to_owned();
    let named = path.split('/').map(stem).find(|stem| GRAB_BAGS.contains(&stem.as_str()));
    named.filter(|_| code).map(|name| format!("{path}: `{name}` says nothing: name its one job"))
}

#[test]
fn nothing_is_left_for_later() {
    let root = root();
    let mut findings = Vec::new();
    for file in files(&root) {
        // Binary fixtures hold no notes.
        if let Ok(text) = std::fs::read_to_string(root.join(&file)) {
            findings.extend(left_over(&file, &text));
        }
    }
    hold(&findings);
}

fn left_over(path: &str, text: &str) -> Vec<String> {
    let marks = [concat!("FIX", "ME"), concat!("X", "XX"), concat!("TO", "DO")];
    let word = |line: &str, mark: &str| {
        line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').any(|word| word == mark)
    };
    let mut findings = Vec::new();
    for (line, text) in (1..).zip(text.lines()) {
        if let Some(mark) = marks.iter().find(|mark| word(text, mark)) {
            findings.push(format!("{path}:{line}: {mark}: do it now, or write an issue"));
        }
    }
    findings
}

#[test]
fn metrics_are_named_by_the_rules() {
    let metrics = forebay::metrics::ALL.iter();
    let names: Vec<&str> = metrics.clone().map(|metric| metric.name).collect();
    let mut findings: Vec<String> = metrics.flat_map(metric_name).collect();
    findings.extend(of_each(&sources(), by_name));
    let root = root();
    for file in files(&root).iter().filter(|file| file.starts_with("dashboards/")) {
        let text = std::fs::read_to_string(root.join(file)).expect("dashboards are text");
        findings.extend(unknown_metrics(file, &text, &names));
    }
    hold(&findings);
}

fn metric_name(metric: &forebay::metrics::Metric) -> Vec<String> {
    use forebay::metrics::Kind;
    let name = metric.name;
    let form = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    let unit = match metric.kind {
        Kind::Counter => name.ends_with("_total"),
        Kind::Gauge => !name.ends_with("_total"),
        Kind::Histogram(buckets) => {
            buckets.is_sorted() && (name.ends_with("_seconds") || name.ends_with("_size"))
        }
    };
    let mut findings = Vec::new();
    // What every process tells goes by the names that everybody knows.
    if !(name.starts_with("forebay_") || name.starts_with("process_")) || !form {
        findings.push(format!("{name}: metrics are called `forebay_…` in small letters"));
    }
    if !unit {
        findings.push(format!("{name}: counters end in _total, histograms in their unit"));
    }
    findings
}

/// Metrics are used by the constants of `metrics`, never by a name written again.
fn by_name(source: &Source) -> Vec<String> {
    let named = |line: &&(usize, &str)| {
        ["counter!(\"", "gauge!(\"", "histogram!(\""].iter().any(|call| line.1.contains(call))
    };
    let lines: Vec<(usize, &str)> = source.code_lines().collect();
    let said = lines.iter().filter(named).filter(|(line, _)| !source.is_test(*line));
    said.map(|(line, _)| format!("{}:{line}: use the constant in crate::metrics", source.path))
        .collect()
}

/// What recording rules make has a colon in its name, and is held to its rule by `tests/dashboards.rs`.
fn unknown_metrics(path: &str, text: &str, names: &[&str]) -> Vec<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && !"_:".contains(c));
    let mut findings = Vec::new();
    for word in words.filter(|word| word.starts_with("forebay_")) {
        let parts = ["", "_bucket", "_sum", "_count"];
        let known = |name: &&str| parts.iter().any(|part| word == format!("{name}{part}"));
        if !names.iter().any(known) {
            findings.push(format!("{path}: there is no metric {word}"));
        }
    }
    findings
}

#[test]
fn nothing_large_or_binary_is_kept() {
    let root = root();
    let mut findings = Vec::new();
    for file in files(&root) {
        let bytes = std::fs::read(root.join(&file)).expect("a listed file can be read");
        findings.extend(weight(&file, &bytes));
    }
    hold(&findings);
}

/// Fixtures of formats are binary by nature, but small.
fn weight(path: &str, bytes: &[u8]) -> Option<String> {
    let fixture = path.contains("/fixtures/") || path.starts_with("fuzz/corpus/");
    if bytes.len() as u64 > BYTES_MAX {
        return Some(format!("{path}: {} bytes: make it when it is needed", bytes.len()));
    }
    (bytes.contains(&0) && !fixture).then(|| format!("{path}: binary: keep what it is made from"))
}

#[test]
fn commands_can_be_run() {
    let root = root();
    let is_command = |file: &&String| {
        file.starts_with("loadtest/prove/")
            || ["test", ".ci/run", "loadtest/bench/run"].contains(&file.as_str())
    };
    let files = files(&root);
    let commands: Vec<&String> = files.iter().filter(is_command).collect();
    assert!(commands.len() > 2, "test, .ci/run and the proofs are commands");
    let check = |file: &&String| runnable(&root.join(file));
    hold(&commands.iter().filter_map(check).collect::<Vec<_>>());
}

fn runnable(path: &Path) -> Option<String> {
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(path).map(|data| data.permissions().mode()).unwrap_or_default();
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let fine = mode & 0o111 == 0o111 && text.starts_with("#!");
    (!fine).then(|| format!("{}: not an executable script: chmod +x", path.display()))
}

#[test]
fn links_lead_somewhere() {
    let root = root();
    let mut findings = Vec::new();
    for file in files(&root).iter().filter(|file| file.ends_with(".md")) {
        let text = std::fs::read_to_string(root.join(file)).expect("documents are text");
        findings.extend(dead_links(&root, file, &text));
    }
    hold(&findings);
}

fn dead_links(root: &Path, file: &str, text: &str) -> Vec<String> {
    let here = Path::new(file).parent().unwrap_or(Path::new(""));
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let local = targets.filter(|target| !target.contains("://") && !target.starts_with('#'));
    let path = |target: &str| target.split('#').next().unwrap_or_default().to_owned();
    let dead = local.filter(|target| !root.join(here).join(path(target)).exists());
    dead.map(|target| format!("{file}: the link to {target} leads nowhere")).collect()
}
