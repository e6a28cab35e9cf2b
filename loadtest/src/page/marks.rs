//! What stands for the values of one series: paths and bars inside the frame of a chart.

use std::fmt::Write;

use super::chart::Mark;

/// Pixels of a chart: where a value lies.
pub(super) struct Frame<'a> {
    pub(super) x: &'a dyn Fn(f64) -> f64,
    pub(super) y: &'a dyn Fn(f64) -> f64,
    /// Between two neighbouring bars.
    pub(super) pitch: f64,
}

/// A series whose points stand on others: `(x, lower end, upper end)`.
pub(super) type Standing = [(f64, f64, f64)];

/// The elements of one series in the colour `c{colour}`.
pub(super) fn draw(mark: Mark, points: &Standing, frame: &Frame<'_>, colour: usize) -> String {
    if points.is_empty() {
        return String::new();
    }
    let tint = |class: &str, property: &str, d: &str| {
        format!("<path class=\"{class}\" style=\"{property}:var(--c{colour})\" d=\"{d}\"/>\n")
    };
    match mark {
        Mark::Line => tint("line", "stroke", &upper(points, frame, false)),
        Mark::Step => tint("line", "stroke", &upper(points, frame, true)),
        Mark::Area => {
            let edge = upper(points, frame, false);
            let body = format!("{edge}{}Z", lower(points, frame));
            tint("area", "fill", &body) + &tint("line", "stroke", &edge)
        }
        Mark::Bars => tint("solid", "fill", &bars(points, frame)),
        Mark::Dots => tint("solid", "fill", &dots(points, frame)),
    }
}

fn upper(points: &Standing, frame: &Frame<'_>, steps: bool) -> String {
    let mut d = String::new();
    let mut before = None;
    for (x, _, top) in points {
        let (x, y) = ((frame.x)(*x), (frame.y)(*top));
        let put = match before {
            None => write!(d, "M{x:.1} {y:.1}"),
            Some(_) if steps => write!(d, "H{x:.1}V{y:.1}"),
            Some(_) => write!(d, "L{x:.1} {y:.1}"),
        };
        put.expect("a String takes everything");
        before = Some(y);
    }
    d
}

fn lower(points: &Standing, frame: &Frame<'_>) -> String {
    let back = points.iter().rev();
    back.map(|(x, foot, _)| format!("L{:.1} {:.1}", (frame.x)(*x), (frame.y)(*foot))).collect()
}

fn bars(points: &Standing, frame: &Frame<'_>) -> String {
    let width = (frame.pitch - 2.0).max(1.0);
    let bar = |(x, foot, top): &(f64, f64, f64)| {
        let (left, foot, top) = ((frame.x)(*x) - width / 2.0, (frame.y)(*foot), (frame.y)(*top));
        format!("M{left:.1} {foot:.1}V{top:.1}h{width:.1}V{foot:.1}Z")
    };
    points.iter().map(bar).collect()
}

fn dots(points: &Standing, frame: &Frame<'_>) -> String {
    let dot = |(x, _, top): &(f64, f64, f64)| {
        let (x, y) = ((frame.x)(*x) - 3.5, (frame.y)(*top));
        format!("M{x:.1} {y:.1}a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0 -7 0Z")
    };
    points.iter().map(dot).collect()
}
