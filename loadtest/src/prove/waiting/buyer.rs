//! A buyer who waits for the outcome of his order, on a stream or by one held answer after the other.

use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, AsyncReadExt};
use tokio::sync::Semaphore;

use crate::clock;
use crate::drive::{Shared, look};
use crate::target::Target;
use crate::wire::ticket::{self, Reader};

/// What all buyers saw.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Buyers who have seen their order wait.
    pub(super) waiting: u64,
    /// From the settle to its arrival here, in microseconds, one a buyer.
    pub(super) outcomes: Vec<i64>,
    /// Orders that ended otherwise than placed.
    pub(super) otherwise: u64,
    pub(super) polls: u64,
    pub(super) events: u64,
    /// Positions that were larger than one before.
    pub(super) grew: u64,
    /// A reconnect with the last id was told not to come back.
    pub(super) told_to_stay_away: u64,
    pub(super) failures: Vec<String>,
}

/// Where he waits.
#[derive(Debug, Clone, Copy)]
pub(super) enum Way {
    Stream,
    Polls,
}

#[derive(Debug, Deserialize)]
struct Document {
    state: String,
    position: Option<u64>,
    settled_at: Option<String>,
}

/// A buyer with his ticket.
pub(super) struct Buyer {
    pub(super) target: Target,
    pub(super) ticket: String,
    pub(super) seen: Shared<Seen>,
    /// How many may be on their way in at once: the gateway's backlog is not what is looked at.
    pub(super) door: Arc<Semaphore>,
}

impl Buyer {
    /// Waits until the order has ended; what goes wrong is noted.
    pub(super) async fn wait(self, way: Way) {
        let waited = match way {
            Way::Stream => self.on_a_stream().await,
            Way::Polls => self.by_polls().await,
        };
        if let Err(error) = waited {
            look(&self.seen).failures.push(format!("{way:?} {}: {error:#}", self.ticket));
        }
    }

    async fn on_a_stream(&self) -> anyhow::Result<()> {
        let (mut id, mut last, mut first) = (String::new(), u64::MAX, true);
        let entering = self.door.acquire().await?;
        let mut entering = Some(entering);
        let mut socket = ticket::connect(&self.target).await?;
        let status = self.ask(&mut socket, "/events", "").await?.0;
        ensure!(status == 200, "the stream is answered {status}");
        loop {
            let mut line = String::new();
            if socket.read_line(&mut line).await? == 0 {
                bail!("the stream ended before the order");
            }
            if let Some(value) = line.strip_prefix("id: ") {
                value.trim().clone_into(&mut id);
            }
            let Some(data) = line.strip_prefix("data: ") else { continue };
            look(&self.seen).events += 1;
            let over = self.see(data.as_bytes(), &mut last)?;
            if std::mem::take(&mut first) {
                look(&self.seen).waiting += 1;
                entering.take();
            }
            if over {
                break;
            }
        }
        let mut rest = String::new();
        socket.read_to_string(&mut rest).await?;
        ensure!(rest.trim().is_empty(), "more came after the end: {rest}");
        let mut again = ticket::connect(&self.target).await?;
        let status = self.ask(&mut again, "/events", &format!("Last-Event-ID: {id}\r\n")).await?.0;
        ensure!(status == 204, "a reconnect with the last id is answered {status}");
        look(&self.seen).told_to_stay_away += 1;
        Ok(())
    }

    async fn by_polls(&self) -> anyhow::Result<()> {
        let mut last = u64::MAX;
        let entering = self.door.acquire().await?;
        let mut socket = ticket::connect(&self.target).await?;
        self.poll(&mut socket, "", &mut last).await?;
        look(&self.seen).waiting += 1;
        drop(entering);
        while !self.poll(&mut socket, "?wait=30", &mut last).await? {}
        Ok(())
    }

    /// Asks without waiting, so often.
    pub(super) async fn poll_at_once(&self, times: u64) -> anyhow::Result<()> {
        let (mut socket, mut last) = (ticket::connect(&self.target).await?, u64::MAX);
        for _ in 0..times {
            self.poll(&mut socket, "", &mut last).await?;
        }
        Ok(())
    }

    /// One poll; `true` when the order has ended.
    async fn poll(&self, socket: &mut Reader, query: &str, last: &mut u64) -> anyhow::Result<bool> {
        let (status, length) = self.ask(socket, query, "").await?;
        let mut body = vec![0; length];
        socket.read_exact(&mut body).await?;
        ensure!(status == 200, "a poll is answered {status}: {}", String::from_utf8_lossy(&body));
        look(&self.seen).polls += 1;
        self.see(&body, last)
    }

    /// Notes a document; `true` when the order has ended.
    fn see(&self, document: &[u8], last: &mut u64) -> anyhow::Result<bool> {
        let received = clock::wall_micros();
        let document: Document = serde_json::from_slice(document).context("not a ticket")?;
        let mut seen = look(&self.seen);
        if let Some(position) = document.position {
            seen.grew += u64::from(position > *last);
            *last = position;
        }
        if matches!(document.state.as_str(), "queued" | "placing" | "delayed") {
            return Ok(false);
        }
        let settled = document.settled_at.context("an order that ended says when")?;
        let settled: jiff::Timestamp = settled.parse()?;
        seen.outcomes.push(received - settled.as_microsecond());
        seen.otherwise += u64::from(document.state != "placed");
        Ok(true)
    }

    async fn ask(
        &self,
        reader: &mut Reader,
        below: &str,
        lines: &str,
    ) -> anyhow::Result<(u16, usize)> {
        ticket::ask(reader, (&self.target.host, &self.ticket), below, lines).await
    }
}
