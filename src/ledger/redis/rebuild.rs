//! A halted sale is made anew: because an operator says so, never by itself. All of its units are there again, on hold,
//! until what processes remember and what the store has was brought back.

use std::sync::Arc;

use super::core::Core;
use super::names::number;
use super::reply::{self, strange};
use super::{change, keeper, recover};
use crate::ledger::{Changed, Fault, FaultKind, SaleDoc, StoredUnits};
use crate::sale::{SaleName, Terms};

/// Makes the sale anew, if it is halted.
pub(super) async fn make(
    core: &Arc<Core>,
    name: &SaleName,
    store: &[StoredUnits],
) -> Result<Changed, Fault> {
    let Some(doc) = last_known(core, name).await? else { return Ok(Changed::NotFound) };
    // A server that lost all gets back what signs the tickets, and the sale's own number.
    keeper::keys(core).await?;
    if core.register(name, &[doc.sale_no]).await? != Some(doc.sale_no) {
        let taken = "another sale has the name or the number now: purge it, or give the units to a new sale";
        return Ok(change::conflict("name_taken", taken));
    }
    if let Some(refused) = begin_anew(core, &doc, store).await? {
        return Ok(refused);
    }
    tracing::warn!(sale = %name, sale_no = doc.sale_no.0, "the sale begins anew by an operator's word");
    recover::adopt(core, doc.sale_no).await?;
    let doc = core.sale(doc.sale_no).await?;
    Ok(doc.map_or(Changed::NotFound, |doc| Changed::Sale(Box::new(doc))))
}

/// The sale as the server has it, or else as this process saw it last.
async fn last_known(core: &Core, name: &SaleName) -> Result<Option<SaleDoc>, Fault> {
    let Some(sale_no) = core.number_of(name).await? else { return Ok(None) };
    let seen = core.seen(sale_no);
    match core.sale(sale_no).await {
        Ok(Some(doc)) => Ok(Some(doc)),
        Ok(None) => Ok(seen),
        Err(fault) if fault.kind == FaultKind::Corrupt && seen.is_some() => Ok(seen),
        Err(fault) => Err(fault),
    }
}

/// Answers why not, if it was not done.
async fn begin_anew(
    core: &Core,
    doc: &SaleDoc,
    store: &[StoredUnits],
) -> Result<Option<Changed>, Fault> {
    let stored = |sku: &str| store.iter().find(|of| of.sale_no == doc.sale_no && of.sku == sku);
    let had = store.iter().filter(|of| of.sale_no == doc.sale_no).map(|of| of.newest_change).max();
    let text = |value: Option<u64>| value.map_or_else(String::new, |value| value.to_string());
    let stated = Terms { items: Vec::new(), ..doc.terms.clone() };
    let terms = serde_json::to_string(&stated).map_err(|_| strange("terms cannot be written"))?;
    let answer = core.call("rebuild", doc.sale_no, |command| {
        command.arg(number(doc.sale_no)).arg(doc.name.as_str()).arg(doc.key_id);
        command.arg(&terms).arg(text(stated.opens_at.map(|at| at.0)));
        command.arg(text(stated.closes_at.map(|at| at.0))).arg(text(stated.limit_per_buyer));
        command
            .arg(doc.made_at.0)
            .arg(text(doc.limit_loosest))
            .arg(u8::from(doc.paused))
            .arg(u8::from(doc.closed));
        command
            .arg(doc.census.epoch.max(core.epoch_of(doc.sale_no)))
            .arg(doc.census.revision)
            .arg(doc.stock_changes);
        command.arg(had.unwrap_or(0));
        for item in &doc.census.items {
            command.arg(item.sku.as_str()).arg(item.initial).arg(item.added).arg(item.cut);
            command.arg(text(stored(item.sku.as_str()).map(|of| of.units)));
        }
    });
    let answer = reply::list(answer.await?)?;
    let word = |at: usize| answer.get(at).map_or(Ok(""), reply::text);
    Ok(match word(0)? {
        "conflict" => Some(change::refusal(word(1)?, word(2)?, word(3)?)),
        _ => None,
    })
}
