//! The picture of both curves and the table of constants in the documentation are those that are there:
//!
//! `FOREBAY_DRAW=1 cargo test --test store_model` writes them anew.

use std::fmt::Write;
use std::path::Path;

use forebay::store::simulated::server::Constants;
use forebay_loadtest::measure::table::{Point, Table};
use forebay_loadtest::page::{Axis, Chart, Mark, Scale, Series, Unit};

use super::closed_loop::closed_loop;
use super::{docs, measured};

fn series(name: &str, mark: Mark, table: &Table, y: impl Fn(Point) -> f64) -> Series {
    let points = table.rows.iter().map(|row| (f64::from(row.point.connections), y(row.point)));
    Series { name: name.to_owned(), mark, points: points.collect() }
}

fn picture(table: &Table) -> String {
    let constants = Constants::default();
    let mut all = Vec::new();
    for (stock_rows, name) in [(1_000, "1,000 stock rows"), (1, "one stock row")] {
        let wanted = |point: &Point| point.batch == 1 && point.stock_rows == stock_rows;
        let rows = table.rows.iter().filter(|row| wanted(&row.point)).copied().collect();
        let own = Table { environment: Vec::new(), rows };
        let real = |point| own.at(point).map_or(0.0, |row| row.transactions_per_second);
        let model = |point| closed_loop(&constants, point).per_second;
        all.push(series(&format!("{name}, model"), Mark::Line, &own, model));
        all.push(series(&format!("{name}, MariaDB"), Mark::Dots, &own, real));
    }
    let axis = |title: &str, unit, scale| Axis { title: title.to_owned(), unit, scale };
    let chart = Chart {
        title: "Orders a second, one order a transaction".to_owned(),
        caption: "Lines: the simulated store. Dots: MariaDB 10.11 as measured.".to_owned(),
        x: axis("connections, each always with a transaction", Unit::Count, Scale::Log),
        y: axis("orders a second", Unit::PerSecond, Scale::Linear),
        stacked: false,
        series: all,
        marks: Vec::new(),
    };
    chart.file()
}

/// The document with the constants in force between its marks.
fn with_constants(document: &str) -> String {
    let (begin, end) = ("<!-- constants -->\n", "<!-- end of constants -->");
    let (before, rest) = document.split_once(begin).expect("the document has a place for them");
    let (_, after) = rest.split_once(end).expect("the place ends");
    let mut table = "| key | value | measured from |\n|---|---|---|\n".to_owned();
    for (name, value, source) in Constants::default().table() {
        writeln!(table, "| `{name}` | {value} | {source} |").expect("a String takes everything");
    }
    format!("{before}{begin}{table}{end}{after}")
}

fn holds(file: &Path, wanted: &str) {
    if std::env::var_os("FOREBAY_DRAW").is_some() {
        std::fs::write(file, wanted).expect("the file can be written");
    }
    let there = std::fs::read_to_string(file).unwrap_or_default();
    let again = "FOREBAY_DRAW=1 cargo test --test store_model";
    assert!(there == wanted, "{} is of other figures: {again}", file.display());
}

#[test]
fn the_picture_shows_these_figures() {
    holds(&docs().join("store-model.svg"), &picture(&measured()));
}

#[test]
fn the_document_names_these_constants() {
    let file = docs().join("store-model.md");
    let wanted = with_constants(&std::fs::read_to_string(&file).unwrap());
    holds(&file, &wanted);
}
