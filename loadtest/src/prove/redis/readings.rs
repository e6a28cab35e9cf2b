//! Tickets, read at one gateway and then at another: what each is told, and that it is one story.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use tokio::io::AsyncReadExt;
use tokio::task::JoinSet;

use crate::clock;
use crate::drive::{Shared, look, shared};
use crate::history::History;
use crate::target::Target;
use crate::trail::{Asked, Document, Trails};
use crate::wire::ticket::{self, Reader};

/// Connections by which tickets are read.
const CONNECTIONS: usize = 8;
/// How long a ticket that has ended in the ledger may take to be told so everywhere.
const TOLD_WITHIN: Duration = Duration::from_secs(10);

/// What is wanted of a ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Whatever it is.
    State,
    /// Its end: it is asked again until that is told.
    End,
}

/// What was told of all tickets of a sale, by whichever gateway.
pub(super) struct Readings {
    began: Instant,
    trails: Shared<Trails>,
    tickets: Arc<Vec<(u64, Box<str>)>>,
}

impl Readings {
    /// Of the tickets that this history has.
    pub(super) fn of(history: &History) -> Self {
        let first = |(ask, fate): (u64, crate::history::Fate)| {
            Some((ask, fate.tickets.into_iter().next()?))
        };
        let tickets: Vec<_> = history.fates().into_iter().filter_map(first).collect();
        let mut trails = Trails::default();
        let queued = || Document { state: "queued".to_owned(), ..Document::default() };
        for (ask, ticket) in &tickets {
            trails.accepted(*ask, ticket, &queued(), Asked { sent_us: 0, answered_us: 0 });
        }
        Self { began: clock::now(), trails: shared(trails), tickets: Arc::new(tickets) }
    }

    /// Reads each ticket once, at the gateway that `at` names for its ask. Answers how many have not ended.
    pub(super) async fn read(
        &self,
        targets: [&Target; 2],
        at: impl Fn(u64) -> usize,
        wanted: Wanted,
    ) -> anyhow::Result<u64> {
        let mut readers = JoinSet::new();
        for part in 0..CONNECTIONS {
            let mine = self.tickets.iter().skip(part).step_by(CONNECTIONS);
            let mine: Vec<_> = mine.map(|(ask, ticket)| (*ask, ticket.clone(), at(*ask))).collect();
            let targets = targets.map(Target::clone);
            let (trails, began) = (self.trails.clone(), self.began);
            readers.spawn(async move {
                let mut sockets =
                    [ticket::connect(&targets[0]).await?, ticket::connect(&targets[1]).await?];
                let mut waiting = 0;
                for (ask, ticket, at) in mine {
                    let host = (targets[at].host.as_str(), ticket.as_ref());
                    waiting += u64::from(
                        !read_one(&mut sockets[at], host, ask, wanted, began, &trails).await?,
                    );
                }
                anyhow::Ok(waiting)
            });
        }
        let mut waiting = 0;
        while let Some(read) = readers.join_next().await {
            waiting += read.context("a reader broke off")??;
        }
        Ok(waiting)
    }

    /// How many there are.
    pub(super) fn count(&self) -> u64 {
        self.tickets.len() as u64
    }

    /// What was told.
    pub(super) fn trails(&self) -> &Shared<Trails> {
        &self.trails
    }
}

/// Reads one ticket; answers whether it has ended.
async fn read_one(
    socket: &mut Reader,
    host: (&str, &str),
    ask: u64,
    wanted: Wanted,
    began: Instant,
    trails: &Shared<Trails>,
) -> anyhow::Result<bool> {
    let below = if wanted == Wanted::End { "?wait=5" } else { "" };
    let now = || u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
    let until = clock::now() + TOLD_WITHIN;
    loop {
        let sent_us = now();
        let (status, length) = ticket::ask(socket, host, below, "").await?;
        let mut body = vec![0; length];
        socket.read_exact(&mut body).await?;
        if status != 200 {
            look(trails).denied(ask, status);
            return Ok(false);
        }
        let told: Document = serde_json::from_slice(&body)?;
        if wanted == Wanted::State || told.ended() {
            look(trails).see(ask, &told, Asked { sent_us, answered_us: now() });
            return Ok(told.ended());
        }
        ensure!(clock::now() < until, "ticket {} is still told as {}", host.1, told.state);
    }
}
