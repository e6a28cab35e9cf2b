//! The socket of a connection as hyper sees it. It passes every byte, and tells the framing and the pulse of it.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::framing::Framing;
use super::pulse::{End, Pulse};

/// How hyper begins its own refusal of a head that it cannot parse; no answer of ours is so bare.
const OWN_REFUSAL: &[u8] = b"\r\nconnection: close\r\ncontent-length: 0\r\n";

/// A socket that is watched.
#[derive(Debug)]
pub(super) struct Wire {
    pub(super) stream: TcpStream,
    pulse: Arc<Pulse>,
    framing: Framing,
    /// The status of hyper's own refusal, which was held back: it has no body and says nothing.
    pub(super) refused: Option<u16>,
}

impl Wire {
    pub(super) fn new(stream: TcpStream, pulse: Arc<Pulse>) -> Self {
        Self { stream, pulse, framing: Framing::new(), refused: None }
    }

    /// Whether the present request says that it has more bytes than any could have.
    pub(super) fn is_endless(&self) -> bool {
        self.framing.is_endless()
    }

    /// Whether hyper is about to refuse a head by itself; it writes nothing after that.
    fn holds_back(&mut self, bytes: &[u8]) -> bool {
        if self.refused.is_none() && self.pulse.unserved() {
            self.refused = own_refusal(bytes);
        }
        self.refused.is_some()
    }

    fn written(&self, wrote: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        self.pulse.takeover.unflushed(true);
        self.pulse.writes(wrote.is_pending());
        wrote
    }
}

fn own_refusal(bytes: &[u8]) -> Option<u16> {
    let status = bytes.strip_prefix(b"HTTP/1.1 ")?.get(..3)?;
    let line = bytes.iter().position(|byte| *byte == b'\r')?;
    bytes.get(line..)?.starts_with(OWN_REFUSAL).then_some(())?;
    std::str::from_utf8(status).ok()?.parse().ok()
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.pulse.end() == Some(End::SlowBody) {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        let fresh = buffer.filled().get(before..).unwrap_or_default();
        if fresh.is_empty() && buffer.remaining() > 0 && self.pulse.is_patient() {
            // The client has sent all and closed his side; he may still read. hyper would give up the answer: it
            // ends with the answer instead.
            self.pulse.half_closes();
            return Poll::Pending;
        }
        self.framing.push(fresh);
        self.pulse.read(&self.framing);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.holds_back(bytes) {
            return Poll::Ready(Ok(bytes.len()));
        }
        let wrote = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.written(wrote)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.holds_back(pieces.first().map_or(&[], |piece| piece)) {
            return Poll::Ready(Ok(pieces.iter().map(|piece| piece.len()).sum()));
        }
        let wrote = Pin::new(&mut self.stream).poll_write_vectored(cx, pieces);
        self.written(wrote)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.pulse.takeover.unflushed(!matches!(flushed, Poll::Ready(Ok(()))));
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.refused.is_some() {
            // Our own words come instead.
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::own_refusal;

    #[test]
    fn only_the_bare_refusal_of_hyper_is_known_as_one() {
        let bare = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\ndate: x\r\n\r\n";
        assert_eq!(own_refusal(bare), Some(431));
        let ours = b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/problem+json\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
        assert_eq!(own_refusal(ours), None);
        assert_eq!(own_refusal(b"HTTP/1.1 2"), None);
    }
}
