//! A whole run against each behaviour: the verdict names what was done, and nothing else.

use clap::Parser;
use forebay_loadtest::drive::look;
use forebay_loadtest::judge::Broke;
use forebay_loadtest::run::{Done, Ended, Scenario};

use crate::fake::{self, Fault};

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    scenario: Scenario,
}

async fn run(fault: Fault, more: &str) -> Done {
    let address = fake::start(20, fault).await;
    let line =
        format!("run --target http://{address} --admin http://{address} --connections 4 {more}");
    Line::parse_from(line.split_whitespace()).scenario.run().await.expect("the run ends")
}

/// The promises that the run found broken, each once.
fn broke(done: &Done) -> Vec<Broke> {
    let mut broke: Vec<_> = done.judgement.findings.iter().map(|finding| finding.broke).collect();
    broke.sort();
    broke.dedup();
    broke
}

#[tokio::test]
async fn a_gateway_that_behaves_is_found_so() {
    let done = run(Fault::None, "--buyers 60 --orders-each 2").await;
    assert_eq!(broke(&done), [], "{:?}", done.judgement.findings);
    assert_eq!((done.judgement.accepted, done.judgement.recovered), (20, 0));
    let refused: u64 = done.judgement.refused.values().sum();
    assert_eq!(refused, 100);
    assert_eq!(done.judgement.witnesses, ["client", "ledger", "verify"]);
    assert_eq!(done.ended(), Ended::Held);
}

#[tokio::test]
async fn what_was_taken_without_an_answer_is_recovered_by_its_key() {
    for fault in [Fault::DropsReplies, Fault::TearsReplies, Fault::InDoubt] {
        let done = run(fault, "--buyers 60").await;
        assert_eq!(broke(&done), [], "{fault:?}: {:?}", done.judgement.findings);
        assert_eq!(done.judgement.accepted, 20, "{fault:?}");
        assert!(done.judgement.recovered > 0, "{fault:?}");
        assert_eq!(done.judgement.recovered, done.judgement.replayed, "{fault:?}");
    }
}

#[tokio::test]
async fn each_misbehaviour_is_named() {
    for (fault, wanted) in [
        (Fault::Loses, Broke::Lost),
        (Fault::SharesTickets, Broke::Doubled),
        (Fault::Oversells, Broke::Oversold),
        (Fault::IgnoresLimit, Broke::LimitBroken),
        (Fault::NamesNothing, Broke::Unnamed),
        (Fault::TakesAndRefuses, Broke::Unexpected),
        (Fault::Miscounts, Broke::Law),
    ] {
        let done = run(fault, "--buyers 60 --orders-each 2").await;
        assert!(broke(&done).contains(&wanted), "{fault:?}: {:?}", done.judgement.findings);
        assert_eq!(done.ended(), Ended::InvariantBroken, "{fault:?}");
    }
}

#[tokio::test]
async fn a_forgotten_key_is_a_doubled_order() {
    // Units for all, so that the repeat is sold a second one.
    let done = run(Fault::ForgetsKeys, "--buyers 12").await;
    assert!(broke(&done).contains(&Broke::Doubled), "{:?}", done.judgement.findings);
    assert_eq!(done.ended(), Ended::InvariantBroken);
}

#[tokio::test]
async fn what_cannot_be_found_out_is_a_failure() {
    let done = run(Fault::NeverSays, "--buyers 60 --patience 0.3").await;
    assert_eq!(broke(&done), [Broke::Unresolved]);
    assert_eq!(done.judgement.accepted, 0);
}

#[tokio::test]
async fn an_open_loop_keeps_its_rate_and_counts_from_the_intended_time() {
    let done = run(Fault::None, "--buyers 60 --rate 200").await;
    assert_eq!(broke(&done), []);
    let elapsed = done.driven.elapsed.as_secs_f64();
    // The last of 60 orders is due 59 / 200 s after the first.
    assert!(elapsed >= 0.295, "{elapsed}");
    let history = look(&done.history);
    assert!(history.attempts().iter().all(|attempt| attempt.intended_us <= attempt.sent_us));
}

#[tokio::test]
async fn thresholds_fail_the_run_and_nothing_else() {
    let done = run(Fault::None, "--buyers 60 --p99-ms 0.000001").await;
    assert_eq!((done.missed.len(), done.ended()), (1, Ended::ThresholdFailed));
    // Every sleep is later than a nanosecond after its time: a generator that lags on each send.
    let done = run(Fault::None, "--buyers 60 --rate 500 --late-after-ms 0.000001").await;
    assert!(done.missed.iter().any(|missed| missed.contains("lagged")), "{:?}", done.missed);
    assert_eq!(done.ended(), Ended::ThresholdFailed);
}

#[tokio::test]
async fn a_gateway_that_is_away_fails_the_run() {
    let nobody = forebay_loadtest::gateway::free_address().unwrap();
    let line = format!("run --target http://{nobody} --buyers 3");
    let error = Line::parse_from(line.split_whitespace()).scenario.run().await.unwrap_err();
    let said = format!("{error:#}");
    assert!(said.contains(&format!("http://{nobody} cannot be reached: ")), "{said}");
    assert!(said.contains("refused"), "{said}");
}

#[tokio::test]
async fn a_sale_that_nobody_knows_fails_the_run() {
    let address = fake::start(20, Fault::None).await;
    let line = format!("run --target http://{address} --sale nope --buyers 3");
    let done = Line::parse_from(line.split_whitespace()).scenario.run().await.unwrap();
    assert_eq!(done.missed, ["3 orders were refused `unknown_sale`: see --sale nope"]);
    assert_eq!(done.ended(), Ended::ThresholdFailed);
}

#[tokio::test]
async fn the_history_holds_each_attempt() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("history.ndjson");
    let done = run(Fault::DropsReplies, &format!("--buyers 60 --history {}", file.display())).await;
    let text = std::fs::read_to_string(file).unwrap();
    assert_eq!(text.lines().count(), look(&done.history).attempts().len());
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines.iter().any(|line| line["verdict"] == "unknown" && line["broken"] == "reset"));
    assert!(lines.iter().all(|line| line["buyer"].is_string() && line["key"].is_string()));
}
