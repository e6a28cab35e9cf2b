//! CPU time of a process per order it answered.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, ensure};
use tempfile::TempDir;

use crate::drive::{Arrivals, Drive, look, shared};
use crate::form::{Crowd, OrderForm};
use crate::gateway::Process;
use crate::tally::Tally;
use crate::target::Target;
use crate::wire::lean::LeanWire;

/// One in so many orders is sent beforehand, to warm caches and connections.
const WARM_UP: u64 = 20;

/// What was measured.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cost {
    /// CPU microseconds of the whole process an order.
    pub(super) micros: f64,
    /// CPU microseconds of the generator an order: what it took from the server on a shared machine.
    pub(super) generator: f64,
    /// Orders a second, generator and server sharing the machine.
    pub(super) orders_a_second: f64,
}

/// One side of a race: a process, and the orders that it answers.
#[derive(Debug)]
pub(super) struct Runner {
    drive: Drive,
    pid: u32,
    /// The status that every order must be answered with; any other spoils the measurement.
    expected: u16,
    next: u64,
    orders: u64,
    spent: Duration,
    generator: Duration,
    elapsed: Duration,
}

impl Runner {
    pub(super) fn new(drive: Drive, pid: u32, expected: u16) -> Self {
        let nothing = Duration::ZERO;
        let (spent, generator, elapsed) = (nothing, nothing, nothing);
        Self { drive, pid, expected, next: 0, orders: 0, spent, generator, elapsed }
    }

    /// Sends so many orders and reads the clocks of both processes before and after.
    async fn go(&mut self, orders: u64) -> anyhow::Result<()> {
        let own = std::process::id();
        let (before, own_before) = (cpu_time(self.pid)?, cpu_time(own)?);
        let elapsed = self.send(orders).await?;
        self.elapsed += elapsed;
        self.spent += cpu_time(self.pid)?.saturating_sub(before);
        self.generator += cpu_time(own)?.saturating_sub(own_before);
        self.orders += orders;
        Ok(())
    }

    async fn send(&mut self, orders: u64) -> anyhow::Result<Duration> {
        let asks = self.next..self.next + orders;
        self.next = asks.end;
        let tally = shared(Tally::default());
        let driven = self.drive.run::<LeanWire, Tally>(asks, tally.clone()).await;
        let tally = look(&tally);
        ensure!(
            tally.with_status(self.expected) == orders,
            "{orders} answers {} were expected, got {:?} and no answer {:?}",
            self.expected,
            tally.statuses(),
            tally.broken(),
        );
        Ok(driven.elapsed)
    }

    fn cost(&self) -> Cost {
        #[expect(clippy::cast_precision_loss, reason = "no race is 2^52 orders long")]
        let orders = self.orders as f64;
        let micros = |spent: Duration| spent.as_secs_f64() * 1e6 / orders;
        Cost {
            micros: micros(self.spent),
            generator: micros(self.generator),
            orders_a_second: orders / self.elapsed.as_secs_f64(),
        }
    }
}

/// Lets all runners answer as many orders, in turns: what disturbs a shared machine for a second or two then
/// falls on all of them alike.
pub(super) async fn race<const N: usize>(
    mut runners: [Runner; N],
    orders: u64,
    turns: u64,
) -> anyhow::Result<[Cost; N]> {
    for runner in &mut runners {
        runner.send(orders / WARM_UP).await?;
    }
    for _ in 0..turns {
        for runner in &mut runners {
            runner.go(orders / turns).await?;
        }
    }
    Ok(runners.map(|runner| runner.cost()))
}

/// Bare hyper, in a process of its own like the gateway, answering as many bytes.
pub(super) struct Bare {
    process: Process,
    address: SocketAddr,
    _directory: TempDir,
}

impl Bare {
    pub(super) async fn start(body_bytes: usize) -> anyhow::Result<Self> {
        let directory = TempDir::with_prefix("forebay-bare-")?;
        let binary = std::env::current_exe().context("the own binary has no path")?;
        let arguments = ["bare", "--body-bytes", &body_bytes.to_string()];
        let process = Process::start(&binary, &arguments, directory.path(), &[])?;
        let address: SocketAddr = process
            .printed(Duration::from_secs(10), |text| {
                text.lines().find_map(|line| line.strip_prefix("listening on ")?.parse().ok())
            })
            .await?;
        Ok(Self { process, address, _directory: directory })
    }

    pub(super) fn runner(&self, connections: usize) -> Runner {
        let form = OrderForm::new("bare", "phone", Crowd::new("bare", 1));
        let drive = Drive {
            target: Target::from(self.address),
            form: form.with_payload_of_100_bytes(),
            connections,
            arrivals: Arrivals::WhenFree,
            patience: Duration::from_secs(10),
            late_after: Duration::from_millis(10),
        };
        Runner::new(drive, self.process.pid(), 202)
    }

    pub(super) async fn kill(mut self) -> anyhow::Result<()> {
        self.process.kill().await
    }
}

/// CPU time of the threads that a process has, to the nanosecond: `stat` counts in hundredths of a second, which
/// is too coarse for a turn. A thread that ended meanwhile is missed; those that answer orders do not end.
pub(in crate::prove) fn cpu_time(pid: u32) -> anyhow::Result<Duration> {
    let directory = format!("/proc/{pid}/task");
    let threads = std::fs::read_dir(&directory).with_context(|| directory.clone())?;
    let mut nanos = 0;
    for thread in threads {
        let path = thread?.path().join("schedstat");
        // A thread that ended since the directory was read.
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        nanos +=
            parse_nanos(&text).with_context(|| format!("{} reads {text:?}", path.display()))?;
    }
    Ok(Duration::from_nanos(nanos))
}

/// Time on a core, time in line for one, turns on a core.
fn parse_nanos(schedstat: &str) -> Option<u64> {
    schedstat.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_the_first_figure_and_grows() {
        assert_eq!(parse_nanos("2500123 77 9\n"), Some(2_500_123));
        assert_eq!(parse_nanos(""), None);
        let before = cpu_time(std::process::id()).unwrap();
        while cpu_time(std::process::id()).unwrap() == before {}
    }
}
