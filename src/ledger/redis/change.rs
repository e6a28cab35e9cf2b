//! Changes of terms, switches, stock, drain and dead orders.

use std::sync::{Arc, PoisonError};

use redis::Cmd;

use super::core::{Core, Patch};
use super::names::number;
use super::record;
use super::reply::{self, strange};
use super::{keeper, rebuild, seam};
use crate::ledger::sales::NOT_HALTED;
use crate::ledger::{Change, Changed, DrainPatch, Fault, Which};
use crate::order::Place;
use crate::sale::{Rate, SaleName, SaleNo, Terms};

pub(super) fn conflict(code: &'static str, detail: impl Into<String>) -> Changed {
    Changed::Conflict { code, detail: detail.into() }
}

/// Makes one change, or says why not.
pub(super) async fn make(core: &Arc<Core>, change: Change) -> Result<Changed, Fault> {
    let changed = match change {
        Change::PutSale { name, terms, numbers, key_id, only_new } => {
            put(core, &name, terms, &numbers, (key_id, only_new)).await
        }
        Change::Pause(name) => switch(core, &name, "pause").await,
        Change::Resume(name) => switch(core, &name, "resume").await,
        Change::Close(name) => switch(core, &name, "close").await,
        Change::Purge(name) => purge(core, &name).await,
        Change::Rebuild { sale, store } => rebuild::make(core, &sale, &store).await,
        Change::Stock { sale, sku, delta, operation } => {
            of_sale(core, &sale, "stock", |command| {
                command.arg(sku.as_str()).arg(delta).arg(&operation);
            })
            .await
        }
        Change::DrainConfig { rate, burst } => {
            let (permits, period) = parts(rate);
            let burst = burst.map_or_else(String::new, |burst| burst.to_string());
            let said = vec![("permits", permits), ("period", period), ("burst", burst)];
            *core.configured.lock().unwrap_or_else(PoisonError::into_inner) = Some(said.clone());
            set_drain(core, said).await
        }
        Change::Drain(patch) => set_drain(core, fields_of(patch)).await,
        Change::RetryDead { sale, which } => retry_dead(core, &sale, which).await,
        Change::RefuseDead { sale, place, reason } => {
            end_dead(core, &sale, place, ("R", "r", &reason)).await
        }
        Change::PlaceDead { sale, place, order_no } => {
            end_dead(core, &sale, place, ("P", "p", &order_no)).await
        }
        Change::Retain { tickets_micros, sales_micros } => {
            retain(core, tickets_micros, sales_micros).await
        }
    };
    core.rounds.nudge();
    changed
}

/// Calls a function of a sale that changes it, and answers with the sale as it is then.
async fn of_sale(
    core: &Core,
    name: &SaleName,
    function: &str,
    arguments: impl FnOnce(&mut Cmd),
) -> Result<Changed, Fault> {
    match core.number_of(name).await? {
        Some(sale_no) => call(core, sale_no, function, arguments).await,
        None => Ok(Changed::NotFound),
    }
}

async fn call(
    core: &Core,
    sale_no: SaleNo,
    function: &str,
    arguments: impl FnOnce(&mut Cmd),
) -> Result<Changed, Fault> {
    if core.sale(sale_no).await?.is_none() && function != "put" {
        return Ok(Changed::NotFound);
    }
    let live = core.calls.live().await?;
    let mut command = core.calls.function(&live, function, &core.names.sale(sale_no));
    arguments(&mut command);
    let answer = reply::list(core.calls.promised(&live, command).await?)?;
    let word = |at: usize| answer.get(at).map_or(Ok(""), reply::text);
    match word(0)? {
        "missing" => Ok(Changed::NotFound),
        "count" => Ok(Changed::Count(answer.get(1).map_or(Ok(0), reply::number)?)),
        "conflict" => Ok(refusal(word(1)?, word(2)?, word(3)?)),
        said => match core.sale(sale_no).await? {
            Some(doc) if said == "created" => Ok(Changed::Created(Box::new(doc))),
            Some(doc) => Ok(Changed::Sale(Box::new(doc))),
            None => Ok(Changed::NotFound),
        },
    }
}

/// Which rule a change breaks, in a sentence.
pub(super) fn refusal(code: &str, subject: &str, known: &str) -> Changed {
    match code {
        "stock_missing" => conflict("stock_missing", format!("state the `stock` of {subject}")),
        "sku_removed" => {
            conflict("sku_removed", format!("{subject} cannot be removed: cut its stock instead"))
        }
        "stock_fixed" => conflict(
            "stock_fixed",
            format!("the stock of {subject} was {known} at its creation: add or cut with /stock"),
        ),
        "operation_reused" => conflict(
            "operation_reused",
            "the operation id was used for another change: use a new one",
        ),
        "below_available" => {
            conflict("below_available", format!("only {subject} units are available"))
        }
        "bad_delta" if subject == "total" => {
            conflict("bad_delta", "all units ever added must stay within 2^53")
        }
        "bad_delta" => conflict("bad_delta", "`delta` must not be 0, and at most 2^53"),
        "not_dead" => conflict("not_dead", "the order is not dead any more"),
        "not_halted" => conflict("not_halted", NOT_HALTED),
        "not_settled" => conflict(
            "not_settled",
            "close the sale, and wait until nothing is queued, placing or dead",
        ),
        _ => conflict("purged", "the sale is purged: use another name"),
    }
}

async fn put(
    core: &Core,
    name: &SaleName,
    terms: Terms,
    numbers: &[SaleNo],
    (key_id, only_new): (u8, bool),
) -> Result<Changed, Fault> {
    let known = core.number_of(name).await?;
    if (known.is_none() || !only_new)
        && let Err(bad) = terms.check()
    {
        return Ok(conflict("bad_terms", bad.0));
    }
    let sale_no = match known {
        Some(sale_no) => sale_no,
        None => {
            if let Some(item) = terms.items.iter().find(|item| item.stock.is_none()) {
                return Ok(refusal("stock_missing", item.sku.as_str(), ""));
            }
            match core.register(name, numbers).await? {
                Some(sale_no) => sale_no,
                None => {
                    return Ok(conflict("bad_terms", "no number is free for the sale: try again"));
                }
            }
        }
    };
    let text = |value: Option<u64>| value.map_or_else(String::new, |value| value.to_string());
    let items = terms.items.clone();
    let stated = Terms { items: Vec::new(), ..terms };
    let json = serde_json::to_string(&stated).map_err(|_| strange("terms cannot be written"))?;
    call(core, sale_no, "put", |command| {
        command.arg(u8::from(only_new)).arg(number(sale_no)).arg(name.as_str()).arg(key_id);
        command.arg(json).arg(text(stated.opens_at.map(|at| at.0)));
        command.arg(text(stated.closes_at.map(|at| at.0))).arg(text(stated.limit_per_buyer));
        for item in &items {
            command.arg(item.sku.as_str()).arg(text(item.stock));
        }
    })
    .await
}

async fn switch(core: &Core, name: &SaleName, what: &str) -> Result<Changed, Fault> {
    of_sale(core, name, "switch", |command| {
        command.arg(what);
    })
    .await
}

async fn purge(core: &Core, name: &SaleName) -> Result<Changed, Fault> {
    let changed = of_sale(core, name, "purge", |_| {}).await?;
    if let Changed::Sale(doc) = &changed {
        sweep(core, doc.sale_no).await?;
    }
    Ok(changed)
}

/// Drops what a purge left, piece by piece.
async fn sweep(core: &Core, sale_no: SaleNo) -> Result<(), Fault> {
    while reply::number(&core.call("sweep", sale_no, |_| {}).await?)? > 0 {}
    Ok(())
}

fn parts(rate: Rate) -> (String, String) {
    match rate {
        Rate::Unlimited => ("0".to_owned(), "1".to_owned()),
        Rate::Per { permits, period_micros } => (permits.to_string(), period_micros.to_string()),
    }
}

fn fields_of(patch: DrainPatch) -> Patch {
    let mut fields = Vec::new();
    if let Some(rate) = patch.rate {
        let (permits, period) = rate.map_or_else(Default::default, parts);
        fields.extend([("op_permits", permits), ("op_period", period)]);
    }
    if let Some(burst) = patch.burst {
        fields.push(("op_burst", burst.map_or_else(String::new, |burst| burst.to_string())));
    }
    if let Some(paused) = patch.paused {
        fields.push(("paused", u8::from(paused).to_string()));
    }
    fields
}

/// Tells a server that has no settings of the drain what this process's configuration says.
pub(super) async fn configure(core: &Core) -> Result<(), Fault> {
    let said = core.configured.lock().unwrap_or_else(PoisonError::into_inner).clone();
    if let Some(said) = said
        && !keeper::is_configured(core.call_all("settings", |_| {}).await?)?
    {
        set_drain(core, said).await?;
    }
    Ok(())
}

async fn set_drain(core: &Core, fields: Patch) -> Result<Changed, Fault> {
    let answer = core.call_all("drain", |command| {
        for (field, value) in &fields {
            command.arg(*field).arg(value);
        }
    });
    Ok(Changed::Drain(Box::new(keeper::drain_of(answer.await?)?)))
}

async fn retry_dead(core: &Core, name: &SaleName, which: Which) -> Result<Changed, Fault> {
    let places = match which {
        Which::Places(places) => places,
        Which::All => {
            let mut all = 0;
            loop {
                match of_sale(core, name, "retry_dead", |_| {}).await? {
                    Changed::Count(0) => return Ok(Changed::Count(all)),
                    Changed::Count(count) => all += count,
                    other => return Ok(other),
                }
            }
        }
    };
    if places.is_empty() {
        return Ok(Changed::Count(0));
    }
    of_sale(core, name, "retry_dead", |command| {
        places.iter().for_each(|place| {
            command.arg(record::place_bytes(*place));
        });
    })
    .await
}

async fn end_dead(
    core: &Core,
    name: &SaleName,
    place: Place,
    (fate, letter, text): (&str, &str, &str),
) -> Result<Changed, Fault> {
    let changed = of_sale(core, name, "end_dead", |command| {
        command.arg(record::place_bytes(place)).arg(fate).arg(text);
    })
    .await?;
    if matches!(changed, Changed::Count(_)) {
        seam::decide(core, letter, None).await;
    }
    Ok(changed)
}

async fn retain(core: &Core, tickets: u64, sales: u64) -> Result<Changed, Fault> {
    let mut count = 0;
    for (name, sale_no) in keeper::sales(core).await? {
        let Some(doc) = core.sale(sale_no).await? else { continue };
        let answer = core.call("retain", sale_no, |command| {
            command.arg(tickets).arg(sales);
        });
        let done = reply::number(&answer.await?)?;
        count += u64::from(done > 0);
        if done == 1 || doc.purged {
            sweep(core, sale_no).await?;
        }
        if done == 2 {
            core.call("forget", sale_no, |_| {}).await?;
            core.unregister(&name, sale_no).await?;
        }
    }
    Ok(Changed::Count(count))
}
