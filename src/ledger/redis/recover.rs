//! A new epoch of a sale: what this process remembers and what the store has is brought back while the sale is on hold,
//! then the hold ends.
//!
//! Every process does this for every sale. What two remember counts once, and whoever comes last changes nothing.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use redis::Value;
use tokio::sync::watch;

use super::core::Core;
use super::record::{self, Known};
use super::reply::{self, strange};
use crate::clock::micros;
use crate::ledger::{Fault, FaultKind, Missing, Stored, StoredEnd};
use crate::order::{ItemLine, Place, State};
use crate::sale::SaleNo;

/// Orders of one call.
const PAGE: usize = 200;
/// Between two looks at the server, at most.
const PAUSE: Duration = Duration::from_millis(200);

/// The holds that this process takes part in.
#[derive(Debug)]
pub(super) struct Holds {
    /// The newest epoch of each sale that this process saw begin, or found.
    seen: Mutex<BTreeMap<SaleNo, u16>>,
    /// In which epoch what is remembered was brought back last.
    brought: Mutex<BTreeMap<SaleNo, u16>>,
    /// Of which the store is to be asked. Written here, read by whoever knows the store.
    missing: watch::Sender<Vec<Missing>>,
}

impl Default for Holds {
    fn default() -> Self {
        Self {
            seen: Mutex::default(),
            brought: Mutex::default(),
            missing: watch::channel(Vec::new()).0,
        }
    }
}

impl Holds {
    /// Resolves with a hold for which the store was not asked yet.
    pub(super) async fn missing(&self) -> Missing {
        let mut missing = self.missing.subscribe();
        loop {
            if let Some(first) = missing.borrow_and_update().first() {
                return *first;
            }
            if missing.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    fn ask(&self, missing: Missing) {
        self.missing.send_modify(|all| {
            all.retain(|other| other.sale_no != missing.sale_no);
            all.push(missing);
        });
    }

    /// The others come first.
    fn postpone(&self, sale_no: SaleNo) {
        self.missing.send_modify(|all| all.sort_by_key(|other| other.sale_no == sale_no));
    }

    fn answered(&self, sale_no: SaleNo) {
        self.missing.send_modify(|all| all.retain(|other| other.sale_no != sale_no));
    }

    /// The newest epoch of a sale that this process saw.
    pub(super) fn newest(&self, sale_no: SaleNo) -> u16 {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.get(&sale_no).copied().unwrap_or(0)
    }

    fn saw(&self, sale_no: SaleNo, epoch: u16) {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).insert(sale_no, epoch);
    }

    /// Whether what is remembered was brought back in this epoch before.
    fn was_brought(&self, sale_no: SaleNo, epoch: u16) -> bool {
        let brought = self.brought.lock().unwrap_or_else(PoisonError::into_inner);
        brought.get(&sale_no) == Some(&epoch)
    }

    fn brought(&self, sale_no: SaleNo, epoch: u16) {
        self.brought.lock().unwrap_or_else(PoisonError::into_inner).insert(sale_no, epoch);
    }
}

/// A sale that is on hold.
#[derive(Clone, Copy, Debug)]
struct Hold {
    sale_no: SaleNo,
    /// The one that began.
    epoch: u16,
    /// What may be missing begins here, and ends with the epochs before.
    missing: Place,
}

/// Makes the server's epoch the sale's. While the sale is on hold, a task of its own ends that.
pub(super) async fn adopt(core: &Arc<Core>, sale_no: SaleNo) -> Result<(), Fault> {
    match begun(core, sale_no).await? {
        Some(hold) => take_part(core, hold).await,
        None => Ok(()),
    }
}

/// The same where another process may have begun the epoch, as by making the sale anew.
pub(super) async fn join(core: &Arc<Core>, sale_no: SaleNo) -> Result<(), Fault> {
    match begun(core, sale_no).await? {
        Some(hold) if !core.holds.was_brought(sale_no, hold.epoch) => take_part(core, hold).await,
        _ => Ok(()),
    }
}

/// The epoch in force is the server's. Answers the hold, if it is not over.
async fn begun(core: &Arc<Core>, sale_no: SaleNo) -> Result<Option<Hold>, Fault> {
    let answer = core.call("adopt", sale_no, |command| {
        command.arg(core.epoch_of(sale_no)).arg(micros(core.config.recover_hold.0));
    });
    let answer = reply::list(answer.await?)?;
    let [epoch, held, ended, missing, ..] = answer.as_slice() else {
        return Err(strange("an epoch"));
    };
    let number = |value| u16::try_from(reply::number(value)?).map_err(|_| strange("an epoch"));
    let epoch = number(epoch)?;
    core.holds.saw(sale_no, epoch);
    if reply::number(held)? == 0 {
        return Ok(None);
    }
    let missing = Place { epoch: number(ended)?, sequence: reply::number(missing)? };
    Ok(Some(Hold { sale_no, epoch, missing }))
}

async fn take_part(core: &Arc<Core>, hold: Hold) -> Result<(), Fault> {
    let Hold { sale_no, epoch, missing } = hold;
    tracing::warn!(
        sale_no = sale_no.0,
        epoch,
        from = missing.sequence,
        "a new epoch of the sale begins: Redis was restarted or replaced, or the sale is made anew. What this process \
         remembers from there on is brought back"
    );
    bring_back(core, hold).await?;
    core.holds.brought(sale_no, epoch);
    if end(core, sale_no).await?.is_none() {
        return Ok(());
    }
    if let Some(known) = core.known(sale_no, false).await? {
        let (key_id, made_at) = (known.doc.key_id, known.doc.made_at);
        core.holds.ask(Missing { sale_no, key_id, made_at, first: missing });
    }
    let core = Arc::clone(core);
    tokio::spawn(async move {
        loop {
            let wait = match end(&core, sale_no).await {
                Ok(None) => return,
                // The server's clock may be set meanwhile.
                Ok(Some(wait)) => wait.min(PAUSE),
                // It is halted: each of its calls says why, and who makes it anew begins another hold.
                Err(fault) if fault.kind == FaultKind::Corrupt => return,
                // A server that is replaced again begins anew, by another task.
                Err(_) if core.trouble().is_some() => return,
                Err(fault) => {
                    tracing::warn!(%fault, sale_no = sale_no.0, "the hold of a sale could not be ended yet");
                    PAUSE
                }
            };
            tokio::time::sleep(wait).await;
        }
    });
    Ok(())
}

async fn bring_back(core: &Core, hold: Hold) -> Result<(), Fault> {
    let Hold { sale_no, epoch, missing } = hold;
    let orders = core.remembered.between(sale_no, missing, epoch)?;
    let mut new = 0;
    for page in orders.chunks(PAGE) {
        let answer = core.call("bring_back", sale_no, |command| {
            for told in page {
                command.arg(record::place_bytes(told.place)).arg(&told.bytes);
            }
        });
        new += reply::number(&answer.await?)?;
    }
    let cancelled = core.remembered.cancelled(sale_no, missing.epoch, epoch);
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

/// Ends the hold if its time has come; answers how long it has to wait else.
async fn end(core: &Core, sale_no: SaleNo) -> Result<Option<Duration>, Fault> {
    loop {
        let answer: Value = core.call("end_hold", sale_no, |_| {}).await?;
        match u64::try_from(reply::signed(&answer)?) {
            Ok(0) => {}
            Ok(wait) => return Ok(Some(Duration::from_micros(wait))),
            Err(_) => {
                core.holds.answered(sale_no);
                return Ok(None);
            }
        }
    }
}

/// Tells the server what the store has of orders that may be missing. A sale that is halted is not asked for again, and
/// one for which it failed not before the others: none keeps another one waiting.
pub(super) async fn answer_for(
    core: &Core,
    sale_no: SaleNo,
    orders: Vec<Stored>,
    all: bool,
) -> Result<u64, Fault> {
    let told = tell_all(core, sale_no, orders, all).await;
    match &told {
        Ok(_) if all => core.holds.answered(sale_no),
        Ok(_) => {}
        Err(fault) if fault.kind == FaultKind::Corrupt => core.holds.answered(sale_no),
        Err(_) => core.holds.postpone(sale_no),
    }
    told
}

/// A page at a time.
async fn tell_all(
    core: &Core,
    sale_no: SaleNo,
    orders: Vec<Stored>,
    all: bool,
) -> Result<u64, Fault> {
    let known = core.known(sale_no, false).await?.ok_or_else(|| strange("the sale is gone"))?;
    let records: Vec<[Vec<u8>; 3]> =
        orders.iter().filter_map(|order| stored(order, &known)).collect();
    let mut decided = 0;
    for page in records.chunks(PAGE) {
        decided += tell(core, sale_no, page, false).await?;
    }
    if all {
        tell(core, sale_no, &[], true).await?;
    }
    Ok(decided)
}

async fn tell(
    core: &Core,
    sale_no: SaleNo,
    page: &[[Vec<u8>; 3]],
    all: bool,
) -> Result<u64, Fault> {
    let answer = core.call("answer_for", sale_no, |command| {
        command.arg(u8::from(all));
        page.iter().flatten().for_each(|argument| {
            command.arg(argument);
        });
    });
    reply::number(&answer.await?)
}

/// Place, order and end as the library takes them. An order over an item that the sale does not have is none of its
/// orders: `verify` names the row.
fn stored(order: &Stored, known: &Known) -> Option<[Vec<u8>; 3]> {
    let mut lines = Vec::new();
    for line in &order.lines {
        let item = known.doc.census.items.iter().position(|item| item.sku == line.sku)?;
        lines.push(ItemLine { item: u16::try_from(item).ok()?, quantity: line.quantity });
    }
    let (state, text) = match &order.end {
        StoredEnd::Placed { order_no } => (State::Placed, order_no),
        StoredEnd::Refused { reason } => (State::Refused, reason),
    };
    let mut kept = Vec::new();
    record::write_ordered(&mut kept, &lines, order.buyer.as_str(), &[]);
    // Under which key it was ordered, no store knows.
    let mut record = order.accepted_at.0.to_be_bytes().to_vec();
    record.extend_from_slice(&[0; 16]);
    record.extend_from_slice(&kept);
    let mut end = vec![state.code()];
    end.extend_from_slice(&order.attempted_at.0.to_be_bytes());
    end.extend_from_slice(text.as_bytes());
    Some([record::place_bytes(order.place), record, end])
}
