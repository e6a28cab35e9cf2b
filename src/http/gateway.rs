//! The public listener: routes, and what every request passes.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::Incoming;
use hyper::header::{ALLOW, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Request, StatusCode};
use tokio::net::{TcpListener, TcpStream};

use super::answer::{Answer, empty, json};
use super::body;
use super::config::Public;
use super::lane::Lane;
use super::meters::{Meters, Route};
use super::outcomes::Outcomes;
use super::problem::{self, Problem};
use super::room::Room;
use super::sales::Pages;
use super::serve::{Bounds, serve_taking};
use super::streams::Streams;
use super::takeover::Takeover;
use super::wait::PREFERENCE_APPLIED;
use crate::admission::Limits;
use crate::clock::SharedClock;
use crate::identity::Identity;
use crate::ledger::SharedLedger;
use crate::order::Keyring;
use crate::tasks::{CheckStatus, Readiness, Stop};
use crate::watch::Watch;

/// The longest address of a request.
const URI_MAX: usize = 2_048;

/// What the public listener works with.
#[derive(Debug)]
pub struct GatewayParts {
    /// `[public]`.
    pub config: Public,
    /// The ledger.
    pub ledger: SharedLedger,
    /// What is remembered of it.
    pub watch: Arc<Watch>,
    /// Reads tickets.
    pub keyring: Keyring,
    /// Reads buyers.
    pub identity: Arc<Identity>,
    /// `[limits]`.
    pub limits: Arc<Limits>,
    /// The checks of `/readyz`.
    pub readiness: Readiness,
    /// Phases go by its wall time.
    pub clock: SharedClock,
    /// A random number: makes keys for clients that sent none, and jitter.
    pub seed: u64,
    /// When it is pulled, requests in flight are finished and no more are taken.
    pub stop: Stop,
}

/// The public listener's answers; the sockets are the caller's.
#[derive(Debug)]
pub struct Gateway {
    pub(super) parts: GatewayParts,
    pub(super) outcomes: Outcomes,
    pub(super) pages: Pages,
    pub(super) meters: Meters,
    pub(super) streams: Arc<Streams>,
    numbers: AtomicU64,
}

/// One connection's share of what a request needs.
#[derive(Debug)]
pub(super) struct Caller {
    pub(super) gateway: Arc<Gateway>,
    pub(super) lane: Arc<Lane>,
    pub(super) room: Arc<Room>,
    pub(super) takeover: Takeover<TcpStream>,
    /// The peer is a trusted proxy.
    pub(super) trusted: bool,
    /// The other end of the connection.
    pub(super) peer: IpAddr,
}

impl Gateway {
    /// A listener with its parts.
    #[must_use]
    pub fn new(parts: GatewayParts) -> Arc<Self> {
        Arc::new(Self {
            outcomes: Outcomes::default(),
            pages: Pages::default(),
            meters: Meters::new(),
            streams: Streams::new(parts.config.limits.streams),
            numbers: AtomicU64::new(0),
            parts,
        })
    }

    /// Bounds on connections, to be shared by all threads that serve.
    #[must_use]
    pub fn bounds(&self) -> Bounds {
        let config = &self.parts.config;
        Bounds::new(config.limits.connections, &config.timeouts)
    }

    /// Serves buyers on the current thread's runtime until the stop, and finishes what is in flight.
    pub async fn run(self: Arc<Self>, listener: TcpListener, bounds: Bounds) {
        let lane = Lane::new(Arc::clone(&self.parts.ledger));
        let carrying = tokio::spawn(Arc::clone(&lane).run());
        let room = Room::new(Arc::clone(&self.parts.clock));
        let calling = tokio::spawn(Arc::clone(&room).run(Arc::clone(&self)));
        let stop = self.parts.stop.clone();
        let make = |peer: SocketAddr, takeover: Takeover<TcpStream>| {
            let trusted = self.parts.identity.trusts(peer.ip());
            let (gateway, lane, room) = (Arc::clone(&self), Arc::clone(&lane), Arc::clone(&room));
            let peer = peer.ip();
            let caller = Arc::new(Caller { gateway, lane, room, takeover, trusted, peer });
            move |request: Request<Incoming>| {
                let caller = Arc::clone(&caller);
                async move { Ok::<_, Infallible>(caller.answer(request).await) }
            }
        };
        serve_taking(listener, bounds, stop, make).await;
        carrying.abort();
        calling.abort();
    }

    /// A number that is never given twice and cannot be guessed (SplitMix64 of a secret seed).
    pub(super) fn random(&self) -> u64 {
        let nth = self.numbers.fetch_add(1, Ordering::Relaxed);
        let mut z = self.parts.seed.wrapping_add(nth.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// `amount`, made up to a fifth longer, so that those who wait do not come back together.
    pub(super) fn jittered(&self, amount: u64) -> u64 {
        amount.saturating_add(self.random() % (amount / 5 + 1))
    }

    pub(super) fn body_time(&self) -> Duration {
        self.parts.config.timeouts.body.0
    }
}

/// A path below `/v1`, split once.
enum Path<'a> {
    Sales,
    Sale(&'a str),
    Orders,
    Ticket(&'a str),
    Events(&'a str),
    Live,
    Ready,
    Problems(&'a str),
    Unknown,
}

impl<'a> Path<'a> {
    fn of(path: &'a str) -> Self {
        if let Some(rest) = path.strip_prefix("/v1/sales/") {
            return match rest.split_once('/') {
                None if !rest.is_empty() => Self::Sale(rest),
                Some((sale, "orders")) if !sale.is_empty() => Self::Orders,
                _ => Self::Unknown,
            };
        }
        if let Some(rest) = path.strip_prefix("/v1/tickets/") {
            return match rest.split_once('/') {
                None if !rest.is_empty() => Self::Ticket(rest),
                Some((ticket, "events")) if !ticket.is_empty() => Self::Events(ticket),
                _ => Self::Unknown,
            };
        }
        match path {
            "/v1/sales" => Self::Sales,
            "/livez" => Self::Live,
            "/readyz" => Self::Ready,
            _ => path.strip_prefix("/problems/").map_or(Self::Unknown, Self::Problems),
        }
    }

    fn allow(&self) -> &'static str {
        match self {
            Self::Orders => "POST, OPTIONS",
            Self::Ticket(_) => "GET, HEAD, DELETE, OPTIONS",
            _ => "GET, HEAD, OPTIONS",
        }
    }

    fn route(&self) -> Route {
        match self {
            Self::Sales | Self::Sale(_) => Route::Sales,
            Self::Orders => Route::Orders,
            Self::Ticket(_) => Route::Tickets,
            Self::Events(_) => Route::Streams,
            Self::Live | Self::Ready => Route::Probes,
            Self::Problems(_) | Self::Unknown => Route::Other,
        }
    }
}

impl Caller {
    async fn answer(&self, request: Request<Incoming>) -> Answer {
        let clock = &self.gateway.parts.clock;
        let began = clock.monotonic();
        let (head, body) = request.into_parts();
        let route = Path::of(head.uri.path()).route();
        let answer = if route == Route::Orders && head.method == Method::POST {
            self.order(&head, body).await
        } else {
            self.other(&head, body).await
        };
        let held = answer.headers().contains_key(PREFERENCE_APPLIED);
        let route = if held { Route::Waits } else { route };
        let took = clock.monotonic().saturating_sub(began);
        self.gateway.meters.request(route, &head.method, answer.status(), took);
        answer
    }

    /// Every call but orders: its body, if it has one, is thrown away.
    async fn other(&self, head: &Parts, incoming: Incoming) -> Answer {
        let goes_on = body::drain(incoming, self.gateway.body_time()).await;
        let mut answer = match self.routed(head).await {
            Ok(answer) => answer,
            Err(problem) => problem.answer(!goes_on),
        };
        if head.method == Method::HEAD {
            *answer.body_mut() = http_body_util::Full::new(Bytes::new());
        }
        answer
    }

    async fn routed(&self, head: &Parts) -> Result<Answer, Problem> {
        if head.uri.path_and_query().is_some_and(|all| all.as_str().len() > URI_MAX) {
            return Err(Problem::UriTooLong);
        }
        let path = Path::of(head.uri.path());
        if matches!(path, Path::Unknown) {
            return Err(Problem::NotFound);
        }
        match head.method {
            Method::OPTIONS => {
                let mut answer = empty(StatusCode::NO_CONTENT);
                answer.headers_mut().insert(ALLOW, HeaderValue::from_static(path.allow()));
                return Ok(answer);
            }
            Method::DELETE => {
                if let Path::Ticket(ticket) = path {
                    return self.cancel(ticket, head).await;
                }
            }
            Method::GET | Method::HEAD => return self.read(path, head).await,
            Method::POST | Method::PUT | Method::PATCH | Method::CONNECT | Method::TRACE => {}
            _ => return Err(Problem::UnknownMethod),
        }
        Err(Problem::MethodNotAllowed(path.allow()))
    }

    async fn read(&self, path: Path<'_>, head: &Parts) -> Result<Answer, Problem> {
        match path {
            Path::Sales => Ok(self.sales(head)),
            Path::Sale(name) => self.sale(name, head),
            Path::Ticket(ticket) => self.ticket(ticket, head).await,
            Path::Events(ticket) => Box::pin(self.events(ticket, head)).await,
            Path::Live => Ok(json(StatusCode::OK, Bytes::from_static(b"{\"status\":\"live\"}"))),
            Path::Ready => Ok(self.ready()),
            Path::Problems(name) => {
                let (status, title, detail) = problem::page(name).ok_or(Problem::NotFound)?;
                let page = serde_json::json!({"type": format!("/problems/{name}"), "title": title, "status": status, "detail": detail});
                Ok(json(StatusCode::OK, page.to_string()))
            }
            Path::Orders => Err(Problem::MethodNotAllowed("POST, OPTIONS")),
            Path::Unknown => Err(Problem::NotFound),
        }
    }

    fn ready(&self) -> Answer {
        let parts = &self.gateway.parts;
        let (mut worst, checks) = parts.readiness.checks();
        let mut listed: Vec<_> = checks
            .iter()
            .map(|check| serde_json::json!({"name": check.name, "status": check.status.name(), "reason": check.reason}))
            .collect();
        if parts.stop.is_pulled() {
            worst = CheckStatus::Unready;
            listed.push(
                serde_json::json!({"name": "process", "status": "unready", "reason": "stopping"}),
            );
        }
        let unready = worst == CheckStatus::Unready;
        let status = if unready { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
        json(status, serde_json::json!({"status": worst.name(), "checks": listed}).to_string())
    }
}
