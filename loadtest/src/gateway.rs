//! Processes under test: started, watched by what they print, and ended by their handle. A process
//! that is dropped is killed with all that it has started, so that no failed proof leaves one behind.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use hyper::Method;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::sync::{Mutex, Notify};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::call::call;
use crate::clock;
use crate::target::Target;

/// Output kept to explain a failure.
const LINES_MAX: usize = 500;
/// How long the last words of a process that has ended may be on their way.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// How long a signal may be on its way.
const STANDS_WITHIN: Duration = Duration::from_secs(10);
/// stdout and stderr.
const STREAMS: usize = 2;
/// Between two looks at `/readyz`: it bounds the error of a measured restart.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// A child process and what it printed.
#[derive(Debug)]
pub struct Process {
    child: Child,
    pid: u32,
    printed: Arc<Printed>,
    /// They end with the streams that they follow.
    followers: Vec<JoinHandle<()>>,
    started: Instant,
}

#[derive(Debug, Default)]
struct Printed {
    lines: Mutex<VecDeque<String>>,
    /// Streams that have ended.
    ended: AtomicUsize,
    more: Notify,
}

impl Printed {
    /// Nothing more will be printed: the process has ended, with all that had its streams.
    fn all(&self) -> bool {
        self.ended.load(Ordering::Acquire) == STREAMS
    }
}

/// A free port on the loopback: bound to learn its number, and let go.
pub fn free_address() -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").context("no free port on the loopback")?;
    Ok(listener.local_addr()?)
}

/// A free port may be taken by somebody else before the server has it.
const PORTS_TRIED: usize = 5;

/// Starts a server on a free port of the loopback; on another one when somebody else took that meanwhile.
pub(crate) async fn on_free_address<T>(
    start: impl AsyncFn(SocketAddr) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let mut tries = 0;
    loop {
        tries += 1;
        match start(free_address()?).await {
            Err(error) if tries < PORTS_TRIED && error.to_string().contains("in use") => {}
            started => return started,
        }
    }
}

/// Where a server's binary lies: servers often lie outside of a user's path.
///
/// # Errors
/// When it is not installed.
pub fn found(binary: &str) -> anyhow::Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let also = ["/usr/sbin", "/usr/local/sbin", "/sbin"].map(PathBuf::from);
    let mut places = std::env::split_paths(&path).chain(also).map(|place| place.join(binary));
    places
        .find(|file| Path::is_file(file))
        .with_context(|| format!("{binary} is not installed: install it (`./test` does)"))
}

impl Process {
    /// Starts `binary` in `directory`; only the given `FOREBAY_*` variables reach it.
    pub fn start<A: AsRef<OsStr>>(
        binary: &Path,
        arguments: &[A],
        directory: &Path,
        environment: &[(&str, String)],
    ) -> anyhow::Result<Self> {
        let mut command = Command::new(binary);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("FOREBAY_") {
                command.env_remove(name);
            }
        }
        let started = clock::now();
        let mut child = command
            .args(arguments)
            .current_dir(directory)
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .process_group(0)
            .spawn()
            .with_context(|| format!("{} cannot be started", binary.display()))?;
        let pid = child.id().context("the process ended at once")?;
        let printed = Arc::new(Printed::default());
        let mut followers = Vec::new();
        if let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) {
            followers.push(tokio::spawn(follow(stdout, Arc::clone(&printed))));
            followers.push(tokio::spawn(follow(stderr, Arc::clone(&printed))));
        }
        Ok(Self { child, pid, printed, followers, started })
    }

    /// The process id, to read its CPU time by.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// When it was started.
    pub fn started(&self) -> Instant {
        self.started
    }

    /// Waits for printed text in which `find` finds something; not beyond the process's own end.
    pub async fn printed<T>(
        &self,
        within: Duration,
        find: impl Fn(&str) -> Option<T>,
    ) -> anyhow::Result<T> {
        let look = async {
            loop {
                let more = self.printed.more.notified();
                let all = self.printed.all();
                let text = self.text().await;
                let found = find(&text);
                if found.is_some() || all {
                    return found;
                }
                more.await;
            }
        };
        match timeout(within, look).await {
            Ok(Some(found)) => Ok(found),
            Ok(None) => bail!("the process ended:\n{}", self.text().await),
            Err(_) => bail!("what was waited for was not printed:\n{}", self.text().await),
        }
    }

    /// The last lines it printed, of both streams.
    pub async fn text(&self) -> String {
        self.printed.lines.lock().await.iter().fold(String::new(), |text, line| text + line + "\n")
    }

    /// Waits until `/readyz` at `target` says 200, and says how long that took from the start.
    pub async fn ready(&mut self, target: &Target, within: Duration) -> anyhow::Result<Duration> {
        let until = self.started + within;
        loop {
            let probe = call(target, Method::GET, "/readyz", None, None).await;
            if probe.as_ref().is_ok_and(|reply| reply.status == 200) {
                return Ok(clock::now() - self.started);
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("the process ended with {status}:\n{}", self.text().await);
            }
            if clock::now() >= until {
                bail!("not ready after {within:?} ({probe:?}):\n{}", self.text().await);
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// SIGCONT.
    pub(crate) fn resume(&self) -> anyhow::Result<()> {
        self.signal(Signal::CONT)
    }

    /// Waits until something listens there.
    pub(crate) async fn listens(
        &mut self,
        address: SocketAddr,
        within: Duration,
    ) -> anyhow::Result<()> {
        let until = clock::now() + within;
        while TcpStream::connect(address).await.is_err() {
            let ended = !self.is_running()?;
            if ended || clock::now() >= until {
                bail!("nothing listens at {address}:\n{}", self.text().await);
            }
            sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> anyhow::Result<bool> {
        Ok(self.child.try_wait()?.is_none())
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        // Its id is its own for as long as it was not waited for.
        let running = self.child.id().and_then(|pid| i32::try_from(pid).ok());
        let pid = running.and_then(Pid::from_raw).context("the process has ended")?;
        Ok(kill_process(pid, signal)?)
    }

    /// SIGSTOP, and waits until it stands still: it answers nobody, and its connections stay.
    pub(crate) async fn pause(&self) -> anyhow::Result<()> {
        self.signal(Signal::STOP)?;
        let path = format!("/proc/{}/stat", self.pid);
        let until = clock::now() + STANDS_WITHIN;
        loop {
            let stat = std::fs::read_to_string(&path).with_context(|| path.clone())?;
            // The name stands in brackets and may hold anything; the state follows it.
            if stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T')) {
                return Ok(());
            }
            if clock::now() >= until {
                bail!("still running {STANDS_WITHIN:?} after SIGSTOP: {stat}");
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// `kill -9`, and waits until it is gone.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        self.kill_group();
        self.child.kill().await.context("the process cannot be killed")
    }

    /// Asks it to stop (SIGTERM), and waits for its end and for what it printed until then.
    pub async fn stop(&mut self, within: Duration) -> anyhow::Result<ExitStatus> {
        self.signal(Signal::TERM)?;
        match timeout(within, self.child.wait()).await {
            Ok(status) => {
                for follower in self.followers.drain(..) {
                    // A child of its own may have the stream still.
                    let _ = timeout(LAST_WORDS, follower).await;
                }
                Ok(status?)
            }
            Err(_) => bail!("still running {within:?} after SIGTERM:\n{}", self.text().await),
        }
    }
}

impl Process {
    /// It and its children. Its group has its id, and is its own for as long as it was not waited for.
    fn kill_group(&self) {
        let waited_for = self.child.id().is_none();
        let group = i32::try_from(self.pid).ok().and_then(Pid::from_raw);
        if let (false, Some(group)) = (waited_for, group) {
            // One that has ended by itself is gone already.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill_group();
    }
}

async fn follow(stream: impl AsyncRead + Unpin, printed: Arc<Printed>) {
    let mut lines = BufReader::new(stream).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let mut kept = printed.lines.lock().await;
        if kept.len() == LINES_MAX {
            kept.pop_front();
        }
        kept.push_back(line);
        printed.more.notify_waiters();
    }
    printed.ended.fetch_add(1, Ordering::Release);
    printed.more.notify_waiters();
}
