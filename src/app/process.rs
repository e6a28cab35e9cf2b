//! The parts that run, and the order in which they end.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::signal::unix::Signal;

use super::Role;
use super::StartError;
use super::admin;
use super::descriptors::Connections;
use super::engines::Engines;
use super::logs::Verbosity;
use super::operations::OfEngines;
use super::operations::Waiting;
use super::pauses::Pauses;
use super::preparation::Preparation;
use super::preparation::Progress;
use super::public;
use super::recorder;
use super::reload;
use super::reload::Live;
use super::reload::Reloader;
use super::sales;
use super::sockets::Bound;
use super::store_access::StoreAccess;
use super::upkeep;
use super::verifier::RunningVerifier;
use crate::admission::Limits;
use crate::clock::SharedClock;
use crate::config::Engine;
use crate::config::Inputs;
use crate::config::Settings;
use crate::drain;
use crate::drain::Drain;
use crate::drain::DrainStatus;
use crate::http::Gateway;
use crate::http::GatewayParts;
use crate::http::admin::Access;
use crate::http::admin::Admin;
use crate::http::admin::Exposition;
use crate::http::admin::Parts;
use crate::identity::Identity;
use crate::metrics::Registry;
use crate::tasks;
use crate::tasks::Check;
use crate::tasks::CheckStatus;
use crate::tasks::OnDeath;
use crate::tasks::Readiness;
use crate::tasks::Stop;
use crate::tasks::StopHandle;
use crate::tasks::Tasks;
use crate::watch::Follower;
use crate::watch::Watch;

/// Addresses that are ours and not listened on yet, and how many connections they may take.
#[derive(Debug)]
pub(super) struct Sockets {
    /// Where buyers come in, if they do.
    pub(super) public: Option<Bound>,
    pub(super) admin: Bound,
    pub(super) connections: Connections,
}

/// What a process starts with.
#[derive(Debug)]
pub(super) struct Given {
    pub(super) settings: Settings,
    /// Where the settings came from.
    pub(super) inputs: Inputs,
    pub(super) verbosity: Verbosity,
    /// Each asks for a reload.
    pub(super) hangups: Signal,
    pub(super) clock: SharedClock,
    pub(super) metrics: Registry,
    pub(super) sockets: Sockets,
    /// What the ledger is to be told first.
    pub(super) preparation: Preparation,
}

/// A process that serves.
///
/// Two stops, one after the other: first what takes and carries orders, then what tells of it, so that probes
/// and metrics answer as long as anything runs.
#[derive(Debug)]
pub(super) struct Process {
    engines: Engines,
    role: Role,
    work: Group,
    control: Group,
    readiness: Readiness,
    /// A stop was asked for: no new traffic shall come.
    leaving: Arc<AtomicBool>,
    /// How long requests are still served then.
    lame_duck: Duration,
    /// How long the stop may take after that.
    stop_max: Duration,
    /// How long the drain may wait for the store then.
    grace: Duration,
}

/// Tasks that end together.
#[derive(Debug)]
struct Group {
    tasks: Tasks,
    handle: StopHandle,
    stop: Stop,
}

impl Group {
    fn new() -> Self {
        let (handle, stop) = tasks::stop();
        Self { tasks: Tasks::new(stop.clone()), handle, stop }
    }

    /// Runs `task` until it ends or the group stops.
    fn until_stop(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        self.tasks.spawn(name, OnDeath::Log, async move {
            tokio::select! {
                () = task => {}
                () = stop.pulled() => {}
            }
        });
    }
}

impl Process {
    /// A process with its engines; nothing runs yet.
    pub(super) fn new(engines: Engines, role: Role, settings: &Settings) -> Self {
        let timeouts = &settings.public.timeouts;
        Self {
            engines,
            role,
            work: Group::new(),
            control: Group::new(),
            readiness: Readiness::default(),
            leaving: Arc::default(),
            lame_duck: timeouts.lame_duck.0,
            stop_max: timeouts.shutdown.0,
            grace: timeouts.shutdown.0 / 2,
        }
    }

    /// Starts everything that the role has; inside the control runtime.
    ///
    /// # Errors
    /// When a listener cannot be served, or an own ledger does not do what the start needs.
    pub(super) async fn start(&self, given: Given) -> Result<(), StartError> {
        let Given { settings, inputs, verbosity, hangups, clock, metrics, sockets, preparation } =
            given;
        let progress = preparation.progress();
        self.prepare(preparation).await?;
        let watch = match self.role.takes_orders() {
            true => Some(self.watch(&settings, &clock).await?),
            false => None,
        };
        let drain = self.drain(&settings, &clock)?;
        self.checks(&progress, drain.as_ref(), watch.as_ref());
        // Whoever is told that it is ready finds both ports open.
        let public = sockets.public.map(Bound::listen).transpose()?;
        let (admin, connections) = (sockets.admin.listen()?, sockets.connections);
        let gateway = match (watch, public) {
            (Some(watch), Some(public)) => {
                Some(self.public(&settings, &clock, watch, public, connections.buyers)?)
            }
            _ => None,
        };
        let live = self.live(&settings, gateway, progress, verbosity);
        let access = Arc::clone(&live.access);
        let retain = upkeep::retain(Arc::clone(&live.ledger), Arc::clone(&live.retention));
        self.work.until_stop("retention", retain);
        self.control.until_stop("metrics", upkeep::metrics(metrics.clone()));
        let embedded = settings.ledger.engine == Engine::Embedded;
        let directory = embedded.then(|| settings.ledger.embedded.directory.clone());
        let metrics = recorder::exposition(metrics, directory);
        let verifier = Arc::new(RunningVerifier::new(&self.engines, &settings, &clock));
        if let (Some(every), StoreAccess::Held(_)) = (settings.verify.every.0, &self.engines.store)
        {
            self.control.until_stop("verify", upkeep::verify(Arc::clone(&verifier), every));
        }
        let reloader = Arc::new(Reloader::new(inputs, settings, live, Arc::clone(&clock)));
        self.work.until_stop("reload", Arc::clone(&reloader).follow(hangups));
        let operations = self.operations(drain, verifier, reloader);
        self.admin(operations, access, &clock, metrics, admin, connections.operators)
    }

    /// Tells the ledger what the settings say: one of our own at once, one that is elsewhere when it can be reached.
    async fn prepare(&self, preparation: Preparation) -> Result<(), StartError> {
        if self.engines.engine.is_own() {
            return Ok(preparation.once().await?);
        }
        self.work.until_stop("preparation", preparation.run());
        Ok(())
    }

    fn live(
        &self,
        settings: &Settings,
        gateway: Option<Arc<Gateway>>,
        progress: Progress,
        verbosity: Verbosity,
    ) -> Live {
        Live {
            ledger: Arc::clone(&self.engines.ledger),
            keyring: self.engines.keyring.clone(),
            gateway,
            progress,
            access: Arc::new(ArcSwap::from_pointee(settings.admin_access.clone())),
            retention: Arc::new(ArcSwap::from_pointee(settings.retention)),
            verbosity,
        }
    }

    fn operations(
        &self,
        drain: Option<DrainStatus>,
        verifier: Arc<RunningVerifier>,
        reloader: Arc<Reloader>,
    ) -> OfEngines {
        let waiting = Waiting::default();
        let ledger = &self.engines.ledger;
        self.control.until_stop("waiting", waiting.clone().follow(Arc::clone(ledger)));
        OfEngines {
            ledger: Arc::clone(ledger),
            store: self.engines.store.clone(),
            drain,
            waiting,
            verifier,
            reloader,
        }
    }

    fn admin(
        &self,
        operations: OfEngines,
        access: Arc<ArcSwap<Access>>,
        clock: &SharedClock,
        metrics: Exposition,
        listener: std::net::TcpListener,
        connections: usize,
    ) -> Result<(), StartError> {
        let parts = Parts {
            ledger: Arc::clone(&self.engines.ledger),
            operations: Arc::new(operations),
            keyring: self.engines.keyring.clone(),
            readiness: self.readiness.clone(),
            clock: Arc::clone(clock),
            metrics,
            access,
            numbers: Box::new(sales::numbers),
        };
        let listener = TcpListener::from_std(listener)
            .map_err(|error| StartError::runtime(format!("[admin]: {error}")))?;
        let (admin, stop) = (Arc::new(Admin::new(parts)), self.control.stop.clone());
        let serving = admin::serve(listener, connections, admin, Arc::clone(clock), stop);
        self.control.tasks.spawn("admin", OnDeath::StopProcess, serving);
        Ok(())
    }

    /// Loads what a gateway remembers, and follows the ledger from there. One that is elsewhere is read as soon as it
    /// can be.
    async fn watch(
        &self,
        settings: &Settings,
        clock: &SharedClock,
    ) -> Result<Arc<Watch>, StartError> {
        let bound = reload::bound(&settings.queue);
        let ledger = Arc::clone(&self.engines.ledger);
        let keyring = self.engines.keyring.clone();
        let (watch, mut follower) = Watch::new(ledger, keyring, Arc::clone(clock), bound);
        if self.engines.engine.is_own() {
            follower.load().await?;
        }
        let following = follow(follower, Arc::clone(&watch), self.work.stop.clone());
        self.work.tasks.spawn("watch", OnDeath::StopProcess, following);
        Ok(watch)
    }

    fn public(
        &self,
        settings: &Settings,
        clock: &SharedClock,
        watch: Arc<Watch>,
        listener: std::net::TcpListener,
        connections: usize,
    ) -> Result<Arc<Gateway>, StartError> {
        let mut config = settings.public.clone();
        config.limits.connections = connections;
        let threads = public::threads(config.threads);
        let limits = Arc::new(Limits::new(&settings.limits, clock));
        self.control.until_stop("limits", upkeep::limits(Arc::clone(&limits)));
        let identity = Arc::new(Identity::new(
            settings.identity.clone(),
            &config.trusted_proxies,
            Arc::clone(clock),
            &Handle::current(),
        ));
        if identity.check().is_some() {
            let identity = Arc::clone(&identity);
            self.readiness
                .add(move || identity.check().expect("a mode that asks always has a check"));
        }
        let gateway = Gateway::new(GatewayParts {
            identity,
            config: ArcSwap::from_pointee(config),
            limits,
            ledger: Arc::clone(&self.engines.ledger),
            watch,
            keyring: self.engines.keyring.clone(),
            readiness: self.readiness.clone(),
            clock: Arc::clone(clock),
            seed: seed()?,
            leaving: Arc::clone(&self.leaving),
            stop: self.work.stop.clone(),
        });
        let serving = public::start(&gateway, &listener, threads, self.work.stop.clone())?;
        self.work.tasks.spawn("http", OnDeath::StopProcess, serving);
        Ok(gateway)
    }

    /// Starts the drain where the store is held for it.
    fn drain(
        &self,
        settings: &Settings,
        clock: &SharedClock,
    ) -> Result<Option<DrainStatus>, StartError> {
        let StoreAccess::Held(open) = &self.engines.store else { return Ok(None) };
        let parts = drain::Parts {
            ledger: Arc::clone(&self.engines.ledger),
            store: Arc::clone(&open.store),
            clock: Arc::clone(clock),
            keyring: self.engines.keyring.clone(),
            seed: seed()?,
        };
        let drain = Drain::new(settings.drain.clone(), settings.retry.clone(), parts);
        let status = drain.status();
        let running = drain.run(self.work.stop.clone(), self.grace);
        self.work.tasks.spawn("drain", OnDeath::StopProcess, running);
        Ok(Some(status))
    }

    fn checks(&self, progress: &Progress, drain: Option<&DrainStatus>, watch: Option<&Arc<Watch>>) {
        let leaving = Arc::clone(&self.leaving);
        self.readiness.add(move || {
            let leaving = leaving.load(Ordering::Relaxed);
            check("process", leaving.then(|| "stopping".to_owned()))
        });
        let ledger = Arc::clone(&self.engines.ledger);
        self.readiness
            .add(move || check("ledger", ledger.trouble().map(|trouble| trouble.to_string())));
        let progress = progress.clone();
        self.readiness.add(move || progress.check());
        if let Some(watch) = watch {
            let watch = Arc::clone(watch);
            self.readiness.add(move || watch.check());
        }
        if let Some(drain) = drain {
            let (store, drain) = (drain.clone(), drain.clone());
            self.readiness.add(move || store.store_check());
            self.readiness.add(move || drain.drain_check());
        }
    }

    /// Resolves with the name of a part without which the process cannot do its job.
    pub(super) async fn failed(&self) -> &'static str {
        tokio::select! {
            name = self.work.tasks.fatal() => name,
            name = self.control.tasks.fatal() => name,
        }
    }

    /// Sends traffic elsewhere: `/readyz` says 503 at once; for the time that load balancers need to see that,
    /// everything is done as before, and each answer ends its connection.
    pub(super) async fn leave(&self) {
        self.leaving.store(true, Ordering::Relaxed);
        tokio::time::sleep(self.lame_duck).await;
    }

    /// Ends in order: no more orders, what is under way finished, leases handed back, the ledger closed.
    pub(super) async fn stop(self) {
        self.leaving.store(true, Ordering::Relaxed);
        self.work.handle.pull();
        let end = tokio::time::Instant::now() + self.stop_max;
        // What is left then is for the ledger's last commit and the operators' last answers.
        let for_work = self.stop_max * 9 / 10;
        if tokio::time::timeout(for_work, self.work.tasks.ended()).await.is_err() {
            tracing::warn!(
                after = ?for_work,
                "not everything ended in time: what is still at the store comes back when its lease ends"
            );
        }
        let closing = self.engines.engine.clone().close();
        if tokio::time::timeout_at(end, closing).await.is_err() {
            tracing::warn!("the ledger does not close in time: it ends as if it were killed");
        }
        self.control.handle.pull();
        let last = end.min(tokio::time::Instant::now() + LAST_ANSWERS);
        let _ = tokio::time::timeout_at(last, self.control.tasks.ended()).await;
        tracing::info!("stopped");
    }
}

/// Reads the ledger, as often as it takes, and follows it from there.
async fn follow(mut follower: Follower, watch: Arc<Watch>, stop: Stop) {
    let mut pauses = Pauses::begin();
    let loading = async {
        while watch.unread().is_some() {
            if let Err(fault) = follower.load().await {
                pauses.after("what a gateway remembers", &fault).await;
            }
        }
    };
    tokio::select! {
        () = loading => {}
        () = stop.pulled() => return,
    }
    pauses.over("what a gateway remembers");
    follower.run(stop).await;
}

/// How long the admin listener may take for its last answers.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// A check without which no orders can be taken.
fn check(name: &'static str, trouble: Option<String>) -> Check {
    let status = if trouble.is_some() { CheckStatus::Unready } else { CheckStatus::Ready };
    Check { name, status, reason: trouble.unwrap_or_default() }
}

fn seed() -> Result<u64, StartError> {
    getrandom::u64().map_err(|error| StartError::runtime(format!("no randomness: {error}")))
}
