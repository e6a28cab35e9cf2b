//! A request may take its connection from the HTTP engine and answer on the bare socket, until its end.
//!
//! Streams do: they live for minutes, and what the engine keeps for the next request (two buffers of 8 KiB, and the
//! request's own task) is ten times what they need.

use std::convert::Infallible;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What goes on with the socket.
pub(super) type Next<IO> = Box<dyn FnOnce(IO) -> BoxFuture<'static, ()> + Send>;

/// The way of one connection's requests to its socket.
pub(super) struct Takeover<IO>(Arc<Slot<IO>>);

struct Slot<IO> {
    next: Mutex<Option<Next<IO>>>,
    /// The engine still has bytes of an earlier answer.
    unflushed: AtomicBool,
}

impl<IO> Clone for Takeover<IO> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<IO> std::fmt::Debug for Takeover<IO> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Takeover").finish_non_exhaustive()
    }
}

impl<IO> Takeover<IO> {
    pub(super) fn new() -> Self {
        Self(Arc::new(Slot { next: Mutex::new(None), unflushed: AtomicBool::new(false) }))
    }

    /// Goes on with `next` once all earlier answers are written; the request that asks for it ends here.
    pub(super) async fn take(&self, next: Next<IO>) -> Infallible {
        *self.0.next.lock().unwrap_or_else(PoisonError::into_inner) = Some(next);
        std::future::pending().await
    }

    /// What goes on, if something does and the engine has written all that it has to write. To be asked after the
    /// engine was polled.
    pub(super) fn taken(&self) -> Option<Next<IO>> {
        if self.0.unflushed.load(Ordering::Relaxed) {
            return None;
        }
        self.0.next.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// The socket as the engine is to see it.
    pub(super) fn over(&self, io: IO) -> Flushed<IO> {
        Flushed { io, takeover: self.clone() }
    }
}

/// Notes whether everything that was written is flushed: the engine flushes when it has nothing left.
pub(super) struct Flushed<IO> {
    io: IO,
    takeover: Takeover<IO>,
}

impl<IO> Flushed<IO> {
    pub(super) fn into_inner(self) -> IO {
        self.io
    }

    fn note(&self, unflushed: bool) {
        self.takeover.0.unflushed.store(unflushed, Ordering::Relaxed);
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Flushed<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buffer)
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Flushed<IO> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.note(true);
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.note(true);
        Pin::new(&mut self.io).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.io).poll_flush(cx);
        self.note(!matches!(flushed, Poll::Ready(Ok(()))));
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
