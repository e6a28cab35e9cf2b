//! Where requests go: `http://host:port`, resolved once so that no look-up falls into a measurement.

use std::net::SocketAddr;

use anyhow::{Context, bail};

/// A resolved HTTP origin.
#[derive(Debug, Clone)]
pub struct Target {
    /// Where to connect.
    pub address: SocketAddr,
    /// What the `Host` header says.
    pub host: String,
}

impl Target {
    /// Resolves `http://host[:port]`.
    pub async fn resolve(url: &str) -> anyhow::Result<Self> {
        let Some(rest) = url.strip_prefix("http://") else {
            bail!("{url}: only http:// is spoken; give the gateway's own listener");
        };
        let host = rest.trim_end_matches('/');
        if host.is_empty() || host.contains('/') {
            bail!("{url}: give scheme, host and port only, like http://127.0.0.1:8080");
        }
        let with_port = if host.rsplit(']').next().is_some_and(|tail| tail.contains(':')) {
            host.to_owned()
        } else {
            format!("{host}:80")
        };
        let address = tokio::net::lookup_host(&with_port)
            .await
            .with_context(|| format!("{url}: the host cannot be resolved"))?
            .next()
            .with_context(|| format!("{url}: the host has no address"))?;
        Ok(Self { address, host: host.to_owned() })
    }
}

impl From<SocketAddr> for Target {
    fn from(address: SocketAddr) -> Self {
        Self { address, host: address.to_string() }
    }
}
