//! What is asked: the order form, and the crowd that fills it in.
//!
//! An *ask* is a number. Buyer and key are functions of it, so a history of millions of attempts holds
//! numbers and no names, and a repeat of ask 7 is the same buyer with the same key by construction.

use serde_json::{Value, json};

/// The people of one run: their names are unlike those of every other run.
#[derive(Debug, Clone)]
pub struct Crowd {
    tag: String,
    groups: Vec<Group>,
}

/// Some of the crowd, who order alike.
#[derive(Debug, Clone)]
pub struct Group {
    /// Orders that each of them sends, right after one another.
    pub orders_each: u64,
    /// So many identities take turns; `None`: as many as come.
    pub identities: Option<u64>,
    /// Whether each order bears a key of its own.
    pub keyed: bool,
}

/// Asks of a group lie side by side, so many bits above those of the group before it.
const GROUP_BITS: u32 = 40;

impl Crowd {
    /// A crowd in which each buyer sends `orders_each` orders, one key each, right after one another.
    pub fn new(tag: impl Into<String>, orders_each: u64) -> Self {
        let group = Group { orders_each: orders_each.max(1), identities: None, keyed: true };
        Self::of(tag, vec![group])
    }

    /// A crowd of groups.
    pub fn of(tag: impl Into<String>, groups: Vec<Group>) -> Self {
        Self { tag: tag.into(), groups }
    }

    /// The `nth` ask of a group.
    pub fn ask(group: usize, nth: u64) -> u64 {
        ((group as u64) << GROUP_BITS) | nth
    }

    /// The group of an ask.
    pub fn group_of(ask: u64) -> usize {
        usize::try_from(ask >> GROUP_BITS).unwrap_or(usize::MAX)
    }

    fn group(&self, ask: u64) -> Option<&Group> {
        self.groups.get(Self::group_of(ask))
    }

    /// The identity behind an ask.
    pub fn buyer(&self, ask: u64) -> String {
        let (group, nth) = (Self::group_of(ask), ask & ((1 << GROUP_BITS) - 1));
        let of = self.group(ask);
        let place = nth / of.map_or(1, |of| of.orders_each.max(1));
        let place = place % of.and_then(|of| of.identities).unwrap_or(u64::MAX);
        match group {
            0 => format!("{}-b{place}", self.tag),
            _ => format!("{}-b{group}x{place}", self.tag),
        }
    }

    /// The idempotency key of an ask, if it bears one.
    pub fn key(&self, ask: u64) -> Option<String> {
        self.keyed(ask).then(|| format!("{}-k{ask}", self.tag))
    }

    /// Whether an ask bears a key, so that it can be asked again without a second order.
    pub fn keyed(&self, ask: u64) -> bool {
        self.group(ask).is_none_or(|group| group.keyed)
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
    pub fn with_payload_of_100_bytes(self) -> Self {
        self.with_payload_of(100)
    }

    /// The same form with a payload of so many bytes, 11 at least.
    #[must_use]
    pub fn with_payload_of(mut self, bytes: usize) -> Self {
        // {"note":"…"} is 11 bytes without the text.
        self.payload = Some(json!({ "note": "x".repeat(bytes.saturating_sub(11)) }));
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
    fn groups_have_names_of_their_own_and_bots_few_and_no_keys() {
        let bots = Group { orders_each: 1, identities: Some(3), keyed: false };
        let fans = Group { orders_each: 1, identities: None, keyed: true };
        let crowd = Crowd::of("t", vec![fans, bots]);
        let (fan, bot) = (Crowd::ask(0, 4), Crowd::ask(1, 4));
        assert_eq!((Crowd::group_of(fan), Crowd::group_of(bot)), (0, 1));
        assert_ne!(crowd.buyer(fan), crowd.buyer(bot));
        assert_eq!(crowd.buyer(bot), crowd.buyer(Crowd::ask(1, 7)));
        assert!(
            crowd.key(fan).is_some() && crowd.key(bot).is_none() && crowd.knows(&crowd.buyer(bot))
        );
    }

    #[test]
    fn the_payload_has_the_length_that_the_speed_table_names() {
        let form = OrderForm::new("s", "phone", Crowd::new("t", 1)).with_payload_of_100_bytes();
        assert_eq!(form.payload.as_ref().map(|payload| payload.to_string().len()), Some(100));
    }
}
