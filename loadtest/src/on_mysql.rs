//! A MariaDB with the gateway's tables, in which its orders end.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context, ensure};
use tempfile::TempDir;
use tokio::process::Command;

use crate::mariadb::MariaDb;
use crate::store::StoreAt;

/// Where the tables are.
pub(crate) const DATABASE: &str = "shop";

/// The server.
pub(crate) struct OnMySql {
    pub(crate) server: MariaDb,
}

impl OnMySql {
    /// Starts a server with further arguments, and lets the gateway's binary make its tables.
    pub(crate) async fn start(binary: &Path, arguments: &[&str]) -> anyhow::Result<Self> {
        let on_mysql = Self { server: MariaDb::start(arguments).await? };
        on_mysql.anew(binary).await?;
        Ok(on_mysql)
    }

    /// Takes the tables away with all that is in them, and lets the gateway's binary make them again.
    pub(crate) async fn anew(&self, binary: &Path) -> anyhow::Result<()> {
        self.server.tell(None, &format!("DROP DATABASE IF EXISTS {DATABASE}")).await?;
        self.server.tell(None, &format!("CREATE DATABASE {DATABASE}")).await?;
        let directory = TempDir::with_prefix("forebay-migrate-")?;
        let made = Command::new(binary)
            .args(["migrate", "--apply"])
            .current_dir(directory.path())
            .envs(self.environment(self.server.address()))
            .kill_on_drop(true)
            .output()
            .await
            .with_context(|| format!("{} migrate", binary.display()))?;
        ensure!(made.status.success(), "migrate: {}", String::from_utf8_lossy(&made.stderr));
        Ok(())
    }

    /// The settings of a gateway that reaches the server by this address.
    pub(crate) fn environment(&self, by: SocketAddr) -> Vec<(&'static str, String)> {
        vec![
            ("FOREBAY_STORE__KIND", "mysql".to_owned()),
            ("FOREBAY_STORE__MYSQL__URL", format!("mysql://root@{by}/{DATABASE}")),
        ]
    }

    /// Where its rows are read, past everything that stands before it.
    pub(crate) fn store_at(&self) -> StoreAt {
        StoreAt::MySql(self.server.url(DATABASE))
    }
}
