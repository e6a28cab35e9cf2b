//! A process with a directory, two ports and a configuration, that can be ended and started again.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use hyper::Method;
use tempfile::TempDir;

use crate::admin::{Admin, Census};
use crate::call::call;
use crate::drive::{Arrivals, Drive};
use crate::form::OrderForm;
use crate::gateway::{Process, free_address};
use crate::judge::Evidence;
use crate::store::StoreAt;
use crate::target::Target;

/// A debug build with a journal to read takes its time to be ready.
pub(super) const READY_WITHIN: Duration = Duration::from_secs(60);
/// What a stop may take at most, and a little more.
pub(super) const STOP_WITHIN: Duration = Duration::from_secs(15);
/// How long a buyer waits for an answer, and for a gateway that was killed.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a process does of the whole.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Role {
    #[default]
    All,
    Gateway,
    Drain,
}

/// How a process is set up, but for its own directory and ports.
#[derive(Debug, Clone, Default)]
pub(super) struct Setup {
    pub(super) role: Role,
    /// `[drain] rate`
    pub(super) drain_rate: String,
    /// Settings beside the file's, as `FOREBAY_SECTION__KEY`.
    pub(super) environment: Vec<(&'static str, String)>,
    /// Where the store lies; a simulated one below the process's own directory when there is none.
    pub(super) store: Option<StoreAt>,
}

/// A gateway of our own, or another process of a deployment.
pub(super) struct Plant {
    binary: PathBuf,
    directory: TempDir,
    setup: Setup,
    pub(super) public: Target,
    pub(super) admin: Admin,
    pub(super) process: Process,
    /// From its start to its first 200 at `/readyz`.
    pub(super) ready_after: Duration,
}

impl Plant {
    /// Starts a gateway with this `[drain] rate`, everything else as it is by default, but a queue
    /// that nothing overflows.
    pub(super) async fn start(binary: &Path, drain_rate: &str) -> anyhow::Result<Self> {
        Self::start_with(binary, drain_rate, Vec::new()).await
    }

    /// The same with further settings, as `FOREBAY_SECTION__KEY`.
    pub(super) async fn start_with(
        binary: &Path,
        drain_rate: &str,
        environment: Vec<(&'static str, String)>,
    ) -> anyhow::Result<Self> {
        let drain_rate = drain_rate.to_owned();
        Self::start_as(binary, Setup { drain_rate, environment, ..Setup::default() }).await
    }

    /// Starts a process that is set up so.
    pub(super) async fn start_as(binary: &Path, setup: Setup) -> anyhow::Result<Self> {
        let directory = TempDir::with_prefix("forebay-prove-")?;
        let (public, admin) = (free_address()?, free_address()?);
        let at = |name: &str| directory.path().join(name);
        let config = format!(
            "[public]\nlisten = \"{public}\"\n\n[admin]\nlisten = \"{admin}\"\n\n\
             [ledger.embedded]\ndirectory = {:?}\n\n[store.simulated]\ndirectory = {:?}\n\n\
             [queue]\nmax_wait = \"1000h\"\ncapacity = 4000000\n\n[drain]\nrate = \"{}\"\n",
            at("ledger").display().to_string(),
            match &setup.store {
                Some(StoreAt::Directory(store)) => store.clone(),
                Some(StoreAt::MySql(_)) | None => at("store"),
            }
            .display()
            .to_string(),
            setup.drain_rate,
        );
        std::fs::write(at("forebay.toml"), config)?;
        let (public, admin) = (Target::from(public), Target::from(admin));
        let (process, ready_after) =
            serve(binary, directory.path(), &setup, probed(&setup, &public, &admin)).await?;
        let admin = Admin::new(admin, None);
        let binary = binary.to_owned();
        Ok(Self { binary, directory, setup, public, admin, process, ready_after })
    }

    /// Starts the ended process again, on the same directory and ports.
    pub(super) async fn start_again(&mut self) -> anyhow::Result<()> {
        let probed = self.probed();
        let (process, ready_after) =
            serve(&self.binary, self.directory.path(), &self.setup, &probed).await?;
        self.process = process;
        self.ready_after = ready_after;
        Ok(())
    }

    /// Where it says whether it is ready.
    pub(super) fn probed(&self) -> Target {
        let admin = Target::from(self.admin.address());
        probed(&self.setup, &self.public, &admin).clone()
    }

    /// Its settings file.
    pub(super) fn settings(&self) -> PathBuf {
        self.directory.path().join("forebay.toml")
    }

    /// A drive at this gateway, as fast as answers come.
    pub(super) fn drive(&self, form: &OrderForm, connections: usize) -> Drive {
        Drive {
            target: self.public.clone(),
            form: form.clone(),
            connections,
            arrivals: Arrivals::WhenFree,
            patience: PATIENCE,
            late_after: Duration::from_millis(10),
        }
    }

    /// Waits until every order of a sale has its fate.
    pub(super) async fn settled(&self, sale: &str, within: Duration) -> anyhow::Result<Census> {
        self.admin.census_until(sale, within, |census| census.unsettled() == 0).await
    }

    /// All witnesses of a sale in which nobody else ordered.
    pub(super) async fn evidence(&self, sale: &str) -> anyhow::Result<Evidence> {
        Ok(Evidence {
            limit_per_buyer: self.admin.limit_per_buyer(sale).await?,
            tickets: Some(self.admin.tickets(sale).await?),
            census: Some(self.admin.census(sale).await?),
            verified: Some(self.admin.verify().await?),
            store: Some(self.store_at().read(sale).await?),
            alone: true,
        })
    }

    /// Waits until the public side shows this phase: what a sale became is known a little later there.
    pub(super) async fn phase(&self, sale: &str, wanted: &str) -> anyhow::Result<()> {
        let until = crate::clock::now() + Duration::from_secs(10);
        loop {
            let reply =
                call(&self.public, Method::GET, &format!("/v1/sales/{sale}"), None, None).await?;
            let seen = match reply.status {
                404 => "unknown".to_owned(),
                _ => reply
                    .json()?
                    .get("phase")
                    .and_then(|phase| phase.as_str())
                    .unwrap_or_default()
                    .to_owned(),
            };
            if seen == wanted {
                return Ok(());
            }
            anyhow::ensure!(crate::clock::now() < until, "sale {sale} is {seen}, not {wanted}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Where the store lies.
    pub(super) fn store_at(&self) -> StoreAt {
        let own = || StoreAt::Directory(self.directory.path().join("store"));
        self.setup.store.clone().unwrap_or_else(own)
    }

    /// Where the simulated store of its own lies.
    pub(crate) fn store_directory(&self) -> PathBuf {
        self.directory.path().join("store")
    }

    /// The simulated store's tables, for hands that are not the gateway's.
    pub(super) fn store(&self) -> anyhow::Result<rusqlite::Connection> {
        let store = rusqlite::Connection::open(self.store_directory().join("store.sqlite"))?;
        store.busy_timeout(Duration::from_secs(10))?;
        Ok(store)
    }

    /// Runs another command of the same binary, with the same settings, and says how it ended.
    pub(super) async fn command(&self, arguments: &[&str]) -> anyhow::Result<std::process::Output> {
        tokio::process::Command::new(&self.binary)
            .args(arguments)
            .current_dir(self.directory.path())
            .envs(self.setup.environment.iter().map(|(name, value)| (name, value)))
            .kill_on_drop(true)
            .output()
            .await
            .with_context(|| format!("{} {arguments:?}", self.binary.display()))
    }
}

/// A drain has no side for buyers.
fn probed<'a>(setup: &Setup, public: &'a Target, admin: &'a Target) -> &'a Target {
    if setup.role == Role::Drain { admin } else { public }
}

async fn serve(
    binary: &Path,
    directory: &Path,
    setup: &Setup,
    probed: &Target,
) -> anyhow::Result<(Process, Duration)> {
    let role = match setup.role {
        Role::All => "all",
        Role::Gateway => "gateway",
        Role::Drain => "drain",
    };
    let arguments = ["serve", "--config", "forebay.toml", "--role", role];
    let mut process = Process::start(binary, &arguments, directory, &setup.environment)?;
    let ready_after = process.ready(probed, READY_WITHIN).await?;
    Ok((process, ready_after))
}
