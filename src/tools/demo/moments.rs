//! What a spectator sees at one instant.

use std::time::Duration;

/// Between two looks.
pub(super) const EVERY: Duration = Duration::from_millis(100);

/// Counts since the first buyer came.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Moment {
    /// Seconds since the first buyer came.
    pub at: f64,
    /// Buyers who have come.
    pub came: u64,
    /// Those who have their order, or its ticket.
    pub taken: u64,
    /// Those who were told that it is sold out.
    pub sold_out: u64,
    /// Those who were told to come again.
    pub turned_away: u64,
    /// Those whose connection broke, or who were answered something else.
    pub failed: u64,
    /// Orders in the store.
    pub stored: u64,
}

impl Moment {
    /// Buyers who have no answer yet.
    #[must_use]
    pub fn waiting(&self) -> u64 {
        self.came.saturating_sub(self.taken + self.sold_out + self.turned_away + self.failed)
    }
}

/// How much a count grew from look to look, a second: `(at, growth)`.
pub(super) fn per_second(moments: &[Moment], count: fn(&Moment) -> u64) -> Vec<(f64, f64)> {
    let growth = |pair: &[Moment]| match pair {
        [before, after] if after.at > before.at => {
            #[expect(clippy::cast_precision_loss, reason = "a demo has few buyers")]
            let grown = count(after).saturating_sub(count(before)) as f64;
            Some((after.at, grown / (after.at - before.at)))
        }
        _ => None,
    };
    moments.windows(2).filter_map(growth).collect()
}

/// Orders that the store took, a second, from half second to half second: the drain's batches make what lies between
/// two looks uneven.
pub(super) fn stored_per_second(moments: &[Moment]) -> Vec<(f64, f64)> {
    let mut halves: Vec<Moment> = Vec::new();
    for moment in moments {
        let begun = |last: &Moment| (last.at * 2.0).floor() < (moment.at * 2.0).floor();
        if halves.last().is_none_or(begun) {
            halves.push(*moment);
        }
    }
    per_second(&halves, |moment| moment.stored)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_is_who_came_and_was_told_nothing() {
        let moment = Moment {
            came: 10,
            taken: 3,
            sold_out: 2,
            turned_away: 1,
            failed: 1,
            ..Moment::default()
        };
        assert_eq!(moment.waiting(), 3);
    }

    #[test]
    fn growth_is_told_a_second() {
        let at = |at, stored| Moment { at, stored, ..Moment::default() };
        let moments = [at(0.0, 0), at(0.5, 10), at(0.5, 10), at(1.0, 40)];
        assert_eq!(per_second(&moments, |moment| moment.stored), [(0.5, 20.0), (1.0, 60.0)]);
    }

    #[test]
    fn what_the_store_took_is_told_by_half_seconds() {
        let at = |at, stored| Moment { at, stored, ..Moment::default() };
        let moments =
            [at(0.0, 0), at(0.1, 90), at(0.45, 90), at(0.5, 100), at(0.9, 100), at(1.5, 200)];
        assert_eq!(stored_per_second(&moments), [(0.5, 200.0), (1.5, 100.0)]);
    }
}
