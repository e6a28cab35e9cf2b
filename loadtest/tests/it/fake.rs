//! A gateway in memory: faithful to the contract as far as the load test looks, and wrong on demand.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::header::HeaderValue;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// What the gateway does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing.
    None,
    /// Takes the order and cuts the connection: honest, if unlucky.
    DropsReplies,
    /// Takes the order and breaks off in the middle of the answer.
    TearsReplies,
    /// Takes the order and says that it does not know.
    InDoubt,
    /// Never says what it did.
    NeverSays,
    /// Gives a ticket and forgets the order.
    Loses,
    /// Takes a repeated key for a new order.
    ForgetsKeys,
    /// Sells five units more than there are.
    Oversells,
    /// Lets a buyer buy as often as he asks.
    IgnoresLimit,
    /// Refuses without saying why.
    NamesNothing,
    /// Takes the order and says that all is sold.
    TakesAndRefuses,
    /// Gives two buyers the same ticket.
    SharesTickets,
    /// Counts an order less than it took.
    Miscounts,
    /// Tells a buyer who waits that he has gone back.
    PositionGrows,
    /// Tells a buyer another end than the one in the ledger.
    TwoEnds,
    /// Says that an order was cancelled, and places it.
    CancelsNothing,
    /// Does not know the ticket that it gave.
    DeniesTickets,
    /// Tells who has a ticket that all is sold.
    ForgetsHolders,
    /// Refuses for now and does not say for how long.
    NeverSaysWhen,
    /// Says of what is over when to come back.
    SaysWhenInVain,
    /// Sends all orders to the store at once.
    BreaksPace,
}

struct Order {
    ticket: String,
    buyer: String,
    lost: bool,
}

struct Model {
    fault: Fault,
    stock: usize,
    orders: Vec<Order>,
    keys: HashMap<String, String>,
    /// How often each ticket was looked at.
    looks: HashMap<String, u64>,
    turns: usize,
}

/// A sale `demo` of `phone` with a limit of 1, behind one listener for both APIs.
pub(crate) async fn start(stock: usize, fault: Fault) -> SocketAddr {
    let (keys, looks) = (HashMap::new(), HashMap::new());
    let model = Model { fault, stock, orders: Vec::new(), keys, looks, turns: 0 };
    let model = Arc::new(Mutex::new(model));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("a bound address");
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.expect("a connection");
            let model = Arc::clone(&model);
            let service = service_fn(move |request| answer(request, Arc::clone(&model)));
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    address
}

async fn answer(
    request: Request<Incoming>,
    model: Arc<Mutex<Model>>,
) -> Result<Response<Text>, std::io::Error> {
    let header = |name: &str| {
        request
            .headers()
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
            .to_owned()
    };
    let (buyer, key) = (header("x-buyer-id"), header("idempotency-key"));
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    request.into_body().collect().await.map_err(std::io::Error::other)?;
    let mut model = model.lock().expect("no panic while it was held");
    match (&method, path.as_str()) {
        (&Method::POST, "/v1/sales/demo/orders") => model.order(&buyer, &key),
        (&Method::GET, "/v1/sales/demo") => Ok(reply(200, &json!({"phase": "open"}))),
        (&Method::GET, "/admin/v1/drain") => Ok(reply(200, &json!({"rate": "100/s", "burst": 2}))),
        (&Method::GET, "/admin/v1/sales/demo") => Ok(reply(200, &model.sale())),
        (&Method::GET, "/admin/v1/sales/demo/tickets") => Ok(text(200, model.export(), false)),
        (&Method::GET, "/admin/v1/verify") => Ok(reply(200, &json!({"ok": true, "findings": []}))),
        (_, path) if path.starts_with("/v1/tickets/") => Ok(model.ticket(&method, path)),
        (&Method::POST, _) => Ok(reply(404, &json!({"code": "unknown_sale"}))),
        _ => Ok(reply(404, &json!({"code": "not_found"}))),
    }
}

impl Model {
    fn order(&mut self, buyer: &str, key: &str) -> Result<Response<Text>, std::io::Error> {
        self.turns += 1;
        let struck = self.turns % 5 == 1;
        let key = format!("{buyer} {key}");
        if let Some(ticket) = self.keys.get(&key).filter(|_| self.fault != Fault::ForgetsKeys) {
            let ticket = ticket.clone();
            if self.fault == Fault::ForgetsHolders {
                return Ok(reply(409, &json!({"code": "sold_out"})));
            }
            return self.given(&ticket, true, struck);
        }
        if self.fault == Fault::NeverSaysWhen && struck {
            return Ok(reply(429, &json!({"code": "rate_limited"})));
        }
        let limited = self.fault != Fault::IgnoresLimit && self.fault != Fault::ForgetsKeys;
        if limited && self.orders.iter().any(|order| order.buyer == buyer) {
            return Ok(reply(409, &json!({"code": "limit_reached"})));
        }
        let stock = self.stock + if self.fault == Fault::Oversells { 5 } else { 0 };
        if self.orders.len() >= stock {
            let named = json!({"code": "sold_out"});
            return Ok(match self.fault {
                Fault::NamesNothing => reply(409, &Value::Null),
                Fault::SaysWhenInVain => later(409, &named),
                _ => reply(409, &named),
            });
        }
        let number = self.orders.len();
        let shared = self.fault == Fault::SharesTickets && number > 0;
        let ticket = format!("ticket-{}", if shared { 0 } else { number });
        let lost = self.fault == Fault::Loses && struck;
        self.orders.push(Order { ticket: ticket.clone(), buyer: buyer.to_owned(), lost });
        self.keys.insert(key, ticket.clone());
        if self.fault == Fault::TakesAndRefuses && struck {
            return Ok(reply(409, &json!({"code": "sold_out"})));
        }
        self.given(&ticket, false, struck)
    }

    fn given(
        &self,
        ticket: &str,
        replayed: bool,
        struck: bool,
    ) -> Result<Response<Text>, std::io::Error> {
        let document =
            json!({"ticket": ticket, "state": "queued", "position": 5, "poll_after_ms": 5});
        let mut response = match self.fault {
            Fault::DropsReplies | Fault::ForgetsKeys if struck => {
                return Err(std::io::Error::other("cut"));
            }
            Fault::TearsReplies if struck => text(202, document.to_string(), true),
            Fault::InDoubt if struck => later(503, &json!({"code": "in_doubt"})),
            Fault::NeverSays => later(503, &json!({"code": "in_doubt"})),
            _ => reply(202, &document),
        };
        if replayed {
            response.headers_mut().insert("idempotent-replayed", HeaderValue::from_static("true"));
        }
        Ok(response)
    }

    /// Whoever looks sees his order move on with each look, and at the end placed.
    fn ticket(&mut self, method: &Method, path: &str) -> Response<Text> {
        let ticket = path.trim_start_matches("/v1/tickets/").split('/').next().unwrap_or_default();
        let looks = self.looks.entry(ticket.to_owned()).or_default();
        *looks += 1;
        let document = |state: &str, position: Option<u64>| json!({"ticket": ticket, "state": state, "position": position, "poll_after_ms": 5});
        let grown = if self.fault == Fault::PositionGrows { 9 } else { 3 };
        let end = if self.fault == Fault::TwoEnds { "refused" } else { "placed" };
        if self.fault == Fault::DeniesTickets {
            return reply(404, &json!({"code": "unknown_ticket"}));
        }
        if path.ends_with("/events") {
            let told =
                [document("queued", Some(grown)), document("placing", None), document(end, None)];
            let events = told.iter().fold(String::new(), |text, document| {
                format!("{text}event: ticket\ndata: {document}\n\n")
            });
            return text(200, events, false);
        }
        match (method, *looks) {
            (&Method::DELETE, _) if self.fault == Fault::CancelsNothing => {
                reply(200, &document("cancelled", None))
            }
            (&Method::DELETE, _) => reply(409, &json!({"code": "too_late"})),
            (_, 1) => reply(200, &document("queued", Some(grown))),
            (_, 2) => reply(200, &document("placing", None)),
            _ => reply(200, &document(end, None)),
        }
    }

    fn kept(&self) -> impl Iterator<Item = &Order> {
        self.orders.iter().filter(|order| !order.lost)
    }

    fn sale(&self) -> Value {
        let sold = self.kept().count();
        let accepted = if self.fault == Fault::Miscounts { sold.saturating_sub(1) } else { sold };
        let available = self.stock.saturating_sub(sold);
        json!({
            "sale": "demo", "phase": "open", "terms": {"limit_per_buyer": 1},
            "census": {
                "items": [{"sku": "phone", "initial": self.stock, "available": available, "sold": sold}],
                "accepted": accepted, "placed": sold, "a field of tomorrow": {},
            },
        })
    }

    fn export(&self) -> String {
        let line = |(n, order): (usize, &Order)| {
            let lines = json!([{"sku": "phone", "quantity": 1}]);
            // A hundred a second.
            let n = if self.fault == Fault::BreaksPace { 0 } else { n };
            let at = format!("2026-11-27T02:00:{:02}.{:03}000Z", n / 100 % 60, n % 100 * 10);
            json!({"ticket": order.ticket, "buyer": order.buyer, "lines": lines, "state": "placed", "attempted_at": at})
        };
        self.kept()
            .enumerate()
            .fold(String::new(), |text, order| format!("{text}{}\n", line(order)))
    }
}

fn reply(status: u16, document: &Value) -> Response<Text> {
    text(status, document.to_string(), false)
}

/// With a time to come back.
fn later(status: u16, document: &Value) -> Response<Text> {
    let mut response = reply(status, document);
    response.headers_mut().insert("retry-after", HeaderValue::from_static("1"));
    response
}

fn text(status: u16, body: String, torn: bool) -> Response<Text> {
    let body = Text { rest: Some(body.into()), torn };
    Response::builder().status(status).body(body).expect("a valid head")
}

/// A body that may break off in its middle.
pub(crate) struct Text {
    rest: Option<Bytes>,
    torn: bool,
}

impl Body for Text {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        let torn = self.torn;
        Poll::Ready(match self.rest.take() {
            Some(rest) if torn => Some(Ok(Frame::data(rest.slice(..rest.len() / 2)))),
            Some(rest) => Some(Ok(Frame::data(rest))),
            None if torn => Some(Err(std::io::Error::other("torn"))),
            None => None,
        })
    }

    /// A whole body announces its length, as the gateway does; a torn one is sent in chunks.
    fn size_hint(&self) -> SizeHint {
        match &self.rest {
            Some(rest) if !self.torn => SizeHint::with_exact(rest.len() as u64),
            _ => SizeHint::default(),
        }
    }
}
