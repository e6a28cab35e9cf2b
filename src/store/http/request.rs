//! What the shop is sent of an order: the same bytes at each try.

use bytes::Bytes;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue, USER_AGENT};
use hyper::{Method, Request, Uri};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::Http;
use super::address::Address;
use crate::clock::Timestamp;
use crate::order::{Line, TicketText};
use crate::store::PlaceOrder;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// An order, but for its payload.
#[derive(Serialize)]
struct Order<'a> {
    ticket: &'a TicketText,
    sale: &'a str,
    buyer: &'a str,
    sequence: u64,
    accepted_at: Timestamp,
    lines: &'a [Line],
}

/// The body of an order. The payload goes as the buyer wrote it.
pub(super) fn body(order: &PlaceOrder) -> Bytes {
    let fields = Order {
        ticket: &order.ticket,
        sale: order.sale.as_str(),
        buyer: order.buyer.as_str(),
        sequence: order.place.sequence,
        accepted_at: order.accepted_at,
        lines: &order.lines,
    };
    let mut body = serde_json::to_vec(&fields).expect("texts and numbers can be written");
    let end = body.pop();
    body.extend_from_slice(b",\"payload\":");
    let none: &[u8] = b"null";
    body.extend_from_slice(if order.payload.is_empty() { none } else { &order.payload });
    body.extend(end);
    body.into()
}

/// A trace for all tries of a ticket, a span for each.
fn traceparent(ticket: &str, attempt: u32) -> String {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let trace = Sha256::digest(ticket);
    let span = Sha256::new().chain_update(ticket).chain_update(attempt.to_be_bytes()).finalize();
    format!("00-{}-{}-01", hex(&trace[..16]), hex(&span[..8]))
}

impl Http {
    /// The request that places an order.
    pub(super) fn post(&self, order: &PlaceOrder) -> Request<Bytes> {
        let id = order.ticket.as_str();
        self.order(&self.url, self.place_uri.clone(), id, order)
    }

    /// The request that voids an order. To the shop it is another message than the order itself, so it has a key of
    /// its own: with the same one a shop that remembers answers by key would repeat what it said to the order.
    pub(super) fn void_request(&self, to: &Address, order: &PlaceOrder) -> Option<Request<Bytes>> {
        let uri = to.uri(order.ticket.as_str())?;
        Some(self.order(to, uri, &format!("void-{}", order.ticket), order))
    }

    fn order(&self, to: &Address, uri: Uri, id: &str, order: &PlaceOrder) -> Request<Bytes> {
        let mut request = self.request(Method::POST, to, uri, id, body(order));
        let trace = traceparent(order.ticket.as_str(), order.attempt);
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        for (name, value) in [(IDEMPOTENCY_KEY, id), (TRACEPARENT, trace.as_str())] {
            let value = HeaderValue::from_str(value);
            headers.insert(name, value.expect("tickets and digits are visible ASCII"));
        }
        request
    }

    /// A request that is signed if there is a secret.
    pub(super) fn request(
        &self,
        method: Method,
        to: &Address,
        uri: Uri,
        id: &str,
        body: Bytes,
    ) -> Request<Bytes> {
        let mut request = Request::new(body);
        (*request.method_mut(), *request.uri_mut()) = (method, uri);
        let signed = self.secret.as_ref().map(|secret| {
            let mut headers = hyper::HeaderMap::new();
            secret.sign(&mut headers, id, self.clock.wall(), request.body());
            headers
        });
        let headers = request.headers_mut();
        headers.extend(signed.unwrap_or_default());
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        let agent = concat!("forebay/", env!("CARGO_PKG_VERSION"));
        headers.insert(USER_AGENT, HeaderValue::from_static(agent));
        if let Some(authorization) = to.authorization() {
            headers.insert(AUTHORIZATION, authorization.clone());
        }
        request
    }
}
