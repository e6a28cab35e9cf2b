//! A TCP proxy that does faults to the connections of a Redis or MySQL client while they are in use.
//!
//! It reads frames, so that a fault hits whole requests and replies, and only those of chosen calls. A stream
//! that is not RESP (TLS) is passed on as bytes: what is done to frames then never hits. Connections that
//! subscribe, monitor or switch replies off are not paired right.

mod board;
mod call;
mod connection;
pub mod console;
mod fault;
mod frames;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context;
use tokio::runtime::Builder;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use self::board::Board;
pub use self::board::{Counts, Injected};
pub use self::call::{Call, Calls};
use self::connection::Connection;
pub use self::fault::{After, Direction, Fault, Kind};

/// When nothing can be accepted (no descriptors), it is tried again after so long.
const ACCEPTS_AGAIN: Duration = Duration::from_millis(10);

/// A free port.
const LOOPBACK: ([u8; 4], u16) = ([127, 0, 0, 1], 0);

/// What both sides of a connection speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dialect {
    /// Redis: each request has one reply.
    Resp,
    /// MySQL: one request at a time, and as many packets of the server as it takes.
    MySql,
}

/// A running proxy, on a thread of its own; it ends with all its connections when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    board: Arc<Board>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Proxy {
    /// Listens on a free port of the loopback, and passes everything on to `upstream`.
    ///
    /// # Errors
    /// When nothing can be bound.
    pub fn start(upstream: SocketAddr) -> anyhow::Result<Self> {
        Self::listen(LOOPBACK.into(), upstream)
    }

    /// The same before a MySQL server: a call is a statement, its words those of its text.
    ///
    /// # Errors
    /// When nothing can be bound.
    pub fn start_mysql(upstream: SocketAddr) -> anyhow::Result<Self> {
        Self::speaking(Dialect::MySql, LOOPBACK.into(), upstream)
    }

    /// The same at an address of one's choice.
    ///
    /// # Errors
    /// When it cannot be bound.
    pub fn listen(address: SocketAddr, upstream: SocketAddr) -> anyhow::Result<Self> {
        Self::speaking(Dialect::Resp, address, upstream)
    }

    fn speaking(
        dialect: Dialect,
        address: SocketAddr,
        upstream: SocketAddr,
    ) -> anyhow::Result<Self> {
        let listener =
            TcpListener::bind(address).with_context(|| format!("cannot listen at {address}"))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let board = Arc::new(Board::new(dialect, upstream));
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel();
        let held = Arc::clone(&board);
        let serve = move || {
            runtime.block_on(async {
                tokio::select! {
                    () = serve(listener, held) => {}
                    _ = stopped => {}
                }
            });
        };
        let thread = std::thread::Builder::new().name("fault-proxy".to_owned()).spawn(serve)?;
        Ok(Self { address, board, stop: Some(stop), thread: Some(thread) })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sends new connections elsewhere; those that stand stay where they are.
    pub fn set_upstream(&self, upstream: SocketAddr) {
        self.board.set_upstream(upstream);
    }

    /// Puts a fault in force, beside those that are. It stays so until it is lifted or used up, also when the
    /// handle is dropped. Of several that would hit the same frame the first one does.
    pub fn inject(&self, fault: Fault) -> Injected {
        self.board.inject(fault)
    }

    /// Lifts all faults.
    pub fn clear(&self) {
        self.board.clear();
    }

    /// Resets (RST, both sides) all connections that stand, and says how many there were. One that is on its way
    /// still does not stand: wait for [`Counts::open`], or for an answer on it.
    pub fn reset(&self) -> u64 {
        self.board.reset()
    }

    /// What was done until now.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.board.counts()
    }

    /// Waits until `reached` is true of the counters. Whoever calls bounds the time.
    pub async fn until(&self, reached: impl Fn(&Counts) -> bool) -> Counts {
        self.board.until(reached).await
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A proxy that panicked has said so on stderr.
            let _ = thread.join();
        }
    }
}

async fn serve(listener: TcpListener, board: Arc<Board>) {
    let listener = tokio::net::TcpListener::from_std(listener).expect("the runtime has I/O");
    let mut connections = JoinSet::new();
    for id in 0.. {
        let stream = loop {
            tokio::select! {
                Some(_) = connections.join_next() => {}
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => break stream,
                    Err(_) => tokio::time::sleep(ACCEPTS_AGAIN).await,
                },
            }
        };
        connections.spawn(Connection::new(id, &board).serve(stream));
    }
}
