//! `[public]`, `[admin]` and `[queue]`.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::identity::Network;
use crate::units::{Size, Span};

/// `[public]`: the listener of buyers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Public {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Whose headers about the client are believed.
    pub trusted_proxies: Vec<Network>,
    /// How long an order call may take before it is answered `in_doubt`.
    pub order_deadline: Span,
    /// Threads that serve buyers; 0 is one.
    pub threads: usize,
    /// `[public.limits]`.
    pub limits: PublicLimits,
    /// `[public.timeouts]`.
    pub timeouts: Timeouts,
}

/// `[public.limits]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PublicLimits {
    /// Open connections; more wait in the kernel.
    pub connections: usize,
    /// Open connections of one address. Not built yet: only `off`.
    pub connections_per_address: Off,
    /// Open ticket streams; more are refused.
    pub streams: usize,
}

/// A limit that can only be off until it is built.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Off {
    /// No limit.
    #[default]
    Off,
}

/// `[public.timeouts]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Timeouts {
    /// From the connection to the first byte of its first request.
    pub first_byte: Span,
    /// From the first byte of a request to the end of its head.
    pub headers: Span,
    /// For a request's body.
    pub body: Span,
    /// Between requests of a connection.
    pub idle: Span,
    /// For one write to a client that reads slowly.
    pub write: Span,
    /// After a stop was asked for, requests are still served this long.
    pub lame_duck: Span,
    /// After that, requests in flight may take this long.
    pub shutdown: Span,
}

/// `[admin]`: the listener of operators.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AdminListener {
    /// Where it listens; off loopback only with a token file.
    pub listen: SocketAddr,
    /// `name:token` a line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_file: Option<PathBuf>,
    /// Names by which it may be asked, besides its own address and loopback names.
    pub hosts: Vec<String>,
    /// `/metrics` needs no token.
    pub metrics_open: bool,
}

/// `[queue]`: how much may wait.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Queue {
    /// The longest that an order may wait at the drain's rate.
    pub max_wait: Span,
    /// The most orders of one sale that may wait.
    pub capacity: u64,
    /// The memory that waiting orders may take.
    pub memory: Size,
}

impl Default for Public {
    fn default() -> Self {
        let loopback = ["127.0.0.0/8", "::1/128"];
        Self {
            listen: SocketAddr::from((Ipv4Addr::UNSPECIFIED, 8080)),
            trusted_proxies: loopback.iter().filter_map(|network| network.parse().ok()).collect(),
            order_deadline: seconds(2),
            threads: 0,
            limits: PublicLimits::default(),
            timeouts: Timeouts::default(),
        }
    }
}

impl Default for PublicLimits {
    fn default() -> Self {
        Self { connections: 25_000, connections_per_address: Off::Off, streams: 20_000 }
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            first_byte: seconds(5),
            headers: seconds(5),
            body: seconds(5),
            idle: seconds(30),
            write: seconds(10),
            lame_duck: seconds(0),
            shutdown: seconds(10),
        }
    }
}

impl Default for AdminListener {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 9180)),
            token_file: None,
            hosts: Vec::new(),
            metrics_open: true,
        }
    }
}

impl Default for Queue {
    fn default() -> Self {
        Self { max_wait: seconds(60), capacity: 1_000_000, memory: Size(1 << 30) }
    }
}

const fn seconds(count: u64) -> Span {
    Span(Duration::from_secs(count))
}
