//! Orders end in MySQL or MariaDB: the tables of DESIGN section 7 on a real server.

mod address;
mod codes;
mod config;
mod place;
mod pool;
mod rows;
mod schema;
#[cfg(test)]
mod tests;
mod text;

pub use address::{Address, BadAddress};
pub use config::{Config, Durability};
use futures_util::future::BoxFuture;
use pool::Pool;
pub use schema::TABLES;

use super::{Found, OrderPage, PlaceOrder, Placement, StockRow, Store, StoreError, StoreRows};
use crate::order::TicketText;
use crate::sale::StockChange;

/// The store. Connects when it is asked for something.
#[derive(Debug)]
pub struct MySql {
    pool: Pool,
}

impl MySql {
    /// Connects nowhere yet.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self { pool: Pool::new(config) }
    }

    /// Connects, and looks whether orders can be placed; answers what is doubtful about the server.
    ///
    /// # Errors
    /// `StoreAway` when it cannot be reached, `Misconfigured` when it can be and no order may be placed there.
    pub async fn look(&self) -> Result<Vec<String>, StoreError> {
        let session = self.pool.take().await?;
        self.pool.give_back(session);
        Ok(self.pool.doubts())
    }
}

/// Makes the tables that are missing; changes none that is there, and looks at all.
///
/// # Errors
/// What the server says, or what is wrong with a table that was there.
pub async fn migrate(config: &Config) -> Result<(), StoreError> {
    let mut conn = pool::connect(config).await?;
    schema::make(&mut conn).await?;
    let looked = schema::inspect(&mut conn, Durability::Warn).await;
    // What is said of the tables is not changed by how the server says good-bye.
    let _ = conn.disconnect().await;
    looked.map(drop)
}

impl StoreRows for MySql {
    fn order_rows(&self, after: Option<String>) -> BoxFuture<'_, Result<OrderPage, StoreError>> {
        Box::pin(rows::order_rows(&self.pool, after))
    }

    fn stock_rows(&self) -> BoxFuture<'_, Result<Vec<StockRow>, StoreError>> {
        Box::pin(rows::stock_rows(&self.pool))
    }
}

impl Store for MySql {
    fn place(&self, orders: Vec<PlaceOrder>) -> BoxFuture<'_, Vec<Placement>> {
        Box::pin(async move { place::place(&self.pool, &orders).await })
    }

    fn find(&self, tickets: Vec<TicketText>) -> BoxFuture<'_, Vec<Found>> {
        Box::pin(async move { rows::find(&self.pool, &tickets).await })
    }

    fn void(&self, orders: Vec<PlaceOrder>) -> BoxFuture<'_, Vec<Found>> {
        Box::pin(async move { rows::void(&self.pool, &orders).await })
    }

    fn stock(&self, changes: Vec<StockChange>) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move { rows::stock(&self.pool, &changes).await })
    }

    fn number_of(&self, ticket: &TicketText) -> Option<String> {
        Some(text::order_no(ticket))
    }

    fn concurrency_max(&self) -> usize {
        self.pool.connections()
    }
}
