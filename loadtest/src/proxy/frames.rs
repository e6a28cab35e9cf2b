//! A stream cut into frames.

use std::io;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::resp::{Ended, Scanner, Unreadable};

/// The bytes of a MySQL packet before what it says: a length of three bytes, and a number.
pub(super) const PACKET_HEAD: usize = 4;

/// Finds where frames end.
#[derive(Debug)]
pub(super) enum Ends {
    /// RESP, request by request and reply by reply.
    Resp(Scanner),
    /// MySQL, packet by packet.
    MySql(Packets),
}

impl Ends {
    fn scan(&mut self, bytes: &[u8]) -> Result<Option<Ended>, Unreadable> {
        match self {
            Self::Resp(scanner) => scanner.scan(bytes),
            Self::MySql(packets) => Ok(packets.scan(bytes)),
        }
    }
}

/// How far a MySQL packet was seen.
#[derive(Debug, Default)]
pub(super) struct Packets {
    head: Vec<u8>,
    /// Bytes of the packet that were seen, its head included.
    seen: usize,
}

impl Packets {
    fn scan(&mut self, bytes: &[u8]) -> Option<Ended> {
        let missing = PACKET_HEAD - self.head.len();
        self.head.extend(bytes.iter().take(missing));
        let [one, two, three, _] = *self.head.as_slice() else {
            self.seen += bytes.len();
            return None;
        };
        let whole =
            PACKET_HEAD + usize::from(one) + (usize::from(two) << 8) + (usize::from(three) << 16);
        let at = whole - self.seen;
        if bytes.len() < at {
            self.seen += bytes.len();
            return None;
        }
        *self = Self::default();
        Some(Ended { at, push: false })
    }
}

/// What came in one piece.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// A whole request, or a whole reply.
    Frame(Bytes),
    /// A whole message that nobody asked for.
    Push(Bytes),
    /// Bytes of a stream that is not what it should be, or what a stream ended with in the middle of a frame.
    Bytes(Bytes),
}

/// Cuts what is read.
#[derive(Debug)]
pub(super) struct Frames<R> {
    from: R,
    /// `None`: the stream is not what it should be.
    scanner: Option<Ends>,
    received: BytesMut,
    /// How many of the received bytes the scanner has seen.
    scanned: usize,
}

impl<R: AsyncRead + Unpin> Frames<R> {
    pub(super) fn new(from: R, scanner: Ends) -> Self {
        Self { from, scanner: Some(scanner), received: BytesMut::new(), scanned: 0 }
    }

    /// The next piece; `None` at the end of the stream.
    pub(super) async fn next(&mut self) -> io::Result<Option<Piece>> {
        loop {
            if let Some(piece) = self.cut() {
                return Ok(Some(piece));
            }
            if self.from.read_buf(&mut self.received).await? == 0 {
                let rest = self.received.split().freeze();
                return Ok((!rest.is_empty()).then_some(Piece::Bytes(rest)));
            }
        }
    }

    /// What can be told of what was received; a stream that is no longer understood is told as it is.
    fn cut(&mut self) -> Option<Piece> {
        let unseen = self.received.get(self.scanned..).unwrap_or_default();
        match self.scanner.as_mut().map(|scanner| scanner.scan(unseen)) {
            Some(Ok(Some(ended))) => {
                let frame = self.received.split_to(self.scanned + ended.at).freeze();
                self.scanned = 0;
                Some(if ended.push { Piece::Push(frame) } else { Piece::Frame(frame) })
            }
            Some(Ok(None)) => {
                self.scanned = self.received.len();
                None
            }
            Some(Err(_)) | None => {
                self.scanner = None;
                let bytes = self.received.split().freeze();
                (!bytes.is_empty()).then_some(Piece::Bytes(bytes))
            }
        }
    }
}
