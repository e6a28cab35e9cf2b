//! Who may import whom.

use super::text::Source;
use super::{hold, of_each, root, sources};

/// Modules in the order in which they stand on each other, and what each may import. A row names only rows
/// above it, so there is no cycle. `clock`, `units` and `setting` import
/// nothing and may be imported by all. A new row is
/// welcome in the commit that needs it; the order is not bent to make this test pass.
const LAYERS: &[(&str, &[&str])] = &[
    ("clock", &[]),
    ("units", &[]),
    ("setting", &[]),
    ("sale", &[]),
    ("order", &["sale"]),
    ("metrics", &[]),
    ("tasks", &["metrics"]),
    ("identity", &["sale", "order", "metrics", "tasks"]),
    ("admission", &["sale", "order"]),
    ("ledger", &["sale", "order", "metrics", "tasks"]),
    ("watch", &["sale", "order", "metrics", "tasks", "admission", "ledger"]),
    ("store", &["sale", "order", "metrics", "tasks"]),
    ("drain", &["sale", "order", "metrics", "tasks", "ledger", "store"]),
    ("events", &["sale", "order", "metrics", "tasks", "ledger"]),
    ("verify", &["sale", "order", "metrics", "tasks", "ledger", "store"]),
    ("shop", &["order", "metrics", "tasks", "identity"]),
    ("http", &ALL_BUT_HTTP_S),
    ("config", &COMPONENTS),
    (
        "app",
        &[
            "config",
            "http",
            "shop",
            "verify",
            "events",
            "drain",
            "store",
            "watch",
            "ledger",
            "admission",
            "identity",
            "tasks",
            "metrics",
            "order",
            "sale",
        ],
    ),
    (
        "tools",
        &[
            "app",
            "config",
            "shop",
            "verify",
            "events",
            "drain",
            "store",
            "watch",
            "ledger",
            "admission",
            "identity",
            "tasks",
            "metrics",
            "order",
            "sale",
        ],
    ),
    ("cli", &["app", "config", "tools", "sale"]),
    ("main", &["cli"]),
];

/// `http` sees everything below it but drain, store, verify and shop: those it meets only through the trait
/// that it defines.
const ALL_BUT_HTTP_S: [&str; 9] =
    ["sale", "order", "metrics", "tasks", "identity", "admission", "ledger", "watch", "events"];

/// `config` reads each component's own `Config`.
const COMPONENTS: [&str; 13] = [
    "sale",
    "order",
    "metrics",
    "identity",
    "admission",
    "ledger",
    "watch",
    "store",
    "drain",
    "events",
    "verify",
    "shop",
    "http",
];

/// May be imported by all.
const LEAVES: [&str; 3] = ["clock", "units", "setting"];

/// Deciding cores: no I/O, no runtime; time and randomness come in by parameter.
const PURE: [&str; 7] = [
    "src/sale",
    "src/order",
    "src/units",
    "src/admission",
    "src/ledger/book",
    "src/store/simulated/server",
    "src/clock",
];
const IMPURE: [&str; 5] = ["tokio::", "std::fs", "std::net", "std::thread", "getrandom"];

#[test]
fn imports_go_one_way() {
    hold(&order_of(LAYERS));
    hold(&of_each(&sources(), imports));
}

/// A row of the table names only rows above it.
pub(crate) fn order_of(layers: &[(&str, &[&str])]) -> Vec<String> {
    let mut findings = Vec::new();
    for (at, (module, may)) in layers.iter().enumerate() {
        for other in *may {
            if !layers[..at].iter().any(|(above, _)| above == other) {
                findings.push(format!("`{module}` names `{other}`, which does not stand above it"));
            }
        }
    }
    findings
}

pub(crate) fn imports(source: &Source) -> Vec<String> {
    let Some(module) = source.module() else { return outside(source) };
    if module == "lib" {
        return Vec::new();
    }
    let Some((_, may)) = LAYERS.iter().find(|(name, _)| *name == module) else {
        return vec![format!(
            "{}: `{module}` has no row in the layer table of tests/tidy.rs",
            source.path
        )];
    };
    let mut findings = Vec::new();
    for (line, other) in source.imported() {
        let at = format!("{}:{line}", source.path);
        match other.as_str() {
            "{" => findings.push(format!("{at}: one path a line, no group at the crate's root")),
            other if other == module || LEAVES.contains(&other) || may.contains(&other) => {}
            other if LAYERS.iter().any(|(name, _)| *name == other) => findings.push(format!(
                "{at}: `{module}` may not import `{other}`: move the word down, or let `app` join the two"
            )),
            other => findings.push(format!("{at}: `{other}` has no row in the layer table")),
        }
    }
    for (line, text) in source.code_lines() {
        if module != "tools" && !source.is_test(line) && text.contains("forebay_loadtest") {
            findings.push(format!(
                "{}:{line}: only `tools` and tests may use the load test",
                source.path
            ));
        }
        let pure = PURE.iter().any(|pure| source.path.starts_with(pure)) && !source.is_test(line);
        if let Some(impure) = IMPURE.iter().find(|impure| pure && text.contains(**impure)) {
            findings.push(format!(
                "{}:{line}: `{impure}` in a deciding core: let it come in by parameter",
                source.path
            ));
        }
    }
    findings
}

/// The load test speaks HTTP only: what it judges, it does not use.
fn outside(source: &Source) -> Vec<String> {
    let uses = |(_, text): &(usize, &str)| {
        source.path.starts_with("loadtest/") && text.contains("forebay::")
    };
    let lines = source.code_lines().filter(uses);
    let said = lines.map(|(line, _)| {
        format!(
            "{}:{line}: the load test imports nothing of the gateway: ask over HTTP",
            source.path
        )
    });
    said.collect()
}

#[test]
fn every_module_has_a_row() {
    let root = root();
    let lib = std::fs::read_to_string(root.join("src/lib.rs")).expect("src/lib.rs can be read");
    for line in lib.lines() {
        let Some(module) = line.strip_prefix("pub mod ").and_then(|rest| rest.strip_suffix(';'))
        else {
            continue;
        };
        assert!(LAYERS.iter().any(|(name, _)| *name == module), "`{module}` has no row");
    }
    let manifest = std::fs::read_to_string(root.join("loadtest/Cargo.toml")).expect("a manifest");
    let depends =
        manifest.lines().any(|line| line.starts_with("forebay ") || line.starts_with("forebay="));
    assert!(!depends, "the load test does not depend on the gateway");
}
