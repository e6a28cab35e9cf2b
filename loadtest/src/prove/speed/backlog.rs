//! A long queue: what an order costs with a million waiting, and how soon the gateway is back.

use std::path::Path;

use anyhow::ensure;

use super::cost;
use super::figures::Figures;
use super::{CONNECTIONS, DRAIN_RATE, SKU, STOCK, Size, fill, sale};
use crate::form::{Crowd, OrderForm};
use crate::plant::Plant;
use crate::scrape::Memory;
use crate::yardstick::Yardstick;

/// One round: few waiting, many waiting, each beside bare hyper, then `kill -9` and the reopening.
pub(super) async fn measure(
    binary: &Path,
    size: Size,
    body_bytes: usize,
    figures: &mut Figures,
) -> anyhow::Result<()> {
    let mut plant = Plant::start(binary, DRAIN_RATE).await?;
    let mut bare = Yardstick::bare(body_bytes).await?;
    let pid = plant.process.pid();
    // Of the whole gateway: its book, watch and buffers.
    let empty = Memory::of(pid)?.anonymous;
    // Half as many orders as elsewhere: they themselves make the short queue longer.
    let (orders, turns) = (size.orders / 2, size.turns);
    let form =
        |sale: &str| OrderForm::new(sale, SKU, Crowd::new(sale, 1)).with_payload_of_100_bytes();
    let runner = |sale: &str| cost::runner(plant.drive(&form(sale), CONNECTIONS), pid, 202);
    sale(&plant, "few", STOCK).await?;
    fill(&plant, "few", size.few_waiting).await?;
    let pair = [cost::bare(&bare, CONNECTIONS)?, runner("few")?];
    let [yardstick, few] = cost::race(pair, orders, turns).await?;
    let few = few.micros / yardstick.micros;

    sale(&plant, "many", STOCK).await?;
    fill(&plant, "many", size.many_waiting).await?;
    let pair = [cost::bare(&bare, CONNECTIONS)?, runner("many")?];
    let [yardstick, many] = cost::race(pair, orders, turns).await?;
    figures.backlog(many.micros / yardstick.micros / few);
    bare.process.kill().await?;

    plant.process.kill().await?;
    plant.start_again().await?;
    let waiting = plant.admin.census("many").await?.unsettled();
    ensure!(waiting >= size.many_waiting, "{waiting} orders wait after the restart");
    figures.restart(plant.ready_after);
    let waiting = waiting + plant.admin.census("few").await?.unsettled();
    let full = Memory::of(plant.process.pid())?.anonymous;
    let book = plant.admin.metric("forebay_ledger_book_bytes").await?;
    figures.memory(book, full.saturating_sub(empty), waiting);
    plant.process.kill().await
}
