//! Follows the tails of the deployment and of all its sales, and puts what they tell into one ring, in which this
//! process's readers go on. One task reads, pipelined and without blocking the connection.
//!
//! Invariants: an entry of a sale is in the ring once and in the sale's order. Where that cannot be kept (entries are
//! gone, another epoch), the ring breaks off and every reader takes a snapshot. A read of the ring counts as a read
//! of the tail at an instant only when a round that began after that instant has ended ([`super::rounds::Rounds`]).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::core::Core;
use super::entry::{self, Entry, Id, Told};
use super::keeper;
use super::link::{Level, Live};
use super::reply::strange;
use super::snapshot;
use crate::ledger::{Fault, FaultKind, Snapshot, TailEvent};
use crate::sale::SaleNo;

/// Entries of one sale in one round.
const ENTRIES: usize = 500;

/// Where the follower is in each tail.
#[derive(Debug, Default)]
struct Places {
    /// In the deployment's.
    all: Id,
    /// In each sale's.
    sales: BTreeMap<SaleNo, Id>,
}

/// Something may be missing from here on.
#[derive(Debug)]
enum Break {
    /// Entries are gone, or another epoch began.
    Off,
    Fault(Fault),
}

impl From<Fault> for Break {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// The task's own state.
#[derive(Debug)]
struct Follower {
    core: Arc<Core>,
    /// `None` until the tails were found, and after something may be missing.
    places: Option<Places>,
    /// The server of which the places are.
    run_id: String,
    /// Sales whose data cannot be read: the others are followed.
    silent: BTreeSet<SaleNo>,
}

/// Follows until the runtime ends.
pub(super) async fn follow(core: Arc<Core>) {
    let Some(mut wants) = core.rounds.wants() else { return };
    let mut follower = Follower {
        core: Arc::clone(&core),
        places: None,
        run_id: String::new(),
        silent: BTreeSet::new(),
    };
    loop {
        let began = core.clock.monotonic();
        core.rounds.begin();
        let news = follower.round().await;
        if news.is_ok() {
            core.rounds.end();
        }
        while let Ok(wanted) = wants.try_recv() {
            let snapshot = match &news {
                Ok(_) => follower.snapshot().await,
                Err(fault) => Err(fault.clone()),
            };
            // Whoever asked may have gone.
            let _ = wanted.send(snapshot);
        }
        let spent = core.clock.monotonic().saturating_sub(began);
        core.rounds.rest(spent, matches!(news, Ok(true))).await;
    }
}

impl Follower {
    /// Reads what there is; answers whether there was anything.
    async fn round(&mut self) -> Result<bool, Fault> {
        if let Some(trouble) = self.core.trouble() {
            return Err(Fault::unavailable(&trouble));
        }
        let live = self.core.calls.live().await?;
        if self.run_id != live.server.run_id {
            self.places = None;
        }
        if self.places.is_none() {
            self.places = Some(find(&self.core, &mut self.silent).await?);
            self.run_id.clone_from(&live.server.run_id);
            self.core.ring.break_off();
            // Only now: what began before this is in no page that will be read.
            self.core.tails_found.notify_one();
            return Ok(true);
        }
        let read = self.read(&live).await;
        self.unbroken(read)
    }

    /// A break makes the next round find the tails again.
    fn unbroken<T>(&mut self, read: Result<T, Break>) -> Result<T, Fault> {
        read.map_err(|failed| {
            self.places = None;
            match failed {
                Break::Off => Fault::unavailable("the tail in Redis broke off: ask again"),
                Break::Fault(fault) => fault,
            }
        })
    }

    /// One page of every tail.
    async fn read(&mut self, live: &Arc<Live>) -> Result<bool, Break> {
        let (core, names) = (&self.core, &self.core.names);
        let places = self.places.as_mut().ok_or(Break::Off)?;
        let mut commands = vec![entry::page(&names.tail(), places.all, ENTRIES)];
        let sales: Vec<SaleNo> = places.sales.keys().copied().collect();
        for (sale_no, after) in &places.sales {
            commands.push(entry::page(&names.sale_tail(*sale_no), *after, ENTRIES));
        }
        let mut pages = core.calls.send_all(live, commands, Level::Memory).await?.into_iter();
        let all = pages.next().unwrap_or_else(|| Err(strange("a page is missing")))?;
        let mut news = false;
        // A sale is told of before what is in its own tail.
        for entry in entry::read(all)? {
            news = true;
            places.all = follows(places.all, &entry)?;
            take_in(core, places, &entry)?;
        }
        for (sale_no, page) in sales.into_iter().zip(pages) {
            match take_in_page(core, places, sale_no, page) {
                Ok(told) => {
                    news |= told;
                    self.silent.remove(&sale_no);
                }
                Err(Break::Fault(fault)) if fault.kind == FaultKind::Corrupt => {
                    if self.silent.insert(sale_no) {
                        tracing::error!(sale_no = sale_no.0, reason = %fault, "a sale's tail cannot be read");
                    }
                }
                Err(failed) => return Err(failed),
            }
        }
        Ok(news)
    }

    /// Every sale as it is, and the ring brought to the same instant.
    async fn snapshot(&mut self) -> Result<Snapshot, Fault> {
        let taken = self.take_snapshot().await;
        self.unbroken(taken)
    }

    async fn take_snapshot(&mut self) -> Result<Snapshot, Break> {
        let core = &self.core;
        let live = core.calls.live().await?;
        let places = self.places.as_mut().ok_or(Break::Off)?;
        let mut sales = Vec::new();
        for sale_no in places.sales.keys().copied().collect::<Vec<_>>() {
            let (newest, sale) = match snapshot::of_sale(core, sale_no).await {
                Ok(Some(found)) => found,
                Ok(None) => continue,
                // It is halted. What of it was remembered before is no more than what its calls say.
                Err(fault) if fault.kind == FaultKind::Corrupt => {
                    tracing::error!(sale_no = sale_no.0, reason = %fault, "a sale cannot be read");
                    continue;
                }
                Err(fault) => return Err(fault.into()),
            };
            // A tail that cannot be read is told to nobody.
            let silent = self.silent.contains(&sale_no);
            // What was told up to here belongs to other readers too.
            while !silent && places.sales.get(&sale_no).is_some_and(|at| at.n < newest) {
                let at = places.sales.get(&sale_no).copied().unwrap_or_default();
                let page = entry::page(&core.names.sale_tail(sale_no), at, ENTRIES);
                let page = entry::read(core.calls.send(&live, &page).await?)?;
                if page.is_empty() {
                    return Err(Break::Off);
                }
                for entry in page.iter().filter(|entry| entry.id.n <= newest) {
                    take_in_of_sale(core, places, sale_no, entry)?;
                }
            }
            sales.push(sale);
        }
        let drain = keeper::drain_of(core.call_all("settings", |_| {}).await?)?;
        Ok(Snapshot { tail: core.ring.newest(), sales, drain })
    }
}

/// Where all tails end now.
async fn find(core: &Core, silent: &mut BTreeSet<SaleNo>) -> Result<Places, Fault> {
    let all = entry::newest(core, &core.names.tail()).await?;
    let mut places = Places { all, sales: BTreeMap::new() };
    for (_, sale_no) in keeper::sales(core).await? {
        let newest = match entry::newest(core, &core.names.sale_tail(sale_no)).await {
            Err(fault) if fault.kind == FaultKind::Corrupt => {
                silent.insert(sale_no);
                Id::default()
            }
            newest => newest?,
        };
        places.sales.insert(sale_no, newest);
    }
    Ok(places)
}

/// Numbers go on by one over all epochs.
fn follows(after: Id, entry: &Entry) -> Result<Id, Break> {
    if entry.id.n == after.n + 1 { Ok(entry.id) } else { Err(Break::Off) }
}

fn take_in(core: &Core, places: &mut Places, entry: &Entry) -> Result<(), Fault> {
    match entry.of_all()? {
        Told::Made(sale_no) => {
            places.sales.entry(sale_no).or_default();
        }
        Told::Forgotten(sale_no) => {
            places.sales.remove(&sale_no);
            core.forget(sale_no);
            core.ring.push(vec![TailEvent::Forgotten(sale_no)]);
        }
        Told::Events(events) => core.ring.push(events),
        Told::Epoch => {}
    }
    Ok(())
}

/// One page of a sale's tail; answers whether there was anything.
fn take_in_page(
    core: &Core,
    places: &mut Places,
    sale_no: SaleNo,
    page: Result<redis::Value, Fault>,
) -> Result<bool, Break> {
    let entries = entry::read(page?)?;
    for entry in &entries {
        take_in_of_sale(core, places, sale_no, entry)?;
    }
    Ok(!entries.is_empty())
}

fn take_in_of_sale(
    core: &Core,
    places: &mut Places,
    sale_no: SaleNo,
    entry: &Entry,
) -> Result<(), Break> {
    let Some(at) = places.sales.get_mut(&sale_no) else { return Ok(()) };
    *at = follows(*at, entry)?;
    match entry.of_sale(sale_no)? {
        Told::Events(events) => {
            for event in &events {
                if let TailEvent::Sale(doc) = event {
                    core.learn(doc);
                }
            }
            core.ring.push(events);
            Ok(())
        }
        _ => Err(Break::Off),
    }
}
