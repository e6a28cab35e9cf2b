//! Follows the ledger's tail: which sales there are, where orders may be due, and the drain's settings.
//!
//! While orders wait the answers to claims say what is due, so the tail is only read now and then, for what an
//! operator changes. When nothing is due, each commit is looked at as it comes.

use std::collections::HashSet;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::shared::{LEDGER_PAUSE, Shared};
use super::turn::MANY;
use crate::ledger::{DrainDoc, Fault, SaleDoc, Tail, TailEvent, TailId};
use crate::order::State;
use crate::sale::SaleNo;

/// How often the tail is read while orders wait: an operator's change holds within a second.
const WHILE_BUSY: Duration = Duration::from_millis(200);

/// What a fault of the tail is told under.
const TAIL: &str = "the tail";

/// Tail entries of one read.
const PAGE: usize = 1_000;

/// Follows the tail until the stop is pulled.
pub(super) async fn follow(shared: &Shared) {
    let (mut after, mut failures) = (None, 0);
    while !shared.stop.is_pulled() {
        match read(shared, after).await {
            Ok(read_up_to) => {
                (after, failures) = (Some(read_up_to), 0);
                shared.figures.mended(TAIL);
                wait_for_news(shared, read_up_to).await;
            }
            Err(fault) => {
                shared.faulted(TAIL, &fault);
                let pause = shared.draw(|jitter| LEDGER_PAUSE.half(failures, jitter));
                failures += 1;
                tokio::time::sleep(pause).await;
            }
        }
    }
}

async fn wait_for_news(shared: &Shared, after: TailId) {
    // The guard must not live over the wait.
    let idle = shared.turn().is_idle();
    if idle {
        shared.ledger.news(after).await;
    } else {
        // Told or timed out: the tail is read in both cases.
        let _ = tokio::time::timeout(WHILE_BUSY, shared.idle.notified()).await;
    }
}

/// Takes in all that was committed after `after`, or everything there is.
async fn read(shared: &Shared, after: Option<TailId>) -> Result<TailId, Fault> {
    let Some(mut after) = after else { return begin(shared).await };
    loop {
        match shared.ledger.tail(after, PAGE).await? {
            Tail::Gap => return begin(shared).await,
            Tail::Entries(entries) => {
                for entry in &entries {
                    entry.events.iter().for_each(|event| take_in(shared, event));
                }
                let Some(last) = entries.last() else { return Ok(after) };
                after = last.id;
                if entries.len() < PAGE {
                    return Ok(after);
                }
            }
        }
    }
}

async fn begin(shared: &Shared) -> Result<TailId, Fault> {
    let snapshot = shared.ledger.snapshot().await?;
    settings(shared, &snapshot.drain);
    let here: HashSet<SaleNo> = snapshot.sales.iter().map(|sale| sale.doc.sale_no).collect();
    for gone in shared.sales.all().into_iter().filter(|sale| !here.contains(&sale.sale_no)) {
        forget(shared, gone.sale_no);
    }
    for sale in &snapshot.sales {
        take_in_sale(shared, &sale.doc);
        if sale.doc.census.queued + sale.doc.census.placing > 0 {
            shared.with_turn(|turn| turn.due(sale.doc.sale_no, MANY));
        }
    }
    Ok(snapshot.tail)
}

fn settings(shared: &Shared, doc: &DrainDoc) {
    let now = shared.now();
    shared.pace().set(doc, now);
    shared.limiter.set(doc.rate, now);
    shared.figures.settings(doc);
    shared.wake.notify_one();
}

fn take_in_sale(shared: &Shared, doc: &SaleDoc) {
    if doc.purged {
        forget(shared, doc.sale_no);
    } else {
        shared.sales.put(doc);
    }
}

fn forget(shared: &Shared, sale_no: SaleNo) {
    if let Some(sale) = shared.sales.get(sale_no) {
        shared.figures.mended(sale.name.as_str());
    }
    shared.sales.forget(sale_no);
    shared.turn().forget(sale_no);
}

fn take_in(shared: &Shared, event: &TailEvent) {
    match event {
        TailEvent::Admitted { sale_no, buyers, .. } => {
            shared.with_turn(|turn| turn.due(*sale_no, buyers.len() as u64));
        }
        TailEvent::Moved { sale_no, orders } => {
            let moved_to = |state| orders.iter().any(|(_, now)| *now == state);
            let Some(sale) = shared.sales.get(*sale_no) else { return };
            // Claims, ours too, move orders to `placing`; only a dead order's retry makes one due by it.
            if sale.had_dead.load(Ordering::Relaxed) && moved_to(State::Placing) {
                shared.with_turn(|turn| turn.due(*sale_no, 1));
            }
            if moved_to(State::Dead) {
                sale.had_dead.store(true, Ordering::Relaxed);
            }
        }
        TailEvent::Sale(doc) => take_in_sale(shared, doc),
        TailEvent::Forgotten(sale_no) => forget(shared, *sale_no),
        TailEvent::Drain(doc) => settings(shared, doc),
        TailEvent::Level(_) => {}
    }
}
