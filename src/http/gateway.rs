//! The public listener: routes, and what every request passes.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use futures_util::FutureExt as _;
use hyper::body::Incoming;
use hyper::header::{ALLOW, CONNECTION, HeaderValue, RETRY_AFTER};
use hyper::http::request::Parts;
use hyper::{Method, Request, StatusCode};
use tokio::net::TcpListener;

use super::answer::{Answer, empty, json};
use super::body;
use super::config::{Cap, Public};
use super::edge::{self, Arrival, Bounds, serve};
use super::lane::Lane;
use super::meters::{Meters, Route};
use super::outcomes::Outcomes;
use super::problem::{self, Problem};
use super::query;
use super::room::Room;
use super::sales::Pages;
use super::streams::Streams;
use super::wait::PREFERENCE_APPLIED;
use crate::admission::{self, Limits};
use crate::clock::SharedClock;
use crate::identity::{Identity, Means};
use crate::ledger::{Fault, SharedLedger};
use crate::order::Keyring;
use crate::tasks::{CheckStatus, Readiness, Stop};
use crate::watch::{QueueBound, SaleView, Watch};

/// What `OPTIONS *` tells: every method that some resource has.
const ALL_METHODS: &str = "GET, HEAD, POST, DELETE, OPTIONS";

/// What the public listener works with.
#[derive(Debug)]
pub struct GatewayParts {
    /// `[public]`, replaced as a whole by a reload.
    pub config: ArcSwap<Public>,
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
    /// Traffic shall go elsewhere: all is answered, and each answer ends its connection.
    pub leaving: Arc<AtomicBool>,
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
    bounds: Bounds,
    numbers: AtomicU64,
}

/// What a reload changes of a listener that serves.
#[derive(Debug)]
pub struct NewSettings<'a> {
    /// `[public]`; addresses, threads and connections stay as they are.
    pub public: Public,
    /// `[identity]`.
    pub identity: Means,
    /// `[limits]`.
    pub limits: &'a admission::Config,
    /// `[queue]`.
    pub queue: QueueBound,
}

/// One connection's share of what a request needs.
#[derive(Debug)]
pub(super) struct Caller {
    pub(super) gateway: Arc<Gateway>,
    pub(super) lane: Arc<Lane>,
    pub(super) room: Arc<Room>,
    /// The peer is a trusted proxy.
    pub(super) trusted: bool,
    /// The other end of the connection.
    pub(super) peer: IpAddr,
}

impl Gateway {
    /// A listener with its parts.
    #[must_use]
    pub fn new(parts: GatewayParts) -> Arc<Self> {
        let config = parts.config.load_full();
        let streams = config.limits.streams;
        let clock = Arc::clone(&parts.clock);
        let bounds = Bounds::new("public", config.limits.connections, &config.timeouts, clock);
        let bounds = match config.limits.connections_per_address {
            Cap::Off => bounds,
            Cap::At(max) => bounds.each_address(max.get(), &config.trusted_proxies),
        };
        Arc::new(Self {
            outcomes: Outcomes::default(),
            pages: Pages::default(),
            meters: Meters::new(),
            streams: Streams::new(streams),
            bounds,
            numbers: AtomicU64::new(0),
            parts,
        })
    }

    /// Bounds on connections, to be shared by all threads that serve.
    #[must_use]
    pub fn bounds(&self) -> Bounds {
        self.bounds.clone()
    }

    /// Goes by other settings from now on; whether its peer is a trusted proxy holds for a connection's whole life.
    pub fn change(&self, new: NewSettings<'_>) {
        let NewSettings { public, identity, limits, queue } = new;
        let parts = &self.parts;
        parts.identity.change(identity, &public.trusted_proxies);
        parts.limits.change(limits);
        parts.watch.set_bound(queue);
        self.streams.set_max(public.limits.streams);
        self.bounds.change(&public.timeouts, &public.trusted_proxies);
        parts.config.store(Arc::new(public));
    }

    /// Serves buyers on the current thread's runtime until the stop, and finishes what is in flight.
    pub async fn run(self: Arc<Self>, listener: TcpListener, bounds: Bounds) {
        let lane = Lane::new(Arc::clone(&self));
        let carrying = tokio::spawn(Arc::clone(&lane).run());
        let room = Room::new(Arc::clone(&self.parts.clock));
        let calling = tokio::spawn(Arc::clone(&room).run(Arc::clone(&self)));
        let stop = self.parts.stop.clone();
        let make = |peer: SocketAddr| {
            let trusted = self.parts.identity.trusts(peer.ip());
            let (gateway, lane, room) = (Arc::clone(&self), Arc::clone(&lane), Arc::clone(&room));
            let caller = Arc::new(Caller { gateway, lane, room, trusted, peer: peer.ip() });
            move |request: Request<Incoming>, arrival: Arrival| {
                let caller = Arc::clone(&caller);
                async move { Ok::<_, Infallible>(caller.answer(request, arrival).await) }
            }
        };
        serve(listener, bounds, stop, make).await;
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

    /// Seconds for `Retry-After` where all who are refused now would come back together: at least so many, and
    /// up to a fifth and two more.
    pub(super) fn spread(&self, seconds: u64) -> u64 {
        seconds.saturating_add(self.random() % (seconds / 5 + 3))
    }

    pub(super) fn stopping(&self) -> Problem {
        Problem::Stopping { retry_after: self.spread(1) }
    }

    pub(super) fn paused(&self) -> Problem {
        Problem::Paused { retry_after: self.spread(5) }
    }

    /// Nothing, or that what is not known here may well be in the ledger, which was not read yet.
    pub(super) fn knows(&self) -> Result<(), Problem> {
        match self.parts.watch.unread() {
            None => Ok(()),
            Some(fault) => Err(self.ledger_unavailable(&fault)),
        }
    }

    /// The sale of that name, purged ones too.
    pub(super) fn sale_named(&self, name: &str) -> Result<Arc<SaleView>, Problem> {
        if let Some(sale) = self.parts.watch.sale(name) {
            return Ok(sale);
        }
        self.knows()?;
        Err(Problem::UnknownSale)
    }

    /// What a buyer is told when the ledger has taken nothing.
    pub(super) fn ledger_unavailable(&self, fault: &Fault) -> Problem {
        Problem::LedgerUnavailable { reason: fault.reason.to_string(), retry_after: self.spread(2) }
    }

    /// What a buyer is told when the ledger may have taken it, under this key.
    pub(super) fn in_doubt(&self, key: String) -> Problem {
        Problem::InDoubt { key, retry_after: self.spread(1) }
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

/// A request that is counted however it ends, also when its connection breaks before the answer.
struct Counted<'a> {
    gateway: &'a Gateway,
    arrival: &'a Arrival,
    route: Route,
    method: &'a Method,
    began: Duration,
    status: Option<StatusCode>,
}

impl<'a> Counted<'a> {
    fn new(gateway: &'a Gateway, arrival: &'a Arrival, route: Route, method: &'a Method) -> Self {
        let began = gateway.parts.clock.monotonic();
        Self { gateway, arrival, route, method, began, status: None }
    }

    fn answered(mut self, route: Route, status: StatusCode) {
        (self.route, self.status) = (route, Some(status));
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        let took = self.gateway.parts.clock.monotonic().saturating_sub(self.began);
        // What takes its connection answers on the bare socket, and only that it may go on.
        let status = self.status.or_else(|| self.arrival.is_taken().then_some(StatusCode::OK));
        self.gateway.meters.request(self.route, self.method, status, took);
    }
}

/// The answer to OPTIONS; foreign pages are told nothing that would let them in.
fn allowed(methods: &'static str) -> Answer {
    let mut answer = empty(StatusCode::NO_CONTENT);
    answer.headers_mut().insert(ALLOW, HeaderValue::from_static(methods));
    answer
}

/// The answer with which the connection ends.
fn closing(problem: &Problem) -> Answer {
    let mut answer = problem.answer();
    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    answer
}

impl Caller {
    async fn answer(&self, request: Request<Incoming>, arrival: Arrival) -> Answer {
        let (head, body) = request.into_parts();
        let path = Path::of(head.uri.path());
        let route = path.route();
        let counted = Counted::new(&self.gateway, &arrival, route, &head.method);
        // A panic is one request's end and no connection's: nobody else's request is on it.
        let routed = AssertUnwindSafe(async {
            match edge::check(&head, &arrival, || path.allow()) {
                Err(problem) => closing(&problem),
                Ok(()) if route == Route::Orders && head.method == Method::POST => {
                    self.order(&head, body, &arrival).await
                }
                Ok(()) => {
                    body::discard(&head, body, &arrival);
                    self.other(&head, &arrival).await
                }
            }
        });
        let mut answer = routed.catch_unwind().await.unwrap_or_else(|_| {
            tracing::error!(method = %head.method, path = head.uri.path(), "a request panicked");
            self.gateway.meters.panics.increment(1);
            closing(&Problem::Internal)
        });
        if self.gateway.parts.leaving.load(Ordering::Relaxed) {
            answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        let held = answer.headers().contains_key(PREFERENCE_APPLIED);
        counted.answered(if held { Route::Waits } else { route }, answer.status());
        answer
    }

    /// Every call but orders: its body, if it has one, means nothing.
    async fn other(&self, head: &Parts, arrival: &Arrival) -> Answer {
        let routed = self.routed(head, arrival).await;
        let mut answer = routed.unwrap_or_else(|problem| problem.answer());
        if head.method == Method::HEAD {
            *answer.body_mut() = http_body_util::Full::new(Bytes::new());
        }
        answer
    }

    async fn routed(&self, head: &Parts, arrival: &Arrival) -> Result<Answer, Problem> {
        if head.uri.path() == "*" {
            return Ok(allowed(ALL_METHODS));
        }
        let path = Path::of(head.uri.path());
        if matches!(path, Path::Unknown) {
            return Err(Problem::NotFound);
        }
        if let Some(query) = head.uri.query() {
            query::check(query)?;
        }
        match head.method {
            Method::OPTIONS => return Ok(allowed(path.allow())),
            Method::DELETE => {
                if let Path::Ticket(ticket) = path {
                    return self.cancel(ticket, head).await;
                }
            }
            Method::GET | Method::HEAD => return self.read(path, head, arrival).await,
            _ => {}
        }
        Err(Problem::MethodNotAllowed(path.allow()))
    }

    async fn read(
        &self,
        path: Path<'_>,
        head: &Parts,
        arrival: &Arrival,
    ) -> Result<Answer, Problem> {
        match path {
            Path::Sales => self.sales(head),
            Path::Sale(name) => self.sale(name, head),
            Path::Ticket(ticket) => self.ticket(ticket, head).await,
            Path::Events(ticket) => Box::pin(self.events(ticket, head, arrival)).await,
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
        let (worst, checks) = parts.readiness.checks();
        let listed: Vec<_> = checks
            .iter()
            .map(|check| serde_json::json!({"name": check.name, "status": check.status.name(), "reason": check.reason}))
            .collect();
        let unready = worst == CheckStatus::Unready;
        let status = if unready { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
        let document = serde_json::json!({"status": worst.name(), "checks": listed});
        let mut answer = json(status, document.to_string());
        if unready {
            answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(self.gateway.spread(1)));
        }
        answer
    }
}
