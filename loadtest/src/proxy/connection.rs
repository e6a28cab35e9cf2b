//! One connection: requests one way, replies the other, and what is done to them on the way.

use std::collections::VecDeque;
use std::future::pending;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::ReadHalf;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::watch;
use tokio::time::sleep_until;

use super::board::Board;
use super::frames::{Ends, Frames, Packets, Piece};
use super::{After, Call, Dialect, Direction, Kind};
use crate::clock;
use crate::resp::Scanner;

/// Pieces under way in one direction; whoever sends more waits.
const UNDER_WAY: usize = 4096;
/// A slow connection moves this often.
const SLOW_STEPS_A_SECOND: u32 = 50;

/// A connection that came to the proxy.
#[derive(Debug)]
pub(super) struct Connection {
    id: u64,
    board: Arc<Board>,
    /// Hears of resets since it came.
    resets: watch::Receiver<()>,
    /// The calls whose replies have not come yet, in their order.
    asked: Mutex<VecDeque<Arc<Call>>>,
}

/// What is under way.
enum Moving {
    Piece {
        bytes: Bytes,
        call: Arc<Call>,
        due: Option<Instant>,
        is_frame: bool,
    },
    /// Here the connection is to be reset.
    Reset,
}

/// How a connection ended that did not end by itself.
enum Broken {
    /// By a fault.
    OnPurpose,
    /// By one of its sides.
    BySide,
}

impl From<io::Error> for Broken {
    fn from(_: io::Error) -> Self {
        Self::BySide
    }
}

impl Connection {
    pub(super) fn new(id: u64, board: &Arc<Board>) -> Self {
        board.count(|counts| {
            counts.connections += 1;
            counts.open += 1;
        });
        Self { id, board: Arc::clone(board), resets: board.resets(), asked: Mutex::default() }
    }

    pub(super) async fn serve(self, mut client: TcpStream) {
        let mut resets = self.resets.clone();
        let nobody = Call::default();
        if self.board.hit(&nobody, |kind| (kind == Kind::Refuse).then_some(())).is_some() {
            self.board.count(|counts| counts.refused += 1);
            return reset(&client);
        }
        if self.board.hit(&nobody, |kind| (kind == Kind::Blackhole).then_some(())).is_some() {
            self.board.count(|counts| counts.blackholed += 1);
            tokio::select! {
                () = discard(&mut client) => {}
                _ = resets.changed() => self.reset_on_purpose(&client),
            }
            return;
        }
        let Ok(mut server) = TcpStream::connect(self.board.upstream()).await else {
            self.board.count(|counts| counts.unreachable += 1);
            return reset(&client);
        };
        // Without it the proxy would add delays of its own; it fails on no living socket.
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        let ended = tokio::select! {
            ended = self.both_ways(&mut client, &mut server) => ended,
            _ = resets.changed() => Err(Broken::OnPurpose),
        };
        match ended {
            Ok(()) => {}
            Err(Broken::BySide) => {
                reset(&server);
                reset(&client);
            }
            Err(Broken::OnPurpose) => {
                reset(&server);
                self.reset_on_purpose(&client);
            }
        }
    }

    fn reset_on_purpose(&self, client: &TcpStream) {
        reset(client);
        self.board.count(|counts| counts.resets += 1);
    }

    /// Until the server has closed and the client has all that it said.
    async fn both_ways(
        &self,
        client: &mut TcpStream,
        server: &mut TcpStream,
    ) -> Result<(), Broken> {
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        let (ask, asked) = channel(UNDER_WAY);
        let (answer, answered) = channel(UNDER_WAY);
        let requests = async {
            let read = self.read(Direction::Requests, from_client, ask);
            let write = async {
                match self.write(Direction::Requests, asked, to_server).await {
                    // What the server has said before it went is still to be heard.
                    Err(Broken::BySide) => Ok(()),
                    ended => ended,
                }
            };
            tokio::try_join!(read, write)?;
            pending().await
        };
        let replies = async {
            let read = self.read(Direction::Replies, from_server, answer);
            tokio::try_join!(read, self.write(Direction::Replies, answered, to_client))?;
            Ok(())
        };
        tokio::select! {
            broken = requests => broken,
            ended = replies => ended,
        }
    }

    /// Until the side that speaks has said its last. Decides what is lost, and what comes later.
    async fn read(
        &self,
        direction: Direction,
        from: ReadHalf<'_>,
        to: Sender<Moving>,
    ) -> Result<(), Broken> {
        let dialect = self.board.dialect();
        let scanner = match (dialect, direction) {
            (Dialect::MySql, _) => Ends::MySql(Packets::default()),
            (Dialect::Resp, Direction::Requests) => Ends::Resp(Scanner::of_requests()),
            (Dialect::Resp, Direction::Replies) => Ends::Resp(Scanner::of_replies()),
        };
        let (mut frames, mut silent) = (Frames::new(from, scanner), false);
        while let Some(piece) = frames.next().await? {
            let call = match (direction, &piece) {
                (Direction::Requests, Piece::Frame(bytes)) => Arc::new(match dialect {
                    Dialect::Resp => Call::read(bytes),
                    Dialect::MySql => Call::read_packet(bytes),
                }),
                (Direction::Replies, Piece::Frame(_)) => self.answered(dialect),
                _ => Arc::default(),
            };
            let (bytes, is_frame) = match piece {
                Piece::Frame(bytes) => (bytes, true),
                Piece::Push(bytes) | Piece::Bytes(bytes) => (bytes, false),
            };
            let lost = if is_frame && !silent { self.lost(direction, &call) } else { None };
            silent |= lost == Some(After::Silence);
            let moving = if silent || lost.is_some() {
                self.board.count(|counts| match direction {
                    Direction::Requests => counts.swallowed += u64::from(is_frame),
                    Direction::Replies => counts.dropped += u64::from(is_frame),
                });
                if lost != Some(After::Reset) {
                    continue;
                }
                Moving::Reset
            } else {
                if direction == Direction::Requests && call.is_answered() {
                    if dialect == Dialect::MySql {
                        self.asked().clear();
                    }
                    self.asked().push_back(Arc::clone(&call));
                }
                let due = self.delayed(direction, &call);
                Moving::Piece { bytes, call, due, is_frame }
            };
            if to.send(moving).await.is_err() {
                break;
            }
        }
        Ok(())
    }

    /// The call that a frame of the server answers.
    fn answered(&self, dialect: Dialect) -> Arc<Call> {
        match dialect {
            Dialect::Resp => self.asked().pop_front().unwrap_or_default(),
            // A client asks one thing at a time, and is answered with as many packets as it takes.
            Dialect::MySql => self.asked().back().cloned().unwrap_or_default(),
        }
    }

    fn lost(&self, direction: Direction, call: &Call) -> Option<After> {
        self.board.hit(call, |kind| match (kind, direction) {
            (Kind::Swallow(after), Direction::Requests)
            | (Kind::DropReply(after), Direction::Replies) => Some(after),
            _ => None,
        })
    }

    fn delayed(&self, direction: Direction, call: &Call) -> Option<Instant> {
        let by = self.board.hit(call, |kind| match kind {
            Kind::Delay(way, by) if way == direction => Some(by),
            _ => None,
        });
        by.map(|by| clock::now() + by)
    }

    async fn write(
        &self,
        direction: Direction,
        mut from: Receiver<Moving>,
        mut to: impl AsyncWrite + Unpin,
    ) -> Result<(), Broken> {
        while let Some(moving) = from.recv().await {
            let Moving::Piece { mut bytes, call, due, is_frame } = moving else {
                return Err(Broken::OnPurpose);
            };
            // The runtime's timers count in milliseconds: what is due passes without one.
            if let Some(due) = due.filter(|due| *due > clock::now()) {
                sleep_until(due.into()).await;
            }
            while !bytes.is_empty() {
                self.step(direction, &call, &mut bytes, &mut to).await?;
            }
            self.board.count(|counts| match direction {
                Direction::Requests => counts.requests += u64::from(is_frame),
                Direction::Replies => counts.replies += u64::from(is_frame),
            });
        }
        Ok(to.shutdown().await?)
    }

    /// Writes as much at once as the faults in force let through.
    async fn step(
        &self,
        direction: Direction,
        call: &Call,
        bytes: &mut Bytes,
        to: &mut (impl AsyncWrite + Unpin),
    ) -> Result<(), Broken> {
        self.board.moves(self.id, call).await;
        let (mut length, mut pause) = (bytes.len(), None);
        let slow = self.board.caught(self.id, call, |kind| match kind {
            Kind::Slow(bytes_a_second) => Some(bytes_a_second.max(1)),
            _ => None,
        });
        if let Some((_, a_second)) = slow {
            length =
                length.min(usize::try_from(a_second.div_ceil(SLOW_STEPS_A_SECOND)).unwrap_or(1));
            let piece = u32::try_from(length).unwrap_or(a_second);
            pause = Some(clock::now() + Duration::from_secs(1) * piece / a_second);
        }
        let mut ends = false;
        let reset = self.board.caught(self.id, call, |kind| match kind {
            Kind::ResetAfter(way, after) if way == direction => Some(after),
            _ => None,
        });
        if let Some((active, after)) = reset {
            let left = after.saturating_sub(active.sends(self.id, 0));
            let fits = u64::try_from(length).unwrap_or(u64::MAX) < left;
            if !fits {
                (length, ends) = (usize::try_from(left).unwrap_or(length), true);
            }
            active.sends(self.id, u64::try_from(length).unwrap_or(u64::MAX));
        }
        to.write_all(bytes.get(..length).unwrap_or_default()).await?;
        bytes.advance(length);
        if ends {
            return Err(Broken::OnPurpose);
        }
        if let Some(until) = pause {
            sleep_until(until.into()).await;
        }
        Ok(())
    }

    fn asked(&self) -> MutexGuard<'_, VecDeque<Arc<Call>>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.board.count(|counts| counts.open -= 1);
    }
}

/// The close that follows is an RST.
fn reset(stream: &TcpStream) {
    // A socket that the other side has reset already takes no settings.
    let _ = stream.set_zero_linger();
}

async fn discard(stream: &mut TcpStream) {
    let mut chunk = [0; 4096];
    while stream.read(&mut chunk).await.is_ok_and(|read| read > 0) {}
}
