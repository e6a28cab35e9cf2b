//! The admin listener: sales, stock, drain, tickets, dead orders, verify, metrics and probes.
//!
//! It only translates: what a change means is decided by the ledger, and what needs store, drain or verifier is
//! done by [`Operations`](super::operations::Operations). Each request passes the same gates in the same order:
//! the edge, host and origin, token, path, method, query, body. Each change, refused or not, is one event of the audit
//! log (target `audit`) with who asked for it.

mod access;
mod body;
mod dead;
mod documents;
mod drain;
mod export;
mod gauges;
mod operation;
mod origin;
mod page;
mod query;
mod reply;
mod requests;
mod route;
mod sale;
mod status;
#[cfg(test)]
mod tests;
mod ticket;
mod token;

use std::error::Error;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use hyper::body::{Body as _, Incoming};
use hyper::header::{
    CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, HeaderName, HeaderValue, X_CONTENT_TYPE_OPTIONS,
};
use hyper::http::request;
use hyper::{Method, Request, Uri};

use access::Denied;
pub use access::{Access, Exposed};
use gauges::Gauges;
use origin::Foreign;
pub use origin::Hosts;
use query::Query;
use reply::Problem;
pub use reply::{Body, Reply};
use requests::Requests;
use route::Resource;
pub use token::{BadTokens, Tokens};

use super::edge::{self, Arrival};
use super::operations::SharedOperations;
use super::problem::Problem as EdgeProblem;
use crate::clock::SharedClock;
use crate::ledger::{Changed, SharedLedger};
use crate::order::Keyring;
use crate::sale::SaleNo;
use crate::tasks::Readiness;

const NO_REFERRER: HeaderName = HeaderName::from_static("referrer-policy");

/// Every method that some resource has.
const ALL_METHODS: &str = "GET, HEAD, OPTIONS, POST, PUT, PATCH";

/// What `/metrics` answers, in Prometheus' text format.
pub type Exposition = Arc<dyn Fn() -> String + Send + Sync>;

/// Random numbers for a new sale: randomness comes in by parameter.
pub type Numbers = Box<dyn Fn() -> [SaleNo; 4] + Send + Sync>;

/// What the listener works with.
pub struct Parts {
    /// The ledger.
    pub ledger: SharedLedger,
    /// What needs store, drain or verifier.
    pub operations: SharedOperations,
    /// Makes and reads tickets.
    pub keyring: Keyring,
    /// The checks of `/readyz`.
    pub readiness: Readiness,
    /// Phases go by its wall time.
    pub clock: SharedClock,
    /// Every series as text.
    pub metrics: Exposition,
    /// Who may come in, replaced as a whole by a reload.
    pub access: Arc<ArcSwap<Access>>,
    /// Random numbers for a new sale.
    pub numbers: Numbers,
}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts").field("access", &self.access).finish_non_exhaustive()
    }
}

/// The admin listener's answers; the sockets are the caller's. A clone is the same listener.
#[derive(Clone, Debug)]
pub struct Admin {
    parts: Arc<Parts>,
    gauges: Arc<Gauges>,
    requests: Arc<Requests>,
}

impl Admin {
    /// A listener with its parts.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let requests = Arc::new(Requests::new());
        Self { parts: Arc::new(parts), gauges: Arc::default(), requests }
    }

    /// Answers one request of `peer` that came in at the edge.
    pub async fn arrived(
        &self,
        request: Request<Incoming>,
        arrival: &Arrival,
        peer: SocketAddr,
    ) -> Reply {
        let (head, body) = request.into_parts();
        let resource = Resource::find(head.uri.path());
        let allow = || resource.map_or(ALL_METHODS, Resource::allow);
        match edge::check(&head, arrival, allow) {
            Ok(()) => self.handle(Request::from_parts(head, body), peer).await,
            Err(refused) => {
                let mut reply = Problem::from(&refused).reply();
                reply.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                self.requests.note(resource, &head.method, reply.status(), Duration::ZERO);
                guarded(reply)
            }
        }
    }

    /// Answers one request of `peer`.
    pub async fn handle<B>(&self, request: Request<B>, peer: SocketAddr) -> Reply
    where
        B: hyper::body::Body<Data = Bytes>,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let began = self.parts.clock.monotonic();
        let (head, body) = request.into_parts();
        let mut reply = match self.answer(&head, body, peer).await {
            Ok(reply) => reply,
            Err(problem) => problem.reply(),
        };
        if head.method == Method::HEAD {
            // Nobody reads the body, and an export must not run for nothing.
            let length = reply.body().size_hint().exact();
            reply = reply.map(|_| reply::none());
            if let Some(length) = length {
                reply.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
            }
        }
        let took = self.parts.clock.monotonic().saturating_sub(began);
        let resource = Resource::find(head.uri.path());
        self.requests.note(resource, &head.method, reply.status(), took);
        guarded(reply)
    }

    async fn answer<B>(
        &self,
        head: &request::Parts,
        body: B,
        peer: SocketAddr,
    ) -> Result<Reply, Problem>
    where
        B: hyper::body::Body<Data = Bytes>,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let resource = Resource::find(head.uri.path());
        let who = self.passed(resource, head)?;
        if head.uri.path() == "*" {
            return Ok(reply::allowed(ALL_METHODS));
        }
        let resource = resource.ok_or_else(no_resource)?;
        let method = &head.method;
        if *method == Method::OPTIONS {
            return Ok(reply::allowed(resource.allow()));
        }
        let asked = if *method == Method::HEAD { &Method::GET } else { method };
        if !resource.methods().contains(asked) {
            return Err(wrong_method(method, resource.allow()));
        }
        let known: &[&str] = match (resource, asked == Method::GET) {
            (Resource::Tickets(_) | Resource::Dead(_), true) => &["format", "from", "limit"],
            _ => &[],
        };
        let query = Query::parse(head.uri.query(), known).map_err(Problem::malformed)?;
        if asked == Method::GET {
            return self.read(resource, &query).await;
        }
        let max = match resource {
            Resource::Sale(_) => body::TERMS_MAX,
            _ => body::BODY_MAX,
        };
        let given = body::read(&head.headers, body, max).await;
        self.changed(head.uri.clone(), given, who, peer).await
    }

    /// Who asks, once host, origin and token have passed.
    fn passed(
        &self,
        resource: Option<Resource<'_>>,
        head: &request::Parts,
    ) -> Result<String, Problem> {
        let access = self.parts.access.load();
        access.hosts.check(&head.uri, head.version, &head.headers)?;
        Ok(access.who(resource, &head.headers)?.to_owned())
    }

    /// Makes a change and tells the audit log, in a task of its own: a client that goes away meanwhile can
    /// neither leave a change half made nor keep it out of the log.
    async fn changed(
        &self,
        uri: Uri,
        given: Result<Bytes, Problem>,
        who: String,
        peer: SocketAddr,
    ) -> Result<Reply, Problem> {
        let admin = self.clone();
        let change = tokio::spawn(async move {
            let resource = Resource::find(uri.path()).ok_or_else(no_resource)?;
            let body = given.as_deref().unwrap_or_default();
            let done = match &given {
                Ok(given) => admin.change(resource, given).await,
                Err(problem) => Err(problem.clone()),
            };
            audit(&who, peer, resource, body, &done);
            done
        });
        change.await.unwrap_or_else(|error| {
            tracing::error!(%error, "a change ended in the middle");
            Err(Problem::new(
                "internal",
                "the change ended in the middle: see the log, then ask again",
            ))
        })
    }

    async fn read(&self, resource: Resource<'_>, query: &Query<'_>) -> Result<Reply, Problem> {
        match resource {
            Resource::Page => self.page().await,
            Resource::Metrics => Ok(self.metrics().await),
            Resource::Livez => Ok(Self::livez()),
            Resource::Readyz => Ok(self.readyz()),
            Resource::Version => Ok(Self::version()),
            Resource::Openapi => Ok(Self::openapi()),
            Resource::Sales => self.sales().await,
            Resource::Sale(sale) => self.sale(sale).await,
            Resource::Tickets(sale) => self.tickets(sale, query).await,
            Resource::Dead(sale) => self.dead(sale, query).await,
            Resource::Drain => self.drain().await,
            Resource::Ticket(ticket) => self.ticket(ticket).await,
            Resource::Verify => self.verify().await,
            Resource::Faults => self.faults().await,
            Resource::Switch(..)
            | Resource::Stock(_)
            | Resource::DeadOrder(..)
            | Resource::Redrive(_)
            | Resource::Reload => Err(Problem::method(resource.allow())),
        }
    }

    async fn change(&self, resource: Resource<'_>, given: &[u8]) -> Result<Reply, Problem> {
        match resource {
            Resource::Sale(sale) => self.put_sale(sale, given).await,
            Resource::Switch(sale, switch) => self.switch(sale, switch, given).await,
            Resource::Stock(sale) => self.stock(sale, given).await,
            Resource::DeadOrder(sale, which, act) => {
                self.change_dead(sale, which, act, given).await
            }
            Resource::Redrive(sale) => self.redrive(sale, given).await,
            Resource::Drain => self.patch_drain(given).await,
            Resource::Faults => self.patch_faults(given).await,
            Resource::Reload => self.reload(given).await,
            _ => Err(Problem::method(resource.allow())),
        }
    }
}

/// No page and no cache keeps what an operator saw.
fn guarded(mut reply: Reply) -> Reply {
    let headers = reply.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(NO_REFERRER, HeaderValue::from_static("no-referrer"));
    reply
}

fn no_resource() -> Problem {
    Problem::new("not_found", "GET /openapi.json lists the paths of this listener")
}

/// Known methods that the resource has not are 405; the others are 501.
fn wrong_method(method: &Method, allow: &'static str) -> Problem {
    let known = [
        Method::GET,
        Method::HEAD,
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
        Method::TRACE,
        Method::CONNECT,
    ];
    if known.contains(method) {
        return Problem::method(allow);
    }
    Problem::new("not_implemented", "this method is not known here")
}

/// What the audit log keeps of a body, in bytes.
const AUDIT_BODY_MAX: usize = 1_024;

/// One change in the audit log, with what was asked for and what came of it.
fn audit(
    who: &str,
    peer: SocketAddr,
    resource: Resource<'_>,
    given: &[u8],
    done: &Result<Reply, Problem>,
) {
    let (status, outcome) = match done {
        Ok(reply) => (reply.status(), "done"),
        Err(problem) => (problem.status(), problem.code()),
    };
    let given = String::from_utf8_lossy(&given[..given.len().min(AUDIT_BODY_MAX)]);
    tracing::info!(
        target: "audit",
        who,
        %peer,
        what = resource.change(),
        sale = resource.sale(),
        order = resource.order(),
        given = &*given,
        status = status.as_u16(),
        outcome,
        "change"
    );
}

/// Conflicts become problems under their own codes; every other answer is passed on.
fn agreed(answer: Changed) -> Result<Changed, Problem> {
    match answer {
        Changed::Conflict { code, detail } => Err(Problem::new(code, detail)),
        other => Ok(other),
    }
}

impl From<Foreign> for Problem {
    fn from(foreign: Foreign) -> Self {
        match foreign {
            Foreign::Malformed => {
                Self::malformed("send one `Host` header, and each other header once")
            }
            Foreign::Host => Self::new(
                "foreign_host",
                "ask under an address of the listener, or list the name in `[admin] hosts`",
            ),
            Foreign::Page => {
                Self::new("foreign_origin", "pages of other sites may not use the admin API")
            }
        }
    }
}

impl From<&EdgeProblem> for Problem {
    fn from(refused: &EdgeProblem) -> Self {
        let (code, detail, allow) = refused.told();
        Self::refused(code, detail, allow)
    }
}

impl From<Denied> for Problem {
    fn from(Denied: Denied) -> Self {
        Self::new(
            "unauthorized",
            "send one `Authorization: Bearer TOKEN` with a token of the token file",
        )
    }
}
