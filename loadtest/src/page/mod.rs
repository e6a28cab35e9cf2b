//! A report as one HTML file: no outside resource, no script, readable in light and dark, narrow and wide.

mod axis;
mod chart;
mod marks;
mod style;

use std::fmt::{Display, Write};

pub use axis::{Axis, Scale, Unit};
pub use chart::{Chart, Mark, Series};

/// Draws for a screen of its width; a page holds each chart twice and shows the one that fits.
const WIDE: (f64, f64) = (880.0, 300.0);
const NARROW: (f64, f64) = (360.0, 260.0);

/// A report that grows from top to bottom.
#[derive(Debug, Clone)]
pub struct Page {
    title: String,
    body: String,
}

impl Page {
    /// A page with its title and the sentence that says what was found.
    #[must_use]
    pub fn new(title: impl Into<String>, lead: impl Display) -> Self {
        let title = title.into();
        let head = format!("<h1>{}</h1>\n<p class=\"lead\">{}</p>\n", text(&title), text(lead));
        Self { title, body: head }
    }

    /// Begins a section.
    pub fn section(&mut self, title: impl Display) {
        self.put(format_args!("<h2>{}</h2>\n", text(title)));
    }

    /// A paragraph of plain text.
    pub fn paragraph(&mut self, words: impl Display) {
        self.put(format_args!("<p>{}</p>\n", text(words)));
    }

    /// A row of large figures: label, value, note.
    pub fn figures<L: Display, V: Display, N: Display>(&mut self, figures: &[(L, V, N)]) {
        self.put("<dl class=\"figures\">\n");
        for (label, value, note) in figures {
            let (label, value, note) = (text(label), text(value), text(note));
            self.put(format_args!(
                "<div><dt>{label}</dt><dd>{value}</dd><dd class=\"note\">{note}</dd></div>\n"
            ));
        }
        self.put("</dl>\n");
    }

    /// A table; its first column names the row.
    pub fn table(&mut self, headers: &[&str], rows: &[Vec<String>]) {
        self.put("<div class=\"scroll\"><table>\n<thead><tr>");
        for header in headers {
            self.put(format_args!("<th scope=\"col\">{}</th>", text(header)));
        }
        self.put("</tr></thead>\n<tbody>\n");
        for row in rows {
            self.put("<tr>");
            for (column, cell) in row.iter().enumerate() {
                let cell = text(cell);
                match column {
                    0 => self.put(format_args!("<th scope=\"row\">{cell}</th>")),
                    _ => self.put(format_args!("<td>{cell}</td>")),
                }
            }
            self.put("</tr>\n");
        }
        self.put("</tbody></table></div>\n");
    }

    /// A chart with its caption.
    pub fn chart(&mut self, chart: &Chart) {
        let (wide, narrow) = (chart.drawn(WIDE, "wide"), chart.drawn(NARROW, "narrow"));
        let (title, caption) = (text(&chart.title), text(&chart.caption));
        self.put(format_args!(
            "<figure><figcaption><b>{title}</b> {caption}</figcaption>\n{}{wide}{narrow}</figure>\n",
            chart.legend()
        ));
    }

    /// The whole file.
    #[must_use]
    pub fn html(&self) -> String {
        format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n<title>{}</title>\n\
             <style>\n{}{}</style>\n</head>\n<body>\n<main>\n{}</main>\n</body>\n</html>\n",
            text(&self.title),
            style::COLOURS,
            style::PAGE,
            self.body
        )
    }

    fn put(&mut self, part: impl Display) {
        write!(self.body, "{part}").expect("a String takes everything");
    }
}

/// Plain text for an element or a quoted attribute.
fn text(words: impl Display) -> String {
    let mut safe = String::new();
    for letter in words.to_string().chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            // What no XML document may hold.
            '\u{0}'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' => safe.push('\u{fffd}'),
            other => safe.push(other),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page() -> Page {
        let mut page = Page::new("A <sale> & more", "it's \"told\"");
        page.section("What \u{1} came");
        page.figures(&[("accepted", "20,000", "of 20,000")]);
        page.table(&["way", "answered"], &[vec!["<direct>".to_owned(), "1 & 2".to_owned()]]);
        page.chart(&Chart {
            title: "Arrivals".to_owned(),
            caption: "<each> second".to_owned(),
            x: Axis::new("time", Unit::Seconds),
            y: Axis::new("buyers", Unit::PerSecond),
            stacked: false,
            series: vec![Series::line("came", vec![(0.0, 1.0), (1.0, 5.0)])],
            marks: vec![(0.5, "open".to_owned())],
        });
        page
    }

    #[test]
    fn what_is_said_is_shown_and_never_markup() {
        let html = page().html();
        for shown in ["A &lt;sale&gt; &amp; more", "it&#39;s &quot;told&quot;", "&lt;direct&gt;"] {
            assert!(html.contains(shown), "{shown} in {html}");
        }
        assert!(!html.contains("<sale>") && !html.contains("<each>") && !html.contains('\u{1}'));
    }

    #[test]
    fn nothing_is_fetched_and_nothing_runs() {
        let html = page().html();
        for outside in ["http:", "https:", "//", "<script", "<link", "@import", "url("] {
            assert!(!html.contains(outside), "{outside} in {html}");
        }
    }

    #[test]
    fn both_widths_are_there() {
        let html = page().html();
        assert_eq!(html.matches("<svg").count(), 2);
        assert!(html.contains("class=\"wide\"") && html.contains("class=\"narrow\""));
    }
}
