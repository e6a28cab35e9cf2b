//! How long a call takes that waits for nobody: the median, by the size of the batch.
//!
//! A streaming median (Ma, Muthukrishnan and Sandler, "Frugal Streaming", 2013): up a step at a call that took longer,
//! down one at a call that did not. A step is as long as the time since the last: what a call says counts by time, not
//! by how many there are. Calls that were alone at the store move it fast, because they wait for none of ours; the others
//! slowly, so that a queue of our own is not soon believed to be the store's way.

use std::time::Duration;

/// Time in which calls that were alone double or halve a baseline.
const ALONE: Duration = Duration::from_secs(1);

/// Time in which other calls do.
const AMONG_OTHERS: Duration = Duration::from_secs(60);

/// The longest silence that counts: a slow call after a quiet night is one call.
const SILENCE_MAX: Duration = Duration::from_millis(500);

/// By how much a call may be longer before it counts as slow, besides its double: no store of this speed is in need.
const SLACK: Duration = Duration::from_millis(2);

/// Sizes 1, 2, up to 4, up to 8, and so on up to 512.
const CLASSES: usize = 10;

#[derive(Clone, Copy, Debug)]
struct Baseline {
    takes: Duration,
    at: Duration,
}

/// One baseline for each size of batch that was seen.
#[derive(Clone, Debug, Default)]
pub(super) struct Baselines {
    classes: [Option<Baseline>; CLASSES],
}

impl Baselines {
    /// A call of so many orders took, or takes already, longer than its own work explains.
    pub(super) fn is_slow(&self, orders: u32, took: Duration) -> bool {
        self.of(class(orders)).is_some_and(|unloaded| took > unloaded * 2 + SLACK)
    }

    /// A call of so many orders took so long. `alone`: it waited for no other call of ours.
    pub(super) fn learn(&mut self, orders: u32, took: Duration, alone: bool, now: Duration) {
        let class = class(orders);
        let known = self.of(class).unwrap_or(took);
        let at = self.classes[class].map_or(now, |baseline| baseline.at);
        let since = now.saturating_sub(at).min(SILENCE_MAX);
        let doubles_in = if alone { ALONE } else { AMONG_OTHERS };
        let step = (since.as_secs_f64() / doubles_in.as_secs_f64()).exp2();
        let takes = if took > known {
            took.min(known.mul_f64(step))
        } else {
            took.max(known.div_f64(step))
        };
        self.classes[class] = Some(Baseline { takes, at: now });
        for (other, baseline) in self.classes.iter_mut().enumerate() {
            if let Some(baseline) = baseline {
                let (least, most) = bounds(takes, class, other);
                baseline.takes = baseline.takes.clamp(least, most);
            }
        }
    }

    /// The baseline of a class; of one that was not seen yet, the most that its neighbours allow.
    fn of(&self, class: usize) -> Option<Duration> {
        let most = |(near, baseline): (usize, &Option<Baseline>)| {
            baseline.map(|baseline| bounds(baseline.takes, near, class).1)
        };
        let known = self.classes[class].map(|baseline| baseline.takes);
        known.or_else(|| self.classes.iter().enumerate().filter_map(most).min())
    }
}

/// What a call of the class `other` takes at least and at most when one of `class` takes so long: a larger batch
/// takes no less, and as much as its parts one by one at most.
fn bounds(takes: Duration, class: usize, other: usize) -> (Duration, Duration) {
    if other >= class {
        (takes, takes * (1 << (other - class)))
    } else {
        (takes / (1 << (class - other)), takes)
    }
}

fn class(orders: u32) -> usize {
    (orders.max(1).next_power_of_two().trailing_zeros() as usize).min(CLASSES - 1)
}
