//! More buyers than the gateway can answer: it goes on at its pace, those who are let in do not wait longer for it, its
//! memory stays bounded, and it is itself again once they are fewer.
//!
//! At full scale the gateway gets a tenth of a CPU (its own control group), so that the generator beside it can offer
//! ten times of what it takes. What is offered and finds no connection free was not sent: a load balancer keeps such
//! buyers. Latency counts from the send.

mod confined;
mod instant;
mod retrying;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};

use self::confined::Confined;
use self::retrying::Retrying;
use super::{Checks, Scale};
use crate::clock;
use crate::drive::{Arrivals, Driven, look, shared};
use crate::form::{Crowd, OrderForm};
use crate::output;
use crate::plant::Plant;
use crate::scrape::Memory;
use crate::wire::lean::LeanWire;

const SKU: &str = "phone";
const CONNECTIONS: usize = 256;
/// More units than any run asks for.
const STOCK: u64 = 100_000_000;
/// The load to which others are compared, as a multiple of the capacity.
const BUSY: f64 = 0.8;
const CALM: f64 = 0.5;
const TEN_TIMES: f64 = 10.0;
/// The least goodput under overload, as a share of the capacity.
const GOODPUT_MIN: f64 = 0.8;
/// How much longer the slowest hundredth may take than under a load of [`BUSY`].
const SLOWER_MAX: f64 = 5.0;
/// Seconds until it is as before.
const BACK_WITHIN: u32 = 5;
/// As before: so many times the p99 before at most.
const AS_BEFORE: f64 = 2.0;
/// The share of the capacity that a door lets through, for those who try again at once.
const DOOR: f64 = 0.95;

/// One run: what was offered, and what came of it.
#[derive(Debug)]
struct Point {
    name: String,
    offered: f64,
    sent: f64,
    accepted: f64,
    refused: f64,
    p50: Duration,
    p99: Duration,
}

struct Site {
    plant: Plant,
    time: Duration,
    runs: u32,
}

pub(super) async fn prove(binary: &Path, scale: Scale, checks: &mut Checks) -> anyhow::Result<()> {
    let plant = Plant::start(binary, "1/s").await?;
    let multiples: &[f64] =
        scale.pick(&[CALM, BUSY, TEN_TIMES], &[CALM, BUSY, 1.0, 2.0, 5.0, TEN_TIMES]);
    let (time, share, crowd) = scale.pick((1, None, 300), (8, Some(0.1), 3_000));
    let _confined = share.map(|share| Confined::to(plant.process.pid(), share)).transpose()?;
    let mut site = Site { plant, time: Duration::from_secs(time), runs: 0 };
    instant::prove(&site.plant, crowd, scale, checks).await?;
    site.run("warm", Arrivals::WhenFree, None).await?;
    let capacity = site.run("capacity", Arrivals::WhenFree, None).await?;
    let full = capacity.accepted;
    output::line(format_args!(
        "{:<18} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}",
        "offered", "1/s", "sent", "accepted", "refused", "p50 ms", "p99 ms"
    ));
    capacity.print();
    let mut points = Vec::new();
    for multiple in multiples {
        let name = format!("{multiple} x");
        let point = site.run(&name, Arrivals::PerSecond(full * multiple), None).await?;
        point.print();
        points.push((*multiple, point));
    }
    let again = site
        .run("10 x, at once again", Arrivals::PerSecond(full * TEN_TIMES), Some(full * DOOR))
        .await?;
    again.print();
    let back = site.back(full, &points).await?;
    judge(scale, full, &points, &again, checks)?;
    if scale == Scale::Full {
        let what = format_args!(
            "as before after {} s",
            back.map_or("more than 5".to_owned(), |s| s.to_string())
        );
        checks.threshold(back.is_some(), what);
    }
    site.memory(binary, checks)?;
    draw(&points, full);
    site.plant.process.kill().await
}

fn at(points: &[(f64, Point)], multiple: f64) -> anyhow::Result<&Point> {
    let found = points.iter().find(|(other, _)| (other - multiple).abs() < 1e-9);
    found.map(|(_, point)| point).with_context(|| format!("nothing was run at {multiple} x"))
}

fn judge(
    scale: Scale,
    capacity: f64,
    points: &[(f64, Point)],
    again: &Point,
    checks: &mut Checks,
) -> anyhow::Result<()> {
    let busy = at(points, BUSY)?.p99;
    for point in [at(points, TEN_TIMES)?, again] {
        checks.promise(point.accepted > 0.0, format_args!("{}: orders are accepted", point.name));
        if scale == Scale::Full {
            let share = point.accepted / capacity;
            let what =
                format_args!("{}: {:.0} % of the capacity accepted", point.name, share * 100.0);
            checks.threshold(share >= GOODPUT_MIN, what);
            let slower = point.p99.as_secs_f64() / busy.as_secs_f64();
            let what = format_args!("{}: p99 {slower:.1} times that at {BUSY} x", point.name);
            checks.threshold(slower <= SLOWER_MAX, what);
        }
    }
    Ok(())
}

impl Point {
    fn print(&self) {
        let millis = |time: Duration| time.as_secs_f64() * 1_000.0;
        let Self { name, offered, sent, accepted, refused, p50, p99 } = self;
        let (p50, p99) = (millis(*p50), millis(*p99));
        output::line(format_args!(
            "{name:<18} {offered:>9.0} {sent:>9.0} {accepted:>9.0} {refused:>9.0} {p50:>9.2} {p99:>9.2}"
        ));
    }
}

impl Site {
    /// Offers orders for a while, in a sale of its own. With a `door` only so many a second are let in, and whoever is
    /// refused asks again at once.
    #[expect(clippy::cast_precision_loss, reason = "counts of a run are small")]
    async fn run(
        &mut self,
        name: &str,
        arrivals: Arrivals,
        door: Option<f64>,
    ) -> anyhow::Result<Point> {
        self.runs += 1;
        let sale = format!("run-{}", self.runs);
        let admit = door.map(|rate| format!("{rate:.0}/s"));
        self.plant.admin.create_limited_sale(&sale, SKU, STOCK, admit.as_deref()).await?;
        self.plant.phase(&sale, "open").await?;
        let form = OrderForm::new(&sale, SKU, Crowd::new(&sale, 1)).with_payload_of_100_bytes();
        let until = clock::now() + self.time;
        let recorder = shared(Retrying::default());
        let asks = retrying::asks(&recorder, door.is_some(), until);
        let mut drive = self.plant.drive(&form, CONNECTIONS);
        drive.arrivals = arrivals;
        let driven = drive.run::<LeanWire, Retrying>(asks, recorder.clone()).await;
        let recorder = look(&recorder);
        let (accepted, answered) = (recorder.accepted.answered(), recorder.answers);
        ensure!(
            answered == driven.sends,
            "{} of {} got no answer",
            driven.sends - answered,
            driven.sends
        );
        let each = |count: u64| count as f64 / seconds(&driven);
        let offered = match arrivals {
            Arrivals::WhenFree => each(driven.sends),
            Arrivals::PerSecond(rate) => rate,
        };
        Ok(Point {
            name: name.to_owned(),
            offered,
            sent: each(driven.sends),
            accepted: each(accepted),
            refused: each(answered - accepted),
            p50: recorder.accepted.service_time(0.5),
            p99: recorder.accepted.service_time(0.99),
        })
    }

    /// After how many seconds of calm the slowest hundredth is as fast as it was in calm before.
    async fn back(
        &mut self,
        capacity: f64,
        points: &[(f64, Point)],
    ) -> anyhow::Result<Option<u32>> {
        let before = at(points, CALM)?.p99.mul_f64(AS_BEFORE);
        self.time = Duration::from_secs(1);
        for second in 1..=BACK_WITHIN {
            let point = self.run("calm", Arrivals::PerSecond(capacity * CALM), None).await?;
            if point.p99 <= before {
                return Ok(Some(second));
            }
        }
        Ok(None)
    }

    /// The most that was resident, beside the bound that `forebay check` tells of the same settings.
    fn memory(&self, binary: &Path, checks: &mut Checks) -> anyhow::Result<()> {
        let check = Command::new(binary).arg("check").arg(self.plant.settings()).output()?;
        let said = String::from_utf8_lossy(&check.stdout).into_owned();
        let bound = said.lines().find_map(|line| {
            line.strip_prefix("memory: at most ")?.split_once(" MiB")?.0.parse::<u64>().ok()
        });
        let bound = bound.with_context(|| format!("`forebay check` tells no bound:\n{said}"))?;
        let peak = Memory::of(self.plant.process.pid())?.peak >> 20;
        let what = format_args!("{peak} MiB at most, of {bound} MiB that `forebay check` tells");
        checks.promise(peak <= bound, what);
        Ok(())
    }
}

fn seconds(driven: &Driven) -> f64 {
    driven.elapsed.as_secs_f64()
}

/// The curve: accepted orders by what was offered, both as multiples of the capacity.
fn draw(points: &[(f64, Point)], capacity: f64) {
    for (multiple, point) in points {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a bar")]
        let bar = (point.accepted / capacity * 40.0).round() as usize;
        output::line(format_args!("{multiple:>5} x |{}", "#".repeat(bar)));
    }
}
