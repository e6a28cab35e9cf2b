//! The wire for speed: pre-rendered requests on a bare socket.

use super::socket::Socket;
use super::{Answer, Broken, Wire};
use crate::form::{Crowd, OrderForm};
use crate::target::Target;

/// A bare socket and the request's fixed parts.
#[derive(Debug)]
pub struct LeanWire {
    socket: Socket,
    parts: Parts,
    crowd: Crowd,
    request: Vec<u8>,
}

/// What every request of one form has in common.
#[derive(Debug)]
pub struct Parts {
    before_buyer: Vec<u8>,
    after_names: Vec<u8>,
}

impl Parts {
    /// The parts of an order, for a gateway that reads the buyer's name from this header.
    pub fn new(target: &Target, form: &OrderForm, identity_header: &str) -> Self {
        let (path, host, body) = (form.path(), &target.host, form.body());
        let before_buyer = format!(
            "POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n{identity_header}: "
        );
        let after_names = format!("\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        Self { before_buyer: before_buyer.into_bytes(), after_names: after_names.into_bytes() }
    }

    /// Writes the request of one ask over what `request` holds.
    pub fn render(&self, crowd: &Crowd, ask: u64, request: &mut Vec<u8>) {
        request.clear();
        request.extend_from_slice(&self.before_buyer);
        request.extend_from_slice(crowd.buyer(ask).as_bytes());
        if let Some(key) = crowd.key(ask) {
            request.extend_from_slice(b"\r\nIdempotency-Key: ");
            request.extend_from_slice(key.as_bytes());
        }
        request.extend_from_slice(&self.after_names);
    }
}

impl Wire for LeanWire {
    async fn connect(target: &Target, form: &OrderForm) -> std::io::Result<Self> {
        Ok(Self {
            socket: Socket::connect(target).await?,
            parts: Parts::new(target, form, "X-Buyer-Id"),
            crowd: form.crowd.clone(),
            request: Vec::with_capacity(1024),
        })
    }

    async fn exchange(&mut self, ask: u64) -> Result<(), Broken> {
        self.send(ask).await?;
        self.socket.receive().await
    }

    fn answer(&self) -> Answer<'_> {
        self.socket.answer()
    }

    fn reusable(&self) -> bool {
        self.socket.reusable()
    }
}

impl LeanWire {
    /// Sends one ask and does not wait for its answer: what a buyer does whose connection is then cut.
    pub async fn send(&mut self, ask: u64) -> Result<(), Broken> {
        self.parts.render(&self.crowd, ask, &mut self.request);
        self.socket.send(&self.request).await
    }
}
