//! Makes the server ours to use: the epoch in force is its own, and the ticket keys are in the keyring.
//!
//! Runs whenever the connection is another one. Until it has succeeded the ledger takes no orders.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use super::core::Core;
use super::docs::Fields;
use super::names::number_of;
use super::recover;
use super::reply;
use crate::ledger::Fault;
use crate::order::{KEY_BYTES, TicketKey};
use crate::sale::SaleNo;

/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(200);

/// The id of the key that the ledger makes itself; key files have ids from 1.
const OWN_ID: u8 = 0;

/// Keeps at it until the runtime ends.
pub(super) async fn keep(core: Arc<Core>) {
    let mut kept = None;
    loop {
        let Ok(live) = core.calls.live().await else {
            core.set_trouble(core.calls.trouble().map(|trouble| trouble.to_string()));
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        if kept.as_ref().is_some_and(|kept| Arc::ptr_eq(kept, &live)) {
            core.calls.changed(&live).await;
            continue;
        }
        core.set_trouble(Some("the connection to Redis is new: the epoch is looked at".to_owned()));
        match prepare(&core).await {
            Ok(()) => {
                core.probe().await;
                core.set_trouble(None);
                kept = Some(live);
            }
            Err(fault) => {
                core.set_trouble(Some(fault.to_string()));
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn prepare(core: &Arc<Core>) -> Result<(), Fault> {
    let epoch = core.call_all("adopt_all", |command| {
        command.arg(core.epoch());
    });
    core.saw_epoch(reply::number(&epoch.await?)?);
    let sales = sales(core).await?;
    if let Some(name) = core.vanished(&sales) {
        let reason = format!(
            "the sale `{name}` is not in Redis any more: its keys were deleted, or this is another Redis. \
             Bring its data back; restarted processes go on without it"
        );
        return Err(Fault::unavailable(&reason));
    }
    // Not before: a server that lost all is given nothing of its own.
    keys(core).await?;
    for (_, sale_no) in sales {
        recover::adopt(core, sale_no).await?;
    }
    Ok(())
}

/// All sales by name.
pub(super) async fn sales(core: &Core) -> Result<Vec<(String, SaleNo)>, Fault> {
    let mut pairs = reply::list(core.call_all("sales", |_| {}).await?)?.into_iter();
    let mut sales = Vec::new();
    while let Some(name) = pairs.next() {
        let number = reply::next(&mut pairs)?;
        let number = number_of(reply::bytes(&number)?).ok_or_else(|| reply::strange("a number"))?;
        sales.push((reply::text(&name)?.to_owned(), number));
    }
    sales.sort();
    Ok(sales)
}

/// The deployment's ticket keys; the first process makes one.
async fn keys(core: &Core) -> Result<(), Fault> {
    let mut secret = [0; KEY_BYTES];
    getrandom::fill(&mut secret)
        .map_err(|error| Fault::unavailable(&format!("no randomness: {error}")))?;
    let mut hex = String::with_capacity(2 * KEY_BYTES);
    for byte in secret {
        let _ = write!(hex, "{byte:02x}");
    }
    let answer = core.call_all("ticket_key", |command| {
        command.arg(OWN_ID).arg(&hex);
    });
    keep_keys(core, answer.await?)
}

/// The ticket keys that are there.
pub(super) async fn read_keys(core: &Core) -> Result<(), Fault> {
    let live = core.calls.live().await?;
    let mut command = redis::cmd("HGETALL");
    command.arg(core.names.keys());
    keep_keys(core, core.calls.send(&live, &command).await?)
}

fn keep_keys(core: &Core, answer: redis::Value) -> Result<(), Fault> {
    let mut answer = reply::list(answer)?.into_iter();
    while let Some(id) = answer.next() {
        let hex = reply::next(&mut answer)?;
        let key = ticket_key(reply::number(&id)?, reply::text(&hex)?);
        let key = key.ok_or_else(|| reply::strange("a ticket key"))?;
        core.keyring.add(key).map_err(|error| Fault::unavailable(&error.to_string()))?;
    }
    Ok(())
}

fn ticket_key(id: u64, hex: &str) -> Option<TicketKey> {
    let mut secret = [0; KEY_BYTES];
    for (byte, at) in secret.iter_mut().zip((0..).step_by(2)) {
        *byte = u8::from_str_radix(hex.get(at..at + 2)?, 16).ok()?;
    }
    Some(TicketKey { id: u8::try_from(id).ok()?, secret })
}

/// The drain's settings from an answer: time, fields, paces.
pub(super) fn drain_of(value: redis::Value) -> Result<crate::ledger::DrainDoc, Fault> {
    let mut answer = reply::list(value)?.into_iter();
    reply::next(&mut answer)?;
    let fields = Fields::of(reply::list(reply::next(&mut answer)?)?)?;
    fields.drain(reply::text(&reply::next(&mut answer)?)?)
}
