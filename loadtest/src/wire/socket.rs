//! A bare socket that carries one rendered request after the other and reads whole answers: with a
//! `Content-Length`, as the gateway sends them, or in chunks, as proxies like to.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Answer, Broken};
use crate::target::Target;

/// Room for any answer that the gateway gives to a buyer.
pub(crate) const ANSWER_MAX: usize = 16 * 1024;

/// A connection and the last answer that it brought.
#[derive(Debug)]
pub struct Socket {
    stream: TcpStream,
    buffer: Box<[u8; ANSWER_MAX]>,
    head: Head,
    /// Bytes of an answer that came before it was waited for.
    early: usize,
}

#[derive(Debug, Clone, Copy, Default)]
struct Head {
    status: u16,
    replayed: bool,
    closing: bool,
    chunked: bool,
    retry_after: Option<u32>,
    body_from: usize,
    body_to: usize,
}

impl Socket {
    /// Connects.
    pub async fn connect(target: &Target) -> std::io::Result<Self> {
        let stream = TcpStream::connect(target.address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Box::new([0; ANSWER_MAX]), head: Head::default(), early: 0 })
    }

    /// Sends a request and reads its whole answer. After an `Err` the socket is of no more use.
    pub async fn exchange(&mut self, request: &[u8]) -> Result<(), Broken> {
        self.send(request).await?;
        self.receive().await
    }

    /// Sends bytes and does not wait for an answer.
    pub async fn send(&mut self, bytes: &[u8]) -> Result<(), Broken> {
        self.stream.write_all(bytes).await.map_err(|_| Broken::Reset)
    }

    /// The answer to the last exchange.
    pub fn answer(&self) -> Answer<'_> {
        let Head { status, replayed, retry_after, body_from, body_to, .. } = self.head;
        let body = self.buffer.get(body_from..body_to).unwrap_or_default();
        Answer { status, body, replayed, retry_after }
    }

    /// Whether another request may follow.
    pub fn reusable(&self) -> bool {
        !self.head.closing
    }

    /// Whether bytes of an answer, or the end of the connection, are there already. Before a request is sent that
    /// means that the other end has closed it.
    pub fn has_answer(&mut self) -> bool {
        let room = self.buffer.get_mut(self.early..).unwrap_or_default();
        match self.stream.try_read(room) {
            Ok(read) => {
                self.early += read;
                true
            }
            Err(error) => self.early > 0 || error.kind() != std::io::ErrorKind::WouldBlock,
        }
    }

    /// Reads the answer to what was sent.
    pub async fn receive(&mut self) -> Result<(), Broken> {
        let mut filled = std::mem::take(&mut self.early);
        loop {
            if let Some(head) = self.whole(filled)? {
                self.head = head;
                return Ok(());
            }
            let room = self.buffer.get_mut(filled..).unwrap_or_default();
            let read = self.stream.read(room).await.map_err(|_| Broken::Reset)?;
            if read == 0 {
                return Err(if filled == 0 { Broken::Reset } else { Broken::Truncated });
            }
            filled += read;
        }
    }

    /// The head of the answer if all of it, with its body, is among the first bytes of the buffer.
    fn whole(&mut self, filled: usize) -> Result<Option<Head>, Broken> {
        let seen = self.buffer.get_mut(..filled).unwrap_or_default();
        let Some(mut head) = parse_head(seen)? else { return Ok(None) };
        if head.chunked {
            let Some(body_to) = joined(seen, head.body_from)? else { return Ok(None) };
            head.body_to = body_to;
        } else if filled > head.body_to || head.body_to > ANSWER_MAX {
            // More than the answer to what was asked, or more than fits: not this protocol.
            return Err(Broken::Truncated);
        } else if filled < head.body_to {
            return Ok(None);
        }
        Ok(Some(head))
    }
}

/// Joins the chunks of a whole body in place and says where it then ends; `None` while some are missing.
fn joined(seen: &mut [u8], from: usize) -> Result<Option<usize>, Broken> {
    let (mut at, mut chunks) = (from, Vec::new());
    loop {
        let rest = seen.get(at..).unwrap_or_default();
        let (head, size) = match httparse::parse_chunk_size(rest).map_err(|_| Broken::Truncated)? {
            httparse::Status::Complete(found) => found,
            httparse::Status::Partial => return Ok(None),
        };
        let size = usize::try_from(size).map_err(|_| Broken::Truncated)?;
        let begins = at + head;
        let next = begins.saturating_add(size).saturating_add(2);
        if next > seen.len() {
            return if next > ANSWER_MAX { Err(Broken::Truncated) } else { Ok(None) };
        }
        if size == 0 {
            break;
        }
        chunks.push(begins..begins + size);
        at = next;
    }
    let mut to = from;
    for chunk in chunks {
        let length = chunk.len();
        seen.copy_within(chunk, to);
        to += length;
    }
    Ok(Some(to))
}

/// The head of an answer once all of it is there; an answer whose end cannot be known cannot be followed.
fn parse_head(seen: &[u8]) -> Result<Option<Head>, Broken> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut response = httparse::Response::new(&mut headers);
    let body_from = match response.parse(seen).map_err(|_| Broken::Truncated)? {
        httparse::Status::Complete(length) => length,
        httparse::Status::Partial => return Ok(None),
    };
    let status = response.code.unwrap_or_default();
    let mut head = Head { status, body_from, body_to: body_from, ..Head::default() };
    let mut length: Option<usize> = matches!(status, 204 | 304).then_some(0);
    for header in response.headers.iter() {
        let number = || std::str::from_utf8(header.value).ok().map(str::trim);
        if header.name.eq_ignore_ascii_case("content-length") {
            length = number().and_then(|text| text.parse().ok());
        } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
            head.chunked = header.value.eq_ignore_ascii_case(b"chunked");
        } else if header.name.eq_ignore_ascii_case("connection") {
            head.closing = header.value.eq_ignore_ascii_case(b"close");
        } else if header.name.eq_ignore_ascii_case("idempotent-replayed") {
            head.replayed = header.value == b"true";
        } else if header.name.eq_ignore_ascii_case("retry-after") {
            head.retry_after = number().and_then(|text| text.parse().ok());
        }
    }
    if !head.chunked {
        head.body_to = body_from.saturating_add(length.ok_or(Broken::Truncated)?);
    }
    Ok(Some(head))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_when_it_is_whole_and_only_with_an_end() {
        let whole = b"HTTP/1.1 202 Accepted\r\ncontent-length: 3\r\nconnection: close\r\nIdempotent-Replayed: true\r\n\r\n{a}";
        let head = parse_head(whole).unwrap().unwrap();
        assert_eq!((head.status, head.closing, head.replayed), (202, true, true));
        assert_eq!(whole.get(head.body_from..head.body_to), Some(&b"{a}"[..]));
        assert!(parse_head(&whole[..20]).unwrap().is_none());
        assert_eq!(parse_head(b"HTTP/1.1 200 OK\r\n\r\n").unwrap_err(), Broken::Truncated);
        assert_eq!(parse_head(b"SSH-2.0\r\n\r\n").unwrap_err(), Broken::Truncated);
        let later = b"HTTP/1.1 429 No\r\nRetry-After: 3\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(parse_head(later).unwrap().unwrap().retry_after, Some(3));
    }

    #[test]
    fn chunks_are_joined_once_the_last_is_there() {
        let mut whole = b"head5\r\nhello\r\n4\r\n you\r\n0\r\n\r\n".to_vec();
        for cut in 4..whole.len() {
            assert_eq!(joined(&mut whole.clone()[..cut], 4).unwrap(), None, "{cut}");
        }
        let to = joined(&mut whole, 4).unwrap().unwrap();
        assert_eq!(&whole[4..to], b"hello you");
        assert!(joined(&mut b"zz\r\n".to_vec(), 0).is_err());
    }
}
