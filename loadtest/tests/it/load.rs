//! A whole run against each behaviour: the verdict names what was done, and nothing else.

use clap::Parser;
use forebay_loadtest::judge::Broke;
use forebay_loadtest::load::{Ended, Mistake, Options, Run, measure, write};

use crate::fake::{self, Fault};

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    options: Options,
}

fn parsed(line: &str) -> Options {
    Line::parse_from(["load"].into_iter().chain(line.split_whitespace())).options
}

/// Each buyer sends two orders; `more` is added to the group of buyers and to the file's end.
fn scenario(more: &str, end: &str) -> String {
    format!(
        "about = \"a test\"\nconnections = 4\npatience = \"5s\"\nsettle = \"5s\"\n\n\
         [[sale]]\nname = \"demo\"\nstock = {{ phone = 20 }}\n\n\
         [[buyers]]\nname = \"fans\"\norders_each = 2\n{more}\n\n\
         [[phase]]\nname = \"all\"\nfor = \"1m\"\n{end}\n"
    )
}

const CLOSED: &str = "closed = true\n";

/// Runs a scenario of which 60 orders come, against 20 units.
async fn run_at(address: std::net::SocketAddr, text: &str, more: &str) -> anyhow::Result<Run> {
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("scenario.toml");
    std::fs::write(&file, text)?;
    let line = format!(
        "{} --target http://{address} --admin http://{address} --sale demo {more}",
        file.display()
    );
    measure(&parsed(&line)).await
}

async fn run(fault: Fault, text: &str) -> Run {
    let address = fake::start(20, fault).await;
    run_at(address, text, "--buyers 60").await.expect("the run ends")
}

/// The promises that the run found broken, each once.
fn broke(run: &Run) -> Vec<Broke> {
    let mut broke: Vec<_> =
        run.outcome.judgement.findings.iter().map(|finding| finding.broke).collect();
    broke.sort();
    broke.dedup();
    broke
}

#[tokio::test]
async fn a_gateway_that_behaves_is_found_so() {
    for then in
        ["", "then = \"poll\"", "then = \"long-poll\"", "then = \"stream\"", "cancel = \"100%\""]
    {
        let run = run(Fault::None, &scenario(then, CLOSED)).await;
        let outcome = &run.outcome;
        assert_eq!(broke(&run), [], "{then}: {:?}", outcome.judgement.findings);
        assert_eq!((outcome.judgement.accepted, outcome.judgement.recovered), (20, 0));
        assert_eq!(outcome.judgement.refused.values().sum::<u64>(), 40);
        assert_eq!(outcome.judgement.witnesses, ["client", "ledger", "verify"]);
        assert_eq!((outcome.asked_again, outcome.ended()), ((20, 20), Ended::Held));
        assert_eq!(outcome.pace.as_deref(), Some("100/s, burst 2"));
        let counts = &run.document.counts;
        assert_eq!(counts["orders"], 60);
        let waits = then.starts_with("then");
        assert_eq!(counts["outcomes"], if waits { 20 } else { 0 }, "{then}: {counts:?}");
        assert_eq!(counts["cancelled_too_late"], if then.starts_with("cancel") { 20 } else { 0 });
    }
}

#[tokio::test]
async fn what_was_taken_without_an_answer_is_recovered_by_its_key() {
    for fault in [Fault::DropsReplies, Fault::TearsReplies, Fault::InDoubt] {
        let run = run(fault, &scenario("", CLOSED)).await;
        let judgement = &run.outcome.judgement;
        assert_eq!(broke(&run), [], "{fault:?}: {:?}", judgement.findings);
        assert_eq!(judgement.accepted, 20, "{fault:?}");
        assert!(judgement.recovered > 0 && judgement.errors > 0, "{fault:?}");
        assert_eq!(judgement.recovered, judgement.replayed, "{fault:?}");
    }
}

#[tokio::test]
async fn each_misbehaviour_is_named() {
    let polls = "then = \"poll\"";
    for (fault, more, wanted) in [
        (Fault::Loses, "", Broke::Lost),
        (Fault::SharesTickets, "", Broke::Doubled),
        (Fault::Oversells, "", Broke::Oversold),
        (Fault::IgnoresLimit, "", Broke::LimitBroken),
        (Fault::NamesNothing, "", Broke::Unnamed),
        (Fault::TakesAndRefuses, "", Broke::Unexpected),
        (Fault::Miscounts, "", Broke::Law),
        (Fault::ForgetsHolders, "", Broke::Forgotten),
        (Fault::NeverSaysWhen, "", Broke::RetryAfter),
        (Fault::SaysWhenInVain, "", Broke::RetryAfter),
        (Fault::BreaksPace, "", Broke::PaceBroken),
        (Fault::PositionGrows, polls, Broke::PositionGrew),
        (Fault::PositionGrows, "then = \"stream\"", Broke::PositionGrew),
        (Fault::PositionGrows, "then = \"long-poll\"", Broke::PositionGrew),
        (Fault::TwoEnds, polls, Broke::TwoEnds),
        (Fault::TwoEnds, "then = \"stream\"", Broke::TwoEnds),
        (Fault::CancelsNothing, "cancel = \"100%\"", Broke::TwoEnds),
        (Fault::DeniesTickets, polls, Broke::Lost),
    ] {
        let run = run(fault, &scenario(more, CLOSED)).await;
        assert!(broke(&run).contains(&wanted), "{fault:?} {more}: {:?}", broke(&run));
        assert_eq!(run.outcome.ended(), Ended::InvariantBroken, "{fault:?}");
    }
}

#[tokio::test]
async fn a_forgotten_key_is_a_doubled_order() {
    // Units for all, so that the repeat is sold a second one.
    let address = fake::start(200, Fault::ForgetsKeys).await;
    let run = run_at(address, &scenario("", CLOSED), "--buyers 12").await.unwrap();
    assert!(broke(&run).contains(&Broke::Doubled), "{:?}", run.outcome.judgement.findings);
    assert_eq!(run.outcome.ended(), Ended::InvariantBroken);
}

#[tokio::test]
async fn what_cannot_be_found_out_is_a_failure() {
    let address = fake::start(20, Fault::NeverSays).await;
    let more = "--buyers 6 --patience 0.3 --settle 0.5";
    let run = run_at(address, &scenario("", CLOSED), more).await.unwrap();
    assert_eq!(broke(&run), [Broke::Unresolved]);
    assert_eq!(run.outcome.judgement.accepted, 0);
}

#[tokio::test]
async fn an_open_loop_keeps_its_rate_and_counts_from_the_intended_time() {
    let even = "rate = \"200/s\"\nspread = \"even\"\n";
    let run = run(Fault::None, &scenario("", even)).await;
    assert_eq!(broke(&run), []);
    // The last of 60 orders is due 59 / 200 s after the first.
    assert!(run.document.elapsed_ms >= 295, "{}", run.document.elapsed_ms);
    let latencies = &run.document.latencies;
    assert!(latencies["orders"].p50_us >= latencies["service"].p50_us);
    let conduct: Vec<&str> =
        run.outcome.thresholds.iter().map(|judged| judged.threshold.as_str()).collect();
    assert_eq!(conduct, ["late < 1%", "dropped < 1%"], "an open loop keeps them unasked");
    assert_eq!(run.document.timeline.iter().map(|second| second.due).sum::<u64>(), 60);
}

#[tokio::test]
async fn who_is_refused_for_now_comes_back_as_often_as_he_may() {
    // Every fifth answer is 429.
    let twice = scenario("retry = { attempts = 3, wait = \"none\" }", CLOSED);
    let retried = run(Fault::NeverSaysWhen, &twice).await;
    let left = run(Fault::NeverSaysWhen, &scenario("", CLOSED)).await;
    let limited = |run: &Run| run.outcome.judgement.refused.get("rate_limited").copied();
    assert!(retried.document.counts["retries"] > 0 && left.document.counts["retries"] == 0);
    assert!(limited(&retried).unwrap_or(0) < limited(&left).unwrap(), "{:?}", limited(&retried));
}

#[tokio::test]
async fn thresholds_fail_the_run_and_a_broken_promise_wins() {
    let keep = |threshold: &str| format!("{CLOSED}\n[thresholds]\n{threshold}\n");
    let missed = run(Fault::None, &scenario("", &keep("p99 = \"< 1us\""))).await;
    assert_eq!(missed.outcome.ended(), Ended::ThresholdFailed);
    let unseen = run(Fault::None, &scenario("", &keep("\"polls.p99\" = \"< 1h\""))).await;
    assert_eq!(unseen.outcome.thresholds[0].found, "no samples");
    assert_eq!(unseen.outcome.ended(), Ended::ThresholdFailed);
    let both = run(Fault::Oversells, &scenario("", &keep("p99 = \"< 1us\""))).await;
    assert_eq!(both.outcome.ended(), Ended::InvariantBroken);
}

#[tokio::test]
async fn a_generator_that_lags_is_told_from_a_gateway_that_is_slow() {
    // Every send is later than a nanosecond after its time.
    let text = scenario("", "rate = \"500/s\"\n\n[thresholds]\nlate = \"< 1%\"\n");
    let text = text.replace("connections = 4", "connections = 4\nlate_after = \"0.001us\"");
    let run = run(Fault::None, &text).await;
    assert!(!run.outcome.thresholds[0].kept, "{:?}", run.outcome.thresholds);
}

#[tokio::test]
async fn a_gateway_that_is_away_fails_the_run() {
    let nobody = forebay_loadtest::gateway::free_address().unwrap();
    let error = measure(&parsed(&format!("steady --target http://{nobody}"))).await.unwrap_err();
    let said = format!("{error:#}");
    assert!(said.contains(&format!("http://{nobody} cannot be reached: ")), "{said}");
    assert!(said.contains("refused"), "{said}");
}

#[tokio::test]
async fn mistakes_of_the_caller_are_told_as_such() {
    let address = fake::start(20, Fault::None).await;
    for (line, said) in [
        ("open-spke --target http://127.0.0.1:1", "no scenario is called `open-spke`"),
        ("steady --target http://192.0.2.1:80", "--i-own-this-target 192.0.2.1"),
        ("two-sales --target http://127.0.0.1:1 --sale a", "--sale is given 1 times"),
        ("sold-out-hammer --target http://127.0.0.1:1 --rate 5/s", "no phase with a rate"),
    ] {
        let error = measure(&parsed(line)).await.unwrap_err();
        assert!(error.downcast_ref::<Mistake>().is_some(), "{line}: {error:#}");
        assert!(error.to_string().contains(said), "{line}: {error:#}");
    }
    let unknown = format!("steady --target http://{address} --sale nope");
    let error = measure(&parsed(&unknown)).await.unwrap_err().to_string();
    assert!(error.contains("there is no sale nope") && error.contains("--admin URL"), "{error}");
}

#[tokio::test]
async fn the_history_holds_each_attempt_and_the_files_are_written() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let address = fake::start(20, Fault::DropsReplies).await;
    let more = format!("--buyers 60 --history {}", at("history").display());
    let run = run_at(address, &scenario("", CLOSED), &more).await.unwrap();
    let text = std::fs::read_to_string(at("history")).unwrap();
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let [json, hgrm, html] = ["json", "hgrm", "html"].map(at);
    let files = format!(
        "x --target http://x --json {} --hgrm {} --html {}",
        json.display(),
        hgrm.display(),
        html.display()
    );
    assert!(!write(&parsed(&files), &run).unwrap(), "stdout is left to the table");
    let page = std::fs::read_to_string(html).unwrap();
    for said in ["Every promise and every threshold held.", "<svg", "Spectrum", "sold_out"] {
        assert!(page.contains(said), "{said}");
    }
    assert!(std::fs::read_to_string(hgrm).unwrap().contains("#[Max"));
    let read: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(json).unwrap()).unwrap();
    assert_eq!(read["counts"]["orders"], 60);
    let again = run.outcome.asked_again.0;
    assert_eq!(lines.len() as u64, run.document.counts["attempts"] + again);
    assert!(lines.iter().any(|line| line["verdict"] == "unknown" && line["broken"] == "reset"));
    assert!(lines.iter().all(|line| line["buyer"].is_string() && line["key"].is_string()));
}

#[tokio::test]
async fn a_baseline_shows_the_differences_and_a_regression_is_a_threshold() {
    let directory = tempfile::tempdir().unwrap();
    let before = directory.path().join("before.json");
    let address = fake::start(20, Fault::None).await;
    let first = run_at(address, &scenario("", CLOSED), "--buyers 60").await.unwrap();
    let mut earlier = first.document;
    // A past in which everything took no time.
    for of in earlier.latencies.values_mut() {
        (of.p50_us, of.p99_us) = (1, 1);
    }
    std::fs::write(&before, serde_json::to_string(&earlier).unwrap()).unwrap();
    let text = scenario("", &format!("{CLOSED}\n[thresholds]\nregress = \"< 10%\"\n"));
    let more = format!("--buyers 60 --baseline {}", before.display());
    let run = run_at(address, &text, &more).await.unwrap();
    let comparison = run.document.baseline.expect("it was given");
    assert!(comparison.rows.iter().any(|row| row.figure == "p99_us" && row.before < 2.0));
    assert!(comparison.regress > Some(1.0));
    assert_eq!(run.outcome.ended(), Ended::ThresholdFailed);
    std::fs::write(&before, "{\"form\": \"other/1\"}").unwrap();
    let error = run_at(address, &text, &more).await.unwrap_err();
    assert!(format!("{error:#}").contains("forebay-load/1 is read"), "{error:#}");
}
