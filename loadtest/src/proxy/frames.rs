//! A stream cut into frames.

use std::io;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::resp::Scanner;

/// What came in one piece.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// A whole request, or a whole reply.
    Frame(Bytes),
    /// A whole message that nobody asked for.
    Push(Bytes),
    /// Bytes of a stream that is not RESP, or what a stream ended with in the middle of a frame.
    Bytes(Bytes),
}

/// Cuts what is read.
#[derive(Debug)]
pub(super) struct Frames<R> {
    from: R,
    /// `None`: the stream is not RESP.
    scanner: Option<Scanner>,
    received: BytesMut,
    /// How many of the received bytes the scanner has seen.
    scanned: usize,
}

impl<R: AsyncRead + Unpin> Frames<R> {
    pub(super) fn new(from: R, scanner: Scanner) -> Self {
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
