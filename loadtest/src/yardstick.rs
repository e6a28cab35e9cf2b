//! Servers that this command is itself, in a process of their own like the gateway: bare hyper and the floor.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use tempfile::TempDir;

use crate::gateway::Process;
use crate::target::Target;

const LISTENS_WITHIN: Duration = Duration::from_secs(10);

/// A running one.
#[derive(Debug)]
pub(crate) struct Yardstick {
    pub(crate) process: Process,
    pub(crate) public: Target,
    _directory: TempDir,
}

impl Yardstick {
    /// Starts this binary with these arguments, and waits until it says where it listens.
    pub(crate) async fn start(arguments: &[&str]) -> anyhow::Result<Self> {
        let directory = TempDir::with_prefix("forebay-yardstick-")?;
        let binary = std::env::current_exe().context("the own binary has no path")?;
        let process = Process::start(&binary, arguments, directory.path(), &[])?;
        let address: SocketAddr = process
            .printed(LISTENS_WITHIN, |text| {
                text.lines().find_map(|line| line.strip_prefix("listening on ")?.parse().ok())
            })
            .await?;
        Ok(Self { process, public: Target::from(address), _directory: directory })
    }

    /// Bare hyper, answering as many bytes.
    pub(crate) async fn bare(body_bytes: usize) -> anyhow::Result<Self> {
        Self::start(&["bare", "--body-bytes", &body_bytes.to_string()]).await
    }
}
