//! The peers of `loadtest/bench/run` that need no more than the tests do: each does the job that it is timed for, and
//! every answer of a short race is the right one; those of `--drain` carry each order once. How fast they are is not
//! judged here.

use std::path::Path;

use super::Checks;
use crate::bench::{Name, Rig, check, drain};
use crate::lap::Length;
use crate::report;

const CONNECTIONS: usize = 16;
const ORDERS: u64 = 1_000;
const CARRIED: u64 = 1_000;

pub(super) async fn prove(binary: &Path, checks: &mut Checks) -> anyhow::Result<()> {
    let rig = Rig::new(binary, None, 1).await?;
    for name in Name::AT_HAND {
        let peer = rig.start(name, false).await?;
        let label = peer.label();
        for finding in check(&peer).await? {
            checks.promise(finding.holds, format_args!("{label}: {}", finding.what));
        }
        for lane in peer.lanes() {
            // An answer that is not the expected one is an error.
            let lap = peer.runner(*lane, CONNECTIONS, "proof").run(Length::Orders(ORDERS)).await?;
            report::row("answered", format_args!("{label}: {} {}", lap.orders, lane.name()));
        }
        peer.end().await?;
    }
    carrying(binary, checks).await
}

async fn carrying(binary: &Path, checks: &mut Checks) -> anyhow::Result<()> {
    let rig = drain::Rig::start(binary, None, CONNECTIONS, 1).await?;
    for name in drain::Name::AT_HAND {
        let (turn, findings) = Box::pin(rig.turn(name, CARRIED)).await?;
        for finding in findings {
            checks.promise(finding.holds, format_args!("{}: {}", name.label(), finding.what));
        }
        let took = turn.elapsed.as_millis();
        report::row("carried", format_args!("{}: {CARRIED} in {took} ms", name.label()));
    }
    rig.end().await
}
