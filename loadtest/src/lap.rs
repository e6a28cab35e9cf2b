//! One side of a race: the processes that answer, the orders that they answer, and what a turn cost.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, ensure};

use crate::clock;
use crate::cpu::{cpu_time, tree};
use crate::drive::{Drive, look, shared};
use crate::tally::Tally;
use crate::wire::lean::LeanWire;

/// Of a hundred answers so many must be the expected one; the others are those that a rate lets through.
const EXPECTED_OF_100: u64 = 90;

/// The processes that share the work of an order.
#[derive(Debug, Clone)]
pub(crate) struct Servers {
    /// Whoever answers HTTP, with its children.
    gateway: Vec<u32>,
    /// The Redis behind it; empty without one.
    redis: Vec<u32>,
}

impl Servers {
    /// As they are now: a child that is started later is not counted.
    pub(crate) fn of(gateway: u32, redis: Option<u32>) -> anyhow::Result<Self> {
        Ok(Self {
            gateway: tree(gateway)?,
            redis: redis.map(tree).transpose()?.unwrap_or_default(),
        })
    }
}

/// Which answers spoil no measurement.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Expected {
    /// Every answer has this status.
    Each(u16),
    /// Nearly all have the first; the others, that a rate lets through, have the second.
    Most(u16, u16),
}

impl Expected {
    fn check(self, tally: &Tally) -> anyhow::Result<()> {
        let (wanted, also) = match self {
            Self::Each(status) => (status, status),
            Self::Most(status, also) => (status, also),
        };
        let seen = tally.with_status(wanted);
        let other = if also == wanted { 0 } else { tally.with_status(also) };
        ensure!(
            seen + other == tally.ended() && seen * 100 >= tally.ended() * EXPECTED_OF_100,
            "{} answers {wanted} were expected, got {:?} and no answer {:?}",
            tally.ended(),
            tally.statuses(),
            tally.broken(),
        );
        Ok(())
    }
}

/// How long a turn is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Length {
    /// So many orders.
    Orders(u64),
    /// So long, from when the connections stand.
    Time(Duration),
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
    /// CPU time of Redis.
    pub(crate) redis: Duration,
    /// CPU time of the generator: what it took from the servers on a shared machine.
    pub(crate) generator: Duration,
    /// The latencies below which half and 99 of 100 answers lay.
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
}

/// Orders of one form at one server, each ask once over all laps.
#[derive(Debug)]
pub(crate) struct Runner {
    drive: Drive,
    servers: Servers,
    expected: Expected,
    next: u64,
}

impl Runner {
    pub(crate) fn new(drive: Drive, servers: Servers, expected: Expected) -> Self {
        Self { drive, servers, expected, next: 0 }
    }

    /// One turn. Any answer but the expected one is an error.
    pub(crate) async fn run(&mut self, length: Length) -> anyhow::Result<Lap> {
        let began: Arc<Mutex<Option<anyhow::Result<Clocks>>>> = Arc::default();
        let asks = {
            let (began, servers, first) = (Arc::clone(&began), self.servers.clone(), self.next);
            let mut until = None;
            let mut asks = first..;
            std::iter::from_fn(move || {
                // The drive asks for the first one when all connections stand.
                let until = *until.get_or_insert_with(|| {
                    *look(&began) = Some(Clocks::read(&servers));
                    match length {
                        Length::Orders(orders) => Until::Ask(first + orders),
                        Length::Time(time) => Until::Time(clock::now() + time),
                    }
                });
                asks.next().filter(|ask| match until {
                    Until::Ask(end) => *ask < end,
                    Until::Time(end) => clock::now() < end,
                })
            })
        };
        let tally = shared(Tally::default());
        let driven = self.drive.run::<LeanWire, Tally>(asks, tally.clone()).await;
        let ended = Clocks::read(&self.servers)?;
        self.next += driven.sends;
        let tally = look(&tally);
        self.expected.check(&tally)?;
        let began = look(&began).take().context("no connection could be made")??;
        Ok(Lap {
            orders: tally.ended(),
            elapsed: driven.elapsed,
            gateway: ended.gateway.saturating_sub(began.gateway),
            redis: ended.redis.saturating_sub(began.redis),
            generator: ended.generator.saturating_sub(began.generator),
            p50: tally.latency(0.5),
            p99: tally.latency(0.99),
        })
    }
}

#[derive(Debug, Clone, Copy)]
enum Until {
    Ask(u64),
    Time(std::time::Instant),
}

/// CPU times at one moment.
#[derive(Debug, Clone, Copy)]
struct Clocks {
    gateway: Duration,
    redis: Duration,
    generator: Duration,
}

impl Clocks {
    fn read(servers: &Servers) -> anyhow::Result<Self> {
        Ok(Self {
            gateway: cpu_time(&servers.gateway)?,
            redis: cpu_time(&servers.redis)?,
            generator: cpu_time(&[std::process::id()])?,
        })
    }
}
