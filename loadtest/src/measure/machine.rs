//! What the machine is, and who used it.

use std::time::Duration;

use anyhow::Context;

use super::Care;
use super::server::Measured;
use crate::clock;

/// Counters of `/proc` count in hundredths of a second on every Linux.
const TICK: Duration = Duration::from_millis(10);

/// CPU time used so far, or between two looks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Used {
    pub(super) server: Duration,
    pub(super) client: Duration,
    machine: Duration,
}

impl Used {
    pub(super) fn now(server: u32) -> anyhow::Result<Self> {
        Ok(Self {
            server: of_process(server)?,
            client: of_process(std::process::id())?,
            machine: of_machine()?,
        })
    }

    pub(super) fn since(self, before: Self) -> Self {
        Self {
            server: self.server.saturating_sub(before.server),
            client: self.client.saturating_sub(before.client),
            machine: self.machine.saturating_sub(before.machine),
        }
    }

    /// CPU time of everybody else; a tick or two below zero is none.
    pub(super) fn others(self) -> Option<Duration> {
        let ours = self.server.checked_add(self.client)?;
        Some(self.machine.saturating_sub(ours))
    }
}

fn ticks(fields: &[&str]) -> Option<Duration> {
    let sum: u32 = fields.iter().map(|field| field.parse::<u32>()).sum::<Result<_, _>>().ok()?;
    TICK.checked_mul(sum)
}

/// User and system time, those of threads that have ended too.
fn of_process(pid: u32) -> anyhow::Result<Duration> {
    let path = format!("/proc/{pid}/stat");
    let text = std::fs::read_to_string(&path).with_context(|| path.clone())?;
    // The name in parentheses may hold anything.
    let fields: Vec<&str> = text
        .rsplit_once(')')
        .map(|(_, rest)| rest.split_whitespace().collect())
        .unwrap_or_default();
    fields.get(11..13).and_then(ticks).with_context(|| format!("{path} reads {text:?}"))
}

/// Everything but idle and waiting for disks, over all cores.
fn of_machine() -> anyhow::Result<Duration> {
    let text = std::fs::read_to_string("/proc/stat").context("/proc/stat")?;
    let fields: Vec<&str> = text.lines().next().unwrap_or_default().split_whitespace().collect();
    let busy = |fields: &[&str]| Some(ticks(&fields[1..4])? + ticks(&fields[6..8])?);
    (fields.len() > 8).then_some(&fields[..]).and_then(busy).context("/proc/stat")
}

/// The machine and the circumstances, a line each.
pub(super) async fn environment(server: &Measured, care: Care) -> anyhow::Result<Vec<String>> {
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    let model = model.map_or("unknown CPU", |(_, name)| name.trim());
    let day = jiff::Timestamp::from_microsecond(clock::wall_micros())?.strftime("%Y-%m-%d");
    Ok(vec![
        format!(
            "{}; InnoDB, innodb_flush_log_at_trx_commit=1, no binary log",
            server.version().await?
        ),
        format!("{cores} cores ({model}), shared by server and client; TCP on the loopback; {day}"),
        format!(
            "closed loop; each point {:.1} s, median of {} (the quietest); other_cores: what others used meanwhile",
            care.window.as_secs_f64(),
            care.runs
        ),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_this_process_uses_is_seen() {
        let own = std::process::id();
        let before = Used::now(own).unwrap();
        let mut used = before;
        while used.client < before.client + TICK * 3 {
            used = Used::now(own).unwrap();
        }
        let since = used.since(before);
        assert!(since.machine >= since.client.saturating_sub(TICK * 2), "{since:?}");
        assert!(since.others().is_some());
    }
}
