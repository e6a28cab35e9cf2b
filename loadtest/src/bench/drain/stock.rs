//! The stock row of a sale: how many of its units were taken tells how far a peer is, at the cost of one row.

use std::time::Duration;

use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use tokio::time::sleep;

use super::list::Sale;
use crate::clock;
use crate::on_mysql::{DATABASE, OnMySql};

const LOOK_EVERY: Duration = Duration::from_millis(10);
/// A peer that has carried nothing for so long carries nothing more.
const STANDS_AFTER: Duration = Duration::from_secs(20);

/// The row, as it is looked at.
pub(super) struct StockRow {
    connection: Conn,
    sale: Sale,
}

impl StockRow {
    /// Of a sale that has one, or will.
    pub(super) async fn of(store: &OnMySql, sale: &Sale) -> anyhow::Result<Self> {
        let connection = store.server.connect(Some(DATABASE)).await?;
        Ok(Self { connection, sale: sale.clone() })
    }

    /// Writes it, with all units.
    pub(super) async fn put(&mut self) -> anyhow::Result<()> {
        let Sale { number, form, .. } = &self.sale;
        let units = self.sale.units();
        let row = (number, &form.sku, &form.sale, units, units);
        Ok(self
            .connection
            .exec_drop("INSERT INTO forebay_stock VALUES (?, ?, ?, ?, ?)", row)
            .await?)
    }

    /// Waits until as many units were taken as were ordered, or for as long as some are.
    pub(super) async fn taken(&mut self) -> anyhow::Result<()> {
        let (mut last, mut moved) = (None, clock::now());
        loop {
            let question = "SELECT available FROM forebay_stock WHERE sale = ?";
            let left: Option<u64> =
                self.connection.exec_first(question, (&self.sale.form.sale,)).await?;
            if left.is_some_and(|left| left <= self.sale.units() - self.sale.orders) {
                return Ok(());
            }
            if left != last {
                (last, moved) = (left, clock::now());
            }
            if clock::now() - moved > STANDS_AFTER {
                return Ok(());
            }
            sleep(LOOK_EVERY).await;
        }
    }

    pub(super) async fn close(self) -> anyhow::Result<()> {
        Ok(self.connection.disconnect().await?)
    }
}
