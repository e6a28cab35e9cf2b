//! CPU time of a process per order it answered.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, ensure};
use tempfile::TempDir;

use crate::drive::{Arrivals, Drive, look, shared};
use crate::form::{Crowd, OrderForm};
use crate::gateway::Process;
use crate::tally::Tally;
use crate::target::Target;
use crate::wire::lean::LeanWire;

/// Linux counts CPU time in hundredths of a second, whatever its own tick is.
const MICROS_A_TICK: u64 = 10_000;
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

/// One measurement in closed loop.
#[derive(Debug, Clone, Copy)]
pub(super) struct Measure {
    pub(super) orders: u64,
    /// The status that every order must be answered with; any other spoils the measurement.
    pub(super) expected: u16,
}

impl Measure {
    /// Sends the orders and reads the clock of the process before and after.
    pub(super) async fn of(&self, drive: &Drive, pid: u32) -> anyhow::Result<Cost> {
        let warm = self.orders / WARM_UP;
        self.send(drive, 0..warm).await?;
        let own = std::process::id();
        let (before, own_before) = (cpu_micros(pid)?, cpu_micros(own)?);
        let elapsed = self.send(drive, warm..warm + self.orders).await?;
        let (spent, own_spent) = (cpu_micros(pid)? - before, cpu_micros(own)? - own_before);
        #[expect(clippy::cast_precision_loss, reason = "microseconds and orders are below 2^52")]
        let (spent, generator, orders) = (spent as f64, own_spent as f64, self.orders as f64);
        Ok(Cost {
            micros: spent / orders,
            generator: generator / orders,
            orders_a_second: orders / elapsed.as_secs_f64(),
        })
    }

    async fn send(&self, drive: &Drive, asks: std::ops::Range<u64>) -> anyhow::Result<Duration> {
        let wanted = asks.end - asks.start;
        let tally = shared(Tally::default());
        let driven = drive.run::<LeanWire, Tally>(asks, tally.clone()).await;
        let tally = look(&tally);
        ensure!(
            tally.with_status(self.expected) == wanted,
            "{wanted} answers {} were expected, got {:?} and no answer {:?}",
            self.expected,
            tally.statuses(),
            tally.broken(),
        );
        Ok(driven.elapsed)
    }
}

/// Measures bare hyper, in a process of its own like the gateway, answering as many bytes.
pub(super) async fn bare(
    orders: u64,
    connections: usize,
    body_bytes: usize,
) -> anyhow::Result<Cost> {
    let here = TempDir::with_prefix("forebay-bare-")?;
    let binary = std::env::current_exe().context("the own binary has no path")?;
    let arguments = ["bare", "--body-bytes", &body_bytes.to_string()];
    let mut process = Process::start(&binary, &arguments, here.path(), &[])?;
    let address: SocketAddr = process
        .printed(Duration::from_secs(10), |text| {
            text.lines().find_map(|line| line.strip_prefix("listening on ")?.parse().ok())
        })
        .await?;
    let drive = Drive {
        target: Target::from(address),
        form: OrderForm::new("bare", "phone", Crowd::new("bare", 1)).with_payload_of_100_bytes(),
        connections,
        arrivals: Arrivals::WhenFree,
        patience: Duration::from_secs(10),
        late_after: Duration::from_millis(10),
    };
    let cost = Measure { orders, expected: 202 }.of(&drive, process.pid()).await;
    process.kill().await?;
    cost
}

/// CPU time of a process with all its threads, those that ended included.
pub(in crate::prove) fn cpu_micros(pid: u32) -> anyhow::Result<u64> {
    let path = format!("/proc/{pid}/stat");
    let stat = std::fs::read_to_string(Path::new(&path)).with_context(|| path.clone())?;
    parse_cpu_micros(&stat).with_context(|| format!("{path} reads {stat:?}"))
}

/// utime and stime are the 14th and 15th field; the second, a name in brackets, may hold spaces.
fn parse_cpu_micros(stat: &str) -> Option<u64> {
    let after_name = stat.get(stat.rfind(')')? + 1..)?;
    let mut fields = after_name.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some((user + system) * MICROS_A_TICK)
}

#[cfg(test)]
mod tests {
    use super::parse_cpu_micros;

    #[test]
    fn cpu_time_is_user_and_system_whatever_the_name() {
        let stat = "7 (a b) c) S 1 7 7 0 -1 4194560 100 0 0 0 250 50 9 9 20 0 3 0 100 0 0";
        assert_eq!(parse_cpu_micros(stat), Some(3_000_000));
        assert_eq!(parse_cpu_micros("7 (x) S 1"), None);
    }
}
