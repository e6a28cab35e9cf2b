//! A control group with a share of one CPU, and a process in it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;

/// How often the share is given anew: short, so that a process that has used it up is soon on again.
const PERIOD_US: f64 = 10_000.0;

/// The group; it goes with the process.
#[derive(Debug)]
pub(super) struct Confined {
    directory: PathBuf,
}

impl Confined {
    /// Puts a process with all its threads into a group of its own. Takes root.
    pub(super) fn to(pid: u32, share: f64) -> anyhow::Result<Self> {
        let unified = Path::new("/sys/fs/cgroup/cgroup.controllers");
        let one = unified.exists();
        let root = if one { "/sys/fs/cgroup" } else { "/sys/fs/cgroup/cpu" };
        let directory = Path::new(root).join(format!("forebay-overload-{pid}"));
        let advice = "the overload proof keeps the gateway to a tenth of a CPU: run it as root on Linux, with control groups";
        fs::create_dir(&directory).context(advice)?;
        let confined = Self { directory };
        let quota = PERIOD_US * share;
        if one {
            confined.write("cpu.max", &format!("{quota:.0} {PERIOD_US:.0}")).context(advice)?;
        } else {
            confined.write("cpu.cfs_period_us", &format!("{PERIOD_US:.0}"))?;
            confined.write("cpu.cfs_quota_us", &format!("{quota:.0}"))?;
        }
        confined.write("cgroup.procs", &pid.to_string())?;
        Ok(confined)
    }

    fn write(&self, file: &str, value: &str) -> anyhow::Result<()> {
        let path = self.directory.join(file);
        fs::write(&path, value).with_context(|| format!("{} = {value}", path.display()))
    }
}

impl Drop for Confined {
    fn drop(&mut self) {
        // It can go once the process has: which is killed by its own handle.
        let procs = fs::read_to_string(self.directory.join("cgroup.procs")).unwrap_or_default();
        let up = self.directory.parent().map(|parent| parent.join("cgroup.procs"));
        for pid in procs.lines() {
            let _ = up.as_ref().map(|up| fs::write(up, pid));
        }
        let _ = fs::remove_dir(&self.directory);
    }
}
