//! What became of the buyers of one way, in figures and in one sentence.

use std::time::Duration;

use super::Moment;
use super::Options;
use super::Scene;
use super::crowd::Fate;
use super::moments::stored_per_second;
use crate::units::grouped;

/// A buyer who waits longer has left.
pub const WITHIN: Duration = Duration::from_secs(2);

/// A buyer who asks later than this after his time was kept by the demo, not by the shop.
const LATE: Duration = Duration::from_millis(100);

/// One way in figures.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    /// Buyers who came.
    pub buyers: u64,
    /// Buyers with a yes or a no within [`WITHIN`].
    pub in_time: u64,
    /// Buyers with a yes or a no after that.
    pub late: u64,
    /// Buyers who were told to come again.
    pub turned_away: u64,
    /// Buyers who were told nothing, or of an error.
    pub failed: u64,
    /// Buyers with a yes.
    pub taken: u64,
    /// Times of those with a yes or a no: half of them were faster.
    pub p50: Duration,
    /// 99 of 100 were faster.
    pub p99: Duration,
    /// The slowest.
    pub slowest: Duration,
    /// Share of those with a yes or a no, and how long it took the slowest of that share.
    pub spectrum: Vec<(f64, Duration)>,
    /// Buyers whom the demo itself was late with.
    pub late_buyers: u64,
    /// Orders in the store.
    pub stored: u64,
    /// The most orders that the store took in one second.
    pub store_peak: f64,
    /// Most buyers without an answer at one instant.
    pub waiting_peak: u64,
    /// From the first buyer to the last order in the store.
    pub whole: Duration,
}

impl Summary {
    pub(super) fn of(moments: &[Moment], fates: &[Fate]) -> Self {
        let last = moments.last().copied().unwrap_or_default();
        let mut times: Vec<Duration> =
            fates.iter().filter(|fate| fate.answered()).map(|fate| fate.after).collect();
        times.sort_unstable();
        let in_time = times.partition_point(|time| *time <= WITHIN) as u64;
        let at = |thousandths: usize| {
            let nth = (times.len() * thousandths).div_ceil(1000).max(1) - 1;
            times.get(nth).copied().unwrap_or_default()
        };
        let stored = moments.iter().find(|moment| moment.stored == last.stored);
        Self {
            buyers: last.came,
            in_time,
            late: times.len() as u64 - in_time,
            turned_away: last.turned_away,
            failed: last.failed,
            taken: last.taken,
            p50: at(500),
            p99: at(990),
            slowest: at(1000),
            spectrum: spectrum(&times),
            late_buyers: fates.iter().filter(|fate| fate.late > LATE).count() as u64,
            stored: last.stored,
            store_peak: most(stored_per_second(moments)),
            waiting_peak: moments.iter().map(Moment::waiting).max().unwrap_or_default(),
            whole: Duration::from_secs_f64(stored.map_or(0.0, |moment| moment.at)),
        }
    }
}

fn most(rates: Vec<(f64, f64)>) -> f64 {
    rates.into_iter().map(|(_, rate)| rate).fold(0.0, f64::max)
}

/// Every half percent of the sorted times.
fn spectrum(times: &[Duration]) -> Vec<(f64, Duration)> {
    let share = |step: usize| {
        let nth = (times.len() * step).div_ceil(200).max(1) - 1;
        #[expect(clippy::cast_precision_loss, reason = "two hundred steps")]
        times.get(nth).map(|time| (step as f64 / 200.0, *time))
    };
    (0..=200).filter_map(share).collect()
}

/// The table of the two ways: what, directly, through Forebay.
#[must_use]
pub fn rows(scenes: &[Scene; 2]) -> Vec<Vec<String>> {
    let both = scenes.each_ref().map(|scene| scene.summary.clone().unwrap_or_default());
    let row = |what: &str, figure: &dyn Fn(&Summary) -> String| {
        let [direct, through] = &both;
        vec![what.to_owned(), figure(direct), figure(through)]
    };
    vec![
        row("buyers who came", &|way| grouped(way.buyers)),
        row("a yes or a no within 2 s", &|way| grouped(way.in_time)),
        row("a yes or a no later", &|way| grouped(way.late)),
        row("told to come again", &|way| grouped(way.turned_away)),
        row("no answer, or an error", &|way| grouped(way.failed)),
        row("answer, median", &|way| time(way.p50)),
        row("answer, 99 of 100 faster", &|way| time(way.p99)),
        row("slowest answer", &|way| time(way.slowest)),
        row("most buyers waiting at once", &|way| grouped(way.waiting_peak)),
        row("buyers the demo was late with", &|way| grouped(way.late_buyers)),
        row("orders with a yes", &|way| grouped(way.taken)),
        row("orders in the store", &|way| grouped(way.stored)),
        row("most orders a second at the store", &|way| format!("{:.0}", way.store_peak)),
        row("until the last order was stored", &|way| time(way.whole)),
    ]
}

/// The sentence that a manager understands.
#[must_use]
pub fn sentence(scenes: &[Scene; 2], options: &Options) -> String {
    let [direct, through] =
        scenes.each_ref().map(|scene| scene.summary.clone().unwrap_or_default());
    format!(
        "{} buyers within {}: directly {} got an answer within 2 s and {} were turned away or left waiting; \
         through Forebay {} got theirs within 2 s, and the store took the orders at {}.",
        grouped(direct.buyers),
        time(options.over),
        grouped(direct.in_time),
        grouped(direct.buyers.saturating_sub(direct.in_time)),
        grouped(through.in_time),
        options.rate,
    )
}

/// A time as people say it.
pub(super) fn time(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    if seconds < 1.0 { format!("{:.0} ms", seconds * 1e3) } else { format!("{seconds:.1} s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fate(millis: u64, status: u16) -> Fate {
        Fate { after: Duration::from_millis(millis), status, late: Duration::ZERO }
    }

    #[test]
    fn come_again_is_no_answer_and_late_is_late() {
        let fates = [fate(10, 202), fate(2_000, 409), fate(2_001, 202), fate(5, 503), fate(9, 0)];
        let last = Moment {
            at: 3.0,
            came: 5,
            taken: 2,
            sold_out: 1,
            turned_away: 1,
            failed: 1,
            stored: 2,
        };
        let summary = Summary::of(&[Moment::default(), last], &fates);
        assert_eq!(
            (summary.in_time, summary.late, summary.turned_away, summary.failed),
            (2, 1, 1, 1)
        );
        assert_eq!(summary.p50, Duration::from_millis(2_000));
        assert_eq!(summary.slowest, Duration::from_millis(2_001));
    }

    #[test]
    fn nobody_came_and_nothing_is_told_wrong() {
        assert_eq!(Summary::of(&[], &[]), Summary::default());
    }
}
