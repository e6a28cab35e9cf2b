//! Kernel, memory and clock.

use std::fs::read_to_string;
use std::path::Path;

use super::Examined;
use crate::app;
use crate::clock::Timestamp;
use crate::config::Settings;

/// Connections that may wait to be accepted, as many as the listeners ask for.
const BACKLOG: u64 = 4_096;
/// 2026-01-01: no clock of this machine was right before.
const LONG_AGO: Timestamp = Timestamp(1_767_225_600_000_000);
/// Programs that keep the clock right.
const KEEPERS: [&str; 5] = ["chronyd", "ntpd", "systemd-timesyn", "ptp4l", "openntpd"];

fn number(path: &str) -> Option<u64> {
    read_to_string(path).ok()?.trim().parse().ok()
}

/// How many connections the kernel lets wait in the instant in which a sale opens.
pub(super) fn backlog() -> Examined {
    let keys = [
        ("net.core.somaxconn", "/proc/sys/net/core/somaxconn"),
        ("net.ipv4.tcp_max_syn_backlog", "/proc/sys/net/ipv4/tcp_max_syn_backlog"),
    ];
    let seen = keys.map(|(name, path)| (name, number(path)));
    let small: Vec<String> = seen
        .iter()
        .filter(|(_, value)| value.is_some_and(|value| value < BACKLOG))
        .map(|(name, _)| format!("sysctl -w {name}={BACKLOG}"))
        .collect();
    let told: Vec<String> = seen
        .iter()
        .map(|(name, value)| value.map_or(format!("{name} unknown"), |n| format!("{name} = {n}")))
        .collect();
    if small.is_empty() {
        return Examined::ok("backlog", told.join(", "));
    }
    let found =
        format!("{}: connections of the opening burst are dropped beyond it", told.join(", "));
    Examined::warn("backlog", found, small.join("; "))
}

/// Sales open and close by the wall clock.
pub(super) fn clock(now: Timestamp) -> Examined {
    if now < LONG_AGO {
        return Examined::fail("clock", format!("it is {now}"), "set the clock: sales open by it");
    }
    let kept = Path::new("/run/systemd/timesync/synchronized").exists()
        || processes().any(|name| KEEPERS.contains(&name.as_str()));
    if kept {
        return Examined::ok("clock", format!("it is {now}, and is kept"));
    }
    let found = format!("it is {now}; nothing is seen here that keeps it");
    Examined::warn(
        "clock",
        found,
        "run chrony or another NTP client, here or on the host of this container",
    )
}

fn processes() -> impl Iterator<Item = String> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| {
        let name = read_to_string(entry.path().join("comm")).ok()?;
        Some(name.trim().to_owned())
    })
}

/// A connection takes a descriptor each.
pub(super) fn descriptors(settings: &Settings) -> Examined {
    let app::DescriptorNeeds { limit, least, whole } = app::descriptor_needs(settings);
    let found =
        format!("{limit} may be open, {whole} are asked for by [public.limits] connections");
    let advice = format!("raise `ulimit -n`, best to {whole}");
    if limit < least {
        Examined::fail("descriptors", found, advice)
    } else if limit < whole {
        let found = format!("{found}: connections will be capped");
        Examined::warn("descriptors", found, advice)
    } else {
        Examined::ok("descriptors", found)
    }
}

/// What the settings let wait must fit.
pub(super) fn memory(settings: &Settings) -> Examined {
    let most = settings.memory_max();
    let Some(free) = free_memory() else {
        return Examined::warn(
            "memory",
            "how much is free cannot be seen",
            format!("what is needed: {}", settings.memory_told()),
        );
    };
    let found = format!("{} MiB free; taken: {}", free >> 20, settings.memory_told());
    if most <= free {
        return Examined::ok("memory", found);
    }
    let advice =
        "lower [queue] capacity or memory, or [public.limits] connections, or give it more memory";
    Examined::warn("memory", found, advice)
}

/// What this process may still take, by the system and by its control group.
fn free_memory() -> Option<u64> {
    let text = read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    let group = number("/sys/fs/cgroup/memory.max")
        .map(|max| max.saturating_sub(number("/sys/fs/cgroup/memory.current").unwrap_or(0)));
    Some((kib << 10).min(group.unwrap_or(u64::MAX)))
}
