//! The directories of ledger and store, and what their disk promises.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{StatVfs, statfs, statvfs};

use super::Examined;
use crate::clock::SharedClock;
use crate::config::Engine;
use crate::config::Settings;
use crate::config::StoreKind;
use crate::ledger::embedded::Durability;
use crate::units::Size;

/// A sync that takes longer makes itself felt in each answer.
const SLOW: Duration = Duration::from_millis(5);
/// No disk is this fast: what was synced did not reach one.
const TOO_FAST: Duration = Duration::from_micros(5);
/// Syncs that are timed.
const SYNCS: usize = 40;
/// One commit of a busy gateway.
const COMMIT: [u8; 4 << 10] = [0x5a; 4 << 10];

/// Magic numbers of Linux (statfs(2)) of file systems that do not keep what they are told.
const KINDS: [(u64, &str, &str); 8] = [
    (0x0102_1994, "tmpfs", "is memory: nothing on it survives a power cut"),
    (0x8584_58f6, "ramfs", "is memory: nothing on it survives a power cut"),
    (0x794c_7630, "overlayfs", "is a container's own layer: it goes with the container"),
    (0x6969, "nfs", "is on another machine: its locks and syncs cannot be relied upon"),
    (0xff53_4d42, "cifs", "is on another machine: its locks and syncs cannot be relied upon"),
    (0xfe53_4d42, "smb2", "is on another machine: its locks and syncs cannot be relied upon"),
    (0x6573_5546, "fuse", "is run by a program: what a sync means is that program's matter"),
    (0x0102_1997, "9p", "is another machine's: what a sync means is that machine's matter"),
];

/// Rights, free space and file system of both directories.
pub(super) fn directories(settings: &Settings) -> Vec<Examined> {
    let ledger = &settings.ledger.embedded;
    let journal = 4 * ledger.segment_size.0 + 2 * ledger.snapshot_after.0;
    let full = settings.queue.memory.0;
    let mut found = match settings.ledger.engine {
        Engine::Embedded => directory(
            "ledger directory",
            "[ledger.embedded] directory",
            &ledger.directory,
            Space { least: journal, full: journal.saturating_add(full) },
        ),
        Engine::Redis => Vec::new(),
    };
    if settings.store.kind == StoreKind::Simulated {
        found.extend(directory(
            "store directory",
            "[store.simulated] directory",
            &settings.store.simulated.directory,
            Space { least: 64 << 20, full: full.saturating_add(64 << 20) },
        ));
    }
    found
}

/// Free bytes without which it does not run, and with which a full queue fits.
struct Space {
    least: u64,
    full: u64,
}

fn directory(check: &'static str, key: &str, path: &Path, space: Space) -> Vec<Examined> {
    let name = path.display();
    if path.exists() && !path.is_dir() {
        let advice = format!("let {key} name a directory");
        return vec![Examined::fail(check, format!("{name} is not a directory"), advice)];
    }
    let there = existing(path);
    if let Err(error) = probe(&there).and_then(|(_, file)| std::fs::remove_file(file)) {
        let found = format!("{}: {error}", there.display());
        let advice = format!(
            "the user of the gateway must be able to write there, or {key} name another place"
        );
        return vec![Examined::fail(check, found, advice)];
    }
    let mut checks = vec![rights(check, path)];
    checks.push(free(check, key, &there, &space));
    checks.extend(kind(check, key, &there));
    checks
}

/// The directory, or what of its path is there already.
fn existing(path: &Path) -> PathBuf {
    let there = path.ancestors().find(|above| above.is_dir());
    there.filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned()
}

/// A new file, for its owner only.
fn probe(directory: &Path) -> io::Result<(File, PathBuf)> {
    let path = directory.join(format!("doctor-{}.tmp", std::process::id()));
    let mut options = OpenOptions::new();
    let file = options.write(true).create_new(true).mode(0o600).open(&path)?;
    Ok((file, path))
}

fn rights(check: &'static str, path: &Path) -> Examined {
    let name = path.display();
    let Ok(about) = std::fs::metadata(path) else {
        return Examined::ok(check, format!("{name} is not there yet and can be made"));
    };
    let mode = about.permissions().mode() & 0o777;
    if mode & 0o077 == 0 {
        return Examined::ok(check, format!("{name} can be written, by its owner only"));
    }
    let found =
        format!("{name}: others may look into it (mode {mode:o}), and the ticket key lies there");
    Examined::warn(check, found, format!("chmod 700 {name}"))
}

fn free(check: &'static str, key: &str, path: &Path, space: &Space) -> Examined {
    let name = path.display();
    let StatVfs { f_bavail, f_frsize, .. } = match statvfs(path) {
        Ok(seen) => seen,
        Err(error) => return Examined::warn(check, format!("{name}: {error}"), "look with `df`"),
    };
    let free = f_bavail.saturating_mul(f_frsize);
    let mib = |bytes: u64| Size(bytes >> 20 << 20);
    let found = format!("{} free at {name}", mib(free));
    let advice =
        |wanted: u64| format!("make room for {}, or let {key} name another disk", mib(wanted));
    if free < space.least {
        Examined::fail(check, found, advice(space.least))
    } else if free < space.full {
        let found = format!("{found}: a full [queue] does not fit");
        Examined::warn(check, found, advice(space.full))
    } else {
        Examined::ok(check, found)
    }
}

fn kind(check: &'static str, key: &str, path: &Path) -> Option<Examined> {
    let seen = statfs(path).ok()?;
    // Magic numbers have 32 bits, and their type is signed on some machines.
    #[expect(clippy::cast_sign_loss, reason = "only the bits matter")]
    let magic = seen.f_type as u64 & 0xffff_ffff;
    let (_, name, why) = KINDS.iter().find(|(number, ..)| *number == magic)?;
    let found = format!("{} is {name}, which {why}", path.display());
    Some(Examined::warn(check, found, format!("let {key} name a directory on a local disk")))
}

/// How long a commit takes: each order waits for one.
pub(super) fn syncs(settings: &Settings, clock: &SharedClock, at_work: bool) -> Examined {
    let ledger = &settings.ledger.embedded;
    if ledger.durability == Durability::Process {
        return Examined::ok("fdatasync", "not used with durability = \"process\"");
    }
    if at_work {
        let found = "not measured beside the gateway that is at work: see forebay_ledger_fsync_duration_seconds";
        return Examined::ok("fdatasync", found);
    }
    let there = existing(&ledger.directory);
    let mut took = match timed(&there, clock) {
        Ok(took) => took,
        Err(error) => {
            let found = format!("{}: {error}", there.display());
            return Examined::fail("fdatasync", found, "the ledger cannot commit there");
        }
    };
    took.sort_unstable();
    let (median, most) = (took[took.len() / 2], took[took.len() - 1]);
    let found = format!("{median:.1?} in the median of {SYNCS}, {most:.1?} at most");
    if median > SLOW {
        let advice = "an order is answered after one of these: use a disk with a write cache that keeps its power";
        Examined::warn("fdatasync", found, advice)
    } else if median < TOO_FAST {
        let advice =
            "no disk is this fast: look whether the file system or the virtual disk ignores syncs";
        Examined::warn("fdatasync", found, advice)
    } else {
        Examined::ok("fdatasync", found)
    }
}

fn timed(directory: &Path, clock: &SharedClock) -> io::Result<Vec<Duration>> {
    let (mut file, path) = probe(directory)?;
    let mut took = Vec::with_capacity(SYNCS);
    let timing = (0..SYNCS).try_for_each(|_| {
        file.write_all(&COMMIT)?;
        let began = clock.monotonic();
        file.sync_data()?;
        took.push(clock.monotonic().saturating_sub(began));
        Ok(())
    });
    std::fs::remove_file(path)?;
    timing.map(|()| took)
}
