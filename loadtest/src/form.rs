//! What is asked: the order form, and the crowd that fills it in.
//!
//! An *ask* is a number. Buyer and key are functions of it, so a history of millions of attempts holds
//! numbers and no names, and a repeat of ask 7 is the same buyer with the same key by construction.

use serde_json::{Value, json};

/// The people of one run: their names are unlike those of every other run.
#[derive(Debug, Clone)]
pub struct Crowd {
    tag: String,
    orders_each: u64,
}

impl Crowd {
    /// A crowd in which each buyer sends `orders_each` orders, one key each, right after one another.
    pub fn new(tag: impl Into<String>, orders_each: u64) -> Self {
        Self { tag: tag.into(), orders_each: orders_each.max(1) }
    }

    /// The identity behind an ask.
    pub fn buyer(&self, ask: u64) -> String {
        format!("{}-b{}", self.tag, ask / self.orders_each)
    }

    /// The idempotency key of an ask.
    pub fn key(&self, ask: u64) -> String {
        format!("{}-k{ask}", self.tag)
    }

    /// Whether a buyer seen in the evidence belongs to this crowd.
    pub fn knows(&self, buyer: &str) -> bool {
        buyer.strip_prefix(&self.tag).is_some_and(|rest| rest.starts_with("-b"))
    }
}

/// One line of one sku in one sale, asked by everybody in the crowd.
#[derive(Debug, Clone)]
pub struct OrderForm {
    /// The sale's name.
    pub sale: String,
    /// The item's name.
    pub sku: String,
    /// Units an order.
    pub quantity: u64,
    /// Who asks.
    pub crowd: Crowd,
    /// Opaque to the gateway; carried so that orders have a realistic size.
    pub payload: Option<Value>,
}

impl OrderForm {
    /// One unit of `sku`, without a payload.
    pub fn new(sale: &str, sku: &str, crowd: Crowd) -> Self {
        Self { sale: sale.into(), sku: sku.into(), quantity: 1, crowd, payload: None }
    }

    /// The same form with a payload of exactly 100 bytes.
    #[must_use]
    pub fn with_payload_of_100_bytes(mut self) -> Self {
        // {"note":"…"} is 11 bytes without the text.
        self.payload = Some(json!({ "note": "x".repeat(89) }));
        self
    }

    /// Where orders of this form are posted.
    pub fn path(&self) -> String {
        format!("/v1/sales/{}/orders", self.sale)
    }

    /// The body, the same for every ask.
    pub fn body(&self) -> String {
        let mut body = json!({ "lines": [{ "sku": self.sku, "quantity": self.quantity }] });
        if let (Some(payload), Some(fields)) = (&self.payload, body.as_object_mut()) {
            fields.insert("payload".into(), payload.clone());
        }
        body.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeat_is_the_same_buyer_and_key_and_a_second_order_is_not() {
        let crowd = Crowd::new("t", 2);
        assert_eq!(crowd.buyer(4), crowd.buyer(5));
        assert_ne!(crowd.buyer(5), crowd.buyer(6));
        assert_ne!(crowd.key(4), crowd.key(5));
        assert!(crowd.knows(&crowd.buyer(9)) && !crowd.knows("tt-b1") && !crowd.knows("someone"));
    }

    #[test]
    fn the_payload_has_the_length_that_the_speed_table_names() {
        let form = OrderForm::new("s", "phone", Crowd::new("t", 1)).with_payload_of_100_bytes();
        assert_eq!(form.payload.as_ref().map(|payload| payload.to_string().len()), Some(100));
    }
}
