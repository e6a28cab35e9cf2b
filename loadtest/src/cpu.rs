//! CPU time as the kernel counts it: of processes, and of the whole machine.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::Context;

/// CPU time of the threads that processes have, to the nanosecond: `stat` counts in hundredths of a second, which
/// is too coarse for a turn. A thread that ended meanwhile is missed; those that answer orders do not end.
pub(crate) fn cpu_time(pids: &[u32]) -> anyhow::Result<Duration> {
    let mut nanos = 0;
    for pid in pids {
        let directory = format!("/proc/{pid}/task");
        let threads = std::fs::read_dir(&directory).with_context(|| directory.clone())?;
        for thread in threads {
            let path = thread?.path().join("schedstat");
            // A thread that ended since the directory was read.
            let Ok(text) = std::fs::read_to_string(&path) else { continue };
            nanos +=
                parse_nanos(&text).with_context(|| format!("{} reads {text:?}", path.display()))?;
        }
    }
    Ok(Duration::from_nanos(nanos))
}

/// Time on a core, time in line for one, turns on a core.
fn parse_nanos(schedstat: &str) -> Option<u64> {
    schedstat.split_whitespace().next()?.parse().ok()
}

/// A process and all that it and its children have started and that live now.
pub(crate) fn tree(root: u32) -> anyhow::Result<Vec<u32>> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for entry in std::fs::read_dir("/proc").context("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
        // One that ended since the directory was read.
        let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else { continue };
        let parent = parent(&stat).with_context(|| format!("/proc/{pid}/stat reads {stat:?}"))?;
        children.entry(parent).or_default().push(pid);
    }
    let (mut found, mut looked_at) = (vec![root], 0);
    while let Some(pid) = found.get(looked_at) {
        found.extend(children.remove(pid).unwrap_or_default());
        looked_at += 1;
    }
    Ok(found)
}

/// The name stands in brackets and may hold anything; state and parent follow it.
fn parent(stat: &str) -> Option<u32> {
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

/// CPU time that all cores have spent on anything since the machine started, to a hundredth of a second. What
/// the host of a virtual machine took away is in it.
pub(crate) fn machine_busy() -> anyhow::Result<Duration> {
    let text = std::fs::read_to_string("/proc/stat").context("/proc/stat")?;
    let ticks = parse_busy(&text).context("/proc/stat has no line of all cores")?;
    #[expect(clippy::cast_precision_loss, reason = "no machine has run for 2^52 ticks")]
    Ok(Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64))
}

/// user, nice, system, idle, waiting for disks, interrupts, soft interrupts, stolen.
fn parse_busy(stat: &str) -> Option<u64> {
    let fields = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let ticks: Vec<u64> = fields.split_whitespace().map_while(|text| text.parse().ok()).collect();
    let [user, nice, system, _idle, _disks, hard, soft, stolen, ..] = ticks.as_slice() else {
        return None;
    };
    Some(user + nice + system + hard + soft + stolen)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_the_first_figure_and_grows() {
        assert_eq!(parse_nanos("2500123 77 9\n"), Some(2_500_123));
        assert_eq!(parse_nanos(""), None);
        let own = [std::process::id()];
        let before = cpu_time(&own).unwrap();
        while cpu_time(&own).unwrap() == before {}
        let twice = cpu_time(&[own[0], own[0]]).unwrap();
        assert!(twice >= before * 2);
    }

    #[test]
    fn a_child_is_of_the_tree_and_a_stranger_is_not() {
        let mut child = std::process::Command::new("cat")
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let own = tree(std::process::id()).unwrap();
        let of_child = tree(child.id()).unwrap();
        drop(child.stdin.take());
        child.wait().unwrap();
        assert!(own.contains(&std::process::id()) && own.contains(&child.id()));
        assert_eq!(of_child, [child.id()]);
        assert_eq!(parent("7 (a) b) S 3 7 7"), Some(3));
    }

    #[test]
    fn busy_is_all_but_idle_and_waiting() {
        let stat = "cpu  1 2 4 1000 2000 8 16 32 1 0\ncpu0 9 9 9 9 9 9 9 9 9 9\n";
        assert_eq!(parse_busy(stat), Some(63));
        assert_eq!(parse_busy("cpu0 1 2 3 4 5 6 7 8\n"), None);
        assert!(machine_busy().unwrap() > Duration::ZERO);
    }
}
