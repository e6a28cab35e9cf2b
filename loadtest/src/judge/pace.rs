//! L7, from outside: the instants of the last attempts against the rate and burst that the drain says it has.

use super::{Broke, Judgement};
use crate::admin::{Pace, TicketRow};
use crate::pace::{attempts, burst_needed};

/// Two instants, each rounded to a microsecond.
const ROUNDING_SECONDS: f64 = 2e-6;

pub(super) fn judge(
    out: &mut Judgement,
    tickets: &[TicketRow],
    pace: Pace,
) -> anyhow::Result<bool> {
    let instants = attempts(tickets)?;
    let Pace { rate, burst } = pace;
    let needed = burst_needed(&instants, rate);
    if needed > burst + rate * ROUNDING_SECONDS {
        let what = format!(
            "L7: at {rate}/s some window needs a burst of {needed:.2}, and {burst} is allowed"
        );
        out.find(Broke::PaceBroken, what);
    }
    Ok(!instants.is_empty())
}
