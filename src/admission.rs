//! The decision before the ledger. Pure: everything comes in by parameter.
//!
//! Memory refuses only buyers who are not holders in the sale: whoever ever got a ticket is asked of the
//! ledger, so that a known key is never told no (L8). What memory knows comes from the ledger's tail, in tail
//! order: whoever knows "sold out" or "closed" already knows every holder that came before it.
//!
//! Token buckets: those of buyers and addresses ([`Limits`]) come before the phases and bind holders too; those
//! of the gateway and the sale protect what is behind them, and ask only of buyers who are not holders.

mod buckets;
mod limits;

use std::time::Duration;

pub use buckets::{Bucket, KeyedBuckets, Limit, Limited};
pub use limits::{Config, Limits};

use crate::clock::Timestamp;
use crate::order::ItemLine;
use crate::sale::Intake;

/// What the gateway knows when it has read the head of an order call.
#[derive(Clone, Copy, Debug)]
pub struct Glance {
    /// The buyer ever got a ticket in this sale.
    pub holder: bool,
    /// The sale's intake by the clock and the operator.
    pub intake: Intake,
    /// A read of the tail that began after the present phase began has reached its end.
    pub caught_up: bool,
    /// The gateway is stopping.
    pub stopping: bool,
    /// Every item is latched.
    pub sold_out: bool,
}

/// A refusal from memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// 403, with the instant at which the sale opens.
    NotOpen(Timestamp),
    /// 410.
    Closed,
    /// 503: another gateway will take it.
    Stopping,
    /// 503: an operator stopped the intake.
    Paused,
    /// 503: the gateway's or the sale's bucket is empty for so long, or too many are on their way to the ledger.
    Overloaded {
        /// How long, if it is known.
        wait: Duration,
    },
    /// 409.
    SoldOut,
    /// 409: more in one order than a buyer may have.
    AboveLimit,
}

/// Refuses by the head alone, in the order of DESIGN section 3. `permit` takes from the buckets of the gateway
/// and the sale, or says how long there is none; it is asked only of calls that nothing before it refuses.
///
/// # Errors
/// The first refusal that applies.
pub fn by_head(
    glance: &Glance,
    permit: impl FnOnce() -> Result<(), Duration>,
) -> Result<(), Refusal> {
    if glance.holder {
        return Ok(());
    }
    match glance.intake {
        Intake::Scheduled(opens_at) if glance.caught_up => return Err(Refusal::NotOpen(opens_at)),
        Intake::Closed if glance.caught_up => return Err(Refusal::Closed),
        _ => {}
    }
    if glance.stopping {
        return Err(Refusal::Stopping);
    }
    if glance.intake == Intake::Paused {
        return Err(Refusal::Paused);
    }
    permit().map_err(|wait| Refusal::Overloaded { wait })?;
    if glance.sold_out && glance.intake == Intake::Open {
        return Err(Refusal::SoldOut);
    }
    Ok(())
}

/// Refuses by the lines that are asked for.
///
/// # Errors
/// When a buyer who is no holder asks for more than the limit, or for an item that is latched.
pub fn by_lines(
    lines: &[ItemLine],
    limit: Option<u64>,
    sold_out: impl Fn(u16) -> bool,
) -> Result<(), Refusal> {
    let units: u64 = lines.iter().map(|line| u64::from(line.quantity)).sum();
    if limit.is_some_and(|limit| units > limit) {
        return Err(Refusal::AboveLimit);
    }
    if lines.iter().any(|line| sold_out(line.item)) {
        return Err(Refusal::SoldOut);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPEN: Glance = Glance {
        holder: false,
        intake: Intake::Open,
        caught_up: true,
        stopping: false,
        sold_out: false,
    };
    const LATER: Intake = Intake::Scheduled(Timestamp(9));

    #[test]
    fn the_head_decides_in_the_order_of_the_contract() {
        let rows = [
            (OPEN, Ok(())),
            (Glance { sold_out: true, ..OPEN }, Err(Refusal::SoldOut)),
            (Glance { intake: LATER, ..OPEN }, Err(Refusal::NotOpen(Timestamp(9)))),
            (Glance { intake: LATER, caught_up: false, ..OPEN }, Ok(())),
            (Glance { intake: Intake::Closed, ..OPEN }, Err(Refusal::Closed)),
            (Glance { intake: Intake::Closed, caught_up: false, sold_out: true, ..OPEN }, Ok(())),
            (Glance { intake: Intake::Closed, stopping: true, ..OPEN }, Err(Refusal::Closed)),
            (Glance { stopping: true, sold_out: true, ..OPEN }, Err(Refusal::Stopping)),
            (Glance { intake: Intake::Paused, stopping: true, ..OPEN }, Err(Refusal::Stopping)),
            (Glance { intake: Intake::Paused, sold_out: true, ..OPEN }, Err(Refusal::Paused)),
        ];
        for (glance, expected) in rows {
            assert_eq!(by_head(&glance, || Ok(())), expected, "{glance:?}");
            let holder = Glance { holder: true, ..glance };
            let asked = by_head(&holder, || panic!("a holder takes no permit"));
            assert_eq!(asked, Ok(()), "a holder is asked of the ledger: {glance:?}");
        }
    }

    #[test]
    fn a_permit_is_asked_after_the_phases_and_before_the_latch() {
        let wait = Duration::from_millis(7);
        let refused = Err(Refusal::Overloaded { wait });
        assert_eq!(by_head(&OPEN, || Err(wait)), refused);
        assert_eq!(by_head(&Glance { sold_out: true, ..OPEN }, || Err(wait)), refused);
        for intake in [LATER, Intake::Closed, Intake::Paused] {
            let early = by_head(&Glance { intake, ..OPEN }, || panic!("no permit is taken"));
            assert!(early.is_err(), "{intake:?}");
        }
    }

    #[test]
    fn lines_are_held_to_limit_and_latch() {
        let line = |item, quantity| ItemLine { item, quantity };
        let latched = |item| item == 1;
        assert_eq!(by_lines(&[line(0, 2)], Some(2), latched), Ok(()));
        assert_eq!(by_lines(&[line(0, 2), line(2, 1)], Some(2), latched), Err(Refusal::AboveLimit));
        assert_eq!(by_lines(&[line(0, 1), line(1, 1)], None, latched), Err(Refusal::SoldOut));
    }
}
