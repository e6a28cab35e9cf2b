//! A request may take its connection from the HTTP engine and answer on the bare socket, until its end.
//!
//! Streams do: they live for minutes, and what the engine keeps for the next request (two buffers of 8 KiB, and the
//! request's own task) is ten times what they need.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use futures_util::future::BoxFuture;
use tokio::net::TcpStream;

/// What goes on with the socket.
pub(in crate::http) type Next = Box<dyn FnOnce(TcpStream) -> BoxFuture<'static, ()> + Send>;

/// The way of one connection's requests to its socket.
#[derive(Default)]
pub(super) struct Takeover {
    asked: AtomicBool,
    next: Mutex<Option<Next>>,
    /// The engine still has bytes of an earlier answer: it flushes when it has nothing left.
    unflushed: AtomicBool,
    taken: AtomicBool,
}

impl std::fmt::Debug for Takeover {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Takeover").finish_non_exhaustive()
    }
}

impl Takeover {
    /// Goes on with `next` once all earlier answers are written.
    pub(super) fn ask(&self, next: Next) {
        *self.next.lock().unwrap_or_else(PoisonError::into_inner) = Some(next);
        self.asked.store(true, Relaxed);
    }

    /// The engine writes, or has written all.
    pub(super) fn unflushed(&self, unflushed: bool) {
        self.unflushed.store(unflushed, Relaxed);
    }

    /// What goes on, if something does and the engine has written all that it has to write. To be asked after the
    /// engine was polled.
    pub(super) fn take(&self) -> Option<Next> {
        if !self.asked.load(Relaxed) || self.unflushed.load(Relaxed) {
            return None;
        }
        self.taken.store(true, Relaxed);
        self.next.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Whether the engine has let go of the connection.
    pub(super) fn is_taken(&self) -> bool {
        self.taken.load(Relaxed)
    }
}
