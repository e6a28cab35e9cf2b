//! Reads orders: by place, in admission order, and the dead ones.

use super::core::Core;
use super::docs;
use super::record::{self, Kept, Known, Unread};
use super::reply::{self, Cut, strange};
use crate::ledger::orders::last_error;
use crate::ledger::{DeadDoc, DeadPage, EpochSpan, ExportPage, Fault, Timeline};
use crate::order::{Place, State};
use crate::sale::SaleNo;

/// Orders of one call.
const PAGE: usize = 256;

/// Dead orders of one answer.
const DEAD_MAX: usize = 10_000;

/// Each order with its attempts; `None` where there is no such order.
pub(super) async fn timelines(
    core: &Core,
    sale_no: SaleNo,
    places: &[Place],
) -> Result<Vec<Option<Timeline>>, Fault> {
    if core.known(sale_no, false).await?.is_none() {
        return Ok(places.iter().map(|_| None).collect());
    }
    let mut found = Vec::with_capacity(places.len());
    for page in places.chunks(PAGE) {
        let answer = core.call("orders", sale_no, |command| {
            page.iter().for_each(|place| {
                command.arg(record::place_bytes(*place));
            });
        });
        let kept = reply::list(answer.await?)?;
        found.extend(core.reading(sale_no, |known| read(page, &kept, known)).await?);
    }
    Ok(found)
}

fn read(
    places: &[Place],
    kept: &[redis::Value],
    known: &Known,
) -> Result<Vec<Option<Timeline>>, Unread> {
    let one = |(place, kept): (&Place, &[redis::Value])| {
        let [queue, tries, ended, long] = kept else {
            return Err(strange("an order").into());
        };
        let kept = Kept {
            queue: reply::bytes(queue)?,
            tries: reply::bytes(tries)?,
            ended: reply::bytes(ended)?,
            long: reply::bytes(long)?,
        };
        record::timeline(*place, kept, known)
    };
    places.iter().zip(kept.chunks(4)).map(one).collect()
}

/// Where the sale's epochs begin and how many orders it has; `None` when it is not there or purged.
async fn extent(core: &Core, sale_no: SaleNo) -> Result<Option<(Vec<EpochSpan>, u64)>, Fault> {
    match reply::list(core.call("extent", sale_no, |_| {}).await?)?.as_slice() {
        [spans, count] => Ok(Some((docs::spans(reply::text(spans)?)?, reply::number(count)?))),
        _ => Ok(None),
    }
}

/// The place of the order at `index`.
fn place_at(spans: &[EpochSpan], index: u64) -> Option<Place> {
    let span = spans.iter().rev().find(|span| span.first_index <= index)?;
    Some(Place { epoch: span.epoch, sequence: index - span.first_index + 1 })
}

fn index_of(spans: &[EpochSpan], place: Place) -> Option<u64> {
    let span = spans.iter().find(|span| span.epoch == place.epoch)?;
    span.first_index.checked_add(place.sequence.checked_sub(1)?)
}

/// Orders in admission order from index `from`.
pub(super) async fn export(
    core: &Core,
    sale_no: SaleNo,
    from: u64,
    max: usize,
) -> Result<ExportPage, Fault> {
    let Some((spans, count)) = extent(core, sale_no).await? else {
        return Ok(ExportPage::default());
    };
    let end = from.saturating_add(max as u64).min(count);
    let places: Vec<Place> = (from..end).filter_map(|index| place_at(&spans, index)).collect();
    let found = timelines(core, sale_no, &places).await?;
    let missing = || strange("an accepted order is not there");
    let orders: Option<Vec<_>> =
        found.into_iter().map(|found| found.map(|found| found.order)).collect();
    Ok(ExportPage { orders: orders.ok_or_else(missing)?, next: (end < count).then_some(end) })
}

/// Dead orders in admission order from index `from`, with what was said last of each.
pub(super) async fn dead(
    core: &Core,
    sale_no: SaleNo,
    from: u64,
    max: usize,
) -> Result<DeadPage, Fault> {
    let Some((spans, _)) = extent(core, sale_no).await? else { return Ok(DeadPage::default()) };
    let max = max.min(DEAD_MAX);
    let first = place_at(&spans, from).unwrap_or(Place { epoch: 0, sequence: 0 });
    let answer = core.call("dead", sale_no, |command| {
        command.arg(record::place_bytes(first)).arg(max + 1);
    });
    let places = reply::list(answer.await?)?;
    let place = |value: &redis::Value| record::read_place(&mut Cut(reply::bytes(value)?));
    let places: Vec<Place> = places.iter().map(place).collect::<Result<_, Fault>>()?;
    let next = places.get(max).and_then(|place| index_of(&spans, *place));
    let page = places.get(..max.min(places.len())).unwrap_or_default();
    let found = timelines(core, sale_no, page).await?;
    // One that was retried or refused meanwhile is not dead any more.
    let is_dead = |found: &Timeline| found.order.state == State::Dead;
    let dead =
        |found: Timeline| DeadDoc { last_error: last_error(&found.attempts), order: found.order };
    Ok(DeadPage { orders: found.into_iter().flatten().filter(is_dead).map(dead).collect(), next })
}
