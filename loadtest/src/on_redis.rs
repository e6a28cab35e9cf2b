//! A gateway whose ledger lies in a Redis of its own, to be timed together.

use std::path::Path;

use crate::lap::Servers;
use crate::plant::Plant;
use crate::redis::{Options, Redis};

/// Both processes.
pub(crate) struct OnRedis {
    pub(crate) plant: Plant,
    pub(crate) redis: Redis,
}

/// The settings of a gateway whose ledger lies there.
pub(crate) fn settings(redis: &Redis) -> Vec<(&'static str, String)> {
    vec![
        ("FOREBAY_LEDGER__ENGINE", "redis".to_owned()),
        ("FOREBAY_LEDGER__REDIS__URL", redis.url()),
    ]
}

impl OnRedis {
    /// Starts a Redis, and a gateway with this `[drain] rate` whose ledger is in it; `aof`: with a log of what was
    /// written, one fsync a second.
    pub(crate) async fn start(binary: &Path, drain_rate: &str, aof: bool) -> anyhow::Result<Self> {
        let redis = Redis::start(&Options::timed(aof)).await?;
        let mut ledger = settings(&redis);
        ledger.push(("FOREBAY_LEDGER__REDIS__DURABILITY", "memory".to_owned()));
        let plant = Plant::start_with(binary, drain_rate, ledger).await?;
        Ok(Self { plant, redis })
    }

    /// The processes that share the work of an order.
    pub(crate) fn servers(&self) -> anyhow::Result<Servers> {
        Servers::of(self.plant.process.pid(), Some(self.redis.pid()))
    }

    /// Ends both, and waits until they are gone.
    pub(crate) async fn kill(&mut self) -> anyhow::Result<()> {
        self.plant.process.kill().await?;
        self.redis.kill().await
    }
}
