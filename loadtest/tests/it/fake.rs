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
    turns: usize,
}

/// A sale `demo` of `phone` with a limit of 1, behind one listener for both APIs.
pub(crate) async fn start(stock: usize, fault: Fault) -> SocketAddr {
    let model = Model { fault, stock, orders: Vec::new(), keys: HashMap::new(), turns: 0 };
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
        (&Method::GET, "/admin/v1/sales/demo") => Ok(reply(200, &model.sale())),
        (&Method::GET, "/admin/v1/sales/demo/tickets") => Ok(text(200, model.export(), false)),
        (&Method::GET, "/admin/v1/verify") => Ok(reply(200, &json!({"ok": true, "findings": []}))),
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
            return self.given(&ticket, true, struck);
        }
        let limited = self.fault != Fault::IgnoresLimit && self.fault != Fault::ForgetsKeys;
        if limited && self.orders.iter().any(|order| order.buyer == buyer) {
            return Ok(reply(409, &json!({"code": "limit_reached"})));
        }
        let stock = self.stock + if self.fault == Fault::Oversells { 5 } else { 0 };
        if self.orders.len() >= stock {
            let named = json!({"code": "sold_out"});
            return Ok(reply(
                409,
                if self.fault == Fault::NamesNothing { &Value::Null } else { &named },
            ));
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
        let document = json!({"ticket": ticket, "state": "queued"});
        let mut response = match self.fault {
            Fault::DropsReplies | Fault::ForgetsKeys if struck => {
                return Err(std::io::Error::other("cut"));
            }
            Fault::TearsReplies if struck => text(202, document.to_string(), true),
            Fault::InDoubt if struck => reply(503, &json!({"code": "in_doubt"})),
            Fault::NeverSays => reply(503, &json!({"code": "in_doubt"})),
            _ => reply(202, &document),
        };
        if replayed {
            response.headers_mut().insert("idempotent-replayed", HeaderValue::from_static("true"));
        }
        Ok(response)
    }

    fn kept(&self) -> impl Iterator<Item = &Order> {
        self.orders.iter().filter(|order| !order.lost)
    }

    fn sale(&self) -> Value {
        let sold = self.kept().count();
        let accepted = if self.fault == Fault::Miscounts { sold - 1 } else { sold };
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
        let line = |order: &Order| {
            let lines = json!([{"sku": "phone", "quantity": 1}]);
            json!({"ticket": order.ticket, "buyer": order.buyer, "lines": lines, "state": "placed"})
        };
        self.kept().fold(String::new(), |text, order| format!("{text}{}\n", line(order)))
    }
}

fn reply(status: u16, document: &Value) -> Response<Text> {
    text(status, document.to_string(), false)
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
