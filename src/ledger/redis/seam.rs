//! The seam as the Redis engine keeps it: each call is one function in the server, or one for each sale.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;

use super::core::Core;
use super::engine::Redis;
use super::record::{self, Known, Unread};
use super::reply::{self, strange};
use super::{change, keeper, orders, recover};
use crate::clock::{Timestamp, micros};
use crate::ledger::{
    Answer, Cancel, Cancelled, Change, Changed, Claim, Claimed, DeadPage, DrainDoc, ExportPage,
    Fate, Fault, Grant, LeaseId, Ledger, Missing, OrderDoc, Reserve, Reserved, SaleDoc, Settle,
    Settled, Snapshot, Stored, Tail, TailId, Timeline,
};
use crate::order::Place;
use crate::sale::{Rate, SaleName, SaleNo, StockChange};

/// How long a reader of the tail waits for a round, in timeouts of a call.
const ROUNDS_WAIT: u32 = 4;

/// Where each sale's part of a batch stands in it.
fn by_sale(sales: impl Iterator<Item = SaleNo>) -> BTreeMap<SaleNo, Vec<usize>> {
    let mut groups = BTreeMap::<SaleNo, Vec<usize>>::new();
    for (at, sale_no) in sales.enumerate() {
        groups.entry(sale_no).or_default().push(at);
    }
    groups
}

/// Answers of all sales back in the order of the batch.
fn in_order<T>(parts: Vec<(Vec<usize>, Vec<T>)>) -> Vec<T> {
    let mut all: Vec<(usize, T)> =
        parts.into_iter().flat_map(|(at, answers)| at.into_iter().zip(answers)).collect();
    all.sort_by_key(|(at, _)| *at);
    all.into_iter().map(|(_, answer)| answer).collect()
}

async fn reserve(core: &Core, orders: Vec<Reserve>) -> Result<Vec<Reserved>, Fault> {
    let gone = |_| Err(Fault::in_doubt("the lane ended before its answer"));
    let lane = core.lane();
    let Some(first) = orders.first() else { return Ok(Vec::new()) };
    let sale_no = first.sale_no;
    let answers = if orders.iter().all(|order| order.sale_no == sale_no) {
        lane.push(sale_no, orders).await.unwrap_or_else(gone)?
    } else {
        let groups = by_sale(orders.iter().map(|order| order.sale_no));
        let mut orders: Vec<Option<Reserve>> = orders.into_iter().map(Some).collect();
        let mut waiting = Vec::new();
        for (sale_no, at) in groups {
            let own = at.iter().filter_map(|at| orders.get_mut(*at)?.take()).collect();
            waiting.push((at, lane.push(sale_no, own)));
        }
        let mut parts = Vec::new();
        for (at, answer) in waiting {
            parts.push((at, answer.await.unwrap_or_else(gone)?));
        }
        in_order(parts)
    };
    if answers.iter().any(|answer| matches!(answer, Reserved::Accepted(_))) {
        core.rounds.nudge();
    }
    Ok(answers)
}

async fn cancel(core: &Core, cancels: Vec<Cancel>) -> Result<Vec<Cancelled>, Fault> {
    let mut parts = Vec::new();
    for (sale_no, at) in by_sale(cancels.iter().map(|cancel| cancel.sale_no)) {
        let places: Vec<Place> =
            at.iter().filter_map(|at| cancels.get(*at)).map(|cancel| cancel.place).collect();
        if core.known(sale_no, false).await?.is_none() {
            parts.push((at, places.iter().map(|_| Cancelled::Unknown).collect()));
            continue;
        }
        let live = core.calls.live().await?;
        let mut command = core.calls.function(&live, "cancel", &core.names.sale(sale_no));
        places.iter().for_each(|place| {
            command.arg(record::place_bytes(*place));
        });
        let codes = reply::list(core.calls.promised(&live, command).await?)?;
        let docs = orders::timelines(core, sale_no, &places).await?;
        let answer = |(code, doc): (redis::Value, Option<Timeline>)| {
            Ok(match (reply::bytes(&code)?, doc) {
                (b"D", Some(doc)) => {
                    core.remembered.keep_cancelled(sale_no, doc.order.place);
                    Cancelled::Done(doc.order)
                }
                (b"T", Some(doc)) => Cancelled::TooLate(doc.order),
                _ => Cancelled::Unknown,
            })
        };
        parts.push((at, codes.into_iter().zip(docs).map(answer).collect::<Result<_, Fault>>()?));
    }
    core.rounds.nudge();
    Ok(in_order(parts))
}

async fn grant(core: &Core, sale_no: SaleNo, want: u32) -> Result<Grant, Fault> {
    let known = core.known(sale_no, false).await?;
    let own = known.and_then(|known| known.doc.terms.drain_rate);
    let answer = core.call_all("grant", |command| {
        command.arg(super::names::number(sale_no)).arg(want);
        match own {
            Some(Rate::Per { permits, period_micros }) => command.arg(permits).arg(period_micros),
            Some(Rate::Unlimited) | None => command.arg("").arg(""),
        };
    });
    let mut answer = reply::list(answer.await?)?.into_iter();
    let granted = reply::number(&reply::next(&mut answer)?)?;
    let at = Timestamp(reply::number(&reply::next(&mut answer)?)?);
    let wait = reply::signed(&reply::next(&mut answer)?)?;
    core.saw_answers(reply::number(&reply::next(&mut answer)?)?);
    let granted = u32::try_from(granted).map_err(|_| strange("a grant"))?;
    let retry_in = u64::try_from(wait).ok().filter(|_| granted == 0).map(Duration::from_micros);
    Ok(Grant { granted, at, retry_in })
}

async fn claim(core: &Core, claim: Claim) -> Result<Claimed, Fault> {
    let nothing = Claimed {
        lease: LeaseId(0),
        until: claim.granted_at.plus(claim.lease),
        orders: Vec::new(),
        changes: Vec::new(),
        more: false,
        next_due: None,
    };
    if core.known(claim.sale_no, false).await?.is_none() {
        return Ok(nothing);
    }
    let live = core.drain.live().await?;
    let mut command = core.drain.function(&live, "claim", &core.names.sale(claim.sale_no));
    command.arg(claim.max).arg(micros(claim.lease)).arg(claim.granted_at.0);
    command.arg(claim.stock_seen).arg(core.answers());
    let answer = core.drain.promised(&live, command).await?;
    core.reading(claim.sale_no, |known| read_claimed(&answer, known)).await
}

fn read_claimed(answer: &redis::Value, known: &Known) -> Result<Claimed, Unread> {
    let redis::Value::Array(values) = answer else { return Err(strange("a claim").into()) };
    let [lease, until, more, next, newest, changes, back, orders @ ..] = values.as_slice() else {
        return Err(strange("a claim").into());
    };
    let redis::Value::Array(changes) = changes else { return Err(strange("changes").into()) };
    let next = reply::number(next)?;
    let first = (reply::number(newest)? + 1).saturating_sub(changes.len() as u64);
    let change = |(number, value): (u64, &redis::Value)| read_change(number, value, known);
    let back = usize::try_from(reply::number(back)?).map_err(|_| strange("a claim"))?;
    let (back, fresh) = orders.split_at_checked(4 * back).ok_or_else(|| strange("a claim"))?;
    let of = |place: &redis::Value, order: &redis::Value, tries: (u64, u64)| {
        record::claimed(reply::bytes(place)?, reply::bytes(order)?, tries, known)
    };
    let mut taken = Vec::with_capacity(back.len() / 4 + fresh.len() / 2);
    for parts in back.chunks(4) {
        let [place, order, attempts, claims] = parts else {
            return Err(strange("an order").into());
        };
        taken.push(of(place, order, (reply::number(attempts)?, reply::number(claims)?))?);
    }
    for parts in fresh.chunks(2) {
        let [place, order] = parts else { return Err(strange("an order").into()) };
        taken.push(of(place, order, (0, 0))?);
    }
    Ok(Claimed {
        lease: LeaseId(reply::number(lease)?),
        until: Timestamp(reply::number(until)?),
        orders: taken,
        changes: (first..).zip(changes).map(change).collect::<Result<_, _>>()?,
        more: reply::number(more)? == 1,
        next_due: (next > 0).then_some(Timestamp(next)),
    })
}

/// `item creates delta`.
fn read_change(number: u64, value: &redis::Value, known: &Known) -> Result<StockChange, Unread> {
    let mut parts = reply::text(value)?.split(' ');
    let mut part = || parts.next().ok_or_else(|| strange("a stock change"));
    let item: usize = part()?.parse().map_err(|_| strange("an item"))?;
    let creates = part()? == "1";
    let delta = part()?.parse().map_err(|_| strange("a delta"))?;
    Ok(StockChange {
        sale_no: known.doc.sale_no,
        sale: known.doc.name.clone(),
        number,
        sku: known.sku(item)?.clone(),
        creates,
        delta,
    })
}

async fn settle(core: &Core, settles: Vec<Settle>) -> Result<Vec<Settled>, Fault> {
    let brake = settles.first().and_then(|settle| settle.brake);
    let mut parts = Vec::new();
    for (sale_no, at) in by_sale(settles.iter().map(|settle| settle.sale_no)) {
        if core.known(sale_no, false).await?.is_none() {
            let unknown = at.iter().map(|_| Settled::Unknown).collect();
            parts.push((at, unknown));
            continue;
        }
        let live = core.drain.live().await?;
        let mut command = core.drain.function(&live, "settle", &core.names.sale(sale_no));
        command.arg(core.answers());
        let own = at.iter().filter_map(|at| settles.get(*at));
        own.for_each(|settle| {
            command.arg(write_settle(settle));
        });
        let mut answer = reply::list(core.drain.send(&live, &command).await?)?.into_iter();
        let decided = reply::next(&mut answer)?;
        let settled = answer.map(|code| {
            Ok(match reply::bytes(&code)? {
                b"D" => Settled::Done,
                b"S" => Settled::Stale,
                _ => Settled::Unknown,
            })
        });
        parts.push((at, settled.collect::<Result<_, Fault>>()?));
        decide(core, reply::text(&decided)?, brake).await;
    }
    core.rounds.nudge();
    Ok(in_order(parts))
}

/// Counts what the store decided over all drains. What is settled stays settled when this fails.
pub(super) async fn decide(core: &Core, letters: &str, brake: Option<u8>) {
    if letters.is_empty() {
        return;
    }
    core.saw_answers(core.answers() + letters.len() as u64);
    let counted = core.call_all("decided", |command| {
        command.arg(letters).arg(brake.map_or_else(String::new, |percent| percent.to_string()));
    });
    match counted.await.and_then(|answers| reply::number(&answers)) {
        Ok(answers) => core.saw_answers(answers),
        Err(fault) => tracing::warn!(%fault, "the store's answers could not be counted"),
    }
}

/// Place 8, lease 8, fate 1, and what it needs.
fn write_settle(settle: &Settle) -> Vec<u8> {
    let mut out = record::place_bytes(settle.place);
    out.extend_from_slice(&settle.lease.0.to_be_bytes());
    match &settle.fate {
        Fate::Placed { order_no } => {
            out.push(b'P');
            out.extend_from_slice(order_no.as_bytes());
        }
        Fate::Refused { reason } => {
            out.push(b'R');
            out.extend_from_slice(reason.as_bytes());
        }
        Fate::Later { after, reason, spends } => {
            out.push(b'L');
            out.extend_from_slice(&micros(*after).to_be_bytes());
            out.push(u8::from(*spends));
            out.extend_from_slice(reason.as_bytes());
        }
        Fate::Dead { reason, seen } => {
            out.push(b'D');
            out.extend_from_slice(&(reason.len() as u64).to_be_bytes());
            out.extend_from_slice(reason.as_bytes());
            out.extend_from_slice(seen.as_deref().unwrap_or_default().as_bytes());
        }
        Fate::Unstarted => out.push(b'U'),
    }
    out
}

async fn census(core: &Core, name: &SaleName) -> Result<Option<SaleDoc>, Fault> {
    match core.number_of(name).await? {
        Some(sale_no) => core.sale(sale_no).await,
        None => Ok(None),
    }
}

async fn sales(core: &Core) -> Result<Vec<SaleDoc>, Fault> {
    let mut docs = Vec::new();
    for (_, sale_no) in keeper::sales(core).await? {
        docs.extend(core.sale(sale_no).await?);
    }
    Ok(docs)
}

async fn tail(core: &Core, after: TailId, max: usize) -> Result<Tail, Fault> {
    core.rounds.one(core.means.timeout * ROUNDS_WAIT).await?;
    Ok(core.ring.after(after, max))
}

impl Ledger for Redis {
    fn reserve(&self, orders: Vec<Reserve>) -> Answer<'_, Vec<Reserved>> {
        Box::pin(reserve(self.core(), orders))
    }

    fn cancel(&self, orders: Vec<Cancel>) -> Answer<'_, Vec<Cancelled>> {
        Box::pin(cancel(self.core(), orders))
    }

    fn grant(&self, sale: SaleNo, want: u32) -> Answer<'_, Grant> {
        Box::pin(grant(self.core(), sale, want))
    }

    fn claim(&self, claimed: Claim) -> Answer<'_, Claimed> {
        Box::pin(claim(self.core(), claimed))
    }

    fn settle(&self, settles: Vec<Settle>) -> Answer<'_, Vec<Settled>> {
        Box::pin(settle(self.core(), settles))
    }

    fn change(&self, changed: Change) -> Answer<'_, Changed> {
        Box::pin(change::make(self.core(), changed))
    }

    fn census(&self, sale: SaleName) -> Answer<'_, Option<SaleDoc>> {
        Box::pin(async move { census(self.core(), &sale).await })
    }

    fn sales(&self) -> Answer<'_, Vec<SaleDoc>> {
        Box::pin(sales(self.core()))
    }

    fn drain(&self) -> Answer<'_, DrainDoc> {
        Box::pin(async { keeper::drain_of(self.core().call_all("settings", |_| {}).await?) })
    }

    fn tickets(&self, sale: SaleNo, places: Vec<Place>) -> Answer<'_, Vec<Option<OrderDoc>>> {
        Box::pin(async move {
            let found = orders::timelines(self.core(), sale, &places).await?;
            Ok(found.into_iter().map(|found| found.map(|found| found.order)).collect())
        })
    }

    fn timeline(&self, sale: SaleNo, place: Place) -> Answer<'_, Option<Timeline>> {
        Box::pin(async move {
            let found = orders::timelines(self.core(), sale, &[place]).await?;
            Ok(found.into_iter().next().flatten())
        })
    }

    fn export(&self, sale: SaleNo, from: u64, max: usize) -> Answer<'_, ExportPage> {
        Box::pin(orders::export(self.core(), sale, from, max))
    }

    fn dead(&self, sale: SaleNo, from: u64, max: usize) -> Answer<'_, DeadPage> {
        Box::pin(orders::dead(self.core(), sale, from, max))
    }

    fn snapshot(&self) -> Answer<'_, Snapshot> {
        Box::pin(self.core().rounds.snapshot())
    }

    fn tail(&self, after: TailId, max: usize) -> Answer<'_, Tail> {
        Box::pin(tail(self.core(), after, max))
    }

    fn news(&self, after: TailId) -> BoxFuture<'_, ()> {
        Box::pin(self.core().ring.news(after))
    }

    fn missing(&self) -> BoxFuture<'_, Missing> {
        Box::pin(self.core().holds.missing())
    }

    fn answer_for(&self, sale: SaleNo, orders: Vec<Stored>, all: bool) -> Answer<'_, u64> {
        Box::pin(recover::answer_for(self.core(), sale, orders, all))
    }

    fn awaited(&self, clients: bool) {
        self.core().rounds.set_awaited(clients);
    }

    fn durability(&self) -> &'static str {
        self.core().config.durability.name()
    }

    fn trouble(&self) -> Option<Arc<str>> {
        self.core().trouble().or_else(|| self.core().refusal())
    }
}
