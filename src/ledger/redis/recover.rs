//! A new epoch of a sale: what this process remembers is brought back while the sale is on hold, then the hold ends.
//!
//! Every process does this for every sale. What two remember counts once, and whoever comes last changes nothing.

use std::sync::Arc;
use std::time::Duration;

use redis::Value;

use super::core::Core;
use super::record;
use super::reply::{self, strange};
use crate::clock::micros;
use crate::ledger::Fault;
use crate::order::Place;
use crate::sale::SaleNo;

/// Orders of one call.
const PAGE: usize = 200;
/// Between two looks at the server, at most.
const PAUSE: Duration = Duration::from_millis(200);

/// A sale that is on hold.
#[derive(Clone, Copy, Debug)]
struct Hold {
    sale_no: SaleNo,
    /// What may be missing begins here, and ends with its epoch.
    missing: Place,
}

/// Makes the server's epoch the sale's. While the sale is on hold, a task of its own ends that.
pub(super) async fn adopt(core: &Arc<Core>, sale_no: SaleNo) -> Result<(), Fault> {
    let answer = core.call("adopt", sale_no, |command| {
        command.arg(core.epoch_of(sale_no)).arg(micros(core.config.recover_hold.0));
    });
    let answer = reply::list(answer.await?)?;
    let [epoch, held, ended, missing, ..] = answer.as_slice() else {
        return Err(strange("an epoch"));
    };
    if reply::number(held)? == 0 {
        return Ok(());
    }
    let ended = u16::try_from(reply::number(ended)?).map_err(|_| strange("an epoch"))?;
    let missing = Place { epoch: ended, sequence: reply::number(missing)? };
    tracing::warn!(
        sale_no = sale_no.0,
        epoch = reply::number(epoch)?,
        from = missing.sequence,
        "Redis was restarted or replaced: a new epoch begins, and what this process remembers from there on is brought back"
    );
    let hold = Hold { sale_no, missing };
    bring_back(core, hold).await?;
    if core.config.recover_hold.0.is_zero() {
        return end(core, hold).await;
    }
    let core = Arc::clone(core);
    tokio::spawn(async move {
        // A server that is replaced again begins anew, by another task.
        while let Err(fault) = end(&core, hold).await {
            tracing::warn!(%fault, sale_no = sale_no.0, "the hold of a sale could not be ended yet");
            tokio::time::sleep(PAUSE).await;
            if core.trouble().is_some() {
                return;
            }
        }
    });
    Ok(())
}

async fn bring_back(core: &Core, hold: Hold) -> Result<(), Fault> {
    let Hold { sale_no, missing } = hold;
    let orders = core.remembered.from(sale_no, missing)?;
    let mut new = 0;
    for page in orders.chunks(PAGE) {
        let answer = core.call("bring_back", sale_no, |command| {
            for told in page {
                command.arg(record::place_bytes(told.place)).arg(&told.bytes);
            }
        });
        new += reply::number(&answer.await?)?;
    }
    let cancelled = core.remembered.cancelled(sale_no, missing.epoch);
    for page in cancelled.chunks(PAGE) {
        core.call("bring_cancelled", sale_no, |command| {
            page.iter().for_each(|place| {
                command.arg(record::place_bytes(*place));
            });
        })
        .await?;
    }
    tracing::info!(sale_no = sale_no.0, remembered = orders.len(), new, "orders brought back");
    Ok(())
}

/// Ends the hold when its time has come.
async fn end(core: &Core, hold: Hold) -> Result<(), Fault> {
    loop {
        let answer: Value = core.call("end_hold", hold.sale_no, |_| {}).await?;
        match u64::try_from(reply::signed(&answer)?) {
            Err(_) => return Ok(()),
            // The server's clock may be set meanwhile.
            Ok(wait) => tokio::time::sleep(Duration::from_micros(wait).min(PAUSE)).await,
        }
    }
}
