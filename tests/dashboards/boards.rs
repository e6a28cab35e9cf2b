//! Boards by the rules of dashboard-linter, and by ours: what a panel says, its unit, the place that it takes.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::{Value, json};

use super::promql::{metric_of, selectors, unknown};
use super::{hold, promtool, read};

const BOARDS: [(&str, &str); 2] =
    [("forebay-overview", "Forebay / Overview"), ("forebay-sale", "Forebay / Sale")];

/// Names of Grafana's list that are used here.
const UNITS: [&str; 7] = ["reqps", "ops", "s", "bytes", "percentunit", "short", "none"];

fn board(uid: &str) -> Value {
    serde_json::from_str(&read(&format!("dashboards/{uid}.json"))).expect("a board is JSON")
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Panels that show something; rows are headings.
pub(crate) fn panels(board: &Value) -> impl Iterator<Item = &Value> {
    list(&board["panels"]).iter().filter(|panel| panel["type"] != "row")
}

#[test]
fn boards_are_built_by_the_rules() {
    for (uid, title) in BOARDS {
        let board = board(uid);
        assert_eq!((text(&board["uid"]), text(&board["title"])), (uid, title));
        let findings: Vec<String> =
            findings(&board).into_iter().map(|finding| format!("{uid}: {finding}")).collect();
        hold(&findings);
    }
}

/// Everything that is wrong with a board.
pub(crate) fn findings(board: &Value) -> Vec<String> {
    let mut findings = outline(board);
    findings.extend(variables(board));
    let mut ids = BTreeSet::new();
    for panel in list(&board["panels"]) {
        if !ids.insert(panel["id"].as_u64()) {
            findings.push(format!("panel id {} is there twice", panel["id"]));
        }
    }
    findings.extend(places(board));
    for panel in panels(board) {
        let of = |finding: String| format!("panel {}: {finding}", panel["title"]);
        findings.extend(self::panel(panel).into_iter().map(of));
    }
    findings
}

fn outline(board: &Value) -> Vec<String> {
    let mut findings = Vec::new();
    let mut want = |holds: bool, what: &str| {
        if !holds {
            findings.push(what.to_owned());
        }
    };
    want(board["schemaVersion"] == 39, "schemaVersion is 39");
    want(board["editable"] == false, "a board is changed here, not in Grafana: editable is false");
    want(board.get("id").is_none(), "an id is one Grafana's own: leave it out");
    want(!board.to_string().contains("pluginVersion"), "pluginVersion is one Grafana's own");
    want(list(&board["tags"]).contains(&json!("forebay")), "the tag is forebay");
    let link = &board["links"][0];
    let by_tag = link["type"] == "dashboards" && list(&link["tags"]).contains(&json!("forebay"));
    want(by_tag, "boards are linked by their tag");
    let notes = list(&board["annotations"]["list"]);
    want(!notes.is_empty(), "taken over settings are noted");
    want(notes.iter().all(|note| note["datasource"]["uid"] == "$datasource"), "notes: datasource");
    findings
}

fn variables(board: &Value) -> Vec<String> {
    let mut findings = Vec::new();
    let all = list(&board["templating"]["list"]);
    let mut want = |name: &str, holds: &dyn Fn(&Value) -> bool| match all
        .iter()
        .find(|variable| variable["name"] == name)
    {
        None => findings.push(format!("there is no variable {name}")),
        Some(variable) if !holds(variable) => {
            findings.push(format!("the variable {name} is not as the linter wants it"));
        }
        Some(_) => {}
    };
    want("datasource", &|variable| {
        variable["label"] == "Data source"
            && variable["type"] == "datasource"
            && variable["query"] == "prometheus"
    });
    for (name, label) in [("job", "Job"), ("instance", "Instance")] {
        want(name, &|variable| {
            variable["label"] == label
                && variable["type"] == "query"
                && variable["datasource"]["uid"] == "$datasource"
                && variable["multi"] == true
                && variable["allValue"] == ".+"
                && variable["refresh"] == 2
        });
    }
    for variable in all.iter().filter(|variable| variable["type"] == "query") {
        // label_values(SELECTOR, LABEL) is Grafana's, not PromQL.
        let query = text(&variable["query"]["query"]);
        let selector = query.strip_prefix("label_values(").and_then(|rest| rest.rsplit_once(','));
        let read = selector.map(|(selector, _)| selectors(selector)).unwrap_or_default();
        if read.len() != 1 || metric_of(&read[0].name).is_none() {
            findings.push(format!("the variable {} reads no metric: {query}", variable["name"]));
        }
    }
    findings
}

/// Panels lie within the width and on nobody else.
fn places(board: &Value) -> Vec<String> {
    let mut findings = Vec::new();
    let mut taken = BTreeSet::new();
    for panel in list(&board["panels"]) {
        let [x, y, w, h] = ["x", "y", "w", "h"].map(|side| panel["gridPos"][side].as_u64());
        let (Some(x), Some(y), Some(w), Some(h)) = (x, y, w, h) else {
            findings.push(format!("{} has no place", panel["title"]));
            continue;
        };
        let cells = (y..y + h).flat_map(|row| (x..x + w).map(move |column| (row, column)));
        let before = taken.len();
        taken.extend(cells);
        let free = (taken.len() - before) as u64 == w * h;
        if !free || x + w > 24 {
            findings.push(format!("{} lies on another panel or outside", panel["title"]));
        }
    }
    findings
}

fn panel(panel: &Value) -> Vec<String> {
    let mut findings = Vec::new();
    let (title, description) = (text(&panel["title"]), text(&panel["description"]));
    if title.is_empty() || !description.contains("Normal:") {
        findings.push("a title, and a description that says what is normal".to_owned());
    }
    let unit = text(&panel["fieldConfig"]["defaults"]["unit"]);
    if !UNITS.contains(&unit) {
        findings.push(format!("`{unit}` is no unit: {UNITS:?}"));
    }
    if !["stat", "timeseries", "table", "heatmap"].contains(&text(&panel["type"])) {
        findings.push(format!("the type {} is not used here", panel["type"]));
    }
    if panel["datasource"]["uid"] != "$datasource" {
        findings.push("its data source is $datasource".to_owned());
    }
    let targets = list(&panel["targets"]);
    if targets.is_empty() {
        findings.push("it asks nothing".to_owned());
    }
    for target in targets {
        if target["datasource"]["uid"] != "$datasource" {
            findings.push("its data source is $datasource".to_owned());
        }
        findings.extend(expression(text(&target["expr"]), unit));
    }
    findings
}

fn expression(expression: &str, unit: &str) -> Vec<String> {
    let mut findings = unknown(expression, &[]);
    for selector in selectors(expression) {
        let name = &selector.name;
        for matcher in ["job=~\"$job\"", "instance=~\"$instance\""] {
            if !selector.matchers.contains(matcher) {
                findings.push(format!("{name} without {matcher}"));
            }
        }
        let rate = ["rate", "irate"].contains(&selector.function.as_str());
        if rate && selector.range != "$__rate_interval" {
            findings.push(format!("rate of {name} over [{}]: $__rate_interval", selector.range));
        }
        findings.extend(unit_of(expression, &selector.name, &selector.function, unit));
    }
    findings
}

/// Seconds are shown as seconds, bytes as bytes, rates as rates; what is divided is nobody's any more.
fn unit_of(expression: &str, name: &str, function: &str, unit: &str) -> Option<String> {
    let metric = metric_of(name)?;
    let divided = expression.contains(" / ");
    let fits = if expression.starts_with("histogram_quantile(") {
        metric.unit() != "seconds" || unit == "s"
    } else if divided {
        !["reqps", "ops", "bytes"].contains(&unit)
    } else {
        match (function, metric.unit()) {
            ("rate" | "irate", "seconds") if name == metric.name => unit == "percentunit",
            ("rate" | "irate", _) => ["reqps", "ops", "short"].contains(&unit),
            ("increase", _) => unit == "short",
            (_, "seconds") => unit == "s",
            (_, "bytes") => unit == "bytes",
            // The drain's limit is a rate already.
            _ => ["short", "none", "ops"].contains(&unit),
        }
    };
    (!fits).then(|| format!("`{unit}` is not the unit of {expression}"))
}

#[test]
fn every_expression_is_promql() {
    let boards: Vec<Value> = BOARDS.iter().map(|(uid, _)| board(uid)).collect();
    let notes = |board: &'_ Value| list(&board["annotations"]["list"]).to_vec();
    let targets = |board: &'_ Value| {
        panels(board).flat_map(|panel| list(&panel["targets"]).to_vec()).collect::<Vec<_>>()
    };
    let all: Vec<Value> =
        boards.iter().flat_map(|board| [targets(board), notes(board)].concat()).collect();
    assert!(all.len() > 50, "{} expressions", all.len());
    let expressions: Vec<&str> = all.iter().map(|target| text(&target["expr"])).collect();
    parses(&expressions).unwrap_or_else(|said| panic!("{said}"));
}

/// Reads each expression as the body of a recording rule.
pub(crate) fn parses(expressions: &[&str]) -> Result<String, String> {
    let mut rules = "groups:\n  - name: panels\n    rules:\n".to_owned();
    for (n, expression) in expressions.iter().enumerate() {
        let filled = expression
            .replace("$__rate_interval", "1m")
            .replace("$__range", "30m")
            .replace(['$'], "");
        writeln!(rules, "      - record: panel:{n}\n        expr: >-\n          {filled}").unwrap();
    }
    let place = tempfile::tempdir().expect("a directory");
    let file = place.path().join("panels.yml");
    std::fs::write(&file, rules).expect("it is written");
    promtool(&["check", "rules", file.to_str().expect("a path in UTF-8")], "")
}
