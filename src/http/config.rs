//! `[public]`, `[admin]` and `[queue]`.

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
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
    /// Open connections of one address, or of one /64 in IPv6; never of `trusted_proxies`.
    pub connections_per_address: Cap,
    /// Open ticket streams; more are refused.
    pub streams: usize,
}

/// A bound on a count: `"off"`, or a number from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "CapText", into = "CapText")]
pub enum Cap {
    /// No bound.
    #[default]
    Off,
    /// At most so many.
    At(NonZeroUsize),
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum CapText {
    Count(usize),
    Word(String),
}

impl TryFrom<CapText> for Cap {
    type Error = &'static str;

    fn try_from(text: CapText) -> Result<Self, &'static str> {
        let bad = "a count is a number from 1, or \"off\"";
        let count = match text {
            CapText::Word(word) if word == "off" || word == "unlimited" => return Ok(Self::Off),
            // A variable of the environment is always text.
            CapText::Word(word) => word.parse().map_err(|_| bad)?,
            CapText::Count(count) => count,
        };
        NonZeroUsize::new(count).map(Self::At).ok_or(bad)
    }
}

impl From<Cap> for CapText {
    fn from(cap: Cap) -> Self {
        match cap {
            Cap::Off => Self::Word("off".to_owned()),
            Cap::At(count) => Self::Count(count.get()),
        }
    }
}

/// `[public.timeouts]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Timeouts {
    /// From the connection to the first byte of its first request.
    pub first_byte: Span,
    /// From the first byte of a request to the end of its head.
    pub headers: Span,
    /// For a request's body in all. Beyond five seconds it also has to bring 1 KiB each second.
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
        Self { connections: 25_000, connections_per_address: Cap::Off, streams: 20_000 }
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
