//! One connection to the server, made again whenever it breaks. Reconnection is our own: a call is never sent
//! twice by a library, because only the caller knows with which keys it may be asked again.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Cmd, Pipeline, RedisResult, Value};
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use super::client::BadClient;
use super::config::Durability;
use super::faults;
use super::library::Library;
use super::reply::strange;
use super::server::{self, Server, Trouble};
use crate::ledger::Fault;
use crate::metrics::REDIS_RECONNECTS;

/// What every connection of an engine is made with.
#[derive(Debug)]
pub(super) struct Means {
    pub(super) open: Opening,
    /// Host and port, for messages.
    pub(super) place: String,
    pub(super) library: &'static Library,
    pub(super) durability: Durability,
    pub(super) replicas: u8,
    pub(super) timeout: Duration,
    /// Nothing is changed: the data are read as they are, whoever's epoch is in force.
    pub(super) reading: bool,
    /// For tests: the time that functions go by, and which life of the server they are in.
    #[cfg(test)]
    pub(super) pretended: Option<(Arc<crate::clock::ManualClock>, u32)>,
}

/// Makes the client of one connection: the password's file is read again each time.
pub(super) struct Opening(
    pub(super) Box<dyn Fn() -> Result<redis::Client, BadClient> + Send + Sync>,
);

impl fmt::Debug for Opening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opening").finish_non_exhaustive()
    }
}

/// Pauses between attempts to connect: doubled up to the last, and spread by up to a half.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// A connection that works, as far as is known.
#[derive(Debug)]
pub(super) struct Live {
    connection: MultiplexedConnection,
    pub(super) server: Server,
}

#[derive(Clone, Debug)]
enum State {
    /// An answer is awaited.
    Connecting,
    Up(Arc<Live>),
    Down(Trouble),
}

/// A connection and the task that keeps it.
#[derive(Debug)]
pub(super) struct Link {
    means: Arc<Means>,
    state: watch::Sender<State>,
    broken: Notify,
    keeping: std::sync::OnceLock<JoinHandle<()>>,
}

/// What follows a call on the same connection, so that the answer means what the level promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    /// Nothing.
    Memory,
    /// So many replicas, or this server's disk.
    AsPromised,
}

impl Link {
    /// Begins to connect, on the runtime of `handle`.
    pub(super) fn start(means: Arc<Means>, handle: &Handle) -> Arc<Self> {
        let (state, _) = watch::channel(State::Connecting);
        let link =
            Self { means, state, broken: Notify::new(), keeping: std::sync::OnceLock::new() };
        let link = Arc::new(link);
        let keeping = handle.spawn(Arc::clone(&link).keep());
        let _ = link.keeping.set(keeping);
        link
    }

    /// Ends the connection.
    pub(super) fn stop(&self) {
        if let Some(keeping) = self.keeping.get() {
            keeping.abort();
        }
    }

    /// The runtime that keeps it is gone.
    pub(super) fn is_over(&self) -> bool {
        self.keeping.get().is_some_and(JoinHandle::is_finished)
    }

    /// Why there is no connection; `None` when there is one, as far as is known.
    pub(super) fn trouble(&self) -> Option<Trouble> {
        match &*self.state.borrow() {
            State::Up(_) => None,
            State::Connecting => Some(Trouble::Connecting(self.means.place.clone())),
            State::Down(trouble) => Some(trouble.clone()),
        }
    }

    async fn keep(self: Arc<Self>) {
        let (mut failures, mut first) = (0, true);
        loop {
            match self.connect().await {
                Ok(live) => {
                    if !first {
                        metrics::counter!(REDIS_RECONNECTS).increment(1);
                    }
                    (failures, first) = (0, false);
                    self.state.send_replace(State::Up(Arc::new(live)));
                    self.broken.notified().await;
                }
                Err(trouble) => {
                    let said =
                        matches!(&*self.state.borrow(), State::Down(known) if *known == trouble);
                    if !said {
                        tracing::warn!(%trouble, "no connection to Redis");
                    }
                    self.state.send_replace(State::Down(trouble));
                    tokio::time::sleep(pause(failures)).await;
                    failures += 1;
                }
            }
        }
    }

    async fn connect(&self) -> Result<Live, Trouble> {
        let Means { open, place, library, durability, timeout, reading, .. } = &*self.means;
        let away = |why: String| Trouble::Away(place.clone(), why);
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(*timeout))
            .set_response_timeout(None);
        let client = (open.0)().map_err(|error| away(error.to_string()))?;
        let connecting = async {
            let connection = client.get_multiplexed_async_connection_with_config(&config).await;
            let mut connection = connection.map_err(|error| away(error.to_string()))?;
            let server = Server::look(&mut connection, *durability).await?;
            server::load(&mut connection, library, !reading).await?;
            Ok(Live { connection, server })
        };
        let late = |_| away("no answer in time".to_owned());
        tokio::time::timeout(*timeout * 2, connecting).await.map_err(late)?
    }

    /// A connection to use; waits for one that is being made.
    pub(super) async fn live(&self) -> Result<Arc<Live>, Fault> {
        let mut state = self.state.subscribe();
        let made = state.wait_for(|state| !matches!(state, State::Connecting));
        match tokio::time::timeout(self.means.timeout, made).await {
            Ok(Ok(state)) => match &*state {
                State::Up(live) => Ok(Arc::clone(live)),
                State::Down(trouble) => Err(faults::of_trouble(trouble)),
                State::Connecting => Err(self.connecting()),
            },
            _ => Err(self.connecting()),
        }
    }

    fn connecting(&self) -> Fault {
        faults::of_trouble(&Trouble::Connecting(self.means.place.clone()))
    }

    /// Resolves when the connection is another one than `live`, or none.
    pub(super) async fn changed(&self, live: &Arc<Live>) {
        let same = |state: &State| matches!(state, State::Up(up) if Arc::ptr_eq(up, live));
        let mut state = self.state.subscribe();
        // The sender lives as long as the link.
        let _ = state.wait_for(|state| !same(state)).await;
    }

    /// Finds out whether the connection still works, before a call does.
    pub(super) async fn probe(&self) {
        if let Some(live) = self.up() {
            // What is wrong with it is known to the link then.
            let _ = self.send(&live, &redis::cmd("PING")).await;
        }
    }

    /// Why the server that is used is not what it must be any more; `None` also when it does not say.
    pub(super) async fn look(&self, live: &Live) -> Option<Trouble> {
        let mut connection = live.connection.clone();
        let looked = Server::look(&mut connection, self.means.durability);
        match tokio::time::timeout(self.means.timeout, looked).await {
            Ok(Err(trouble)) if !matches!(trouble, Trouble::Broke(_)) => Some(trouble),
            _ => None,
        }
    }

    /// Makes the connection again, if there is one.
    pub(super) fn renew(&self) {
        if let Some(live) = self.up() {
            self.broke(&live);
        }
    }

    fn up(&self) -> Option<Arc<Live>> {
        match &*self.state.borrow() {
            State::Up(live) => Some(Arc::clone(live)),
            State::Connecting | State::Down(_) => None,
        }
    }

    /// The connection cannot be used any more.
    fn broke(&self, live: &Arc<Live>) {
        let ours = |state: &mut State| {
            let same = matches!(state, State::Up(up) if Arc::ptr_eq(up, live));
            if same {
                *state = State::Connecting;
            }
            same
        };
        if self.state.send_if_modified(ours) {
            self.broken.notify_one();
        }
    }

    /// A call of one of our functions, to which arguments can be added.
    pub(super) fn function(&self, live: &Live, name: &str, key: &str) -> Cmd {
        let mut command = redis::cmd("FCALL");
        command.arg(self.means.library.function(name)).arg(1).arg(key).arg(self.fence(live));
        command
    }

    /// What a function holds against the run id in force.
    fn fence(&self, live: &Live) -> String {
        if self.means.reading {
            return "*".to_owned();
        }
        #[cfg(test)]
        if let Some((clock, life)) = &self.means.pretended {
            use crate::clock::Clock;
            return format!("{}.{life}@{}", live.server.run_id, clock.wall().0);
        }
        live.server.run_id.clone()
    }

    /// Sends one command and brings its answer.
    pub(super) async fn send(&self, live: &Arc<Live>, command: &Cmd) -> Result<Value, Fault> {
        let mut connection = live.connection.clone();
        let sent = connection.send_packed_command(command);
        let answer = tokio::time::timeout(self.means.timeout, sent).await;
        self.judge(live, answer)?
    }

    /// What an error of the server means, also for the connection.
    fn refused(&self, live: &Arc<Live>, error: &redis::ServerError) -> Fault {
        if faults::wants_another(error) {
            self.broke(live);
        }
        faults::of_server(error)
    }

    fn judge<T: Answered>(
        &self,
        live: &Arc<Live>,
        answer: Result<RedisResult<T>, tokio::time::error::Elapsed>,
    ) -> Result<Result<T, Fault>, Fault> {
        match answer {
            Ok(Ok(value)) => {
                let Some(error) = value.error() else { return Ok(Ok(value)) };
                Ok(Err(self.refused(live, error)))
            }
            Ok(Err(error)) => {
                self.broke(live);
                Err(faults::of_connection(&error))
            }
            Err(_) => {
                self.broke(live);
                Err(faults::late())
            }
        }
    }

    /// Sends one call of a function; its answer means what the level promises.
    pub(super) async fn promised(&self, live: &Arc<Live>, command: Cmd) -> Result<Value, Fault> {
        let answers = self.send_all(live, vec![command], Level::AsPromised).await?;
        answers.into_iter().next().unwrap_or_else(|| Err(strange("no answer")))
    }

    /// Sends calls of functions together, and what makes their level true behind them.
    pub(super) async fn send_all(
        &self,
        live: &Arc<Live>,
        commands: Vec<Cmd>,
        level: Level,
    ) -> Result<Vec<Result<Value, Fault>>, Fault> {
        let count = commands.len();
        let mut pipeline = Pipeline::with_capacity(count + 1);
        pipeline.ignore_errors();
        commands.into_iter().for_each(|command| {
            pipeline.add_command(command);
        });
        let wanted = if level == Level::AsPromised { self.wait(live, &mut pipeline) } else { 0 };
        let mut connection = live.connection.clone();
        let sent = connection.send_packed_commands(&pipeline, 0, pipeline.len());
        let answer = tokio::time::timeout(self.means.timeout, sent).await;
        let mut values = self.judge(live, answer)??;
        if wanted > 0 {
            let have = values.pop().map_or(0, |value| acknowledged(&value));
            if have < wanted {
                let reason = "fewer replicas or disks than [ledger.redis] durability asks for have the order";
                return Err(Fault::in_doubt(reason));
            }
        }
        let one = |value: Value| match value {
            Value::ServerError(error) => Err(self.refused(live, &error)),
            value => Ok(value),
        };
        Ok(values.into_iter().map(one).collect())
    }

    /// Adds what waits for the level; answers how many acknowledgements are wanted.
    fn wait(&self, live: &Live, pipeline: &mut Pipeline) -> i64 {
        let millis = u64::try_from(self.means.timeout.as_millis()).unwrap_or(u64::MAX) * 4 / 5;
        match self.means.durability {
            Durability::Replicated => {
                pipeline.cmd("WAIT").arg(self.means.replicas).arg(millis);
                i64::from(self.means.replicas)
            }
            Durability::Disk if live.server.waits_for_disk => {
                pipeline.cmd("WAITAOF").arg(1).arg(0).arg(millis);
                1
            }
            Durability::Disk | Durability::Memory => 0,
        }
    }
}

/// How many have what was written before: of `WAIT` a number, of `WAITAOF` the first of two.
fn acknowledged(value: &Value) -> i64 {
    match value {
        Value::Int(count) => *count,
        Value::Array(counts) => counts.first().map_or(0, acknowledged),
        _ => 0,
    }
}

fn pause(failures: u32) -> Duration {
    let doubled = PAUSES.0 * 2u32.pow(failures.min(5));
    let spread = getrandom::u32().unwrap_or(0);
    doubled.min(PAUSES.1).mul_f64(0.5 + f64::from(spread) / f64::from(u32::MAX))
}

trait Answered {
    fn error(&self) -> Option<&redis::ServerError>;
}

impl Answered for Value {
    fn error(&self) -> Option<&redis::ServerError> {
        match self {
            Self::ServerError(error) => Some(error),
            _ => None,
        }
    }
}

impl Answered for Vec<Value> {
    fn error(&self) -> Option<&redis::ServerError> {
        None
    }
}
