//! Who the buyer is, and where a request comes from.
//!
//! Mode `header`: the shop's proxy says so, and only proxies that are trusted are believed. Mode `jwt`: he brings
//! a token that the shop signed. Mode `forward`: the shop is asked. A body never names a buyer.

mod address;
mod bearer;
mod config;
mod forward;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod jwt;
mod meters;
mod network;
mod remembered;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use bearer::Bearer;
pub use config::{BadUrl, Config, Means, Mode, Url};
use forward::Forward;
pub use forward::Question;
use futures_util::future::BoxFuture;
use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue};
pub use jwt::{Algorithm, BadKeys, Keys, Tokens};
pub use network::{BadNetwork, Network};
use tokio::runtime::Handle;

use crate::clock::SharedClock;
use crate::order::Buyer;
use crate::tasks::Check;

/// Reads identities. What comes of a peer that is not trusted counts as absent.
#[derive(Debug)]
pub struct Identity {
    /// Replaced as a whole by a reload.
    known: ArcSwap<Known>,
    clock: SharedClock,
    runtime: Handle,
}

/// How buyers and proxies are known.
#[derive(Debug)]
struct Known {
    trusted: Vec<Network>,
    means: Means,
    way: Arc<Way>,
}

#[derive(Debug)]
enum Way {
    Header(HeaderName),
    Bearer(Box<Bearer>),
    Forward(Forward),
}

impl Way {
    fn new(means: Means, clock: &SharedClock, runtime: &Handle) -> Self {
        let clock = Arc::clone(clock);
        match means {
            Means::Header(name) => Self::Header(name),
            Means::Jwt(tokens) => Self::Bearer(Box::new(Bearer::new(tokens, clock))),
            Means::Forward(question) => {
                Self::Forward(Forward::new(question, clock, runtime.clone()))
            }
        }
    }
}

/// Who sent a request.
pub enum Who {
    /// This buyer.
    Known(Buyer),
    /// Nobody who may order.
    Refused(Refusal),
    /// The shop is asked. The question goes on when nobody waits for it any more.
    Asking(BoxFuture<'static, Result<Buyer, Refusal>>),
}

/// Why a request has no buyer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It bears nothing that names one.
    Unknown(Challenge),
    /// What names him breaks the rules of a name.
    Malformed,
    /// Nobody could be asked now.
    Unavailable,
}

impl Refusal {
    const UNKNOWN: Self = Self::Unknown(Challenge::Shop);
}

/// What a client that is not known is told to bring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Challenge {
    /// The shop's own login.
    Shop,
    /// A token.
    Token,
    /// Another token than the one that it brought (RFC 6750).
    BadToken,
}

impl Challenge {
    /// The value of `WWW-Authenticate`.
    #[must_use]
    pub fn header(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Shop => "Forebay realm=\"shop\"",
            Self::Token => "Bearer realm=\"shop\"",
            Self::BadToken => "Bearer realm=\"shop\", error=\"invalid_token\"",
        })
    }
}

impl Identity {
    /// Knows buyers by `means` and believes `trusted_proxies` about their clients. Tokens expire by the wall time
    /// of `clock`. Questions to the shop run on `runtime`.
    #[must_use]
    pub fn new(
        means: Means,
        trusted_proxies: &[Network],
        clock: SharedClock,
        runtime: &Handle,
    ) -> Self {
        let way = Arc::new(Way::new(means.clone(), &clock, runtime));
        let known = Known { trusted: trusted_proxies.to_vec(), means, way };
        Self { known: ArcSwap::from_pointee(known), clock, runtime: runtime.clone() }
    }

    /// Goes by other settings from now on. Whoever was remembered under other means is asked after again; what the
    /// shop is being asked is still answered. Proxies are looked at when they connect.
    pub fn change(&self, means: Means, trusted_proxies: &[Network]) {
        let known = self.known.load();
        let way = if known.means == means {
            Arc::clone(&known.way)
        } else {
            Arc::new(Way::new(means.clone(), &self.clock, &self.runtime))
        };
        self.known.store(Arc::new(Known { trusted: trusted_proxies.to_vec(), means, way }));
    }

    /// Whether the peer's word about its clients counts; asked once a connection.
    #[must_use]
    pub fn trusts(&self, peer: IpAddr) -> bool {
        self.known.load().trusted.iter().any(|network| network.holds(peer))
    }

    /// The address of the client: the peer's, or behind trusted proxies the right-most entry of `Forwarded` or
    /// `X-Forwarded-For` that is not theirs. Where the two differ or cannot be read it is the peer's, so a limit
    /// by address must hold for proxies too. IPv4 is always in its own form.
    #[must_use]
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        address::client(peer, headers, &self.known.load().trusted)
    }

    /// Who sent a request; `trusted` is what [`Self::trusts`] said of its peer.
    #[must_use]
    pub fn who(&self, headers: &HeaderMap, trusted: bool) -> Who {
        let known = match &*self.known.load().way {
            Way::Header(name) => by_header(name, headers, trusted),
            Way::Bearer(bearer) => bearer.buyer(headers),
            Way::Forward(forward) => return forward.who(headers),
        };
        known.map_or_else(Who::Refused, Who::Known)
    }

    /// The buyer as far as he can be told without asking anybody.
    #[must_use]
    pub fn at_hand(&self, headers: &HeaderMap, trusted: bool) -> Option<Buyer> {
        match &*self.known.load().way {
            Way::Header(name) => by_header(name, headers, trusted).ok(),
            Way::Bearer(bearer) => bearer.buyer(headers).ok(),
            Way::Forward(forward) => forward.remembered(headers),
        }
    }

    /// Whether a request names its buyer by what cannot be a name.
    #[must_use]
    pub fn is_malformed(&self, headers: &HeaderMap, trusted: bool) -> bool {
        let known = self.known.load();
        let Way::Header(name) = &*known.way else { return false };
        by_header(name, headers, trusted) == Err(Refusal::Malformed)
    }

    /// Whether the shop can be asked, where it is asked at all.
    #[must_use]
    pub fn check(&self) -> Option<Check> {
        match &*self.known.load().way {
            Way::Header(_) | Way::Bearer(_) => None,
            Way::Forward(forward) => Some(forward.check()),
        }
    }
}

/// Two headers name nobody: nothing says which of them the proxy wrote.
fn by_header(name: &HeaderName, headers: &HeaderMap, trusted: bool) -> Result<Buyer, Refusal> {
    let mut named = headers.get_all(name).iter().filter(|_| trusted);
    match (named.next(), named.next()) {
        (Some(buyer), None) => Buyer::new(buyer.as_bytes()).map_err(|_| Refusal::Malformed),
        _ => Err(Refusal::UNKNOWN),
    }
}

impl std::fmt::Debug for Who {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Known(buyer) => f.debug_tuple("Known").field(buyer).finish(),
            Self::Refused(refusal) => f.debug_tuple("Refused").field(refusal).finish(),
            Self::Asking(_) => f.write_str("Asking"),
        }
    }
}
