//! The process that dies: this very binary, started again to run one ignored test.
//!
//! It waits for a line on its standard input before each thing that it does, and says what it did in a line on
//! its standard output, in one write, after the ledger has answered. So whatever was read from it was
//! acknowledged, and whoever wants to trace it has all the time to begin.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use forebay::clock::{ManualClock, SharedClock};
use forebay::ledger::embedded::{Config, Durability, Embedded};
use forebay::order::Keyring;
use forebay::units::Size;
use rustix::fs::inotify;

use super::script::{self, START, Step};

const DIRECTORY: &str = "FOREBAY_CRASH_DIRECTORY";
const UNSYNCED: &str = "FOREBAY_CRASH_UNSYNCED";
/// Microseconds after [`START`] at which the ledger is opened.
const OPENED_AT: &str = "FOREBAY_CRASH_OPENED_AT";

/// So small that a few steps fill a segment, and that every closed segment is worth a snapshot.
pub(crate) fn config(directory: &Path, durability: Durability) -> Config {
    let directory = directory.to_path_buf();
    let (segment_size, snapshot_after) = (Size(4 << 10), Size(1 << 10));
    Config { directory, durability, segment_size, snapshot_after }
}

/// Says a line as whole as a line can be said: the other end reads all of it or nothing.
pub(crate) fn say(line: &str) {
    let line = format!("> {line}\n");
    std::io::stdout().write_all(line.as_bytes()).expect("somebody listens");
}

/// This thread, as the operating system knows it.
pub(crate) fn own_thread() -> String {
    let own = std::fs::read_link("/proc/thread-self").expect("Linux names the thread");
    own.file_name().and_then(|name| name.to_str()).expect("a number").to_owned()
}

/// What a child was told when it was started; `None` when somebody runs its test by hand.
#[derive(Debug)]
pub(crate) struct Orders {
    pub(crate) directory: PathBuf,
    pub(crate) durability: Durability,
    pub(crate) opened_at: Duration,
}

impl Orders {
    pub(crate) fn given() -> Option<Self> {
        let directory = std::env::var_os(DIRECTORY).map(PathBuf::from)?;
        let unsynced = std::env::var_os(UNSYNCED).is_some();
        let durability = if unsynced { Durability::Process } else { Durability::Disk };
        let opened_at = std::env::var(OPENED_AT).ok()?.parse().ok().map(Duration::from_micros)?;
        Some(Self { directory, durability, opened_at })
    }
}

#[test]
#[ignore = "it is the process that dies: the other tests start it"]
fn child() {
    let Some(Orders { directory, durability, opened_at }) = Orders::given() else { return };
    // Where only ancestors may trace, say that anybody may. Elsewhere the kernel knows no such call.
    let _ = rustix::process::set_ptracer(rustix::process::PTracer::Any);
    let config = config(&directory, durability);
    let mut gate = std::io::stdin().lock().lines().map(Result::unwrap);
    say(&format!("here {}", own_thread()));
    if gate.next().is_none() {
        return;
    }
    let clock = Arc::new(ManualClock::at(START.plus(opened_at)));
    let shared: SharedClock = Arc::<ManualClock>::clone(&clock);
    let ledger = match Embedded::open(&config, &shared, &Keyring::default()) {
        Ok(ledger) => ledger,
        Err(error) => return say(&format!("refused {error}")),
    };
    say(&format!("open {}", ledger.opened().torn_bytes));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut passed = opened_at;
    for line in gate {
        let (step, due) = line.split_once(' ').unwrap();
        let (step, due): (usize, u64) = (step.parse().unwrap(), due.parse().unwrap());
        let due = Duration::from_micros(due);
        clock.advance(due.saturating_sub(passed));
        passed = passed.max(due);
        let step = script::step(step);
        if let Step::Folded(segment) = step {
            wait_until(&directory, || is_folded(&directory, segment));
        }
        match runtime.block_on(step.take(&ledger, script::at(passed))) {
            Ok(answer) => say(&format!("did {answer}")),
            Err(fault) => say(&format!("fault {:?} {}", fault.kind, fault.reason)),
        }
    }
    ledger.close();
    say("closed");
}

/// Waits until something is so in a directory; looks again when a name there has come or gone.
pub(crate) fn wait_until(directory: &Path, is_so: impl Fn() -> bool) {
    let watch = inotify::init(inotify::CreateFlags::CLOEXEC).expect("directories can be watched");
    let changes =
        inotify::WatchFlags::CREATE | inotify::WatchFlags::MOVED_TO | inotify::WatchFlags::DELETE;
    inotify::add_watch(&watch, directory, changes).expect("the directory can be watched");
    let mut watch = std::fs::File::from(watch);
    while !is_so() {
        // What it was does not matter, only that there was something.
        let _ = watch.read(&mut [0; 4_096]).expect("a change");
    }
}

/// A snapshot is there and the segment is not.
pub(crate) fn is_folded(directory: &Path, segment: u64) -> bool {
    let is_snapshot = |entry: std::fs::DirEntry| {
        let name = entry.file_name();
        name.to_string_lossy().starts_with("snapshot-")
    };
    let mut entries = std::fs::read_dir(directory).expect("it can be read").flatten();
    entries.any(is_snapshot) && !directory.join(format!("journal-{segment:010}")).exists()
}

/// The child as its parent sees it. Ends with its handle.
#[derive(Debug)]
pub(crate) struct Child {
    process: std::process::Child,
    gate: Option<ChildStdin>,
    said: BufReader<ChildStdout>,
    /// The thread that opens the ledger and speaks to it.
    opener: u32,
}

impl Child {
    /// Starts it before the gate of a ledger.
    pub(crate) fn start(directory: &Path, durability: Durability, opened_at: Duration) -> Self {
        Self::start_as("child::child", directory, durability, opened_at)
    }

    /// Starts another of the ignored tests.
    pub(crate) fn start_as(
        test: &str,
        directory: &Path,
        durability: Durability,
        opened_at: Duration,
    ) -> Self {
        let mut command = Command::new(std::env::current_exe().expect("this binary has a path"));
        command.args([test, "--exact", "--ignored", "--nocapture", "--test-threads=1"]);
        command.env(DIRECTORY, directory);
        command.env(OPENED_AT, opened_at.as_micros().to_string());
        if durability == Durability::Process {
            command.env(UNSYNCED, "");
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().expect("this binary can be started again");
        let gate = process.stdin.take();
        let said = BufReader::new(process.stdout.take().expect("its output is a pipe"));
        let mut child = Self { process, gate, said, opener: 0 };
        let here = child.hear().expect("it says where it is");
        child.opener = here.strip_prefix("here ").and_then(|id| id.parse().ok()).expect("a thread");
        child
    }

    /// The next thing that it says; `None` when it is gone.
    pub(crate) fn hear(&mut self) -> Option<String> {
        let mut line = String::new();
        loop {
            line.clear();
            let read = self.said.read_line(&mut line).expect("a pipe can be read");
            // What the test harness says is none of it, nor is a line that was cut by death.
            if read == 0 || !line.ends_with('\n') {
                return None;
            }
            // The harness leaves its first line unfinished.
            if let Some((_, said)) = line.trim_end().split_once("> ") {
                return Some(said.to_owned());
            }
        }
    }

    /// Lets it go on. One that has died meanwhile does not hear.
    pub(crate) fn let_on(&mut self, line: &str) {
        if let Some(gate) = &mut self.gate {
            let _ = gate.write_all(format!("{line}\n").as_bytes());
        }
    }

    /// Lets it open the ledger; what it says then.
    pub(crate) fn open(&mut self) -> Option<String> {
        self.let_on("open");
        self.hear()
    }

    /// Lets it take a step; what it says then.
    pub(crate) fn step(&mut self, step: usize, when: Duration) -> Option<String> {
        self.let_on(&format!("{step} {}", when.as_micros()));
        self.hear()
    }

    /// Nothing more is asked of it: it closes the ledger.
    pub(crate) fn close(&mut self) -> Option<String> {
        self.gate = None;
        self.hear()
    }

    pub(crate) fn kill(&mut self) {
        self.process.kill().expect("it can be killed");
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.process.wait().expect("it can be waited for")
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// The thread of that name, once the ledger is open; `opener` before as well. A thread bears its name a
    /// moment after it was made.
    pub(crate) fn thread(&self, name: &str) -> u32 {
        if name == "opener" {
            return self.opener;
        }
        let named = |entry: &std::fs::DirEntry| {
            let comm = std::fs::read_to_string(entry.path().join("comm"));
            comm.is_ok_and(|comm| comm.trim_end() == name)
        };
        loop {
            let threads = std::fs::read_dir(format!("/proc/{}/task", self.id())).expect("it lives");
            if let Some(found) = threads.flatten().find(named) {
                return found.file_name().to_string_lossy().parse().expect("a number");
            }
            std::thread::yield_now();
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
