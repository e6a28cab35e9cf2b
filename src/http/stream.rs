//! One ticket stream: Server-Sent Events on a socket that the HTTP engine has let go of.
//!
//! The connection's own task sleeps on its seat; there is no timer and no other task for it. It keeps no frame: what
//! the socket does not take within `[public.timeouts] write` ends the stream.

use std::future::poll_fn;
use std::io;
use std::io::Write as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use hyper::header::HeaderName;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};

use super::document::{Known, View};
use super::gateway::Gateway;
use super::room::Room;
use super::streams::Entered;
use crate::order::{State, Ticket};
use crate::watch::Seated;

/// The version that a client saw last.
pub(super) const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Positions are told this often at most.
const TURN: Duration = Duration::from_secs(5);
/// Each third turn has a comment: proxies cut what is silent, and a peer that is gone is noticed.
const COMMENT_TURNS: u32 = 3;
/// What a client may send after its request; it has nothing to say.
const HEARD_MAX: usize = 16 << 10;

/// An open stream.
#[derive(Debug)]
pub(super) struct TicketStream {
    pub(super) gateway: Arc<Gateway>,
    pub(super) room: Arc<Room>,
    pub(super) seated: Seated,
    pub(super) ticket: Ticket,
    pub(super) text: Box<str>,
    pub(super) _entered: Entered,
}

/// What the client was told last.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Shown {
    state: State,
    position: Option<u64>,
    paused: bool,
}

impl TicketStream {
    /// Tells until the order has ended, the client is gone or too slow, or the gateway stops.
    pub(super) async fn run<IO: AsyncRead + AsyncWrite + Unpin>(self, mut io: IO) {
        let ended = match self.tell(&mut io).await {
            Ok(()) => io.shutdown().await,
            Err(error) => Err(error),
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a stream ended");
        }
    }

    async fn tell<IO: AsyncRead + AsyncWrite + Unpin>(&self, io: &mut IO) -> io::Result<()> {
        let clock = &self.gateway.parts.clock;
        let mut frame = self.opening();
        let mut shown = None;
        let (mut turns, mut next_turn) = (0_u32, clock.monotonic().saturating_add(TURN));
        let mut heard = 0;
        self.room.call_after(self.seated.seat(), TURN);
        loop {
            let now = clock.monotonic();
            let turn = now >= next_turn;
            if turn {
                turns = turns.wrapping_add(1);
                next_turn = now.saturating_add(TURN);
                self.room.call_after(self.seated.seat(), TURN);
                if turns % COMMENT_TURNS == 0 {
                    frame.extend_from_slice(b":\n\n");
                }
            }
            let over = self.news(&mut shown, turn, &mut frame).await;
            if !frame.is_empty() {
                self.write(io, &frame).await?;
                frame = Vec::new();
            }
            if over || self.room.is_closing() {
                return Ok(());
            }
            self.called(io, &mut heard).await?;
        }
    }

    /// Adds an event if there is something to tell. `true`: the last one.
    async fn news(&self, shown: &mut Option<Shown>, turn: bool, frame: &mut Vec<u8>) -> bool {
        let watch = &self.gateway.parts.watch;
        let Some(sale) = watch.sale_by_no(self.ticket.sale_no) else { return true };
        let known = Known { text: &self.text, ticket: self.ticket, sale };
        // A ledger that cannot answer now is asked again at the next turn.
        let Ok(view) = self.gateway.view(&known).await else { return false };
        let now =
            Shown { state: view.state(), position: view.position(), paused: watch.drain_paused() };
        let due = match shown {
            None => true,
            Some(last) => last.state != now.state || (turn && *last != now),
        };
        if due {
            event(frame, &view, &self.gateway.document(&known, &view));
            *shown = Some(now);
        }
        view.state().is_terminal()
    }

    /// The head of the answer. The stream ends with its connection: it is the last thing on it.
    fn opening(&self) -> Vec<u8> {
        let mut head = Vec::with_capacity(768);
        head.extend_from_slice(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-store\r\n\
              x-accel-buffering: no\r\nconnection: close\r\n",
        );
        let date = self.gateway.parts.clock.wall().http_date();
        // Writing to memory cannot fail.
        let _ = write!(head, "date: {date}\r\n\r\n");
        retry(&mut head, self.gateway.random());
        head
    }

    /// Writes all of it, or fails when the client has taken nothing for too long.
    async fn write<IO: AsyncWrite + Unpin>(&self, io: &mut IO, bytes: &[u8]) -> io::Result<()> {
        let (clock, seat) = (&self.gateway.parts.clock, self.seated.seat());
        let patience = self.gateway.parts.config.load().timeouts.write.0;
        let (mut left, mut until) = (bytes, None);
        poll_fn(|cx| {
            loop {
                if left.is_empty() {
                    return Poll::Ready(Ok(()));
                }
                match Pin::new(&mut *io).poll_write(cx, left) {
                    Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                    Poll::Ready(Ok(written)) => {
                        left = left.get(written..).unwrap_or_default();
                        until = None;
                    }
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Pending => {
                        seat.wake_by(cx.waker());
                        let now = clock.monotonic();
                        let until = *until.get_or_insert_with(|| {
                            self.room.call_after(seat, patience);
                            now.saturating_add(patience)
                        });
                        let slow =
                            io::Error::new(io::ErrorKind::TimedOut, "the client is too slow");
                        return if now >= until { Poll::Ready(Err(slow)) } else { Poll::Pending };
                    }
                }
            }
        })
        .await
    }

    /// Resolves when there may be news, or fails because the client went away.
    async fn called<IO: AsyncRead + Unpin>(
        &self,
        io: &mut IO,
        heard: &mut usize,
    ) -> io::Result<()> {
        poll_fn(|cx| {
            let mut bytes = [0; 256];
            loop {
                let mut read = ReadBuf::new(&mut bytes);
                match Pin::new(&mut *io).poll_read(cx, &mut read) {
                    Poll::Pending => break,
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Ready(Ok(())) => {}
                }
                *heard += read.filled().len();
                if read.filled().is_empty() || *heard > HEARD_MAX {
                    return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
                }
            }
            self.seated.seat().poll_called(cx).map(Ok)
        })
        .await
    }
}

/// When to come back after a cut: 1 to 3 s, so that a thousand streams that were cut together come back apart.
pub(super) fn retry(frame: &mut Vec<u8>, random: u64) {
    let _ = write!(frame, "retry: {}\n\n", 1_000 + random % 2_001);
}

/// One event. A document is one line.
pub(super) fn event(frame: &mut Vec<u8>, view: &View, document: &[u8]) {
    let _ = write!(frame, "id: {}\nevent: ticket\ndata: ", view.version());
    frame.extend_from_slice(document);
    frame.extend_from_slice(b"\n\n");
}
