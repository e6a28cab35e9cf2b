//! The one suite that every engine passes: random command sequences on a manual clock, several drains, restarts
//! in between. Each answer is compared with a naive model's, and every law is checked after every step through
//! the seam alone.
//!
//! `mutants` seeds bugs into an engine; the suite must catch each. An engine is tested by [`check`].

mod follow;
mod laws;
mod model;
mod mutants;
mod run;
mod steps;
mod volatile;

use std::sync::Arc;

pub(crate) use run::{SALE_NO, check};
pub(crate) use steps::steps;
pub(crate) use volatile::Volatile;

use crate::clock::ManualClock;
use crate::ledger::SharedLedger;

/// An engine under test.
pub(crate) trait Engine {
    /// The ledger as it runs now.
    fn ledger(&self) -> SharedLedger;

    /// Ends it and opens it again. `lossy`: as if something acknowledged might be missing, so that a new
    /// epoch begins. Answers whether a new epoch did begin.
    fn restart(&mut self, lossy: bool) -> bool;

    /// Leases end when it is ended: nobody else holds any.
    fn leases_end_with_it(&self) -> bool {
        true
    }

    /// A buyer's hash. Two buyers share one where the engine keeps hashes: the name decides.
    fn hash_of(&self, buyer: &str) -> u64 {
        u64::from(buyer.bytes().next_back().unwrap_or_default() / 2)
    }

    /// The clock that it goes by.
    fn clock(&self) -> Arc<ManualClock>;
}

mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: 96 * crate::ledger::suite::scale(),
            max_shrink_iters: 4_096,
            ..ProptestConfig::default()
        })]

        #[test]
        fn the_book_keeps_every_law(steps in steps(120)) {
            check(&mut Volatile::new(), &steps)?;
        }
    }
}

/// How much longer the long loops run: `FOREBAY_TEST_SCALE`, 1 by default.
pub(crate) fn scale() -> u32 {
    std::env::var("FOREBAY_TEST_SCALE").ok().and_then(|scale| scale.parse().ok()).unwrap_or(1)
}
