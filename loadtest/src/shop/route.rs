//! Who asks for what, and what he is answered.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue, LOCATION, RETRY_AFTER, SET_COOKIE};
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use serde_json::{Value, json};

use super::database::{Database, Order, Row};
use super::faults::{AnyBody, Body, Faults, Plan};
use super::sessions::Sessions;
use super::signature::Secret;
use super::{Options, pages};

/// The largest body that is read.
const BODY_MAX: usize = 64 << 10;
/// The header that tells a gateway who the buyer is.
const BUYER: HeaderName = HeaderName::from_static("x-buyer-id");
const ORDERS: &str = "/internal/orders";

/// Everything that a request may need.
#[derive(Debug)]
pub(super) struct Desk {
    pub(super) database: Database,
    pub(super) faults: Plan,
    sessions: Sessions,
    secret: Option<Secret>,
    calls: AtomicU64,
    altered: AtomicU64,
    under_way: AtomicU64,
    most_at_once: AtomicU64,
}

type Reply = Response<AnyBody>;

/// An order call, until its answer begins or its client is gone.
struct UnderWay<'a>(&'a Desk);

impl<'a> UnderWay<'a> {
    fn begin(desk: &'a Desk) -> Self {
        let now = desk.under_way.fetch_add(1, Ordering::Relaxed) + 1;
        desk.most_at_once.fetch_max(now, Ordering::Relaxed);
        Self(desk)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Desk {
    pub(super) fn open(directory: &Path, options: &Options) -> anyhow::Result<Self> {
        let secret = options.secret_file.as_ref().map(|file| {
            let read = std::fs::read_to_string(file).map_err(anyhow::Error::from);
            read.and_then(|text| Secret::read(&text)).with_context(|| file.display().to_string())
        });
        Ok(Self {
            database: Database::open(directory, &options.stock)?,
            faults: Plan::default(),
            sessions: Sessions::default(),
            secret: secret.transpose()?,
            calls: AtomicU64::new(0),
            altered: AtomicU64::new(0),
            under_way: AtomicU64::new(0),
            most_at_once: AtomicU64::new(0),
        })
    }

    pub(super) fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    pub(super) fn altered(&self) -> u64 {
        self.altered.load(Ordering::Relaxed)
    }

    pub(super) fn most_at_once(&self) -> u64 {
        self.most_at_once.load(Ordering::Relaxed)
    }

    /// # Errors
    /// To close the connection without an answer.
    pub(super) async fn answer(&self, request: Request<Incoming>) -> Result<Reply, io::Error> {
        let (head, body) = request.into_parts();
        let Ok(body) = Limited::new(body, BODY_MAX).collect().await else {
            return Ok(document(StatusCode::PAYLOAD_TOO_LARGE, &json!({"reason": "too_large"})));
        };
        let (body, path) = (body.to_bytes(), head.uri.path());
        let answered = match path.strip_prefix(ORDERS) {
            Some(rest) => return self.internal(&head.method, rest, &head.headers, &body).await,
            None => self.public(&head.method, path, &head.headers, &body),
        };
        Ok(answered.unwrap_or_else(|error| broken(&error)))
    }

    /// What buyers, gateways and operators ask for.
    fn public(
        &self,
        method: &Method,
        path: &str,
        headers: &HeaderMap,
        body: &Bytes,
    ) -> anyhow::Result<Reply> {
        let buyer = self.sessions.buyer(headers);
        let name = buyer.as_deref();
        Ok(match (method.as_str(), path) {
            ("GET", "/") => html(pages::items(name, &self.database.stock()?)),
            ("GET", "/login") => html(pages::login(name)),
            ("POST", "/login") => self.login(body)?,
            ("GET", "/orders") => match name {
                None => see_other("/login"),
                Some(name) => {
                    let rows = self.database.rows()?;
                    html(pages::orders(name, rows.iter().filter(|row| row.buyer == name)))
                }
            },
            ("GET", "/session") => session(name),
            ("GET", "/faults") => document(StatusCode::OK, &json!(self.faults.now())),
            ("PATCH", "/faults") => match patched(&self.faults.now(), body) {
                Ok(faults) => {
                    self.faults.plan(faults.clone());
                    document(StatusCode::OK, &json!(faults))
                }
                Err(error) => {
                    let reason = json!({"reason": error.to_string()});
                    document(StatusCode::UNPROCESSABLE_ENTITY, &reason)
                }
            },
            _ => document(StatusCode::NOT_FOUND, &json!({"reason": "not_found"})),
        })
    }

    fn login(&self, body: &Bytes) -> anyhow::Result<Reply> {
        let fields = std::str::from_utf8(body).unwrap_or_default().split('&');
        let name = fields.filter_map(|field| field.strip_prefix("name=")).next();
        let name = name.unwrap_or_default().replace('+', " ");
        let name = percent_encoding::percent_decode_str(&name).decode_utf8_lossy();
        let Some(cookie) = self.sessions.begin(&name)? else { return Ok(see_other("/login")) };
        let mut reply = see_other("/");
        reply.headers_mut().insert(SET_COOKIE, HeaderValue::from_str(&cookie)?);
        Ok(reply)
    }

    /// What only Forebay asks for: `POST` of an order, `GET` of a ticket, `POST` of its void.
    async fn internal(
        &self,
        method: &Method,
        rest: &str,
        headers: &HeaderMap,
        body: &Bytes,
    ) -> Result<Reply, io::Error> {
        if let Some(why) = self.secret.as_ref().and_then(|secret| secret.refusal(headers, body)) {
            return Ok(document(StatusCode::UNAUTHORIZED, &json!({"reason": why})));
        }
        let (ticket, faults) = (rest.strip_prefix('/'), self.faults.now());
        let reply = match (method.as_str(), ticket) {
            ("POST", None) => return self.place(headers, body, &faults).await,
            ("GET", Some(ticket)) => {
                if faults.questions_too {
                    tokio::time::sleep(Duration::from_millis(faults.delay_ms)).await;
                    if let Some(reply) = instead(&faults) {
                        return Ok(reply);
                    }
                }
                self.database.find(ticket).map(|row| found(row.as_ref()))
            }
            ("POST", Some(ticket)) => self.void(ticket.strip_suffix("/void"), body),
            _ => Ok(document(StatusCode::METHOD_NOT_ALLOWED, &json!({"reason": "method"}))),
        };
        Ok(reply.unwrap_or_else(|error| broken(&error)))
    }

    async fn place(
        &self,
        headers: &HeaderMap,
        body: &Bytes,
        faults: &Faults,
    ) -> Result<Reply, io::Error> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let _under_way = UnderWay::begin(self);
        let taken = match instead(faults) {
            Some(reply) => reply,
            None => self.take(headers, body, faults.body).unwrap_or_else(|error| broken(&error)),
        };
        if faults.delay_ms > 0 {
            tokio::time::sleep(Duration::from_millis(faults.delay_ms)).await;
        }
        if self.faults.drops(faults.drop_percent) {
            return Err(io::Error::other("a fault that was planned"));
        }
        Ok(taken)
    }

    fn take(&self, headers: &HeaderMap, body: &Bytes, shape: Body) -> anyhow::Result<Reply> {
        let Ok(order) = serde_json::from_slice::<Order>(body) else {
            return Ok(document(StatusCode::BAD_REQUEST, &json!({"reason": "no_order"})));
        };
        let key = headers.get("idempotency-key").and_then(|key| key.to_str().ok());
        if key != Some(&order.ticket) {
            return Ok(document(StatusCode::BAD_REQUEST, &json!({"reason": "no_key"})));
        }
        let (row, altered) = self.database.place(&order, body)?;
        self.altered.fetch_add(altered.into(), Ordering::Relaxed);
        let (status, said) = match row.state.as_str() {
            "placed" => (StatusCode::CREATED, json!({"order_no": row.order_no})),
            "void" => (StatusCode::GONE, json!({"reason": row.reason})),
            _ => (StatusCode::UNPROCESSABLE_ENTITY, json!({"reason": row.reason})),
        };
        let mut reply = document(status, &said);
        *reply.body_mut() = shape.of(&said.to_string());
        Ok(reply)
    }

    fn void(&self, ticket: Option<&str>, body: &Bytes) -> anyhow::Result<Reply> {
        let order = serde_json::from_slice::<Order>(body).ok();
        let Some(order) = order.filter(|order| Some(order.ticket.as_str()) == ticket) else {
            return Ok(document(StatusCode::NOT_FOUND, &json!({"reason": "not_found"})));
        };
        let row = self.database.void(&order)?;
        Ok(match row.state.as_str() {
            "placed" => document(StatusCode::CONFLICT, &json!({"order_no": row.order_no})),
            state => document(StatusCode::OK, &json!({"state": state})),
        })
    }
}

/// The faults in force, changed where the document says so; `null` takes one back.
fn patched(faults: &Faults, body: &[u8]) -> serde_json::Result<Faults> {
    let changes: serde_json::Map<String, Value> = serde_json::from_slice(body)?;
    let mut document = json!(faults);
    let none = json!(Faults::default());
    for (key, value) in changes {
        let value = if value.is_null() { none[&key].clone() } else { value };
        document[&key] = value;
    }
    serde_json::from_value(document)
}

/// The answer that is planned in place of any other.
fn instead(faults: &Faults) -> Option<Reply> {
    let status = StatusCode::from_u16(faults.status?).ok()?;
    let mut reply = document(status, &json!({"reason": "planned"}));
    for (name, text) in [(RETRY_AFTER, &faults.retry_after), (LOCATION, &faults.location)] {
        let value = text.as_deref().and_then(|text| HeaderValue::from_str(text).ok());
        value.map(|value| reply.headers_mut().insert(name, value));
    }
    Some(reply)
}

/// 200 and the buyer, or 401: what a gateway asks by `[identity] mode = "forward"`.
fn session(name: Option<&str>) -> Reply {
    let value = name.and_then(|name| HeaderValue::from_str(name).ok());
    let Some(value) = value else {
        return document(StatusCode::UNAUTHORIZED, &json!({"reason": "nobody"}));
    };
    let mut reply = document(StatusCode::OK, &json!({"buyer": name}));
    reply.headers_mut().insert(BUYER, value);
    reply
}

fn found(row: Option<&Row>) -> Reply {
    match row.map(|row| (row.state.as_str(), row)) {
        None => document(StatusCode::NOT_FOUND, &json!({"reason": "not_found"})),
        Some(("placed", row)) => document(StatusCode::OK, &json!({"order_no": row.order_no})),
        Some((state, row)) => {
            document(StatusCode::GONE, &json!({"state": state, "reason": row.reason}))
        }
    }
}

fn broken(error: &anyhow::Error) -> Reply {
    document(StatusCode::INTERNAL_SERVER_ERROR, &json!({"reason": format!("{error:#}")}))
}

fn document(status: StatusCode, said: &Value) -> Reply {
    of(status, "application/json", &said.to_string())
}

fn html(text: String) -> Reply {
    of(StatusCode::OK, "text/html; charset=utf-8", &text)
}

fn see_other(location: &'static str) -> Reply {
    let mut reply = of(StatusCode::SEE_OTHER, "text/plain", "");
    reply.headers_mut().insert(LOCATION, HeaderValue::from_static(location));
    reply
}

fn of(status: StatusCode, kind: &'static str, text: &str) -> Reply {
    let mut reply = Response::new(Body::Good.of(text));
    *reply.status_mut() = status;
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    reply
}
