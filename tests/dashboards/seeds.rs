//! Each rule bites: a bug is put into what is right, and must be found.

use serde_json::{Value, json};

use super::boards::{findings, parses};
use super::{promql, promtool, read, rules};

fn caught(findings: &[String], word: &str) {
    assert!(findings.iter().any(|finding| finding.contains(word)), "{word} in {findings:?}");
}

/// The overview with a bug in it.
fn with(bug: impl Fn(&mut Value)) -> Vec<String> {
    let mut board = serde_json::from_str(&read("dashboards/forebay-overview.json")).unwrap();
    assert_eq!(findings(&board), [""; 0], "without a bug it is right");
    bug(&mut board);
    findings(&board)
}

/// The first panel with a bug in its expression.
fn asking(expression: &str) -> Vec<String> {
    with(|board| board["panels"][1]["targets"][0]["expr"] = json!(expression))
}

#[test]
fn a_panel_that_asks_wrongly() {
    let of = |name: &str, more: &str| {
        format!(
            "sum(rate({name}{{job=~\"$job\",instance=~\"$instance\"{more}}}[$__rate_interval]))"
        )
    };
    caught(&asking(&of("forebay_gone_total", "")), "no metric forebay_gone_total");
    caught(&asking(&of("forebay_queue_wait_seconds", "")), "no metric forebay_queue_wait_seconds");
    caught(&asking(&of("forebay_admissions_total", ",buyer=\"a\"")), "no label buyer");
    caught(&asking(&of("forebay_queue_depth", "")), "is a gauge");
    caught(
        &asking("sum(forebay_admissions_total{job=~\"$job\",instance=~\"$instance\"})"),
        "only goes up",
    );
    caught(&asking("sum(rate(forebay_admissions_total[$__rate_interval]))"), "without job");
    caught(
        &asking(&of("forebay_admissions_total", "").replace("$__rate_interval", "5m")),
        "over [5m]",
    );
    assert_eq!(asking(&of("forebay_admissions_total", ",outcome=\"sold_out\"")), [""; 0]);
    assert!(parses(&["sum(rate(forebay_admissions_total[1m])"]).is_err(), "a bracket is missing");
}

#[test]
fn a_panel_that_shows_wrongly() {
    let unit = |unit: &str| {
        with(|board| board["panels"][1]["fieldConfig"]["defaults"]["unit"] = json!(unit))
    };
    caught(&unit("ops/s"), "no unit");
    caught(&unit("seconds"), "no unit");
    caught(&unit("bytes"), "not the unit");
    caught(
        &with(|board| board["panels"][2]["fieldConfig"]["defaults"]["unit"] = json!("ops")),
        "unit",
    );
    caught(&with(|board| board["panels"][1]["description"] = json!("")), "what is normal");
    caught(&with(|board| board["panels"][1]["datasource"]["uid"] = json!("abc")), "$datasource");
    caught(&with(|board| board["panels"][1]["gridPos"]["x"] = json!(20)), "lies on another");
    caught(&with(|board| board["panels"][1]["id"] = board["panels"][3]["id"].clone()), "twice");
    caught(&with(|board| board["panels"][1]["targets"] = json!([])), "asks nothing");
}

#[test]
fn a_board_that_is_one_grafana_s_own() {
    caught(&with(|board| board["id"] = json!(7)), "id");
    caught(&with(|board| board["editable"] = json!(true)), "editable");
    caught(&with(|board| board["schemaVersion"] = json!(42)), "39");
    caught(&with(|board| board["panels"][1]["pluginVersion"] = json!("9.1")), "pluginVersion");
    caught(&with(|board| board["templating"]["list"][1]["allValue"] = json!(".*")), "job");
    caught(&with(|board| board["templating"]["list"][0]["label"] = json!("Source")), "datasource");
}

#[test]
fn an_alert_without_something() {
    let alerts = "- alert: ForebayTest\n  expr: up == 0\n  labels:\n    severity: page\n  annotations:\n    \
                  summary: a\n    description: b\n    runbook_url: docs/runbooks.md#forebaytest\n";
    assert_eq!(rules::alert(alerts), [""; 0]);
    caught(&rules::alert(&alerts.replace("page", "high")), "severity");
    caught(&rules::alert(&alerts.replace("summary: a", "")), "summary");
    caught(&rules::alert(&alerts.replace("#forebaytest", "")), "runbook");
    let fires = "\n        alertname: ForebayTest\n        exp_alerts:\n          - exp_labels:\n";
    let silent = "\n        alertname: ForebayTest\n        exp_alerts: []\n";
    assert_eq!(rules::without_test(alerts, &format!("{fires}{silent}")), [""; 0]);
    caught(&rules::without_test(alerts, fires), "stays silent");
    caught(&rules::without_test(alerts, silent), "fires");
    let runbook = "# R\n\n## ForebayTest\n\n**Means** **Look at** **Do**\n";
    assert_eq!(rules::without_runbook(alerts, runbook), [""; 0]);
    caught(&rules::without_runbook(alerts, &runbook.replace("**Do**", "")), "**Do**");
    caught(&rules::without_runbook(alerts, "# R\n"), "ForebayTest");
}

/// Left and right of `and` have other labels, so it can never fire: a test that only expects silence passes.
#[test]
fn an_alert_that_never_fires() {
    let place = tempfile::tempdir().unwrap();
    std::fs::create_dir(place.path().join("tests")).unwrap();
    let alerts = read("dashboards/rules/alerts.yml");
    let broken = alerts.replacen(
        "job:forebay_queue_depth:sum > 0\n          and on (job)",
        "forebay_queue_depth > 0\n          and",
        1,
    );
    assert_ne!(alerts, broken, "the bug is in it");
    for (name, text) in [
        ("alerts.yml", broken),
        ("recording.yml", read("dashboards/rules/recording.yml")),
        ("tests/alerts_test.yml", read("dashboards/rules/tests/alerts_test.yml")),
    ] {
        std::fs::write(place.path().join(name), text).unwrap();
    }
    let tests = place.path().join("tests/alerts_test.yml");
    let said = promtool(&["test", "rules", tests.to_str().unwrap()], "").unwrap_err();
    assert!(said.contains("ForebayDrainStuck, nothing goes out"), "{said}");
}

#[test]
fn an_exposition_that_complains() {
    let text = "# TYPE forebay_test gauge\nforebay_test 1\n";
    assert!(promtool(&["check", "metrics"], text).is_err(), "there is no help");
}

#[test]
fn selectors_are_found_with_their_functions() {
    let expression = "histogram_quantile(0.99, sum by (le, op) (rate(a_bucket{x=~\"b|c,{\",y!=\"d\"}[5m]))) / on (job) max(b) > 5m:c";
    let found = promql::selectors(expression);
    let names: Vec<(&str, &str, &str)> = found
        .iter()
        .map(|one| (one.name.as_str(), one.function.as_str(), one.range.as_str()))
        .collect();
    assert_eq!(names, [("a_bucket", "rate", "5m"), ("b", "max", "")]);
    assert_eq!(found[0].labels(), ["x", "y"]);
}
