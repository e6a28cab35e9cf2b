//! SQL as text: one statement writes the rows of many orders, and a prepared one would need one form a count of rows.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

use crate::clock::Timestamp;
use crate::order::TicketText;
use crate::sale::{SaleNo, Sku};
use crate::store::PlaceOrder;

/// Statements beyond this are sent in several pieces: the least `max_allowed_packet` that is met is 1 MiB.
const PIECE_MAX: usize = 512 * 1024;

/// The columns of an order's row, but `created_at`, which is the server's clock.
const COLUMNS: &str = "INSERT INTO forebay_orders (ticket_id,line,sale,sale_no,order_no,sku,buyer,quantity,state,reason,\
                       payload,epoch,sequence,attempt,accepted_at,attempted_at) VALUES ";

/// Letters of an order number: no I, L, O and U, which are misread (Crockford's base 32).
const LETTERS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// The shop's number for the order of a ticket: `F` and 15 letters, 75 bits of the ticket's digest. The same at each
/// attempt, and without a counter that all orders would queue at.
pub(super) fn order_no(ticket: &TicketText) -> String {
    let digest = Sha256::digest(ticket.as_str().as_bytes());
    let mut bits = [0; 16];
    bits.copy_from_slice(&digest[..16]);
    let number = u128::from_be_bytes(bits);
    let letter = |place: u32| char::from(LETTERS[(number >> (5 * place)) as usize & 31]);
    std::iter::once('F').chain((0..15).map(letter)).collect()
}

/// A string literal. The connection's charset is UTF-8 and a backslash escapes (its `sql_mode` says so), so that
/// these two are all that can end a literal.
fn quoted(to: &mut String, text: &str) {
    to.push('\'');
    for letter in text.chars() {
        if matches!(letter, '\'' | '\\') {
            to.push('\\');
        }
        to.push(letter);
    }
    to.push('\'');
}

/// A text as a literal.
pub(super) fn literal(text: &str) -> String {
    let mut to = String::new();
    quoted(&mut to, text);
    to
}

/// A time as DATETIME(6), UTC.
fn time(to: &mut String, at: Timestamp) {
    let text = at.to_string();
    let text = text.trim_end_matches('Z');
    // RFC 3339 but for the T.
    let (day, time) = text.split_once('T').unwrap_or((text, ""));
    let _ = write!(to, "'{day} {time}'");
}

/// Statements, joined by semicolons into pieces that a server takes at once.
#[derive(Debug, Default)]
pub(super) struct Script {
    /// Each with its count of statements.
    pub(super) pieces: Vec<(String, usize)>,
    /// An INSERT of orders that may get another row.
    open: bool,
}

impl Script {
    /// A further statement.
    pub(super) fn statement(&mut self, text: &str) {
        self.open = false;
        match self.pieces.last_mut() {
            Some((piece, count)) if piece.len() + text.len() < PIECE_MAX => {
                piece.push(';');
                piece.push_str(text);
                *count += 1;
            }
            _ => self.pieces.push((text.to_owned(), 1)),
        }
    }

    /// A further row of `forebay_orders`.
    fn row(&mut self, write: impl FnOnce(&mut String)) {
        let full = self.pieces.last().is_none_or(|(piece, _)| piece.len() >= PIECE_MAX);
        if full || !self.open {
            self.statement(COLUMNS);
            self.open = true;
        } else if let Some((piece, _)) = self.pieces.last_mut() {
            piece.push(',');
        }
        if let Some((piece, _)) = self.pieces.last_mut() {
            write(piece);
        }
    }

    /// Ends the INSERT: the next row begins another one.
    pub(super) fn close(&mut self) {
        self.open = false;
    }

    /// The row of a line of a placed order.
    pub(super) fn line(&mut self, order: &PlaceOrder, number: usize, order_no: &str) {
        let Some(line) = order.lines.get(number) else { return };
        self.row(|to| {
            begin(to, order, number + 1);
            let _ = write!(to, ",'{order_no}','{}',", line.sku);
            quoted(to, order.buyer.as_str());
            let _ = write!(to, ",{},'placed',NULL,", line.quantity);
            match std::str::from_utf8(&order.payload) {
                Ok("") | Err(_) => to.push_str("NULL"),
                Ok(payload) => quoted(to, payload),
            }
            end(to, order);
        });
    }

    /// One row with line 1 and no sku, quantity, payload and order number.
    pub(super) fn mark(&mut self, order: &PlaceOrder, state: &str, reason: Option<&str>) {
        self.row(|to| {
            begin(to, order, 1);
            to.push_str(",NULL,NULL,");
            quoted(to, order.buyer.as_str());
            let _ = write!(to, ",NULL,'{state}',");
            match reason {
                Some(reason) => quoted(to, reason),
                None => to.push_str("NULL"),
            }
            to.push_str(",NULL");
            end(to, order);
        });
    }

    /// The guarded decrement of a stock row: the last gate against an oversell.
    pub(super) fn decrement(&mut self, sale_no: SaleNo, sku: &Sku, units: u64) {
        self.statement(&format!(
            "UPDATE forebay_stock SET available = available - {units} \
             WHERE sale_no = {} AND sku = '{sku}' AND available >= {units}",
            sale_no.0
        ));
    }
}

fn begin(to: &mut String, order: &PlaceOrder, line: usize) {
    let _ = write!(to, "('{}',{line},'{}',{}", order.ticket.as_str(), order.sale, order.sale_no.0);
}

fn end(to: &mut String, order: &PlaceOrder) {
    let _ = write!(to, ",{},{},{},", order.place.epoch, order.place.sequence, order.attempt);
    time(to, order.accepted_at);
    to.push(',');
    time(to, order.attempted_at);
    to.push(')');
}

/// What is there of these tickets: the rows with line 1.
pub(super) fn decided<'a>(tickets: impl Iterator<Item = &'a TicketText>) -> String {
    let mut text = "SELECT ticket_id, state, order_no, reason FROM forebay_orders WHERE line = 1 AND ticket_id IN (".to_owned();
    for (nth, ticket) in tickets.enumerate() {
        let comma = if nth == 0 { "" } else { "," };
        let _ = write!(text, "{comma}'{}'", ticket.as_str());
    }
    text.push(')');
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::suite;

    #[test]
    fn a_literal_ends_where_it_should() {
        for (text, literal) in [
            ("plain", "'plain'"),
            ("it's", "'it\\'s'"),
            ("\\' OR 1=1 --", "'\\\\\\' OR 1=1 --'"),
            ("中😀", "'中😀'"),
        ] {
            let mut to = String::new();
            quoted(&mut to, text);
            assert_eq!(to, literal);
        }
    }

    #[test]
    fn an_order_has_one_number_and_another_order_another() {
        let one = order_no(&suite::order(1, 1).ticket);
        assert_eq!(one, order_no(&suite::order(1, 2).ticket));
        assert_ne!(one, order_no(&suite::order(2, 1).ticket));
        assert!(one.len() == 16 && one.starts_with('F'), "{one}");
    }

    #[test]
    fn large_batches_are_sent_in_pieces_and_no_row_is_cut() {
        let mut script = Script::default();
        script.statement("START TRANSACTION");
        let mut order = suite::order(1, 1);
        order.payload = format!("\"{}\"", "x".repeat(4_000)).into();
        for _ in 0..500 {
            script.line(&order, 0, "F1");
        }
        script.close();
        script.line(&order, 0, "F1");
        assert!(script.pieces.len() > 3, "{}", script.pieces.len());
        let (first, rest) = script.pieces.split_first().unwrap();
        assert!(first.0.starts_with("START TRANSACTION;INSERT") && first.1 == 2);
        assert!(rest.iter().all(|(piece, _)| piece.starts_with("INSERT") && piece.ends_with(')')));
        assert!(script.pieces.iter().all(|(piece, _)| piece.len() < PIECE_MAX + 10_000));
        assert_eq!(script.pieces.last().unwrap().1, 2, "a closed INSERT gets no further row");
    }
}
