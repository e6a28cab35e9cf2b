//! A gateway under test: the real binary, in a directory of its own, on ports that the system gives.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use forebay_loadtest::admin::Admin;
use forebay_loadtest::call::{Reply, call};
use forebay_loadtest::drive::{Arrivals, Drive};
use forebay_loadtest::form::OrderForm;
use forebay_loadtest::gateway::Process;
use forebay_loadtest::proxy::Proxy;
use forebay_loadtest::redis::{Options, Redis};
use forebay_loadtest::store::StoreAt;
use forebay_loadtest::target::Target;
use hyper::Method;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

/// How long whatever must happen is waited for: far beyond what it takes on a busy machine.
pub(crate) const AT_LAST: Duration = Duration::from_secs(60);
/// Between two looks at what can only be looked for again.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How long a buyer waits for an answer, or for a gateway that is gone.
pub(crate) const PATIENCE: Duration = Duration::from_secs(2);

/// How much longer the long loops run.
pub(crate) fn scale() -> u32 {
    std::env::var("FOREBAY_TEST_SCALE").ok().and_then(|scale| scale.parse().ok()).unwrap_or(1)
}

/// So many seconds at scale 1, more at a larger scale, at most `most`.
pub(crate) fn seconds(least: u32, most: u32) -> Duration {
    Duration::from_secs((least * scale()).min(most).into())
}

/// Real time goes by.
pub(crate) async fn pass(time: Duration) {
    tokio::time::sleep(time).await;
}

/// Looks until there is something to see.
pub(crate) async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let looking = async {
        loop {
            if let Some(seen) = look().await {
                return seen;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    let seen = tokio::time::timeout(AT_LAST, looking).await;
    seen.unwrap_or_else(|_| panic!("it never came: {what}"))
}

/// Which ledger orders wait in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Engine {
    /// In the gateway's own directory.
    Embedded,
    /// In a Redis of the test's own.
    Redis,
}

/// Runs each test, a function of an [`Engine`], with both ledgers.
macro_rules! with_both_ledgers {
    ($($test:ident),+ $(,)?) => {$(
        mod $test {
            use crate::rig::Engine;

            #[tokio::test]
            async fn embedded() {
                Box::pin(super::$test(Engine::Embedded)).await;
            }

            #[tokio::test]
            async fn redis() {
                Box::pin(super::$test(Engine::Redis)).await;
            }
        }
    )+};
}
pub(crate) use with_both_ledgers;

/// Where a gateway lives and how it is started; it may be started again.
#[derive(Clone, Debug)]
pub(crate) struct Plant {
    directory: Arc<TempDir>,
    role: &'static str,
    /// The server of the ledger, and the way to it, when both are the plant's own.
    redis: Option<Arc<(Redis, Proxy)>>,
    /// The database that is the store; the simulated one when there is none.
    database: Option<String>,
    settings: Vec<String>,
    environment: Vec<(&'static str, String)>,
}

/// How a process ended that refused to serve.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) code: Option<i32>,
    pub(crate) said: String,
}

impl Plant {
    /// Without a setting.
    pub(crate) fn bare() -> Self {
        let directory = Arc::new(TempDir::with_prefix("forebay-faults-").unwrap());
        let (role, redis, database) = ("all", None, None);
        Self { directory, role, redis, database, settings: Vec::new(), environment: Vec::new() }
    }

    pub(crate) fn new() -> Self {
        let plant = Self::bare();
        let ledger = format!("ledger.embedded.directory={}", plant.ledger().display());
        let store = format!("store.simulated.directory={}", plant.store().display());
        plant
            .set("public.listen=127.0.0.1:0")
            .set("admin.listen=127.0.0.1:0")
            .set("ledger.embedded.segment_size=1MiB")
            .set("retry.base=50ms")
            .set(&ledger)
            .set(&store)
    }

    /// Adds `section.key=value`; the last one counts.
    pub(crate) fn set(mut self, setting: &str) -> Self {
        self.settings.push(setting.to_owned());
        self
    }

    /// The ledger lies in the Redis at this address.
    pub(crate) fn ledger_at(self, url: &str) -> Self {
        self.set("ledger.engine=redis")
            .set(&format!("ledger.redis.url={url}"))
            .set("ledger.redis.recover_hold=200ms")
    }

    /// The ledger is of this kind; a Redis of the plant's own lives as long as plant and gateway.
    pub(crate) async fn ledger_of(self, engine: Engine) -> Self {
        if engine == Engine::Embedded {
            return self;
        }
        let redis = Redis::start(&Options::default()).await.unwrap();
        let proxy = Proxy::start(redis.address()).unwrap();
        let plant = self.ledger_at(&format!("redis://{}", proxy.address()));
        Self { redis: Some(Arc::new((redis, proxy))), ..plant }
    }

    /// The way to the plant's own Redis, if it has one.
    pub(crate) fn way_to_ledger(&self) -> Option<&Proxy> {
        self.redis.as_deref().map(|(_, proxy)| proxy)
    }

    /// Orders end in this database.
    pub(crate) fn database(mut self, url: &str, seen_by_the_store_s_owner: &str) -> Self {
        self.database = Some(seen_by_the_store_s_owner.to_owned());
        self.set("store.kind=mysql").set(&format!("store.mysql.url={url}"))
    }

    /// The part of the whole that a process does.
    pub(crate) fn role(self, role: &'static str) -> Self {
        Self { role, ..self }
    }

    pub(crate) fn variable(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.environment.push((name, value.into()));
        self
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn ledger(&self) -> PathBuf {
        self.directory.path().join("ledger")
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.directory.path().join("store")
    }

    /// The command line, behind another command that becomes it or watches it.
    fn command(&self, behind: &[impl AsRef<str>]) -> Vec<String> {
        let mut command: Vec<String> = behind.iter().map(|word| word.as_ref().to_owned()).collect();
        command.push(env!("CARGO_BIN_EXE_forebay").to_owned());
        command.extend(["serve", "--role", self.role].map(str::to_owned));
        command.extend(self.settings.iter().flat_map(|set| ["--set".to_owned(), set.clone()]));
        command
    }

    /// Runs another command with the same settings to its end.
    pub(crate) async fn run(&self, words: &[&str]) -> Output {
        let settings = self.settings.iter().flat_map(|set| ["--set", set]);
        let words: Vec<&str> = words.iter().copied().chain(settings).collect();
        self.ask_admin(&words).await
    }

    /// Runs a command that takes no settings, as a client of the admin API does.
    pub(crate) async fn ask_admin(&self, words: &[&str]) -> Output {
        let mut child = tokio::process::Command::new(env!("CARGO_BIN_EXE_forebay"));
        child.args(words).current_dir(self.path()).kill_on_drop(true).stdin(Stdio::null());
        child.envs(self.environment.iter().map(|(name, value)| (name, value)));
        let ended = tokio::time::timeout(AT_LAST, child.output()).await;
        ended.expect("the command goes on and on").unwrap()
    }

    pub(crate) async fn start(&self) -> Gateway {
        self.start_behind::<&str>(&[]).await
    }

    /// Starts it, and waits until it takes orders: a ledger that is elsewhere is read first.
    pub(crate) async fn open(&self) -> Gateway {
        let gateway = self.start().await;
        until("it takes orders", async || (gateway.ready().await.0 == 200).then_some(())).await;
        gateway
    }

    /// Starts it behind a command such as `strace`, and waits until it announces where it listens.
    pub(crate) async fn start_behind<W: AsRef<str>>(&self, behind: &[W]) -> Gateway {
        let command = self.command(behind);
        let (program, arguments) = command.split_first().unwrap();
        let started = Process::start(Path::new(program), arguments, self.path(), &self.environment);
        let process = started.unwrap();
        let announced = process.printed(AT_LAST, |text| {
            Some((announced(text, "orders  http://")?, announced(text, "admin   http://")?))
        });
        let (public, admin) = announced.await.unwrap();
        let directory = Arc::clone(&self.directory);
        let store_at = match &self.database {
            Some(url) => StoreAt::MySql(url.clone()),
            None => StoreAt::Directory(self.store()),
        };
        let (store, redis) = (self.store(), self.redis.clone());
        Gateway { process, public, admin, store, store_at, _directory: directory, _redis: redis }
    }

    /// Starts a process that only carries orders to the store, and waits until it has announced that.
    pub(crate) async fn start_drain(&self) -> Process {
        let process = self.spawn_drain(&[]);
        let announced = |text: &str| text.contains("drain   carries orders").then_some(());
        process.printed(AT_LAST, announced).await.unwrap();
        process
    }

    /// The same behind a command such as `strace`; it may end before it has announced anything.
    pub(crate) fn spawn_drain(&self, behind: &[&str]) -> Process {
        let command = self.clone().role("drain").command(behind);
        let (program, arguments) = command.split_first().unwrap();
        let started = Process::start(Path::new(program), arguments, self.path(), &self.environment);
        started.unwrap()
    }

    /// Starts it where it must end by itself, and says how it did.
    pub(crate) async fn refused(&self) -> Refusal {
        self.refused_behind::<&str>(&[]).await
    }

    pub(crate) async fn refused_behind<W: AsRef<str>>(&self, behind: &[W]) -> Refusal {
        let command = self.command(behind);
        let (program, arguments) = command.split_first().unwrap();
        let mut child = tokio::process::Command::new(program);
        child.args(arguments).current_dir(self.path()).kill_on_drop(true).stdin(Stdio::null());
        child.envs(self.environment.iter().map(|(name, value)| (name, value)));
        let ended = tokio::time::timeout(AT_LAST, child.output()).await;
        let output = ended.expect("a process that must refuse serves").unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        Refusal { code: output.status.code(), said }
    }
}

fn announced(text: &str, before: &str) -> Option<SocketAddr> {
    text.lines().find_map(|line| line.strip_prefix(before)?.parse().ok())
}

impl Refusal {
    /// Its exit code, and that its last line says all of this; nothing broke on the way.
    pub(crate) fn is(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, Some(code), "{}", self.said);
        assert!(!self.said.contains("panicked"), "{}", self.said);
        let last = self.said.lines().last().unwrap_or_default();
        assert!(last.starts_with("forebay: "), "{}", self.said);
        for word in words {
            assert!(last.contains(word), "`{word}` is not in: {last}");
        }
    }
}

/// A gateway that serves. Dropped, it is killed.
#[derive(Debug)]
pub(crate) struct Gateway {
    pub(crate) process: Process,
    pub(crate) public: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) store: PathBuf,
    pub(crate) store_at: StoreAt,
    _directory: Arc<TempDir>,
    _redis: Option<Arc<(Redis, Proxy)>>,
}

impl Gateway {
    pub(crate) fn admin(&self) -> Admin {
        Admin::new(Target::from(self.admin), None)
    }

    /// Asks the admin listener for what must succeed.
    pub(crate) async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let target = Target::from(self.admin);
        let reply = call(&target, method, &format!("/admin/v1{path}"), None, body.as_ref()).await;
        reply.and_then(|reply| reply.json()).unwrap()
    }

    /// Reads from the public listener.
    pub(crate) async fn read(&self, path: &str) -> Reply {
        call(&Target::from(self.public), Method::GET, path, None, None).await.unwrap()
    }

    /// `/readyz`: its status and document.
    pub(crate) async fn ready(&self) -> (u16, Value) {
        let reply = self.read("/readyz").await;
        (reply.status, serde_json::from_slice(&reply.body).unwrap())
    }

    /// Status and reason of one check of `/readyz`.
    pub(crate) async fn check(&self, name: &str) -> (String, String) {
        let (_, document) = self.ready().await;
        let checks = document["checks"].as_array().unwrap();
        let check = checks.iter().find(|check| check["name"] == name).unwrap();
        let text = |key: &str| check[key].as_str().unwrap_or_default().to_owned();
        (text("status"), text("reason"))
    }

    /// Makes an open sale of `phone`, and waits until buyers see it.
    pub(crate) async fn sale(&self, name: &str, stock: u64) {
        self.admin().create_sale(name, "phone", stock, None).await.unwrap();
        self.phase(name, "open").await;
    }

    /// Waits until buyers see the sale in this phase.
    pub(crate) async fn phase(&self, sale: &str, wanted: &str) {
        let path = format!("/v1/sales/{sale}");
        until(&format!("{sale} is {wanted}"), async || {
            let page: Value = serde_json::from_slice(&self.read(&path).await.body).ok()?;
            (page["phase"] == wanted).then_some(())
        })
        .await;
    }

    /// Changes the store's fault plan.
    pub(crate) async fn faults(&self, plan: Value) {
        self.ask(Method::PATCH, "/store/faults", Some(plan)).await;
    }

    /// Orders whose attempt is at the store now.
    pub(crate) async fn in_flight(&self) -> u64 {
        self.ask(Method::GET, "/drain", None).await["in_flight"].as_u64().unwrap()
    }

    /// The sum of all series of a metric that bear this label.
    pub(crate) async fn metric(&self, name: &str, label: &str) -> f64 {
        let reply = call(&Target::from(self.admin), Method::GET, "/metrics", None, None).await;
        let text = String::from_utf8(reply.unwrap().body.to_vec()).unwrap();
        let of = |line: &&str| {
            line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']))
                && line.contains(label)
        };
        let values = text.lines().filter(of).filter_map(|line| line.rsplit(' ').next());
        values.map(|value| value.parse::<f64>().unwrap()).sum()
    }

    /// A crowd of so many connections, each sending as soon as it has its answer.
    pub(crate) fn drive(&self, form: &OrderForm, connections: usize) -> Drive {
        Drive {
            target: Target::from(self.public),
            form: form.clone(),
            connections,
            arrivals: Arrivals::WhenFree,
            patience: PATIENCE,
            late_after: Duration::from_secs(1),
        }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.process.pid().cast_signed()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// SIGTERM, and its end.
    pub(crate) async fn stop(mut self) -> Ended {
        let status = self.process.stop(AT_LAST).await.unwrap();
        Ended { status, said: self.process.text().await }
    }

    /// That nothing broke so far.
    pub(crate) async fn is_whole(&self) {
        let text = self.process.text().await;
        assert!(!text.contains("panicked") && !text.contains("background task ended"), "{text}");
    }
}

/// How a gateway that served has ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) said: String,
}

impl Ended {
    /// It ended in order.
    pub(crate) fn well(&self) {
        assert!(self.status.success(), "{}\n{}", self.status, self.said);
        assert!(!self.said.contains("panicked"), "{}", self.said);
    }
}
