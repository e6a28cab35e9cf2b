//! Takes connections, within their bounds and without ever spinning.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::crowd::{Crowd, Place};
use super::last_words;
use super::refusals::Refusals;
use crate::http::problem::Problem;

/// After an accept that failed for want of descriptors or memory: doubled each time, up to a bound.
const AGAIN_MIN: Duration = Duration::from_millis(10);
const AGAIN_MAX: Duration = Duration::from_millis(500);
/// Between two lines in the log about it.
const SAY_EVERY: Duration = Duration::from_secs(5);
/// Connections of one thread that are told at once that their address has too many; more are only closed.
const TOLD_MAX: usize = 16;

/// A connection and its place among the others, which it keeps until it is dropped.
#[derive(Debug)]
pub(super) struct Accepted {
    pub(super) stream: TcpStream,
    pub(super) peer: SocketAddr,
    /// Given back with the connection.
    pub(super) held: (OwnedSemaphorePermit, Option<Place>),
}

/// Where connections come in.
#[derive(Debug)]
pub(super) struct Door {
    listener: TcpListener,
    connections: Arc<Semaphore>,
    crowd: Option<Arc<Crowd>>,
    refusals: Refusals,
    told: Arc<Semaphore>,
    again: Duration,
    said: Option<tokio::time::Instant>,
}

impl Door {
    pub(super) fn new(
        listener: TcpListener,
        connections: Arc<Semaphore>,
        crowd: Option<Arc<Crowd>>,
        refusals: Refusals,
    ) -> Self {
        let told = Arc::new(Semaphore::new(TOLD_MAX));
        Self { listener, connections, crowd, refusals, told, again: AGAIN_MIN, said: None }
    }

    /// The next connection. While all places are taken the next ones wait in the kernel.
    pub(super) async fn next(&mut self) -> Accepted {
        loop {
            let places = Arc::clone(&self.connections);
            // The semaphore lives as long as its listener and is never closed.
            let Ok(permit) = places.acquire_owned().await else { continue };
            match self.listener.accept().await {
                Ok((stream, peer)) => {
                    self.again = AGAIN_MIN;
                    match self.crowd.as_ref().map(|crowd| crowd.enter(peer.ip())).transpose() {
                        Ok(place) => {
                            // A peer that is gone already shows at the first read.
                            let _ = stream.set_nodelay(true);
                            return Accepted { stream, peer, held: (permit, place.flatten()) };
                        }
                        Err(full) => self.turn_away(stream, full.max),
                    }
                }
                Err(error) if is_the_peer_s(&error) => {}
                Err(error) => self.wait(&error).await,
            }
        }
    }

    /// Out of descriptors or memory: connections wait in the kernel until some are closed.
    async fn wait(&mut self, error: &io::Error) {
        if self.said.is_none_or(|said| said.elapsed() >= SAY_EVERY) {
            self.said = Some(tokio::time::Instant::now());
            tracing::warn!(%error, "connections cannot be accepted now: they wait in the kernel");
        }
        tokio::time::sleep(self.again).await;
        self.again = (self.again * 2).min(AGAIN_MAX);
    }

    fn turn_away(&self, stream: TcpStream, max: usize) {
        let problem = Problem::TooManyConnections { max };
        self.refusals.count(&problem);
        // Beyond a few the connection is closed without a word.
        if let Ok(place) = Arc::clone(&self.told).try_acquire_owned() {
            let answer = self.refusals.answer(&problem);
            tokio::spawn(async move {
                last_words::close(stream, Some(answer)).await;
                drop(place);
            });
        }
    }
}

/// An error of one connection, which says nothing about the next one.
fn is_the_peer_s(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    let kinds = [
        Kind::ConnectionAborted,
        Kind::ConnectionReset,
        Kind::ConnectionRefused,
        Kind::Interrupted,
        Kind::HostUnreachable,
        Kind::NetworkUnreachable,
        Kind::NetworkDown,
        Kind::TimedOut,
    ];
    kinds.contains(&error.kind())
}
