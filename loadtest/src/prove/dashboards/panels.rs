//! What the boards ask, and what came back.

use anyhow::{Context, ensure};
use serde_json::Value;

/// A board's file, and the picture that is drawn of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Source {
    json: &'static str,
    picture: &'static str,
    /// Titles of the panels in the picture, from top to bottom.
    pub(super) drawn: &'static [&'static str],
}

pub(super) const BOARDS: [Source; 2] = [
    Source {
        json: include_str!("../../../../dashboards/forebay-overview.json"),
        picture: "overview.svg",
        drawn: &[
            "Admissions by outcome",
            "Orders waiting by sale",
            "Attempts and their limit",
            "Duration by route (p99)",
            "Commits to disk",
        ],
    },
    Source {
        json: include_str!("../../../../dashboards/forebay-sale.json"),
        picture: "sale.svg",
        drawn: &["Stock burn-down", "Accepted and refused", "Empty in", "Completion"],
    },
];

/// A board.
#[derive(Debug)]
pub(super) struct Board {
    pub(super) title: String,
    pub(super) picture: &'static str,
    pub(super) drawn: &'static [&'static str],
    pub(super) panels: Vec<Panel>,
}

/// One panel: its expressions, each with the name of its series.
#[derive(Debug)]
pub(super) struct Panel {
    pub(super) title: String,
    pub(super) description: String,
    pub(super) unit: String,
    pub(super) stacked: bool,
    /// Over time, not one figure.
    pub(super) is_chart: bool,
    pub(super) targets: Vec<(String, String)>,
}

impl Board {
    pub(super) fn read(source: Source) -> anyhow::Result<Self> {
        let json: Value = serde_json::from_str(source.json).context("a board is JSON")?;
        let panels = json["panels"].as_array().context("a board has panels")?;
        let shown = panels.iter().filter(|panel| panel["type"] != "row");
        let panels: Vec<Panel> = shown.map(Panel::read).collect();
        for title in source.drawn {
            ensure!(panels.iter().any(|panel| panel.title == *title), "no panel {title}");
        }
        let title = text(&json["title"]);
        Ok(Self { title, picture: source.picture, drawn: source.drawn, panels })
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

impl Panel {
    fn read(panel: &Value) -> Self {
        let defaults = &panel["fieldConfig"]["defaults"];
        let targets = panel["targets"].as_array().map_or(&[][..], Vec::as_slice);
        Self {
            title: text(&panel["title"]),
            description: text(&panel["description"]),
            unit: text(&defaults["unit"]),
            stacked: defaults["custom"]["stacking"]["mode"] == "normal",
            is_chart: panel["type"] == "timeseries",
            targets: targets
                .iter()
                .map(|target| (text(&target["expr"]), text(&target["legendFormat"])))
                .collect(),
        }
    }
}

/// One series of an answer: seconds since 1970, and values that are numbers.
#[derive(Debug, Clone)]
pub(super) struct Line {
    pub(super) labels: Vec<(String, String)>,
    pub(super) name: String,
    pub(super) points: Vec<(f64, f64)>,
}

impl Line {
    /// Names it as a legend does: `{{label}}` is the label's value.
    pub(super) fn named(mut self, legend: &str) -> Self {
        let named = self.labels.iter().fold(legend.to_owned(), |name, (label, value)| {
            name.replace(&format!("{{{{{label}}}}}"), value)
        });
        self.name = named;
        self
    }

    /// The largest value.
    pub(super) fn most(&self) -> f64 {
        self.points.iter().map(|point| point.1).fold(0.0, f64::max)
    }
}

/// A panel with all that came back for it.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) title: String,
    pub(super) lines: Vec<Line>,
}

impl Asked {
    /// It has at least one number to show.
    pub(super) fn shows(&self) -> bool {
        self.lines.iter().any(|line| !line.points.is_empty())
    }
}
