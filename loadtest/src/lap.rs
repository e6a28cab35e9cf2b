//! One side of a race: the processes that answer, the orders that they answer, and what a turn cost.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, ensure};

use crate::cpu::{cpu_time, tree};
use crate::drive::{Drive, look, shared};
use crate::tally::Tally;
use crate::wire::lean::LeanWire;

/// The processes that share the work of an order.
#[derive(Debug, Clone)]
pub(crate) struct Servers {
    /// Whoever answers HTTP, with its children.
    gateway: Vec<u32>,
}

impl Servers {
    /// As they are now: a child that is started later is not counted.
    pub(crate) fn of(gateway: u32) -> anyhow::Result<Self> {
        Ok(Self { gateway: tree(gateway)? })
    }
}

/// What a turn brought and cost. CPU counts from when the connections stand, like the time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lap {
    /// Orders answered.
    pub(crate) orders: u64,
    /// From the first to the last moment.
    pub(crate) elapsed: Duration,
    /// CPU time of the processes that answer HTTP.
    pub(crate) gateway: Duration,
    /// CPU time of the generator: what it took from the servers on a shared machine.
    pub(crate) generator: Duration,
}

/// Orders of one form at one server, each ask once over all laps.
#[derive(Debug)]
pub(crate) struct Runner {
    drive: Drive,
    servers: Servers,
    /// The status that every order must be answered with; any other spoils the measurement.
    expected: u16,
    next: u64,
}

impl Runner {
    pub(crate) fn new(drive: Drive, servers: Servers, expected: u16) -> Self {
        Self { drive, servers, expected, next: 0 }
    }

    /// One turn of so many orders. Any answer but the expected one is an error.
    pub(crate) async fn run(&mut self, orders: u64) -> anyhow::Result<Lap> {
        let began: Arc<Mutex<Option<anyhow::Result<Clocks>>>> = Arc::default();
        let asks = {
            let (began, servers, first) = (Arc::clone(&began), self.servers.clone(), self.next);
            let mut asks = first..first + orders;
            std::iter::from_fn(move || {
                // The drive asks for the first one when all connections stand.
                look(&began).get_or_insert_with(|| Clocks::read(&servers));
                asks.next()
            })
        };
        let tally = shared(Tally::default());
        let driven = self.drive.run::<LeanWire, Tally>(asks, tally.clone()).await;
        let ended = Clocks::read(&self.servers)?;
        self.next += driven.sends;
        let tally = look(&tally);
        ensure!(
            tally.with_status(self.expected) == orders,
            "{orders} answers {} were expected, got {:?} and no answer {:?}",
            self.expected,
            tally.statuses(),
            tally.broken(),
        );
        let began = look(&began).take().context("no connection could be made")??;
        Ok(Lap {
            orders: tally.ended(),
            elapsed: driven.elapsed,
            gateway: ended.gateway.saturating_sub(began.gateway),
            generator: ended.generator.saturating_sub(began.generator),
        })
    }
}

/// CPU times at one moment.
#[derive(Debug, Clone, Copy)]
struct Clocks {
    gateway: Duration,
    generator: Duration,
}

impl Clocks {
    fn read(servers: &Servers) -> anyhow::Result<Self> {
        Ok(Self {
            gateway: cpu_time(&servers.gateway)?,
            generator: cpu_time(&[std::process::id()])?,
        })
    }
}
