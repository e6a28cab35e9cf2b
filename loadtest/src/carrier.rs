//! A gateway that carries its orders into a MariaDB without a pace, and can be filled while it stands still.

use std::path::Path;
use std::time::Duration;

use anyhow::ensure;

use crate::drive::{Arrivals, Drive, look, shared};
use crate::form::OrderForm;
use crate::on_mysql::OnMySql;
use crate::on_redis;
use crate::plant::{Plant, STOP_WITHIN};
use crate::redis::{Options, Redis};
use crate::tally::Tally;
use crate::target::Target;
use crate::wire::lean::LeanWire;

const CONNECTIONS: usize = 64;

/// What a MariaDB is started with in which orders are timed: everything that a run writes fits into its memory and
/// its log.
pub(crate) const TIMED: [&str; 2] =
    ["--innodb-buffer-pool-size=512M", "--innodb-log-file-size=512M"];

/// The gateway, and the Redis in which its ledger lies.
pub(crate) struct Carrier {
    pub(crate) plant: Plant,
    pub(crate) redis: Option<Redis>,
}

impl Carrier {
    /// Starts a gateway whose orders end in this database, with its ledger on disk or in a Redis of its own.
    pub(crate) async fn start(
        binary: &Path,
        store: &OnMySql,
        on_redis: bool,
    ) -> anyhow::Result<Self> {
        let mut environment = store.environment(store.server.address());
        let mut redis = None;
        if on_redis {
            let server = Redis::start(&Options::timed(false)).await?;
            environment.extend(on_redis::settings(&server));
            redis = Some(server);
        }
        let plant = Plant::start_with(binary, "unlimited", environment).await?;
        Ok(Self { plant, redis })
    }

    /// Stops the drain, makes the form's sale with so many units, and lets so many buyers order in it.
    pub(crate) async fn fill(
        &self,
        form: &OrderForm,
        units: u64,
        orders: u64,
    ) -> anyhow::Result<()> {
        self.plant.admin.pause_drain(true).await?;
        self.plant.admin.create_sale(&form.sale, &form.sku, units, Some(1)).await?;
        self.plant.phase(&form.sale, "open").await?;
        send(&self.plant.public, form, orders).await
    }

    /// Lets the drain go on.
    pub(crate) async fn carry(&self) -> anyhow::Result<()> {
        self.plant.admin.pause_drain(false).await
    }

    /// Lets the gateway finish what it is at, and ends both.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        self.plant.process.stop(STOP_WITHIN).await?;
        self.kill_redis().await
    }

    /// Ends both, and waits until they are gone.
    pub(crate) async fn kill(&mut self) -> anyhow::Result<()> {
        self.plant.process.kill().await?;
        self.kill_redis().await
    }

    async fn kill_redis(&mut self) -> anyhow::Result<()> {
        match &mut self.redis {
            Some(redis) => redis.kill().await,
            None => Ok(()),
        }
    }
}

/// Sends orders as fast as answers come; each must be taken.
pub(crate) async fn send(target: &Target, form: &OrderForm, orders: u64) -> anyhow::Result<()> {
    let drive = Drive {
        target: target.clone(),
        form: form.clone(),
        connections: CONNECTIONS,
        arrivals: Arrivals::WhenFree,
        patience: Duration::from_secs(30),
        late_after: Duration::from_millis(10),
    };
    let tally = shared(Tally::default());
    drive.run::<LeanWire, Tally>(0..orders, tally.clone()).await;
    let tally = look(&tally);
    ensure!(tally.with_status(202) == orders, "not every order was taken: {:?}", tally.statuses());
    Ok(())
}
