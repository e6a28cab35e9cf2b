//! `strace`, attached to one thread or to a process: it counts system calls for each thread apart, so the N-th
//! call of the writer is only met when the writer alone is traced.

use std::fmt;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{ChildStderr, Command, Stdio};
use std::time::Duration;

use forebay::ledger::embedded::Durability;

use super::after::directory;
use super::child::Child;

/// Every call that can change what a file or a directory holds, or make it last. Names that a machine does not
/// know are skipped.
pub(crate) const CALLS: [&str; 22] = [
    "write",
    "pwrite64",
    "writev",
    "pwritev",
    "pwritev2",
    "fsync",
    "fdatasync",
    "msync",
    "sync_file_range",
    "rename",
    "renameat",
    "renameat2",
    "unlink",
    "unlinkat",
    "ftruncate",
    "truncate",
    "fallocate",
    "link",
    "linkat",
    "copy_file_range",
    "sendfile",
    "syncfs",
];

/// What moves and what removes a name: machines differ in which of these they have.
pub(crate) const RENAME: &str = "?rename,?renameat,?renameat2";
pub(crate) const UNLINK: &str = "?unlink,?unlinkat";

/// The threads of a ledger, and the one that opens it.
pub(crate) const OPENER: &str = "opener";
pub(crate) const WRITER: &str = "ledger-writer";
pub(crate) const FOLLOWER: &str = "ledger-follower";

/// Nothing is proved without it.
#[derive(Debug)]
pub(crate) enum NoTrace {
    Missing(std::io::Error),
    Refused(String),
}

impl fmt::Display for NoTrace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(error) => {
                write!(
                    f,
                    "strace cannot be started ({error}): install it, these tests prove nothing without"
                )
            }
            Self::Refused(said) => write!(
                f,
                "strace may not trace here, and these tests prove nothing without ({said}): allow ptrace, \
                 for example with `sysctl kernel.yama.ptrace_scope=1` or `docker run --cap-add=SYS_PTRACE`"
            ),
        }
    }
}

/// What is traced.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Whom<'a> {
    /// One thread by its name.
    Thread(&'a str),
    /// All threads, those to come included.
    All,
}

/// At work until it is dropped or what it traces is gone.
#[derive(Debug)]
pub(crate) struct Strace {
    process: std::process::Child,
    log: PathBuf,
    /// Open as long as it lives: it says more when it ends.
    _messages: BufReader<ChildStderr>,
}

impl Strace {
    /// Attaches to a child, which waits at its gate; returns once every call is seen.
    pub(crate) fn attach(child: &Child, whom: Whom<'_>, log: &Path, arguments: &[String]) -> Self {
        let attached = attach_with("strace", child, whom, log, arguments);
        attached.unwrap_or_else(|no_trace| panic!("{no_trace}"))
    }

    /// Lets go of what it traces: calls are as they were before.
    pub(crate) fn release(mut self) -> String {
        let pid = rustix::process::Pid::from_child(&self.process);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _ = self.process.wait();
        std::fs::read_to_string(&self.log).expect("it leaves its log")
    }

    /// Waits until what it traces is gone; its log.
    pub(crate) fn log(mut self) -> String {
        let _ = self.process.wait();
        std::fs::read_to_string(&self.log).expect("it leaves its log")
    }
}

impl Drop for Strace {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// `strace` under another name, for those who test what happens without it.
pub(crate) fn attach_with(
    program: &str,
    child: &Child,
    whom: Whom<'_>,
    log: &Path,
    arguments: &[String],
) -> Result<Strace, NoTrace> {
    let mut command = Command::new(program);
    match whom {
        Whom::Thread(name) => command.args(["-p", &child.thread(name).to_string()]),
        Whom::All => command.args(["-f", "-p", &child.id().to_string()]),
    };
    command.arg("-o").arg(log).args(["-e", "signal=none"]).args(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut process = command.spawn().map_err(NoTrace::Missing)?;
    let mut messages = BufReader::new(process.stderr.take().expect("its messages are a pipe"));
    let (mut said, mut line) = (Vec::new(), String::new());
    while messages.read_line(&mut line).is_ok_and(|read| read > 0) {
        if line.contains("attached") {
            return Ok(Strace { process, log: log.to_path_buf(), _messages: messages });
        }
        said.push(std::mem::take(&mut line).trim_end().to_owned());
    }
    let _ = process.wait();
    Err(NoTrace::Refused(said.join("; ")))
}

/// `-e` for all calls that matter.
pub(crate) fn all_calls() -> String {
    format!("trace={}", CALLS.map(|call| format!("?{call}")).join(","))
}

/// The calls of a log, in order, with their results where they have one.
pub(crate) fn calls(log: &str) -> Vec<&str> {
    log.lines().filter_map(|line| line.split_once('(')).map(|(call, _)| call).collect()
}

#[test]
fn a_missing_strace_is_a_failure_that_says_what_to_do() {
    let (place, own) = (directory(), directory());
    let child = Child::start(place.path(), Durability::Disk, Duration::ZERO);
    let log = own.path().join("log");
    let missing = attach_with("strace-is-not-there", &child, Whom::All, &log, &[]).unwrap_err();
    assert!(missing.to_string().contains("install it"), "{missing}");
}

/// A process has one tracer: a second one is refused as any is where tracing is not allowed.
#[test]
fn a_refused_trace_is_a_failure_that_says_what_to_do() {
    let (place, own) = (directory(), directory());
    let child = Child::start(place.path(), Durability::Disk, Duration::ZERO);
    let log = own.path().join("log");
    let _first = Strace::attach(&child, Whom::All, &log, &[]);
    let refused = attach_with("strace", &child, Whom::All, &log, &[]).unwrap_err().to_string();
    let says = |part| refused.contains(part);
    assert!(says("may not trace") && says("not permitted") && says("ptrace_scope"), "{refused}");
}
