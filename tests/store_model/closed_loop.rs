//! A closed loop over the model, in virtual time: each connection asks again as soon as it is answered.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use forebay::store::simulated::server::{Capacity, Constants, Server, Transaction};
use forebay_loadtest::measure::table::Point;

/// Transactions before the figure counts, for each connection.
const WARM_UP: usize = 4;
/// Transactions that count, at least, and for each connection.
const COUNTED: usize = 600;
const COUNTED_EACH: usize = 10;

/// What the loop shows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Seen {
    /// Transactions.
    pub(crate) per_second: f64,
    /// Of a transaction.
    pub(crate) mean_us: f64,
}

pub(crate) fn closed_loop(constants: &Constants, point: Point) -> Seen {
    let mut server = Server::new(constants.clone(), point.connections);
    let mut free: BinaryHeap<Reverse<(Duration, u32)>> = BinaryHeap::new();
    for connection in 0..point.connections {
        server.connect(Capacity::WHOLE).expect("as many as it takes");
        free.push(Reverse((Duration::ZERO, connection)));
    }
    let connections = point.connections as usize;
    let warm = connections * WARM_UP;
    let counted = COUNTED.max(connections * COUNTED_EACH);
    let (mut from, mut until, mut spent) = (Duration::ZERO, Duration::ZERO, Duration::ZERO);
    for nth in 0..warm + counted {
        let Reverse((now, connection)) = free.pop().expect("each comes back");
        if nth == warm {
            from = now;
        }
        // As the measurement spreads them.
        let draw = (nth as u64).wrapping_mul(6_364_136_223_846_793_005) >> 33;
        let stock = vec![draw % u64::from(point.stock_rows)];
        let transaction = Transaction { rows: point.batch, stock, writes: true };
        let fate = server.transact(now, &transaction, Capacity::WHOLE);
        assert_eq!(fate.failed, None, "{point:?}");
        if nth >= warm {
            spent += fate.ends - now;
        }
        until = now;
        free.push(Reverse((fate.ends, connection)));
    }
    let counted = counted as f64;
    Seen {
        per_second: counted / (until - from).as_secs_f64(),
        mean_us: spent.as_secs_f64() * 1e6 / counted,
    }
}
