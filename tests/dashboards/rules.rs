//! Rules, their tests, and a runbook for each alert.

use std::collections::BTreeSet;
use std::process::Command;

use super::promql::unknown;
use super::{hold, promtool, read};

const ALERTS: &str = "dashboards/rules/alerts.yml";
const RECORDING: &str = "dashboards/rules/recording.yml";
const TESTS: &str = "dashboards/rules/tests/alerts_test.yml";

/// One rule, as our files write them: a key a line, `expr` on its own line or folded below `>-`.
#[derive(Debug, Clone, Default)]
struct Rule {
    name: String,
    fields: Vec<(String, String)>,
}

impl Rule {
    fn field(&self, key: &str) -> &str {
        let found = self.fields.iter().find(|(known, _)| known == key);
        found.map_or("", |(_, value)| value.trim().trim_matches('"'))
    }
}

/// Rules that begin with `- {kind}: NAME`.
fn rules(text: &str, kind: &str) -> Vec<Rule> {
    let begin = format!("- {kind}: ");
    let mut rules: Vec<Rule> = Vec::new();
    for line in text.lines().filter(|line| !line.trim_start().starts_with('#')) {
        if let Some(name) = line.trim().strip_prefix(&begin) {
            rules.push(Rule { name: name.trim().to_owned(), fields: Vec::new() });
        } else if let Some(rule) = rules.last_mut() {
            let key = line.trim().split_once(':').filter(|(key, value)| {
                key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
                    && (value.is_empty() || value.starts_with(' '))
            });
            match (key, rule.fields.last_mut()) {
                (Some((key, value)), _) => {
                    let value = value.trim().trim_start_matches(">-");
                    rule.fields.push((key.to_owned(), value.to_owned()));
                }
                (None, Some((_, value))) => *value = format!("{value} {}", line.trim()),
                (None, None) => {}
            }
        }
    }
    rules
}

fn recorded() -> Vec<String> {
    rules(&read(RECORDING), "record").into_iter().map(|rule| rule.name).collect()
}

#[test]
fn rules_read_metrics_that_are_there() {
    let (recording, alerts) = (rules(&read(RECORDING), "record"), rules(&read(ALERTS), "alert"));
    assert!(recording.len() >= 10 && alerts.len() >= 16, "the files are read");
    let recorded = recorded();
    let mut findings = Vec::new();
    for rule in recording.iter().chain(&alerts) {
        let expression = rule.field("expr");
        assert!(!expression.is_empty(), "{} has no expression", rule.name);
        let of = |finding| format!("{}: {finding}", rule.name);
        findings.extend(unknown(expression, &recorded).into_iter().map(of));
    }
    hold(&findings);
}

#[test]
fn recorded_names_say_level_metric_and_operation() {
    for name in recorded() {
        let parts: Vec<&str> = name.split(':').collect();
        let plain = |part: &&str| part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        assert!(parts.len() == 3 && parts.iter().all(plain), "{name}");
        assert!(parts[1].starts_with("forebay_") && parts[0].starts_with("job"), "{name}");
    }
}

#[test]
fn every_alert_says_what_it_is_and_has_its_runbook() {
    let alerts = rules(&read(ALERTS), "alert");
    let mut findings = Vec::new();
    for alert in &alerts {
        findings.extend(form(alert));
    }
    let runbooks = read("docs/runbooks.md");
    findings.extend(runbook_findings(&alerts, &runbooks));
    hold(&findings);
}

fn form(alert: &Rule) -> Vec<String> {
    let name = &alert.name;
    let mut findings = Vec::new();
    let camel = name.strip_prefix("Forebay").is_some_and(|rest| {
        rest.starts_with(|c: char| c.is_ascii_uppercase()) && !rest.contains(['_', '-'])
    });
    if !camel {
        findings.push(format!("{name}: alerts are called ForebaySomething"));
    }
    if !["page", "ticket"].contains(&alert.field("severity")) {
        findings.push(format!("{name}: severity is page or ticket"));
    }
    for field in ["summary", "description"] {
        if alert.field(field).is_empty() {
            findings.push(format!("{name} has no {field}"));
        }
    }
    let runbook = format!("docs/runbooks.md#{}", name.to_lowercase());
    if alert.field("runbook_url") != runbook {
        findings.push(format!("{name}: its runbook is {runbook}"));
    }
    findings
}

fn runbook_findings(alerts: &[Rule], runbooks: &str) -> Vec<String> {
    let mut findings = Vec::new();
    let sections: Vec<(&str, &str)> =
        runbooks.split("\n## ").skip(1).filter_map(|section| section.split_once('\n')).collect();
    let headings: Vec<&str> = sections.iter().map(|(heading, _)| heading.trim()).collect();
    let names: Vec<&str> = alerts.iter().map(|alert| alert.name.as_str()).collect();
    if headings != names {
        findings
            .push(format!("runbooks {headings:?} are not the alerts {names:?}, in their order"));
    }
    for (heading, body) in sections {
        for part in ["**Means**", "**Look at**", "**Do**"] {
            if !body.contains(part) {
                findings.push(format!("the runbook of {heading} has no {part}"));
            }
        }
    }
    findings
}

#[test]
fn commands_of_the_runbooks_are_there() {
    let runbooks = read("docs/runbooks.md").replace('\n', " ");
    let quoted = runbooks.split('`').skip(1).step_by(2);
    let commands = quoted.filter_map(|quoted| quoted.strip_prefix("forebay "));
    let words = |command: &str| -> Vec<String> {
        let plain = |word: &&str| word.bytes().all(|byte| byte.is_ascii_lowercase());
        command.split_whitespace().take(2).take_while(plain).map(str::to_owned).collect()
    };
    let commands: BTreeSet<Vec<String>> = commands.map(words).collect();
    assert!(commands.len() >= 10, "{commands:?}");
    for command in commands {
        let told =
            Command::new(env!("CARGO_BIN_EXE_forebay")).args(&command).arg("--help").output();
        let told = told.expect("the binary runs");
        assert!(told.status.success(), "there is no `forebay {}`", command.join(" "));
    }
}

#[test]
fn every_alert_is_tested_firing_and_silent() {
    let alerts = rules(&read(ALERTS), "alert");
    hold(&untested(&alerts, &read(TESTS)));
}

fn untested(alerts: &[Rule], tests: &str) -> Vec<String> {
    let cases: Vec<&str> = tests.split("\n        alertname: ").skip(1).collect();
    let mut findings = Vec::new();
    for Rule { name, .. } in alerts {
        let mine = |case: &&&str| case.lines().next() == Some(name.as_str());
        let silent = |case: &&&str| case.contains("exp_alerts: []");
        let fires = |case: &&&str| case.contains("exp_labels:");
        for (what, count) in [
            ("fires", cases.iter().filter(mine).filter(fires).count()),
            ("stays silent", cases.iter().filter(mine).filter(silent).count()),
        ] {
            if count == 0 {
                findings.push(format!("{name}: no test in which it {what}"));
            }
        }
    }
    findings
}

#[test]
fn promtool_finds_the_rules_right_and_their_tests_pass() {
    for arguments in [
        &["check", "rules", "rules/recording.yml", "rules/alerts.yml"][..],
        &["check", "config", "prometheus.yml"],
        &["test", "rules", "rules/tests/alerts_test.yml"],
    ] {
        let said = promtool(arguments, "").unwrap_or_else(|said| panic!("{arguments:?}\n{said}"));
        assert!(said.contains("SUCCESS"), "{arguments:?} checked nothing:\n{said}");
    }
}

pub(crate) fn alert(text: &str) -> Vec<String> {
    rules(text, "alert").iter().flat_map(form).collect()
}

pub(crate) fn without_test(alerts: &str, tests: &str) -> Vec<String> {
    untested(&rules(alerts, "alert"), tests)
}

pub(crate) fn without_runbook(alerts: &str, runbooks: &str) -> Vec<String> {
    runbook_findings(&rules(alerts, "alert"), runbooks)
}
