//! What the kernel says of this process and of the ledger's disk, as metrics.

use std::fs;
use std::path::PathBuf;

use metrics::Gauge;
use metrics::gauge;
use rustix::param::clock_ticks_per_second;
use rustix::param::page_size;
use rustix::process::Resource;
use rustix::process::getrlimit;

use crate::metrics as names;

/// Handles of the process's own gauges. What a system does not tell is not told.
#[derive(Debug)]
pub(super) struct Vitals {
    /// The ledger's directory, if it has one.
    ledger: Option<PathBuf>,
}

impl Vitals {
    pub(super) fn new(ledger: Option<PathBuf>) -> Self {
        Self { ledger }
    }

    /// Sets the gauges to what is now.
    pub(super) fn tell(&self) {
        if let Some(Ok(disk)) = self.ledger.as_ref().map(rustix::fs::statvfs) {
            set(names::LEDGER_DISK_FREE, disk.f_bavail.saturating_mul(disk.f_frsize));
        }
        set(names::PROCESS_MAX_FDS, getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX));
        // The directory is read through a descriptor that is closed again.
        if let Ok(open) = fs::read_dir("/proc/self/fd") {
            set(names::PROCESS_OPEN_FDS, (open.count() as u64).saturating_sub(1));
        }
        let boot = fs::read_to_string("/proc/stat").ok().and_then(|text| boot_time(&text));
        if let Some(stat) = fs::read_to_string("/proc/self/stat").ok().as_deref().and_then(stat) {
            seconds(names::PROCESS_CPU).set(of_ticks(stat.cpu_ticks));
            set(names::PROCESS_THREADS, stat.threads);
            set(names::PROCESS_VIRTUAL, stat.virtual_bytes);
            set(names::PROCESS_RESIDENT, stat.resident_pages.saturating_mul(page_size() as u64));
            if let Some(boot) = boot {
                seconds(names::PROCESS_START).set(float(boot) + of_ticks(stat.start_ticks));
            }
        }
    }
}

fn seconds(name: &'static str) -> Gauge {
    gauge!(name)
}

fn set(name: &'static str, count: u64) {
    gauge!(name).set(float(count));
}

fn of_ticks(ticks: u64) -> f64 {
    float(ticks) / float(clock_ticks_per_second())
}

#[expect(clippy::cast_precision_loss, reason = "metrics are floats")]
fn float(count: u64) -> f64 {
    count as f64
}

/// Fields of `/proc/self/stat`, see proc(5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stat {
    cpu_ticks: u64,
    threads: u64,
    start_ticks: u64,
    virtual_bytes: u64,
    resident_pages: u64,
}

fn stat(text: &str) -> Option<Stat> {
    // The name of the command, in brackets, may hold anything.
    let (_, rest) = text.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    // The first field behind the name is number 3.
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    Some(Stat {
        cpu_ticks: field(14)? + field(15)?,
        threads: field(20)?,
        start_ticks: field(22)?,
        virtual_bytes: field(23)?,
        resident_pages: field(24)?,
    })
}

/// When the machine was started, in seconds since 1970.
fn boot_time(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_s_fields_are_the_right_ones() {
        let text = "7 (a ) b) S 1 7 7 0 -1 4194560 1 0 0 0 250 50 0 0 20 0 11 0 9900 4096000 300 18446744073709551615";
        let expected = Stat {
            cpu_ticks: 300,
            threads: 11,
            start_ticks: 9_900,
            virtual_bytes: 4_096_000,
            resident_pages: 300,
        };
        assert_eq!(stat(text), Some(expected));
        assert_eq!(stat("7 (a) S 1"), None);
        assert_eq!(boot_time("cpu 1 2\nbtime 1700000000\n"), Some(1_700_000_000));
    }
}
