//! Each rule sees the violation that it is there for, and lets the neighbouring right form pass.

use std::os::unix::fs::PermissionsExt;

use super::layers::{imports, order_of};
use super::*;

fn source(path: &str, text: &str) -> Source {
    Source::new(path, text)
}

fn caught(findings: &[String], word: &str) {
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert!(findings[0].contains(word), "{findings:?}");
}

#[test]
fn an_import_against_the_order() {
    caught(&imports(&source("src/order/state.rs", "use crate::store::Store;\n")), "state.rs:1");
    caught(&imports(&source("src/http/orders.rs", "\nlet x = crate::drain::go();")), "orders.rs:2");
    caught(&imports(&source("src/store.rs", "use super::ledger::Ledger;")), "`ledger`");
    caught(
        &imports(&source("src/store/http/sign.rs", "use super::super::super::ledger::X;")),
        "`ledger`",
    );
    caught(&imports(&source("src/store.rs", "use crate::{clock, order};")), "one path a line");
    caught(&imports(&source("src/novel.rs", "")), "no row");
    caught(&imports(&source("src/store.rs", "use crate::novel::X;")), "no row");
    let right = "//! [`crate::store::Store`]\nuse crate::sale::Sku;\nuse super::Place;\nlet x = \"crate::http::y\";\n";
    assert_eq!(imports(&source("src/order/state.rs", right)), [""; 0]);
    let inline = "#[cfg(test)]\nmod tests {\n    use super::*;\n}\n";
    assert_eq!(imports(&source("src/store.rs", inline)), [""; 0]);
}

#[test]
fn a_table_with_a_cycle() {
    let cycle: &[(&str, &[&str])] = &[("a", &["b"]), ("b", &["a"])];
    caught(&order_of(cycle), "`a` names `b`");
}

#[test]
fn a_core_that_does_things() {
    caught(&imports(&source("src/ledger/book/claim.rs", "use std::fs::File;")), "by parameter");
    caught(&imports(&source("src/sale.rs", "tokio::spawn(x)")), "by parameter");
    assert_eq!(imports(&source("src/ledger/embedded/disk.rs", "use std::fs::File;")), [""; 0]);
}

#[test]
fn a_load_test_that_looks_inside() {
    caught(&imports(&source("loadtest/src/run.rs", "use forebay::ledger::Ledger;")), "over HTTP");
    caught(&imports(&source("src/app.rs", "use forebay_loadtest::run;")), "only `tools` and tests");
    assert_eq!(imports(&source("src/tools/demo.rs", "use forebay_loadtest::run;")), [""; 0]);
}

#[test]
fn a_long_file() {
    assert!(length(&source("src/a.rs", &"\n".repeat(LINES_MAX + 1))).is_some());
    assert!(length(&source("src/a.rs", &"\n".repeat(LINES_MAX))).is_none());
}

#[test]
fn a_banned_call() {
    for ban in BANS {
        let text = format!("fn x() {{\n    {}\n}}\n", ban.call);
        caught(&banned(&source("src/drain.rs", &text)), ban.instead);
        assert_eq!(banned(&source("src/drain.rs", &format!("// {}\n", ban.call))), [""; 0]);
        let test = format!("fn x() {{}}\n#[cfg(test)]\nmod tests {{\n{}\n}}\n", ban.call);
        let seen = banned(&source("src/drain.rs", &test));
        assert_eq!(seen.len(), usize::from(ban.tests_too), "{seen:?}");
        for allowed in ban.allowed {
            assert_eq!(banned(&source(allowed, &text)), [""; 0]);
        }
    }
}

#[test]
fn a_test_that_sleeps() {
    let sleeps = "async fn x() { tokio::time::sleep(d).await }";
    caught(&sleeping(&[source("tests/it/a.rs", sleeps)]), "sleeps");
    assert_eq!(sleeping(&[source("src/drain.rs", sleeps)]), [""; 0]);
    let paused = source("src/drain/tests/b.rs", "#[tokio::test(start_paused = true)]");
    assert_eq!(sleeping(&[source("src/drain/tests/a.rs", sleeps), paused]), [""; 0]);
}

#[test]
fn a_name_that_says_nothing() {
    assert!(grab_bag("src/util.rs").is_some());
    assert!(grab_bag("src/http/types/order.rs").is_some());
    assert!(grab_bag("loadtest/src/helpers.rs").is_some());
    assert!(grab_bag("src/sale/rate.rs").is_none());
}

#[test]
fn a_note_for_later() {
    for mark in [concat!("FIX", "ME"), concat!("X", "XX"), concat!("TO", "DO")] {
        caught(&left_over("src/a.rs", &format!("\n// {mark}: later\n")), "a.rs:2");
        assert_eq!(left_over("src/a.rs", &format!("let {mark}S = 1;")), [""; 0]);
    }
}

#[test]
fn a_metric_by_another_name() {
    use forebay::metrics::{Kind, Metric};
    let metric = |name, kind| metric_name(&Metric { name, kind, labels: &[], help: "" });
    caught(&metric("orders_total", Kind::Counter), "forebay_");
    caught(&metric("forebay_orders", Kind::Counter), "_total");
    caught(&metric("forebay_wait_seconds", Kind::Histogram(&[2.0, 1.0])), "unit");
    assert_eq!(metric("forebay_orders_total", Kind::Counter), [""; 0]);
    let names = ["forebay_wait_seconds"];
    let panel = "sum(rate(forebay_wait_seconds_bucket[1m])) / forebay_gone_total";
    caught(&unknown_metrics("dashboards/a.json", panel, &names), "forebay_gone_total");
    caught(&by_name(&source("src/drain.rs", "counter!(\"forebay_orders_total\")")), "constant");
}

#[test]
fn a_file_that_does_not_belong() {
    assert!(weight("a.txt", &vec![b'x'; 600 * 1024]).is_some());
    assert!(weight("a.bin", &[1, 0, 2]).is_some());
    assert!(weight("tests/fixtures/v1/journal", &[1, 0, 2]).is_none());
    assert!(weight("a.txt", b"text").is_none());
}

#[test]
fn a_command_that_cannot_be_run() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("prove");
    std::fs::write(&path, "#!/bin/sh\n").unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
    assert!(runnable(&path).is_some());
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    assert!(runnable(&path).is_none());
    std::fs::write(&path, "no script").unwrap();
    assert!(runnable(&path).is_some());
}

#[test]
fn a_link_that_leads_nowhere() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("there.md"), "").unwrap();
    let text = "[a](there.md#part) [b](https://example.org) [c](#here) [d](gone.md)";
    caught(&dead_links(directory.path(), "README.md", text), "gone.md");
}

#[test]
fn comments_and_strings_are_not_code() {
    let text = "let a = r#\"crate::http\"#; /* crate::http\n */ let b = '\"'; let c: &'static str = \"\\\"crate::http\";\n";
    assert_eq!(source("src/sale.rs", text).imported(), []);
    assert_eq!(source("src/sale.rs", "/*\n*/ crate::http::x").imported(), [(2, "http".to_owned())]);
}
