//! A drain that follows its store: through a brown-out it backs off, comes back after it, costs nothing while the
//! store is healthy, and never drains above the rate.
//!
//! Runs with `[drain] adaptive` and without take turns on the same store: one that bears 2,500 orders a second.

mod watch;

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::ensure;
use serde_json::json;
use tokio::time::sleep;
use watch::{Watch, Watched};

use super::{Checks, Scale};
use crate::drive::{look, shared};
use crate::form::{Crowd, OrderForm};
use crate::pace::{attempts, burst_auto, burst_needed};
use crate::page::{Axis, Chart, Mark, Series, Unit};
use crate::plant::Plant;
use crate::report;
use crate::tally::Tally;
use crate::wire::lean::LeanWire;

const SALE: &str = "adaptive";
const SKU: &str = "phone";
const RATE: u32 = 1_000;
/// What a row holds its stock row for, so that the store bears 2,500 orders a second.
const LOCK_ROW_NANOS: u32 = 400_000;
/// Two instants, each rounded to a microsecond.
const ROUNDING_SECONDS: f64 = 2e-6;
/// Left out at each beginning: a queue that is filled, a store that has just changed.
const SETTLING: f64 = 1.0;
/// A chart that is a file of its own.
const PICTURE: (usize, usize) = (880, 392);

/// How much of it.
#[derive(Debug, Clone, Copy)]
struct Size {
    /// Runs each way; the last has the brown-out.
    rounds: u32,
    healthy: u64,
    gone: f64,
    brown_out: u64,
    after: u64,
}

/// One run.
#[derive(Debug)]
struct Run {
    watched: Watched,
    /// Seconds of the watch: the healthy part's begin and end, then the brown-out's end.
    healthy: (f64, f64),
    mended: f64,
}

impl Run {
    fn healthy_rate(&self) -> f64 {
        self.watched.drained(self.healthy.0, self.healthy.1)
    }

    /// Mean latency of the store's calls in the brown-out, in seconds.
    fn latency(&self) -> f64 {
        self.watched.latency(self.healthy.1 + SETTLING, self.mended)
    }
}

pub(super) async fn prove(binary: &Path, scale: Scale, checks: &mut Checks) -> anyhow::Result<()> {
    let small = Size { rounds: 1, healthy: 3, gone: 0.8, brown_out: 4, after: 7 };
    let full = Size { rounds: 4, healthy: 20, gone: 0.9, brown_out: 20, after: 15 };
    let size = scale.pick(small, full);
    let (mut without, mut with) = (Vec::new(), Vec::new());
    for round in 1..=size.rounds {
        let last = round == size.rounds;
        // Whoever goes first finds another machine: they take turns at that too.
        for adaptive in if round % 2 == 0 { [true, false] } else { [false, true] } {
            let run = run(binary, adaptive, last, size, checks).await?;
            report::row(
                if adaptive { "adaptive" } else { "not adaptive" },
                format_args!("healthy {:.1} orders/s", run.healthy_rate()),
            );
            if adaptive { with.push(run) } else { without.push(run) }
        }
    }
    cost(&without, &with, scale, checks);
    let (Some(without), Some(with)) = (without.last(), with.last()) else { return Ok(()) };
    brown_out(without, with, scale, checks);
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let directory = scale.pick(std::env::temp_dir(), kept);
    let path = directory.join(scale.pick("forebay-adaptive.svg", "adaptive.svg"));
    std::fs::write(&path, picture(without, with)?)?;
    report::row("picture", path.file_name().unwrap_or_default().display());
    Ok(())
}

/// What is in the way of a store that needs no relief.
fn cost(without: &[Run], with: &[Run], scale: Scale, checks: &mut Checks) {
    let mean = |runs: &[Run]| {
        let sum: f64 = runs.iter().map(Run::healthy_rate).sum();
        sum / f64::from(u32::try_from(runs.len()).unwrap_or(1))
    };
    let share = mean(with) / mean(without);
    let what = format_args!(
        "healthy: {:.1} of {:.1} orders/s ({:+.2} %)",
        mean(with),
        mean(without),
        (share - 1.0) * 100.0
    );
    checks.threshold(share >= scale.least(0.98), what);
}

fn brown_out(without: &Run, with: &Run, scale: Scale, checks: &mut Checks) {
    // At small scale nobody knows what else the machine does.
    let slack = 1.0 / scale.least(1.0);
    let (rate, begun) = (f64::from(RATE), with.healthy.1);
    let off = with.watched.limit_below(begun, 0.9 * rate);
    let seconds = |at: Option<f64>| at.map_or("never".to_owned(), |at| format!("after {at:.2} s"));
    let what = format_args!("backs off {}", seconds(off));
    checks.threshold(off.is_some_and(|after| after <= slack), what);
    let share = scale.pick(0.5, 0.95);
    let back = with.watched.drains(with.mended, share * rate);
    let what = format_args!(
        "the brown-out over, {:.0} % of the rate are drained {}",
        share * 100.0,
        seconds(back)
    );
    checks.threshold(back.is_some_and(|after| after <= 10.0), what);
    let [mine, other] = [with, without].map(Run::latency);
    let what = format_args!(
        "a call of the store in the brown-out: {:.0} ms on average, {:.0} ms when not adaptive",
        mine * 1e3,
        other * 1e3
    );
    checks.threshold(mine <= other * scale.pick(0.9, 0.5), what);
    let drained =
        [with, without].map(|run| run.watched.drained(run.healthy.1 + SETTLING, run.mended));
    report::row(
        "drained in the brown-out",
        format_args!("{:.0} orders/s, {:.0} when not adaptive", drained[0], drained[1]),
    );
    let most = with.watched.limit_most();
    checks.promise(most <= rate, format_args!("the limit was never above the rate: {most:.0}/s"));
}

async fn run(
    binary: &Path,
    adaptive: bool,
    fails: bool,
    size: Size,
    checks: &mut Checks,
) -> anyhow::Result<Run> {
    let settings = vec![
        ("FOREBAY_DRAIN__ADAPTIVE", adaptive.to_string()),
        ("FOREBAY_STORE__SIMULATED__SERVER__LOCK_ROW_NANOS", LOCK_ROW_NANOS.to_string()),
    ];
    let plant = Plant::start_with(binary, &format!("{RATE}/s"), settings).await?;
    let seconds = size.healthy + if fails { size.brown_out + size.after } else { 0 };
    let orders = u64::from(RATE) * (seconds + 3);
    plant.admin.create_sale(SALE, SKU, orders, None).await?;
    plant.phase(SALE, "open").await?;
    let watch = Watch::start(&plant.admin);
    let form = OrderForm::new(SALE, SKU, Crowd::new("adaptive", 1));
    let tally = shared(Tally::default());
    plant.drive(&form, 64).run::<LeanWire, Tally>(0..orders, tally.clone()).await;
    let accepted = look(&tally).with_status(202);
    ensure!(accepted == orders, "{accepted} of {orders} orders were accepted");

    sleep(Duration::from_secs_f64(SETTLING)).await;
    let begun = watch.now();
    sleep(Duration::from_secs(size.healthy)).await;
    let healthy = (begun, watch.now());
    let mut mended = healthy.1;
    if fails {
        plant.admin.store_faults(&json!({ "brown_out": size.gone })).await?;
        sleep(Duration::from_secs(size.brown_out)).await;
        plant.admin.store_faults(&json!({ "brown_out": 0.0 })).await?;
        mended = watch.now();
        sleep(Duration::from_secs(size.after)).await;
    }
    let watched = watch.stop()?;
    let instants = attempts(&plant.admin.tickets(SALE).await?)?;
    let rate = f64::from(RATE);
    let (needed, burst) = (burst_needed(&instants, rate), burst_auto(rate));
    checks.promise(
        needed <= burst + rate * ROUNDING_SECONDS,
        format_args!("no window needs a burst above {needed:.2} of {burst}"),
    );
    Ok(Run { watched, healthy, mended })
}

/// What came and what went, and how long the store took, each in a chart.
fn picture(without: &Run, with: &Run) -> anyhow::Result<String> {
    let marks = vec![(with.healthy.1, "brown-out".to_owned()), (with.mended, "over".to_owned())];
    // Both runs are drawn from the instant at which their brown-outs began.
    let shift = with.healthy.1 - without.healthy.1;
    let shifted = |points: Vec<(f64, f64)>| -> Vec<(f64, f64)> {
        let moved = points.into_iter().map(|(at, value)| (at + shift, value));
        moved.filter(|(at, _)| *at >= 0.0).collect()
    };
    let area = |name: &str, points| Series { name: name.to_owned(), mark: Mark::Area, points };
    let flow = |title: &str, series| Chart {
        title: title.to_owned(),
        caption: "Orders a second over time".to_owned(),
        x: Axis::new("time", Unit::Seconds),
        y: Axis::new("orders a second", Unit::PerSecond),
        stacked: false,
        series,
        marks: marks.clone(),
    };
    let drained = vec![
        area("drained", with.watched.drained_by_time()),
        Series::line("drained when not adaptive", shifted(without.watched.drained_by_time())),
        Series::line("adaptive limit", with.watched.limits()),
    ];
    let latency = vec![
        Series::line("adaptive", with.watched.latency_by_time()),
        Series::line("not adaptive", shifted(without.watched.latency_by_time())),
    ];
    let charts = [
        flow("Orders that came", vec![area("offered", with.watched.offered_by_time())]),
        flow("Orders that went to the store", drained),
        Chart {
            title: "A call of the store".to_owned(),
            caption: "Mean latency over time".to_owned(),
            y: Axis::new("latency", Unit::Seconds).by_powers(),
            ..flow("", latency)
        },
    ];
    let ((width, height), mut inside) = (PICTURE, String::new());
    for (at, chart) in charts.iter().enumerate() {
        let place =
            format!("<svg x=\"0\" y=\"{}\" width=\"{width}\" height=\"{height}\" ", at * height);
        write!(inside, "{}", chart.file().replacen("<svg ", &place, 1))?;
    }
    Ok(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {}\" role=\"img\" \
         aria-label=\"A brown-out with and without an adaptive drain\">\n{inside}</svg>\n",
        charts.len() * height
    ))
}
