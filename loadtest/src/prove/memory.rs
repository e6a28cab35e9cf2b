//! A sale's memory comes back: a burst, its drain, its purge, and then a process that does nothing. What an
//! allocator keeps for itself shows here and nowhere else.

use std::path::Path;
use std::time::Duration;

use anyhow::ensure;
use tokio::time::sleep;

use super::{Checks, Scale};
use crate::clock;
use crate::drive::{look, shared};
use crate::form::{Crowd, OrderForm};
use crate::plant::Plant;
use crate::report;
use crate::scrape::Memory;
use crate::tally::Tally;
use crate::wire::lean::LeanWire;

const SKU: &str = "phone";
const CONNECTIONS: usize = 256;
/// The share of what the burst took that may still be there afterwards.
const KEPT_MAX: f64 = 0.25;
const LOOK_EVERY: Duration = Duration::from_millis(200);

pub(super) async fn prove(binary: &Path, scale: Scale, checks: &mut Checks) -> anyhow::Result<()> {
    // So much is not worth a judgement: tables that were made on first use, what an allocator keeps of a small burst.
    let (orders, idle, little) = scale.pick((20_000, 5, 64 << 20), (1_000_000, 60, 16 << 20));
    let idle = Duration::from_secs(idle);
    let plant = Plant::start(binary, "unlimited").await?;
    // What is made once and kept is made by a small sale before.
    sale(&plant, "first", orders / 100, Memories::default()).await?;
    let before = settled(&plant, Duration::from_secs(5)).await?;
    let mut seen = Memories::default();
    seen = sale(&plant, "burst", orders, seen).await?;
    let after = settled(&plant, idle).await?;
    let mib = |bytes: u64| format!("{} MiB", bytes >> 20);
    report::row("before", mib(before));
    report::row("at the most", mib(seen.most));
    report::row("drained", mib(seen.drained));
    report::row("purged and idle", mib(after));
    let (took, kept) = (seen.most.saturating_sub(before), after.saturating_sub(before));
    #[expect(clippy::cast_precision_loss, reason = "a share needs no more than 52 bits")]
    let share = kept as f64 / took.max(1) as f64;
    let what = format_args!("{} of {} are kept ({:.0} %)", mib(kept), mib(took), share * 100.0);
    checks.threshold(share <= KEPT_MAX || kept <= little, what);
    Ok(())
}

/// Resident bytes of a sale's life.
#[derive(Debug, Default, Clone, Copy)]
struct Memories {
    most: u64,
    drained: u64,
}

/// A sale from its opening to its purge.
async fn sale(
    plant: &Plant,
    name: &str,
    orders: u64,
    mut seen: Memories,
) -> anyhow::Result<Memories> {
    plant.admin.create_sale(name, SKU, orders, None).await?;
    plant.phase(name, "open").await?;
    let form = OrderForm::new(name, SKU, Crowd::new(name, 1)).with_payload_of_100_bytes();
    let tally = shared(Tally::default());
    plant.drive(&form, CONNECTIONS).run::<LeanWire, Tally>(0..orders, tally.clone()).await;
    let accepted = look(&tally).with_status(202);
    ensure!(accepted == orders, "{accepted} of {orders} orders were accepted");
    plant.settled(name, Duration::from_secs(600)).await?;
    let memory = Memory::of(plant.process.pid())?;
    (seen.most, seen.drained) = (memory.peak, memory.resident);
    plant.admin.close(name).await?;
    plant.admin.switch(name, "purge").await?;
    Ok(seen)
}

/// The least that is resident within this time: what an idle process gives back, it gives back in steps.
async fn settled(plant: &Plant, within: Duration) -> anyhow::Result<u64> {
    let until = clock::now() + within;
    let mut least = u64::MAX;
    while clock::now() < until {
        least = least.min(Memory::of(plant.process.pid())?.resident);
        sleep(LOOK_EVERY).await;
    }
    Ok(least)
}
