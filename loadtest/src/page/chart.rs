//! A chart: axes, series, and marks in time, drawn as SVG.

use std::fmt::Write;

use super::axis::{Axis, Range, Unit};
use super::marks::{Frame, draw};
use super::{style, text};

/// How a series is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// A line through its points.
    Line,
    /// A value that holds until the next.
    Step,
    /// A line with the space below it filled.
    Area,
    /// A bar a point.
    Bars,
    /// A dot a point.
    Dots,
}

/// Values of one kind.
#[derive(Debug, Clone)]
pub struct Series {
    /// What the legend says.
    pub name: String,
    /// How it is drawn.
    pub mark: Mark,
    /// x and y, by rising x.
    pub points: Vec<(f64, f64)>,
}

impl Series {
    /// A line.
    pub fn line(name: impl Into<String>, points: Vec<(f64, f64)>) -> Self {
        Self { name: name.into(), mark: Mark::Line, points }
    }
}

/// One chart. Series keep the colour of their place.
#[derive(Debug, Clone)]
pub struct Chart {
    /// What is shown.
    pub title: String,
    /// How to read it, in a sentence.
    pub caption: String,
    /// To the right.
    pub x: Axis,
    /// Upwards.
    pub y: Axis,
    /// Each series stands on those before it; their points then share their x.
    pub stacked: bool,
    /// What is drawn, from behind to before.
    pub series: Vec<Series>,
    /// Places on the x axis with a word about what happened.
    pub marks: Vec<(f64, String)>,
}

const COLOURS: usize = 6;
/// Room around the frame: top, right, bottom, left.
const MARGIN: (f64, f64, f64, f64) = (22.0, 24.0, 40.0, 58.0);
/// The size of a picture of its own.
const PICTURE: (f64, f64) = (880.0, 340.0);
/// An average letter of the axes' font.
const LETTER: f64 = 6.6;

impl Chart {
    /// The drawing, for inside a page that has the colours.
    #[must_use]
    pub fn svg(&self) -> String {
        self.drawn(super::WIDE, "wide")
    }

    /// A file of its own with title and legend, in the colours that the reader prefers.
    #[must_use]
    pub fn file(&self) -> String {
        let (width, height) = PICTURE;
        let head = 52.0;
        let mut x = MARGIN.3;
        let mut names = String::new();
        for (at, series) in self.named() {
            writeln!(
                names,
                "<rect x=\"{x:.0}\" y=\"31\" width=\"12\" height=\"12\" rx=\"3\" style=\"fill:var(--c{})\"/>\
                 <text class=\"name\" x=\"{:.0}\" y=\"41\">{}</text>",
                at % COLOURS,
                x + 18.0,
                text(&series.name)
            )
            .expect("a String takes everything");
            x += 36.0 + LETTER * letters(&series.name);
        }
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {total}\" role=\"img\" \
             aria-label=\"{label}\">\n<style>\n{css}</style>\n<rect class=\"paper\" width=\"{width}\" height=\"{total}\"/>\n\
             <text class=\"title\" x=\"{left}\" y=\"20\">{title}</text>\n{names}\
             <g transform=\"translate(0 {head})\">\n{inside}</g>\n</svg>\n",
            total = height + head,
            label = text(format_args!("{}. {}", self.title, self.caption)),
            css = style::COLOURS,
            left = MARGIN.3,
            title = text(&self.title),
            inside = self.inside(PICTURE),
        )
    }

    /// An `<svg>` of this size and class.
    pub(super) fn drawn(&self, size: (f64, f64), class: &str) -> String {
        let (width, height) = size;
        let label = text(format_args!("{}. {}", self.title, self.caption));
        format!(
            "<svg class=\"{class}\" viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{label}\">\n{}</svg>\n",
            self.inside(size)
        )
    }

    /// The names of the series, as a list for a page; a single series is named by the title.
    pub(super) fn legend(&self) -> String {
        if self.series.len() < 2 {
            return String::new();
        }
        let entry = |(at, series): (usize, &Series)| {
            let (colour, name) = (at % COLOURS, text(&series.name));
            format!("<li><i style=\"background:var(--c{colour})\"></i>{name}</li>")
        };
        format!("<ul class=\"legend\">{}</ul>\n", self.named().map(entry).collect::<String>())
    }

    fn named(&self) -> impl Iterator<Item = (usize, &Series)> {
        self.series.iter().enumerate()
    }

    fn inside(&self, (width, height): (f64, f64)) -> String {
        let (top, right, bottom, left) = MARGIN;
        let (inner, tall) = (width - left - right, height - top - bottom);
        let standing = self.standing();
        let xs = standing.iter().flatten().map(|point| point.0);
        let xs = xs.chain(self.marks.iter().map(|mark| mark.0));
        let ys = standing.iter().flatten().flat_map(|point| [point.1, point.2]);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few ticks")]
        let across = self.x.range(xs, self.x.unit == Unit::Seconds, (inner / 90.0) as usize);
        let up = self.y.range(ys, true, 4);
        let x = |value: f64| left + inner * across.place(value);
        let y = |value: f64| top + tall * (1.0 - up.place(value));
        let mut svg = self.frame(&across, &up, (&x, &y), (width, height));
        let most = self.series.iter().map(|series| series.points.len()).max().unwrap_or(0).max(1);
        #[expect(clippy::cast_precision_loss, reason = "a chart has few points")]
        let frame = Frame { x: &x, y: &y, pitch: inner / most as f64 };
        for (at, points) in standing.iter().enumerate() {
            svg.push_str(&draw(self.series[at].mark, points, &frame, at % COLOURS));
        }
        svg
    }

    /// Each series with where its points stand.
    fn standing(&self) -> Vec<Vec<(f64, f64, f64)>> {
        let floor = 0.0;
        let mut heights: Vec<f64> = Vec::new();
        let mut standing = Vec::new();
        for series in &self.series {
            heights.resize(heights.len().max(series.points.len()), floor);
            let points = series.points.iter().zip(&mut heights).map(|((x, y), height)| {
                let foot = if self.stacked { *height } else { floor };
                *height = foot + y;
                (*x, foot, foot + y)
            });
            standing.push(points.collect());
        }
        standing
    }

    fn frame(
        &self,
        across: &Range,
        up: &Range,
        (x, y): (&dyn Fn(f64) -> f64, &dyn Fn(f64) -> f64),
        (width, height): (f64, f64),
    ) -> String {
        let (top, right, bottom, left) = MARGIN;
        let (end, foot) = (width - right, height - bottom);
        let mut svg = String::new();
        let mut put = |part: std::fmt::Arguments<'_>| {
            svg.write_fmt(part).expect("a String takes everything");
        };
        for tick in &up.ticks {
            let (at, label) = (y(*tick), text(self.y.label(*tick)));
            put(format_args!("<path class=\"rule\" d=\"M{left} {at:.1}H{end}\"/>\n"));
            put(format_args!(
                "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>\n",
                left - 8.0,
                at + 4.0
            ));
        }
        put(format_args!("<path class=\"base\" d=\"M{left} {foot}H{end}\"/>\n"));
        for tick in &across.ticks {
            let (at, label) = (x(*tick), text(self.x.label(*tick)));
            put(format_args!("<path class=\"base\" d=\"M{at:.1} {foot}v4\"/>\n"));
            put(format_args!(
                "<text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{label}</text>\n",
                foot + 18.0
            ));
        }
        put(format_args!(
            "<text x=\"{end}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\n",
            foot + 34.0,
            text(&self.x.title)
        ));
        put(format_args!("<text x=\"4\" y=\"12\">{}</text>\n", text(&self.y.title)));
        for (place, word) in &self.marks {
            let at = x(*place);
            // Words to the right of the middle would leave the frame.
            let (anchor, beside) = if at > width / 2.0 { ("end", -5.0) } else { ("start", 5.0) };
            put(format_args!("<path class=\"mark\" d=\"M{at:.1} {top}V{foot}\"/>\n"));
            put(format_args!(
                "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{}</text>\n",
                at + beside,
                top - 6.0,
                text(word)
            ));
        }
        svg
    }
}

#[expect(clippy::cast_precision_loss, reason = "a name has few letters")]
fn letters(name: &str) -> f64 {
    name.chars().count() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(stacked: bool, series: Vec<Series>) -> Chart {
        Chart {
            title: "t".to_owned(),
            caption: "c".to_owned(),
            x: Axis::new("time", Unit::Seconds),
            y: Axis::new("n", Unit::Count),
            stacked,
            series,
            marks: Vec::new(),
        }
    }

    fn bars(points: Vec<(f64, f64)>) -> Series {
        Series { name: "n".to_owned(), mark: Mark::Bars, points }
    }

    #[test]
    fn stacked_series_stand_on_one_another() {
        let both = vec![bars(vec![(0.0, 2.0), (1.0, 3.0)]), bars(vec![(0.0, 5.0), (1.0, 1.0)])];
        let standing = chart(true, both).standing();
        assert_eq!(standing[1], [(0.0, 2.0, 7.0), (1.0, 3.0, 4.0)]);
    }

    #[test]
    fn a_value_lies_where_its_axis_says() {
        let line = Series::line("n", vec![(0.0, 0.0), (10.0, 100.0)]);
        let svg = chart(false, vec![line]).drawn((100.0 + 82.0, 100.0 + 62.0), "wide");
        // The frame is 100 by 100 with its lower left corner at 58, 122.
        assert!(svg.contains("d=\"M58.0 122.0L158.0 22.0\""), "{svg}");
    }

    #[test]
    fn a_file_is_a_whole_picture() {
        let file = chart(false, vec![bars(vec![(0.0, 2.0)])]).file();
        assert!(file.starts_with("<svg xmlns=") && file.contains("prefers-color-scheme:dark"));
        assert!(!file.contains("NaN"), "{file}");
    }

    #[test]
    fn nothing_to_draw_is_an_empty_frame() {
        for series in [vec![], vec![Series::line("n", vec![])]] {
            let svg = chart(true, series).svg();
            assert!(svg.contains("class=\"base\"") && !svg.contains("NaN"), "{svg}");
        }
    }
}
