//! The wire for speed: pre-rendered requests on a bare socket, answers with a `Content-Length` only.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Answer, Broken, Wire};
use crate::form::{Crowd, OrderForm};
use crate::target::Target;

/// Room for any answer that the gateway gives to an order.
const ANSWER_MAX: usize = 16 * 1024;

/// A bare socket, the request's fixed parts, and the last answer.
#[derive(Debug)]
pub struct LeanWire {
    stream: TcpStream,
    before_buyer: Vec<u8>,
    after_key: Vec<u8>,
    crowd: Crowd,
    request: Vec<u8>,
    buffer: Box<[u8; ANSWER_MAX]>,
    head: Head,
}

#[derive(Debug, Clone, Copy, Default)]
struct Head {
    status: u16,
    replayed: bool,
    closing: bool,
    body_from: usize,
    body_to: usize,
}

impl Wire for LeanWire {
    async fn connect(target: &Target, form: &OrderForm) -> std::io::Result<Self> {
        let stream = TcpStream::connect(target.address).await?;
        stream.set_nodelay(true)?;
        let (path, host, body) = (form.path(), &target.host, form.body());
        Ok(Self {
            stream,
            before_buyer: format!(
                "POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nX-Buyer-Id: "
            )
            .into_bytes(),
            after_key: format!("\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes(),
            crowd: form.crowd.clone(),
            request: Vec::with_capacity(1024),
            buffer: Box::new([0; ANSWER_MAX]),
            head: Head::default(),
        })
    }

    async fn exchange(&mut self, ask: u64) -> Result<(), Broken> {
        self.send(ask).await?;
        self.receive().await
    }

    fn answer(&self) -> Answer<'_> {
        let Head { status, replayed, body_from, body_to, .. } = self.head;
        Answer { status, body: self.buffer.get(body_from..body_to).unwrap_or_default(), replayed }
    }

    fn reusable(&self) -> bool {
        !self.head.closing
    }
}

impl LeanWire {
    /// Sends one ask and does not wait for its answer: what a buyer does whose connection is then cut.
    pub async fn send(&mut self, ask: u64) -> Result<(), Broken> {
        self.request.clear();
        self.request.extend_from_slice(&self.before_buyer);
        self.request.extend_from_slice(self.crowd.buyer(ask).as_bytes());
        self.request.extend_from_slice(b"\r\nIdempotency-Key: ");
        self.request.extend_from_slice(self.crowd.key(ask).as_bytes());
        self.request.extend_from_slice(&self.after_key);
        self.stream.write_all(&self.request).await.map_err(|_| Broken::Reset)
    }

    async fn receive(&mut self) -> Result<(), Broken> {
        let mut filled = 0;
        loop {
            let room = self.buffer.get_mut(filled..).unwrap_or_default();
            let read = self.stream.read(room).await.map_err(|_| Broken::Reset)?;
            if read == 0 {
                return Err(if filled == 0 { Broken::Reset } else { Broken::Truncated });
            }
            filled += read;
            let seen = self.buffer.get(..filled).unwrap_or_default();
            if let Some(head) = parse_head(seen)? {
                if filled == head.body_to {
                    self.head = head;
                    return Ok(());
                }
                // More than the answer to what was asked, or more than fits: not this protocol.
                if filled > head.body_to || head.body_to > ANSWER_MAX {
                    return Err(Broken::Truncated);
                }
            }
        }
    }
}

/// The head of an answer once all of it is there; an answer without a length cannot be followed.
fn parse_head(seen: &[u8]) -> Result<Option<Head>, Broken> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut response = httparse::Response::new(&mut headers);
    let body_from = match response.parse(seen).map_err(|_| Broken::Truncated)? {
        httparse::Status::Complete(length) => length,
        httparse::Status::Partial => return Ok(None),
    };
    let mut head = Head { status: response.code.unwrap_or_default(), body_from, ..Head::default() };
    let mut length = None;
    for header in response.headers.iter() {
        if header.name.eq_ignore_ascii_case("content-length") {
            length = std::str::from_utf8(header.value).ok().and_then(|text| text.parse().ok());
        } else if header.name.eq_ignore_ascii_case("connection") {
            head.closing = header.value.eq_ignore_ascii_case(b"close");
        } else if header.name.eq_ignore_ascii_case("idempotent-replayed") {
            head.replayed = header.value == b"true";
        }
    }
    let length: usize = length.ok_or(Broken::Truncated)?;
    head.body_to = body_from.saturating_add(length);
    Ok(Some(head))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_when_it_is_whole_and_only_with_a_length() {
        let whole = b"HTTP/1.1 202 Accepted\r\ncontent-length: 3\r\nconnection: close\r\nIdempotent-Replayed: true\r\n\r\n{a}";
        let head = parse_head(whole).unwrap().unwrap();
        assert_eq!((head.status, head.closing, head.replayed), (202, true, true));
        assert_eq!(whole.get(head.body_from..head.body_to), Some(&b"{a}"[..]));
        assert!(parse_head(&whole[..20]).unwrap().is_none());
        assert_eq!(parse_head(b"HTTP/1.1 200 OK\r\n\r\n").unwrap_err(), Broken::Truncated);
        assert_eq!(parse_head(b"SSH-2.0\r\n\r\n").unwrap_err(), Broken::Truncated);
    }
}
