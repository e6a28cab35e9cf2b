//! The picture in the terminal: for each way who comes, who waits and what the store takes, as it happens.

use super::Moment;
use super::Scene;
use super::WITHIN;
use super::moments::per_second;
use crate::units::grouped;

const BLOCKS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// Columns of one curve.
const WIDTH: usize = 48;

/// The picture of all ways so far, as lines of at most 80 columns. Always the same number of lines for the same number
/// of scenes, so that it can be drawn in its place.
#[must_use]
pub fn picture(scenes: &[Scene]) -> Vec<String> {
    scenes.iter().flat_map(drawn).collect()
}

fn drawn(scene: &Scene) -> Vec<String> {
    let last = scene.moments.last().copied().unwrap_or_default();
    let arrivals = per_second(&scene.moments, |moment| moment.came);
    let stored = per_second(&scene.moments, |moment| moment.stored);
    #[expect(clippy::cast_precision_loss, reason = "a demo has few buyers")]
    let waiting: Vec<(f64, f64)> =
        scene.moments.iter().map(|moment| (moment.at, moment.waiting() as f64)).collect();
    let now = |rates: &[(f64, f64)]| rates.last().map_or(0.0, |(_, rate)| *rate);
    let line = |name: &str, curve: &[(f64, f64)], figure: String| {
        format!("  {name:<15} {} {figure:>13}", spark(curve, last.at))
    };
    vec![
        format!("{:<17} {:.1} s", scene.way.name(), last.at),
        line("buyers who come", &arrivals, grouped(last.came)),
        line("waiting", &waiting, grouped(last.waiting())),
        line("store takes", &stored, format!("{:.0}/s", now(&stored))),
        told(&last, scene),
        String::new(),
    ]
}

fn told(last: &Moment, scene: &Scene) -> String {
    let yes = format!("  {} yes, {} no", grouped(last.taken), grouped(last.sold_out));
    let away = format!("{} told to come again", grouped(last.turned_away));
    match &scene.summary {
        None => format!("{yes}, {away}"),
        Some(all) => format!(
            "{yes}, {away}; {} answered within {} s",
            grouped(all.in_time),
            WITHIN.as_secs()
        ),
    }
}

/// A curve over all the time so far; each column shows the highest value that falls into it, and one into which none
/// falls what was before.
fn spark(curve: &[(f64, f64)], until: f64) -> String {
    let mut columns = [None::<f64>; WIDTH];
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "columns are few"
    )]
    for (at, value) in curve {
        let column = (at / until.max(f64::MIN_POSITIVE) * WIDTH as f64) as usize;
        let column = &mut columns[column.min(WIDTH - 1)];
        *column = Some(column.map_or(*value, |most| most.max(*value)));
    }
    let most = columns.iter().flatten().copied().fold(0.0, f64::max);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an eighth of a column"
    )]
    let height = |value: f64| if most > 0.0 { (value / most * 8.0).ceil() as usize } else { 0 };
    let filled = columns.iter().scan(0.0, |before, column| {
        *before = column.unwrap_or(*before);
        Some(BLOCKS[height(*before).min(8)])
    });
    filled.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::demo::Way;

    fn scene(moments: Vec<Moment>) -> Scene {
        Scene { way: Way::Direct, moments, summary: None }
    }

    #[test]
    fn every_picture_has_as_many_lines_and_fits_a_terminal() {
        let looks = |count: u32| {
            let look = |n| Moment {
                at: f64::from(n) / 10.0,
                came: u64::from(n) * 99_999,
                ..Moment::default()
            };
            scene((0..count).map(look).collect())
        };
        let empty = picture(&[scene(Vec::new())]).len();
        for count in [1, 2, 30, 2_000] {
            let lines = picture(&[looks(count)]);
            assert_eq!(lines.len(), empty);
            assert!(lines.iter().all(|line| line.chars().count() <= 80), "{lines:#?}");
        }
    }

    #[test]
    fn a_curve_rises_where_its_values_do() {
        let rising: Vec<(f64, f64)> =
            (0..=480).map(|n| (f64::from(n) / 10.0, f64::from(n))).collect();
        let blocks: Vec<char> = spark(&rising, 48.0).chars().collect();
        assert!(blocks.windows(2).all(|pair| pair[0] <= pair[1]), "{blocks:?}");
        assert_eq!(blocks.last(), Some(&'█'));
        assert_eq!(spark(&[], 0.0), " ".repeat(WIDTH));
    }

    #[test]
    fn few_looks_leave_no_holes() {
        let curve: Vec<(f64, f64)> = (1..=10).map(|n| (f64::from(n) / 10.0, 5.0)).collect();
        assert!(!spark(&curve, 1.0).trim_start().contains(' '));
        // What fell to nothing in between is shown.
        let pause = spark(&[(0.0, 5.0), (0.5, 0.0), (1.0, 5.0)], 1.0);
        assert!(pause.contains("█ ") && pause.ends_with('█'), "{pause}");
    }
}
