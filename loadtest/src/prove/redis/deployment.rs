//! Two gateways and two drains on one Redis: directories of their own, one store.

use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, ensure};
use hyper::Method;
use tempfile::TempDir;
use tokio::time::sleep;

use crate::call::call;
use crate::clock;
use crate::drive::{Drive, Driven, Shared};
use crate::form::OrderForm;
use crate::history::History;
use crate::judge::Evidence;
use crate::plant::{Plant, Role, Setup};
use crate::recover::insist;
use crate::redis::{Aof, Options, Redis};
use crate::store::StoreAt;
use crate::wire::full::FullWire;

/// Of a new epoch: buyers come again after it.
const RECOVER_HOLD: &str = "500ms";
/// A process finds a server again that was away.
const READY_WITHIN: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// The processes of a deployment.
pub(super) struct Deployment {
    pub(super) redis: Redis,
    pub(super) gateways: [Plant; 2],
    pub(super) drains: [Plant; 2],
    setup: Setup,
    _store: TempDir,
}

impl Deployment {
    /// Starts all of them. Redis keeps a log that is synced every second. An exchange with the store takes as long as
    /// is said here, in microseconds.
    pub(super) async fn start(
        binary: &Path,
        drain_rate: &str,
        exchange_micros: u32,
    ) -> anyhow::Result<Self> {
        let redis = Redis::start(&Options::default().aof(Aof::EverySecond)).await?;
        let store = TempDir::with_prefix("forebay-store-")?;
        let setup = Setup {
            role: Role::Gateway,
            drain_rate: drain_rate.to_owned(),
            environment: vec![
                ("FOREBAY_LEDGER__ENGINE", "redis".to_owned()),
                ("FOREBAY_LEDGER__REDIS__URL", redis.url()),
                ("FOREBAY_LEDGER__REDIS__RECOVER_HOLD", RECOVER_HOLD.to_owned()),
                ("FOREBAY_STORE__SIMULATED__SERVER__EXCHANGE_MICROS", exchange_micros.to_string()),
            ],
            store: Some(StoreAt::Directory(store.path().join("store"))),
        };
        let start = |role| Plant::start_as(binary, Setup { role, ..setup.clone() });
        let gateways = [start(Role::Gateway).await?, start(Role::Gateway).await?];
        let drains = [start(Role::Drain).await?, start(Role::Drain).await?];
        Ok(Self { redis, gateways, drains, setup, _store: store })
    }

    /// A further gateway, that reaches Redis by another way.
    pub(super) async fn gateway_by(&self, binary: &Path, url: String) -> anyhow::Result<Plant> {
        let mut setup = self.setup.clone();
        setup.environment.push(("FOREBAY_LEDGER__REDIS__URL", url));
        Plant::start_as(binary, setup).await
    }

    fn processes(&self) -> impl Iterator<Item = &Plant> {
        self.gateways.iter().chain(&self.drains)
    }

    /// Makes an open sale at the first gateway. Answers how long it took the second one to serve it.
    pub(super) async fn open(
        &self,
        sale: &str,
        units: u64,
        limit: Option<u64>,
    ) -> anyhow::Result<Duration> {
        self.gateways[0].admin.create_sale(sale, super::SKU, units, limit).await?;
        let made = clock::now();
        self.gateways[1].phase(sale, "open").await?;
        let known = made.elapsed();
        self.gateways[0].phase(sale, "open").await?;
        Ok(known)
    }

    /// Waits until both gateways show this phase.
    pub(super) async fn phase(&self, sale: &str, wanted: &str) -> anyhow::Result<()> {
        for gateway in &self.gateways {
            gateway.phase(sale, wanted).await?;
        }
        Ok(())
    }

    /// Waits until every process says that it is ready.
    pub(super) async fn ready(&self) -> anyhow::Result<()> {
        let until = clock::now() + READY_WITHIN;
        for process in self.processes() {
            let target = process.probed();
            loop {
                let probe = call(&target, Method::GET, "/readyz", None, None).await;
                if probe.as_ref().is_ok_and(|reply| reply.status == 200) {
                    break;
                }
                ensure!(clock::now() < until, "not ready after {READY_WITHIN:?}: {probe:?}");
                sleep(LOOK_EVERY).await;
            }
        }
        Ok(())
    }

    /// A drive at each gateway.
    pub(super) fn drives(&self, form: &OrderForm, connections: usize) -> [Drive; 2] {
        [0, 1].map(|at: usize| self.gateways[at].drive(form, connections))
    }

    /// How often functions were called until now.
    pub(super) async fn function_calls(&self) -> anyhow::Result<u64> {
        let info = self.redis.ask(&["INFO", "commandstats"]).await?.text();
        let calls = |name: &str| -> Option<u64> {
            let line = info.lines().find_map(|line| line.strip_prefix(name))?;
            line.strip_prefix(":calls=")?.split(',').next()?.parse().ok()
        };
        let read_only = calls("cmdstat_fcall_ro").unwrap_or_default();
        let all = calls("cmdstat_fcall").context("INFO commandstats tells of no FCALL")?;
        Ok(all + read_only)
    }

    /// All witnesses of a sale, the ledger asked at one of the gateways.
    pub(super) async fn evidence(&self, sale: &str) -> anyhow::Result<Evidence> {
        self.gateways[1].evidence(sale).await
    }

    /// Orders that the drains carried to the store, each.
    pub(super) async fn attempts(&self) -> anyhow::Result<[f64; 2]> {
        let [a, b] = &self.drains;
        let name = "forebay_drain_attempts_total";
        Ok([a.admin.metric(name).await?, b.admin.metric(name).await?])
    }
}

/// Makes a call of an operator until it is answered: what is in doubt or has no ledger now is asked again.
pub(super) async fn patiently<T>(ask: impl AsyncFn() -> anyhow::Result<T>) -> anyhow::Result<T> {
    let until = clock::now() + READY_WITHIN;
    loop {
        match ask().await {
            Err(error) if clock::now() >= until => return Err(error),
            Err(_) => sleep(LOOK_EVERY).await,
            answered => return answered,
        }
    }
}

/// Which of the two gateways an ask goes to first.
#[derive(Debug, Clone, Copy)]
pub(super) enum Side {
    Own,
    Other,
}

impl Side {
    /// The gateway of an ask.
    pub(super) fn gateway(self, ask: u64) -> usize {
        let own = usize::from(!ask.is_multiple_of(2));
        match self {
            Self::Own => own,
            Self::Other => 1 - own,
        }
    }
}

/// Sends each ask once, to its gateway on this side, both gateways at the same time.
pub(super) async fn send(
    drives: &[Drive; 2],
    asks: Range<u64>,
    side: Side,
    history: &Shared<History>,
) -> [Driven; 2] {
    let of = |gateway: usize| asks.clone().filter(move |ask| side.gateway(*ask) == gateway);
    let [a, b] = drives;
    let (a, b) = tokio::join!(
        a.run::<FullWire, History>(of(0), history.clone()),
        b.run::<FullWire, History>(of(1), history.clone()),
    );
    [a, b]
}

/// Whoever has no final answer comes again, with his key, to one gateway.
pub(super) async fn come_again(drive: &Drive, history: &Shared<History>) {
    insist::<FullWire>(drive, history, drive.patience).await;
}
