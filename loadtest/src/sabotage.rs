//! What somebody does to the rows of an order by hand, and the law that it breaks. The same SQL does it to a simulated
//! store and to MySQL.

use anyhow::ensure;
use serde_json::Value;

use crate::store::StoreAt;

/// Something that is done to one row of the store.
#[derive(Debug, Clone, Copy)]
pub struct Sabotage {
    /// It in a few words.
    pub what: &'static str,
    /// The law by which `verify` must name it.
    pub law: &'static str,
    target: &'static Target,
    sql: &'static str,
}

/// Whose row it is.
#[derive(Debug)]
struct Target {
    table: &'static str,
    /// Every row that is there before it or after it.
    rows: &'static str,
    /// What a finding names it by.
    key: &'static str,
}

const ORDER: Target = Target {
    table: "forebay_orders",
    rows: "ticket_id IN ('{ticket}', 'not-{ticket}')",
    key: "ticket",
};

const STOCK: Target = Target { table: "forebay_stock", rows: "sale = '{sale}'", key: "sku" };

/// All of them.
pub const SABOTAGES: [Sabotage; 10] = [
    order("a row deleted", "S1", "DELETE FROM forebay_orders WHERE ticket_id = '{ticket}'"),
    order(
        "a quantity changed",
        "S1",
        "UPDATE forebay_orders SET quantity = 7 WHERE ticket_id = '{ticket}'",
    ),
    order(
        "a buyer changed",
        "S1",
        "UPDATE forebay_orders SET buyer = 'somebody' WHERE ticket_id = '{ticket}'",
    ),
    order(
        "an item changed",
        "S1",
        "UPDATE forebay_orders SET sku = 'other' WHERE ticket_id = '{ticket}'",
    ),
    order(
        "a number changed",
        "S1",
        "UPDATE forebay_orders SET order_no = 'X1' WHERE ticket_id = '{ticket}'",
    ),
    order(
        "a placed row made a refused one",
        "S1",
        "UPDATE forebay_orders SET state = 'refused' WHERE ticket_id = '{ticket}'",
    ),
    order(
        "a doubled row, as an extra line",
        "S1",
        "INSERT INTO forebay_orders SELECT ticket_id, 2, sale, sale_no, order_no, sku, buyer, quantity, state, \
         reason, payload, epoch, sequence, attempt, accepted_at, attempted_at, created_at \
         FROM forebay_orders WHERE ticket_id = '{ticket}'",
    ),
    order(
        "a row added that nobody ordered",
        "L4",
        "INSERT INTO forebay_orders SELECT 'not-{ticket}', 1, sale, sale_no, order_no, sku, buyer, quantity, state, \
         reason, payload, epoch, sequence, attempt, accepted_at, attempted_at, created_at \
         FROM forebay_orders WHERE ticket_id = '{ticket}'",
    ),
    stock(
        "a unit put back by hand",
        "UPDATE forebay_stock SET available = available + 1 WHERE sale = '{sale}'",
    ),
    stock(
        "a unit taken out of the stock's total",
        "UPDATE forebay_stock SET initial = initial - 1 WHERE sale = '{sale}'",
    ),
];

const fn order(what: &'static str, law: &'static str, sql: &'static str) -> Sabotage {
    Sabotage { what, law, target: &ORDER, sql }
}

const fn stock(what: &'static str, sql: &'static str) -> Sabotage {
    Sabotage { what, law: "L1", target: &STOCK, sql }
}

/// The rows of one placed order and its sale, in a store that somebody changes by hand.
#[derive(Debug, Clone)]
pub struct Hand {
    store: StoreAt,
    sale: String,
    ticket: String,
}

impl Hand {
    /// A hand on the rows of a ticket of a sale of one item.
    #[must_use]
    pub fn on(store: &StoreAt, sale: &str, ticket: &str) -> Self {
        Self { store: store.clone(), sale: sale.to_owned(), ticket: ticket.to_owned() }
    }

    /// Does it, and keeps what was there.
    ///
    /// # Errors
    /// When the store cannot be written, or it was not one row that changed.
    pub async fn does(&self, sabotage: &Sabotage) -> anyhow::Result<()> {
        let Target { table, rows, .. } = sabotage.target;
        self.run(&format!("CREATE TABLE kept AS SELECT * FROM {table} WHERE {rows}")).await?;
        let changed = self.run(sabotage.sql).await?;
        ensure!(changed == 1, "{}: {changed} rows", sabotage.what);
        Ok(())
    }

    /// Puts back what was there.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn puts_back(&self, sabotage: &Sabotage) -> anyhow::Result<()> {
        let Target { table, rows, .. } = sabotage.target;
        self.run(&format!("DELETE FROM {table} WHERE {rows}")).await?;
        self.run(&format!("INSERT INTO {table} SELECT * FROM kept")).await?;
        self.run("DROP TABLE kept").await.map(drop)
    }

    async fn run(&self, sql: &str) -> anyhow::Result<u64> {
        let sql = sql.replace("{ticket}", &self.ticket).replace("{sale}", &self.sale);
        self.store.change(&sql).await
    }

    /// Whether a report of `verify` names it by law and ticket (or item), and no other ticket.
    #[must_use]
    pub fn is_named(&self, sabotage: &Sabotage, report: &Value) -> bool {
        let findings = report["findings"].as_array().map(Vec::as_slice).unwrap_or_default();
        let ours = |ticket: &str| ticket.strip_prefix("not-").unwrap_or(ticket) == self.ticket;
        let about = |finding: &Value| finding["ticket"].as_str().is_none_or(ours);
        let named = |finding: &&Value| {
            finding["law"] == sabotage.law && finding[sabotage.target.key].is_string()
        };
        findings.iter().any(|finding| named(&finding)) && findings.iter().all(about)
    }
}
