//! The demo as one HTML file.

use forebay_loadtest::page::Axis;
use forebay_loadtest::page::Chart;
use forebay_loadtest::page::Mark;
use forebay_loadtest::page::Page;
use forebay_loadtest::page::Series;
use forebay_loadtest::page::Unit;

use super::Moment;
use super::Options;
use super::POOL;
use super::Proof;
use super::Scene;
use super::Summary;
use super::moments::stored_per_second;
use super::summary::rows;
use super::summary::sentence;
use super::summary::time;
use crate::units::grouped;

/// The whole report.
pub(super) fn html(options: &Options, scenes: &[Scene; 2], proof: &Proof) -> String {
    let both = scenes.each_ref().map(|scene| scene.summary.clone().unwrap_or_default());
    let mut page = Page::new("The same burst, with and without Forebay", sentence(scenes, options));
    figures(&mut page, &both);
    page.section("The two ways");
    page.table(&["", "directly", "through Forebay"], &rows(scenes));
    page.paragraph(proof.told());
    page.section("What the buyers saw");
    page.chart(&waiting(scenes));
    for scene in scenes {
        page.chart(&answers(scene));
    }
    page.chart(&spectrum(&both));
    page.section("What the store saw");
    page.chart(&store(scenes));
    page.section("How it was made");
    let store = match &options.tables {
        Some(tables) => format!("the same tables of the same server, {}", tables.version),
        None => "the same simulated store with the same constants".to_owned(),
    };
    page.paragraph(format!(
        "Both ways serve real HTTP on this machine, from a process of their own, one after the other. Both write to \
         {store}. Directly, a request takes a connection of a pool, and one \
         transaction takes the unit with a guarded decrement and inserts the order; who gets no connection within two \
         seconds is told to come again. Through Forebay, the order is accepted on disk and answered with a ticket, and \
         the drain takes it to the store at the rate that was set.",
    ));
    page.table(&["constant", "value", "source"], &constants(options));
    page.html()
}

fn figures(page: &mut Page, [direct, through]: &[Summary; 2]) {
    page.figures(&[
        (
            "answered within 2 s, directly",
            grouped(direct.in_time),
            format!("of {}", grouped(direct.buyers)),
        ),
        ("through Forebay", grouped(through.in_time), format!("of {}", grouped(through.buyers))),
        ("99 of 100 answers, directly", time(direct.p99), "of those that came at all".to_owned()),
        ("through Forebay", time(through.p99), "with a ticket, on disk".to_owned()),
    ]);
}

#[expect(clippy::cast_precision_loss, reason = "a demo has few buyers")]
fn curve(scene: &Scene, value: impl Fn(&Moment) -> u64) -> Vec<(f64, f64)> {
    scene.moments.iter().map(|moment| (moment.at, value(moment) as f64)).collect()
}

fn over_time(title: &str, caption: &str, y: Axis, series: Vec<Series>) -> Chart {
    let x = Axis::new("since the first buyer came", Unit::Seconds);
    let (title, caption) = (title.to_owned(), caption.to_owned());
    Chart { title, caption, x, y, stacked: false, series, marks: Vec::new() }
}

fn waiting(scenes: &[Scene; 2]) -> Chart {
    let series = scenes
        .each_ref()
        .map(|scene| Series::line(scene.way.name(), curve(scene, Moment::waiting)));
    over_time(
        "Buyers without an answer.",
        "Each of them holds a connection and looks at a spinning wheel.",
        Axis::new("buyers", Unit::Count),
        series.into(),
    )
}

fn answers(scene: &Scene) -> Chart {
    let area = |name: &str, value: fn(&Moment) -> u64| {
        let (name, points) = (name.to_owned(), curve(scene, value));
        Series { name, mark: Mark::Area, points }
    };
    let mut chart = over_time(
        &format!("What they were told, {}.", scene.way.name()),
        "All who have come, by what they know.",
        Axis::new("buyers", Unit::Count),
        vec![
            area("yes", |moment| moment.taken),
            area("waiting", Moment::waiting),
            area("no: sold out", |moment| moment.sold_out),
            area("told to come again", |moment| moment.turned_away),
            area("no answer", |moment| moment.failed),
        ],
    );
    // What nobody was told is not drawn: its edge would lie on the one below it.
    chart.series.retain(|series| series.points.iter().any(|(_, buyers)| *buyers > 0.0));
    chart.stacked = true;
    chart
}

fn spectrum(both: &[Summary; 2]) -> Chart {
    let line = |name: &str, summary: &Summary| {
        Series::line(
            name,
            summary.spectrum.iter().map(|(share, time)| (*share, time.as_secs_f64())).collect(),
        )
    };
    let [direct, through] = both;
    Chart {
        title: "How long an answer took.".to_owned(),
        caption: "So many of the answered buyers were at least this fast; by powers of ten."
            .to_owned(),
        x: Axis::new("share of the answered buyers", Unit::Share),
        y: Axis::new("answer after", Unit::Seconds).by_powers(),
        stacked: false,
        series: vec![line("directly", direct), line("through Forebay", through)],
        marks: Vec::new(),
    }
}

fn store(scenes: &[Scene; 2]) -> Chart {
    let series = scenes.each_ref().map(|scene| Series {
        name: scene.way.name().to_owned(),
        mark: Mark::Step,
        points: stored_per_second(&scene.moments),
    });
    over_time(
        "Orders a second at the store.",
        "Directly the burst hits the database; through Forebay it is taken at the rate that was set.",
        Axis::new("orders", Unit::PerSecond),
        series.into(),
    )
}

fn constants(options: &Options) -> Vec<Vec<String>> {
    let own =
        |name: &str, value: String, source: &str| vec![name.to_owned(), value, source.to_owned()];
    let mut rows = vec![
        own(
            "connections of the direct pool",
            POOL.to_string(),
            "with so many the store takes the most orders",
        ),
        own("drain rate", options.rate.to_string(), "--rate"),
        own("units for sale", grouped(options.stock), "--stock"),
    ];
    rows.extend(super::constants(options));
    rows
}
