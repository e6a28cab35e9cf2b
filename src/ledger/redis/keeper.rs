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
use super::reply;
use crate::clock::micros;
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
            match tokio::time::timeout(LOOK_EVERY, core.calls.changed(&live)).await {
                Err(_) => look(&core, &live).await,
                Ok(()) => {
                    core.set_trouble(Some("the connection to Redis is made again".to_owned()))
                }
            }
            continue;
        }
        match prepare(&core).await {
            Ok(()) => {
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

async fn prepare(core: &Core) -> Result<(), Fault> {
    core.call_all("adopt_all", |command| {
        command.arg(0);
    })
    .await?;
    keys(core).await?;
    change::configure(core).await?;
    let hold = micros(core.config.recover_hold.0);
    let (before, mut here) = (core.known_sales(), Vec::new());
    for (name, sale_no) in sales(core).await? {
        here.push(sale_no);
        let adopted = core.call("adopt", sale_no, |command| {
            command.arg(0).arg(hold);
        });
        match adopted.await {
            // It is halted: each of its calls says why.
            Err(fault) if fault.kind == FaultKind::Corrupt => {
                tracing::error!(sale = name, reason = %fault, "the sale cannot be read");
            }
            adopted => drop(adopted?),
        }
    }
    for (sale_no, name) in before.into_iter().filter(|(sale_no, _)| !here.contains(sale_no)) {
        core.forget(sale_no);
        tracing::error!(
            sale = %name,
            "Redis has lost the sale with all its orders; the store has what was placed: \
             was it restarted without persistence, or flushed?"
        );
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
async fn keys(core: &Core) -> Result<(), Fault> {
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
    let mut answer = reply::list(answer.await?)?.into_iter();
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
