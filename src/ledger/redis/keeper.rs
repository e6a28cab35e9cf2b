//! Makes the server ours to use: the epoch in force is its own, and the ticket keys are in the keyring.
//!
//! Runs whenever the connection is another one. Until it has succeeded the ledger takes no orders.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use super::change;
use super::core::Core;
use super::docs::Fields;
use super::link::Live;
use super::names::number_of;
use super::recover;
use super::reply;
use crate::ledger::{Fault, FaultKind};
use crate::order::{KEY_BYTES, TicketKey};
use crate::sale::SaleNo;

/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(200);

/// Between two looks at a server that is used.
const LOOK_EVERY: Duration = Duration::from_secs(2);

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
            tokio::select! {
                () = core.calls.changed(&live) => {}
                () = core.tails_found.notified() => join(&core).await,
                () = tokio::time::sleep(LOOK_EVERY) => look(&core, &live).await,
            }
            continue;
        }
        core.set_trouble(Some("the connection to Redis is new: the epoch is looked at".to_owned()));
        match prepare(&core).await {
            Ok(()) => {
                core.probe().await;
                core.set_refusal(None);
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

/// Looks at a server that is used: whether it is what it must be, and whether it would take an order.
async fn look(core: &Core, live: &Live) {
    if let Some(trouble) = core.calls.look(live).await {
        core.set_trouble(Some(trouble.to_string()));
        return core.renew();
    }
    match core.call_all("probe", |_| {}).await {
        Ok(_) => core.set_refusal(None),
        // The call's own connection is made again then.
        Err(fault) if fault.kind == FaultKind::InDoubt => {}
        Err(fault) => core.set_refusal(Some(fault.to_string())),
    }
}

/// Takes part in epochs that other processes have begun; is called again after a pause when it could not.
async fn join(core: &Arc<Core>) {
    if let Err(fault) = join_all(core).await {
        tracing::debug!(reason = %fault, "an epoch may have begun that is not known here");
        tokio::time::sleep(PAUSE).await;
        core.tails_found.notify_one();
    }
}

async fn join_all(core: &Arc<Core>) -> Result<(), Fault> {
    for (name, sale_no) in sales(core).await? {
        unless_halted(&name, recover::join(core, sale_no).await)?;
    }
    Ok(())
}

/// A sale that is halted is no reason to wait: each of its calls says why.
fn unless_halted(name: &str, adopted: Result<(), Fault>) -> Result<(), Fault> {
    match adopted {
        Err(fault) if fault.kind == FaultKind::Corrupt => {
            tracing::error!(sale = name, reason = %fault, "the sale cannot be read");
            Ok(())
        }
        adopted => adopted,
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
             Bring its data back, or make it anew from what this process remembers and the store has: \
             `forebay sale rebuild {name}`. Restarted processes go on without it"
        );
        return Err(Fault::unavailable(&reason));
    }
    // Not before: a server that lost all is given nothing of its own.
    keys(core).await?;
    change::configure(core).await?;
    for (name, sale_no) in sales {
        unless_halted(&name, recover::adopt(core, sale_no).await)?;
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

/// The deployment's ticket keys. The first process makes one; where it was lost, whoever knows it brings it back.
pub(super) async fn keys(core: &Core) -> Result<(), Fault> {
    let mut secret = [0; KEY_BYTES];
    match core.keyring.key(OWN_ID) {
        Some(known) => secret = known.secret,
        None => getrandom::fill(&mut secret)
            .map_err(|error| Fault::unavailable(&format!("no randomness: {error}")))?,
    }
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

/// Whether an answer with the drain's settings has any that a configuration says.
pub(super) fn is_configured(value: redis::Value) -> Result<bool, Fault> {
    let mut answer = reply::list(value)?.into_iter();
    reply::next(&mut answer)?;
    Ok(Fields::of(reply::list(reply::next(&mut answer)?)?)?.has("permits"))
}

/// The drain's settings from an answer: time, fields, paces.
pub(super) fn drain_of(value: redis::Value) -> Result<crate::ledger::DrainDoc, Fault> {
    let mut answer = reply::list(value)?.into_iter();
    reply::next(&mut answer)?;
    let fields = Fields::of(reply::list(reply::next(&mut answer)?)?)?;
    fields.drain(reply::text(&reply::next(&mut answer)?)?)
}
