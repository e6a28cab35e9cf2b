//! The decision: key, limit, stock.

use std::collections::HashMap;

use super::exchange::Request;

/// Units that a buyer may have.
const LIMIT: u64 = 1;

#[derive(Debug, Default)]
struct Sale {
    name: String,
    stock: u64,
    orders: HashMap<Box<str>, Order>,
}

/// A buyer's only one: the limit is one unit.
#[derive(Debug)]
struct Order {
    key: Box<str>,
    sequence: u64,
}

/// What becomes of an order.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// Taken, now or before with the same key.
    Taken { sequence: u64, replayed: bool },
    /// Not taken, and why.
    Refused { status: u16, code: &'static str },
}

/// All sales.
#[derive(Debug)]
pub(super) struct Book {
    sales: Vec<Sale>,
    sequence: u64,
}

impl Book {
    pub(super) fn new(sales: impl IntoIterator<Item = (String, u64)>) -> Self {
        let sale = |(name, stock)| Sale { name, stock, ..Sale::default() };
        Self { sales: sales.into_iter().map(sale).collect(), sequence: 0 }
    }

    pub(super) fn decide(&mut self, request: &Request<'_>) -> Decision {
        let refused = |status, code| Decision::Refused { status, code };
        let Some(sale) = self.sales.iter_mut().find(|sale| sale.name == request.sale) else {
            return refused(404, "unknown_sale");
        };
        let (Some(buyer), Some(key)) = (request.buyer, request.key) else {
            return refused(401, "unknown_buyer");
        };
        let Some(units) = request.units else { return refused(400, "malformed") };
        if let Some(order) = sale.orders.get(buyer) {
            return match *order.key == *key {
                true => Decision::Taken { sequence: order.sequence, replayed: true },
                false => refused(409, "limit_reached"),
            };
        }
        if units > LIMIT {
            return refused(409, "limit_reached");
        }
        if sale.stock < units {
            return refused(409, "sold_out");
        }
        sale.stock -= units;
        self.sequence += 1;
        let order = Order { key: key.into(), sequence: self.sequence };
        sale.orders.insert(buyer.into(), order);
        Decision::Taken { sequence: self.sequence, replayed: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_limit_and_stock_hold() {
        let mut book = Book::new([("s".to_owned(), 1)]);
        let mut ask = |buyer, key, units| {
            let request =
                Request { sale: "s", buyer: Some(buyer), key: Some(key), units: Some(units) };
            book.decide(&request)
        };
        let refused = |code| Decision::Refused { status: 409, code };
        assert_eq!(ask("a", "1", 2), refused("limit_reached"));
        assert_eq!(ask("a", "1", 1), Decision::Taken { sequence: 1, replayed: false });
        assert_eq!(ask("a", "1", 1), Decision::Taken { sequence: 1, replayed: true });
        assert_eq!(ask("a", "2", 1), refused("limit_reached"));
        assert_eq!(ask("b", "1", 1), refused("sold_out"));
    }
}
