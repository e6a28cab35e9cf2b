//! Where requests go: `http://host:port`, resolved once so that no look-up falls into a measurement.

use std::net::SocketAddr;

use anyhow::{Context, anyhow};

/// A resolved HTTP origin.
#[derive(Debug, Clone)]
pub struct Target {
    /// Where to connect.
    pub address: SocketAddr,
    /// What the `Host` header says.
    pub host: String,
}

impl Target {
    /// Refuses what is not `http://host[:port]`, before anything is sent.
    pub fn check(url: &str) -> Result<String, String> {
        match url.strip_prefix("http://").map(|rest| rest.trim_end_matches('/')) {
            None => Err("only http:// is spoken; give the gateway's own listener".to_owned()),
            Some(host) if host.is_empty() || host.contains(['/', '@', '?', ' ']) => {
                Err("give scheme, host and port only, like http://127.0.0.1:8080".to_owned())
            }
            Some(host) => Ok(host.to_owned()),
        }
    }

    /// The host without its port.
    pub fn name(&self) -> &str {
        let port = self.host.rfind(':').filter(|at| !self.host[*at..].contains(']'));
        port.map_or(self.host.as_str(), |at| &self.host[..at])
    }

    /// Resolves `http://host[:port]`.
    pub async fn resolve(url: &str) -> anyhow::Result<Self> {
        let host = Self::check(url).map_err(|wrong| anyhow!("{url}: {wrong}"))?;
        let with_port = if host.rsplit(']').next().is_some_and(|tail| tail.contains(':')) {
            host.clone()
        } else {
            format!("{host}:80")
        };
        let address = tokio::net::lookup_host(&with_port)
            .await
            .with_context(|| format!("{url}: the host cannot be resolved"))?
            .next()
            .with_context(|| format!("{url}: the host has no address"))?;
        Ok(Self { address, host })
    }
}

impl From<SocketAddr> for Target {
    fn from(address: SocketAddr) -> Self {
        Self { address, host: address.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use super::Target;

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        for good in ["http://127.0.0.1:8080", "http://localhost/", "http://[::1]:80"] {
            assert!(Target::check(good).is_ok(), "{good}");
        }
        let name = |host: &str| Target { address: ([127, 0, 0, 1], 1).into(), host: host.into() };
        for (host, bare) in
            [("shop:80", "shop"), ("shop", "shop"), ("[::1]:80", "[::1]"), ("[::1]", "[::1]")]
        {
            assert_eq!(name(host).name(), bare);
        }
        for bad in ["https://shop", "shop:80", "http://", "http://shop/path", "http://a@shop"] {
            assert!(Target::check(bad).is_err(), "{bad}");
        }
    }
}
