//! Buyers who wait on a connection of their own: on a stream, or by one held answer after the other.

use std::sync::Arc;
use std::time::Instant;

use anyhow::bail;
use tokio::io::{AsyncBufReadExt, AsyncReadExt};
use tokio::time::{sleep, timeout};

use super::engine::{Engine, UNTOLD};
use super::scenario::Then;
use crate::clock;
use crate::drive::look;
use crate::trail::{Asked, Document};
use crate::wire::socket::ANSWER_MAX;
use crate::wire::ticket::{self, Reader};

/// What a held answer is asked to wait for; the gateway holds none longer.
const HOLD: u64 = 30;

/// A buyer with his ticket.
pub(super) struct Waiting {
    pub(super) engine: Arc<Engine>,
    pub(super) ask: u64,
    pub(super) ticket: Box<str>,
}

impl Waiting {
    /// Waits until the order has ended; comes back when a connection breaks.
    pub(super) async fn wait(self, how: Then) {
        while !self.engine.errands.is_over() {
            let waited = match how {
                Then::Stream => self.on_a_stream().await,
                _ => self.by_held_answers().await,
            };
            match waited {
                Ok(()) => break,
                Err(_) => {
                    look(&self.engine.seen).counts.poll_failures += 1;
                    sleep(UNTOLD).await;
                }
            }
        }
        self.engine.errands.done();
    }

    /// Listens until the order has ended.
    async fn on_a_stream(&self) -> anyhow::Result<()> {
        let mut socket = self.connect().await?;
        // Events come in order: each is as new as the one before it, at least.
        let mut asked = clock::now();
        let (status, _) = self.ask(&mut socket, "/events").await?;
        if self.refused(status)? {
            return Ok(());
        }
        let mut line = String::new();
        loop {
            line.clear();
            if socket.read_line(&mut line).await? == 0 {
                bail!("the stream ended before the order");
            }
            if let Some(data) = line.strip_prefix("data: ") {
                let received = clock::now();
                let over = self.see(data.trim().as_bytes(), asked, received);
                asked = received;
                look(&self.engine.seen).counts.events += 1;
                if over {
                    return Ok(());
                }
            }
        }
    }

    /// Asks again and again for an answer that is held.
    async fn by_held_answers(&self) -> anyhow::Result<()> {
        let mut socket = self.connect().await?;
        let mut first = true;
        loop {
            let asked = clock::now();
            // The first one says how it stands; the others come when that has changed.
            let query =
                if std::mem::take(&mut first) { String::new() } else { format!("?wait={HOLD}") };
            let (status, length) = self.ask(&mut socket, &query).await?;
            let mut body = vec![0; length.min(ANSWER_MAX)];
            socket.read_exact(&mut body).await?;
            if self.refused(status)? {
                return Ok(());
            }
            let over = self.see(&body, asked, clock::now());
            look(&self.engine.seen).counts.polls += 1;
            if over {
                return Ok(());
            }
        }
    }

    /// True when the ticket is not known, so that there is nothing to wait for.
    fn refused(&self, status: u16) -> anyhow::Result<bool> {
        match status {
            200 => Ok(false),
            404 | 410 => {
                look(&self.engine.seen).trails.denied(self.ask, status);
                Ok(true)
            }
            _ => bail!("answered {status}"),
        }
    }

    /// Notes a document; true when the order has ended.
    fn see(&self, document: &[u8], sent: Instant, received: Instant) -> bool {
        let told: Document = serde_json::from_slice(document).unwrap_or_default();
        let mut seen = look(&self.engine.seen);
        seen.look(received);
        let asked = Asked { sent_us: seen.since(sent), answered_us: seen.since(received) };
        seen.trails.see(self.ask, &told, asked);
        if told.ended() {
            seen.outcome(self.ask, received);
        }
        told.ended()
    }

    async fn connect(&self) -> anyhow::Result<Reader> {
        let connecting = ticket::connect(&self.engine.target);
        Ok(timeout(self.engine.plan.patience, connecting).await??)
    }

    async fn ask(&self, reader: &mut Reader, below: &str) -> anyhow::Result<(u16, usize)> {
        ticket::ask(reader, (&self.engine.target.host, &self.ticket), below, "").await
    }
}
