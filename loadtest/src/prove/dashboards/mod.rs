//! Every panel of both boards shows something: a real Prometheus scrapes a gateway through a sale, with our rules
//! loaded, and is asked what each panel asks; then some of the panels are drawn from its answers.

mod draw;
mod panels;
mod prometheus;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;

use self::panels::{Asked, BOARDS, Board};
use self::prometheus::{Prometheus, Span};
use super::{Checks, Scale};
use crate::clock;
use crate::drive::{Arrivals, shared};
use crate::form::{Crowd, OrderForm};
use crate::plant::{Plant, STOP_WITHIN};
use crate::report;
use crate::tally::Tally;
use crate::wire::lean::LeanWire;

const SALE: &str = "spring";
const SKU: &str = "phone";
const CONNECTIONS: usize = 64;
/// Seconds between two looks of Prometheus.
const SCRAPE: u64 = 1;
/// Looks that must lie in the window of a rate; a machine that does other things as well skips some.
const LOOKS: u64 = 4;

pub(super) async fn prove(binary: &Path, scale: Scale, checks: &mut Checks) -> anyhow::Result<()> {
    let (rate, units, buyers, a_second) =
        scale.pick((100, 800, 2_000, 400.0), (800, 20_000, 45_000, 3_000.0));
    let mut plant = Plant::start(binary, &format!("{rate}/s")).await?;
    let prometheus = Prometheus::start(plant.admin.address(), SCRAPE).await?;
    let from = prometheus.scraped(LOOKS).await?;
    plant.admin.create_sale(SALE, SKU, units, Some(1)).await?;
    plant.phase(SALE, "open").await?;
    let opened = now();
    // A rate sees only what comes after a series was seen first.
    prometheus.scraped(2).await?;
    let form = OrderForm::new(SALE, SKU, Crowd::new("seen", 1)).with_payload_of_100_bytes();
    let mut drive = plant.drive(&form, CONNECTIONS);
    drive.arrivals = Arrivals::PerSecond(a_second);
    drive.run::<LeanWire, Tally>(0..buyers, shared(Tally::default())).await;
    plant.settled(SALE, Duration::from_secs(2 * units / rate + 60)).await?;
    let marks = [(opened - from, "open".to_owned()), (now() - from, "settled".to_owned())];
    let to = prometheus.scraped(2).await?;
    let span = Span { from, to, step: SCRAPE };

    let mut pictures = Vec::new();
    for board in BOARDS {
        let board = Board::read(board)?;
        let asked = ask(&board, &prometheus, span).await?;
        let silent: Vec<&str> =
            asked.iter().filter(|one| !one.shows()).map(|one| one.title.as_str()).collect();
        let what = format_args!(
            "{}: {} of {} panels show data{}",
            board.title,
            asked.len() - silent.len(),
            asked.len(),
            if silent.is_empty() { String::new() } else { format!(", not {silent:?}") }
        );
        checks.promise(silent.is_empty() && asked.len() > 10, what);
        pictures.push((board.picture, draw::picture(&board, &asked, from, &marks)?));
    }
    let (known, broken) = prometheus.rules().await?;
    let what =
        format_args!("{known} rules are evaluated, {} of them not well {broken:?}", broken.len());
    checks.promise(known >= 26 && broken.is_empty(), what);
    let unheard = prometheus.query("forebay_unheard_of_total", span).await?;
    checks.promise(unheard.is_empty(), "a panel that asks for what nobody tells would be seen");
    prometheus.stop().await?;
    for (name, picture) in pictures {
        let path = place(scale)?.join(name);
        std::fs::write(&path, picture).with_context(|| path.display().to_string())?;
        report::row("drawn", path.display());
    }
    plant.process.stop(STOP_WITHIN).await.map(drop)
}

async fn ask(board: &Board, prometheus: &Prometheus, span: Span) -> anyhow::Result<Vec<Asked>> {
    let mut all = Vec::new();
    for panel in &board.panels {
        let mut lines = Vec::new();
        for (expression, legend) in &panel.targets {
            let expression = filled(expression, span);
            let answers = prometheus.query(&expression, span).await;
            let answers = answers.with_context(|| format!("{}: {expression}", panel.title))?;
            lines.extend(answers.into_iter().map(|line| line.named(legend)));
        }
        all.push(Asked { title: panel.title.clone(), lines });
    }
    Ok(all)
}

/// What Grafana puts in place of its variables.
fn filled(expression: &str, span: Span) -> String {
    expression
        .replace("$__rate_interval", &format!("{}s", LOOKS * SCRAPE))
        .replace("$__range", &format!("{:.0}s", (span.to - span.from).max(1.0)))
        .replace("$job", ".+")
        .replace("$instance", ".+")
        .replace("$sale", SALE)
}

/// At full scale the pictures of the documentation; else nobody keeps them.
fn place(scale: Scale) -> anyhow::Result<PathBuf> {
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let path = scale.pick(std::env::temp_dir().join("forebay-dashboards"), kept);
    std::fs::create_dir_all(&path).with_context(|| path.display().to_string())?;
    path.canonicalize().with_context(|| path.display().to_string())
}

/// Seconds since 1970, now.
fn now() -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "microseconds since 1970 are below 2^52")]
    let micros = clock::wall_micros() as f64;
    micros / 1e6
}
