//! The yardsticks: orders from a list in memory straight into the tables, by this process.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::ensure;
use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use tokio::task::JoinSet;

use super::list::Order;
use crate::on_mysql::{DATABASE, OnMySql};

const INSERT: &str = "INSERT INTO forebay_orders (ticket_id,line,sale,sale_no,order_no,sku,buyer,quantity,state,payload,epoch,\
                      sequence,attempt,accepted_at,attempted_at) VALUES ";

/// Connections, and what they carry.
pub(super) struct Plain {
    /// Orders a transaction.
    batch: usize,
    idle: Vec<Conn>,
    orders: Arc<[Order]>,
    running: JoinSet<anyhow::Result<Conn>>,
}

impl Plain {
    pub(super) async fn start(
        store: &OnMySql,
        batch: usize,
        connections: usize,
    ) -> anyhow::Result<Self> {
        let mut idle = Vec::new();
        for _ in 0..connections {
            idle.push(store.server.connect(Some(DATABASE)).await?);
        }
        Ok(Self { batch, idle, orders: Arc::default(), running: JoinSet::new() })
    }

    pub(super) fn fill(&mut self, orders: Arc<[Order]>) {
        self.orders = orders;
    }

    /// Lets all connections take from the list.
    pub(super) fn carry(&mut self) {
        let next = Arc::new(AtomicUsize::new(0));
        for connection in self.idle.drain(..) {
            let (orders, next) = (Arc::clone(&self.orders), Arc::clone(&next));
            self.running.spawn(place(connection, orders, next, self.batch));
        }
    }

    /// Waits until the list is empty.
    pub(super) async fn carried(&mut self) -> anyhow::Result<()> {
        while let Some(connection) = self.running.join_next().await {
            self.idle.push(connection??);
        }
        Ok(())
    }

    pub(super) async fn end(self) -> anyhow::Result<()> {
        for connection in self.idle {
            connection.disconnect().await?;
        }
        Ok(())
    }
}

async fn place(
    mut connection: Conn,
    all: Arc<[Order]>,
    next: Arc<AtomicUsize>,
    batch: usize,
) -> anyhow::Result<Conn> {
    loop {
        let first = next.fetch_add(batch, Ordering::Relaxed);
        let rest = all.get(first..).unwrap_or_default();
        let orders = rest.get(..batch).unwrap_or(rest);
        let Some(one) = orders.first() else { return Ok(connection) };
        let units: u64 = orders.iter().map(|order| order.quantity).sum();
        let decrement = format!(
            "UPDATE forebay_stock SET available = available - {units} \
             WHERE sale_no = {} AND sku = '{}' AND available >= {units}",
            one.sale_no, one.sku
        );
        connection.query_drop("START TRANSACTION").await?;
        connection.query_drop(insert(orders)).await?;
        connection.query_drop(decrement).await?;
        ensure!(connection.affected_rows() == 1, "{} is sold out", one.sku);
        connection.query_drop("COMMIT").await?;
    }
}

/// No text of these orders has anything that would end a literal.
fn insert(orders: &[Order]) -> String {
    let mut text = INSERT.to_owned();
    for (order, comma) in orders.iter().zip(std::iter::once("").chain(std::iter::repeat(","))) {
        let Order { ticket, sale, sale_no, order_no, sku, buyer, quantity, payload, .. } = order;
        // A string takes any write.
        let _ = write!(
            text,
            "{comma}('{ticket}',1,'{sale}',{sale_no},'{order_no}','{sku}','{buyer}',{quantity},'placed','{payload}',1,\
             {},1,'{}',UTC_TIMESTAMP(6))",
            order.sequence, order.accepted_at
        );
    }
    text
}
