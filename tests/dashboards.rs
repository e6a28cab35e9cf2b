//! Boards, rules and runbooks against their form, and against the metrics that a gateway has.
//!
//! `promtool` (Debian package `prometheus`) reads what is PromQL and what is exposition; the form of boards is held
//! here, by the rules of Grafana's dashboard-linter.

#![cfg(test)]

#[path = "dashboards/boards.rs"]
mod boards;
#[path = "dashboards/live.rs"]
mod live;
#[path = "dashboards/promql.rs"]
mod promql;
#[path = "dashboards/rules.rs"]
mod rules;
#[path = "dashboards/seeds.rs"]
mod seeds;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// A file of the project.
fn read(path: &str) -> String {
    let root = std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo says where the package lies");
    let path = PathBuf::from(root).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn hold(findings: &[String]) {
    assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));
}

/// Runs promtool in `dashboards/` with this input; answers what it said when it complained, or said anything at all
/// about what it was to check.
fn promtool(arguments: &[&str], input: &str) -> Result<String, String> {
    let root = std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo says where the package lies");
    let mut child = Command::new("promtool")
        .args(arguments)
        .current_dir(PathBuf::from(root).join("dashboards"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool is there: Debian package prometheus");
    child.stdin.take().expect("it is piped").write_all(input.as_bytes()).expect("it reads");
    let done = child.wait_with_output().expect("it ends");
    let said = [done.stdout, done.stderr].map(|said| String::from_utf8_lossy(&said).into_owned());
    let said = said.concat();
    if done.status.success() { Ok(said) } else { Err(said) }
}
