//! Some panels of a board, one below the other, as one picture.

use std::fmt::Write as _;

use anyhow::Context;

use super::panels::{Asked, Board, Line, Panel};
use crate::page::{Axis, Chart, Mark, Series, Unit};

/// A chart that is a file of its own.
const WIDTH: usize = 880;
const HEIGHT: usize = 392;
/// A legend of more is not read.
const NAMES_MAX: usize = 5;

/// What happened, in seconds since the picture's first.
type Marks<'a> = &'a [(f64, String)];

/// The board's drawn panels; time counts from `from`.
pub(super) fn picture(
    board: &Board,
    asked: &[Asked],
    from: f64,
    marks: Marks<'_>,
) -> anyhow::Result<String> {
    let height = HEIGHT * board.drawn.len();
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{}\">\n",
        board.title
    );
    for (at, title) in board.drawn.iter().enumerate() {
        let panel = board.panels.iter().find(|panel| panel.is_chart && panel.title == *title);
        let panel = panel.with_context(|| format!("{title} is no chart"))?;
        let of_panel = |(panel, _): &(&Panel, &Asked)| panel.is_chart && panel.title == *title;
        let asked = board.panels.iter().zip(asked).find(of_panel).map(|(_, asked)| asked);
        let asked = asked.with_context(|| format!("{title} was not asked"))?;
        let chart = chart(panel, &asked.lines, from, marks);
        let place =
            format!("<svg x=\"0\" y=\"{}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" ", at * HEIGHT);
        write!(svg, "{}", chart.file().replacen("<svg ", &place, 1))?;
    }
    svg.push_str("</svg>\n");
    Ok(svg)
}

fn chart(panel: &Panel, lines: &[Line], from: f64, marks: Marks<'_>) -> Chart {
    // What is 0 all the time says nothing in a picture.
    let mut shown: Vec<&Line> = lines.iter().filter(|line| line.most() > 0.0).collect();
    shown.sort_by(|one, other| other.most().total_cmp(&one.most()));
    shown.truncate(NAMES_MAX);
    let series = shown.into_iter().map(|line| Series {
        name: line.name.clone(),
        mark: if panel.stacked { Mark::Area } else { Mark::Line },
        points: line.points.iter().map(|(at, value)| (at - from, *value)).collect(),
    });
    let (unit, what) = match panel.unit.as_str() {
        "s" => (Unit::Seconds, "time"),
        "ops" | "reqps" => (Unit::PerSecond, "a second"),
        "bytes" => (Unit::Bytes, "bytes"),
        "percentunit" => (Unit::Share, "share"),
        _ => (Unit::Count, "number"),
    };
    Chart {
        title: panel.title.clone(),
        caption: panel.description.clone(),
        x: Axis::new("since the start", Unit::Seconds),
        y: Axis::new(what, unit),
        stacked: panel.stacked,
        series: series.collect(),
        marks: marks.to_vec(),
    }
}
