//! The rounds: every peer takes its turn, again and again, and beside each turn stands what the rest of the machine
//! did meanwhile.

use std::time::Duration;

use anyhow::Context;

use super::quiet::Others;
use super::{Lane, Peer};
use crate::cpu::tree;
use crate::lap::{Lap, Length, Runner};
use crate::output;
use crate::prove::Scale;

/// How much is measured.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) rounds: usize,
    pub(super) turn: Duration,
    pub(super) connections: &'static [usize],
}

impl Plan {
    pub(super) fn of(scale: Scale) -> Self {
        scale.pick(
            Self { rounds: 1, turn: Duration::from_millis(200), connections: &[64] },
            Self { rounds: 9, turn: Duration::from_secs(1), connections: &[64, 512] },
        )
    }
}

/// A turn, and how much of the machine others used in it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Turn {
    pub(super) lap: Lap,
    /// In cores.
    pub(super) others: f64,
}

/// All turns of one lane of one peer, a round each.
#[derive(Debug)]
pub(super) struct Row {
    /// Which of the peers.
    pub(super) peer: usize,
    pub(super) lane: Lane,
    pub(super) connections: usize,
    pub(super) turns: Vec<Turn>,
}

/// Lets all peers take turns: one to warm up, which is thrown away, then so many rounds.
pub(super) async fn run(peers: &[Peer], plan: &Plan) -> anyhow::Result<Vec<Row>> {
    let mut sides: Vec<(Row, Runner)> = Vec::new();
    for connections in plan.connections {
        for (peer, at) in peers.iter().zip(0..) {
            for lane in peer.lanes() {
                // Buyers of their own for each side: nobody orders twice.
                let runner = peer.runner(*lane, *connections, &format!("race-{connections}"));
                let (lane, connections) = (*lane, *connections);
                sides.push((Row { peer: at, lane, connections, turns: Vec::new() }, runner));
            }
        }
    }
    let ours = tree(std::process::id())?;
    for round in 0..=plan.rounds {
        output::note(match round {
            0 => "warming up".to_owned(),
            _ => format!("round {round} of {}", plan.rounds),
        });
        for (row, runner) in &mut sides {
            let turn = one(runner, plan.turn, &ours).await.with_context(|| {
                let peer = peers.get(row.peer).map(Peer::label).unwrap_or_default();
                format!("{peer}: {}, {} connections", row.lane.name(), row.connections)
            })?;
            if round > 0 {
                row.turns.push(turn);
            }
        }
    }
    Ok(sides.into_iter().map(|(row, _)| row).collect())
}

async fn one(runner: &mut Runner, turn: Duration, ours: &[u32]) -> anyhow::Result<Turn> {
    let others = Others::since_now(ours.to_vec())?;
    let lap = runner.run(Length::Time(turn)).await?;
    Ok(Turn { lap, others: others.cores()? })
}
