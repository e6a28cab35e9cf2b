//! The simulated store's server beside the real one: in a closed loop in virtual time the model does what
//! MariaDB 10.11 was measured to do, at every point, within a quarter.

#[path = "store_model/closed_loop.rs"]
mod closed_loop;
#[path = "store_model/fit.rs"]
mod fit;
#[path = "store_model/picture.rs"]
mod picture;

use std::path::{Path, PathBuf};

use closed_loop::{Seen, closed_loop};
use forebay::store::simulated::codes::Code;
use forebay::store::simulated::server::Constants;
use forebay_loadtest::measure::table::{Point, Table};

/// How far the model may be from what was measured, either way.
const TOLERANCE: f64 = 0.25;
/// When others used more cores than these meanwhile, a figure says nothing.
const DISTURBED: f64 = 0.15;

fn docs() -> PathBuf {
    // Cargo and nextest set it for each run.
    let root = std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo says where the package lies");
    Path::new(&root).join("docs")
}

fn measured() -> Table {
    let file = docs().join("measured/mariadb-10.11.csv");
    let text = std::fs::read_to_string(file).expect("the table was measured");
    Table::parse(&text).expect("the table is whole")
}

/// Points at which the model is further off than it may be, in words.
fn off(constants: &Constants, table: &Table) -> Vec<String> {
    let mut findings = Vec::new();
    for row in table.rows.iter().filter(|row| row.other_cores <= DISTURBED) {
        let Seen { per_second, mean_us } = closed_loop(constants, row.point);
        let (throughput, mean) = (row.transactions_per_second, row.mean_us);
        // In a loop that has settled, as many are under way as there are connections.
        let under_way = throughput * mean / 1e6;
        let settled = (under_way / f64::from(row.point.connections) - 1.0).abs() < 0.1;
        let figures = [("a second", per_second, throughput, true), ("us", mean_us, mean, settled)];
        for (unit, model, real, _) in figures.into_iter().filter(|figure| figure.3) {
            if !(1.0 - TOLERANCE..=1.0 + TOLERANCE).contains(&(model / real)) {
                let point = row.point;
                findings.push(format!("{point:?}: {model:.0} {unit}, measured {real:.0}"));
            }
        }
    }
    findings
}

#[test]
fn the_model_does_what_was_measured_at_every_point() {
    let table = measured();
    let points: Vec<Point> = table.rows.iter().map(|row| row.point).collect();
    assert_eq!(points, Point::all(), "the whole grid was measured");
    let judged = table.rows.iter().filter(|row| row.other_cores <= DISTURBED).count();
    assert!(judged * 5 >= points.len() * 4, "only {judged} figures say anything: measure again");
    let off = off(&Constants::default(), &table);
    assert!(off.is_empty(), "{} figures are off:\n{}", off.len(), off.join("\n"));
}

#[test]
fn every_constant_counts() {
    let table = measured();
    let right = Constants::default();
    let wrong = [
        ("cores", Constants { cores: 1, ..right.clone() }),
        ("exchange", Constants { exchange_micros: 1_000, ..right.clone() }),
        ("work", Constants { work_micros: right.work_micros * 2, ..right.clone() }),
        ("work_row", Constants { work_row_nanos: 50_000, ..right.clone() }),
        ("work_crowd", Constants { work_crowd_permille: 20, ..right.clone() }),
        ("lock", Constants { lock_micros: right.lock_micros * 2, ..right.clone() }),
        ("lock_row", Constants { lock_row_nanos: 0, ..right.clone() }),
        ("lock_crowd", Constants { lock_crowd_permille: 20, ..right.clone() }),
        ("flush", Constants { flush_micros: 2_000, ..right.clone() }),
        ("flush_row", Constants { flush_row_nanos: 50_000, ..right.clone() }),
    ];
    for (name, constants) in wrong {
        assert!(!off(&constants, &table).is_empty(), "a wrong {name} is not seen");
    }
}

#[test]
fn the_same_run_twice_is_the_same_to_the_nanosecond() {
    for point in Point::all() {
        let twice = [(); 2].map(|()| closed_loop(&Constants::default(), point));
        assert_eq!(twice[0], twice[1], "{point:?}");
    }
}

#[test]
fn throughput_rises_to_a_knee_and_falls_behind_it_on_a_hot_row() {
    let at = |connections| {
        let point = Point { batch: 1, stock_rows: 1, connections };
        closed_loop(&Constants::default(), point).per_second
    };
    let curve: Vec<f64> = [1, 2, 4, 8, 16, 32, 64, 128, 256].map(at).to_vec();
    let best = curve.iter().copied().fold(0.0, f64::max);
    assert!(curve[0] < 0.8 * best, "one connection is not all: {curve:?}");
    assert!(curve[8] < 0.85 * best, "the crowd costs: {curve:?}");
}

#[test]
fn a_batch_carries_as_many_orders_as_the_drain_needs() {
    let batch = Point { batch: 500, stock_rows: 1, connections: 4 };
    let orders = closed_loop(&Constants::default(), batch).per_second * 500.0;
    assert!(orders > 50_000.0, "{orders:.0} orders a second");
}

#[test]
fn the_codes_are_those_of_the_real_server() {
    let file = docs().join("measured/mariadb-10.11-codes.csv");
    let text = std::fs::read_to_string(file).unwrap();
    let mut seen = 0;
    for line in text.lines().filter(|line| !line.starts_with('#')).skip(1) {
        let number = line.rsplit(',').next().unwrap().parse().unwrap();
        assert!(Code::of(number).is_some(), "the model has no {line}");
        seen += 1;
    }
    assert_eq!(seen, 5);
}
