//! One row of the table: what is sent, what is wanted. The wanted answer is written as the seen one is shown:
//! `STATUS code` of each answer, then whether the connection stays `open` or `close`s.

/// What a client does to the gateway, and what must come of it.
#[derive(Debug, Clone)]
pub(super) struct Row {
    /// The number of the row in the list of bad inputs.
    pub(super) id: &'static str,
    pub(super) what: String,
    pub(super) bytes: Vec<u8>,
    /// Sent when the first answer is there.
    pub(super) then: Vec<u8>,
    /// The client closes its side when all is sent.
    pub(super) half_close: bool,
    /// Whichever of them, with `|` between.
    pub(super) wanted: &'static str,
}

impl Row {
    pub(super) fn new(
        id: &'static str,
        what: impl Into<String>,
        bytes: impl Into<Vec<u8>>,
        wanted: &'static str,
    ) -> Self {
        let (what, bytes) = (what.into(), bytes.into());
        Self { id, what, bytes, then: Vec::new(), half_close: false, wanted }
    }

    pub(super) fn then(self, bytes: impl Into<Vec<u8>>) -> Self {
        Self { then: bytes.into(), ..self }
    }

    pub(super) fn half_close(self) -> Self {
        Self { half_close: true, ..self }
    }

    /// Whether what was seen is what is wanted.
    pub(super) fn holds(&self, seen: &str) -> bool {
        self.wanted.split('|').any(|wanted| wanted == seen)
    }
}

/// The sale that orders of the table are for.
pub(super) const SALE: &str = "edge";
/// Its item.
pub(super) const SKU: &str = "phone";
/// A good body of an order.
pub(super) const BODY: &str = r#"{"lines":[{"sku":"phone","quantity":1}]}"#;

/// A GET with these header lines after its host.
pub(super) fn get(path: &str, fields: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: shop.example\r\n{fields}\r\n")
}

/// The head of an order call; what frames its body is in `fields`.
pub(super) fn head(buyer: &str, fields: &str) -> String {
    format!(
        "POST /v1/sales/{SALE}/orders HTTP/1.1\r\nHost: shop.example\r\nX-Buyer-Id: {buyer}\r\n\
         Content-Type: application/json\r\n{fields}\r\n"
    )
}

/// An order with a `Content-Length`, and header lines beside it.
pub(super) fn order(buyer: &str, fields: &str, body: &str) -> String {
    let length = body.len();
    format!("{}{body}", head(buyer, &format!("{fields}Content-Length: {length}\r\n")))
}

/// An order whose body is written in chunks as given.
pub(super) fn chunked(buyer: &str, body: &str) -> String {
    format!("{}{body}", head(buyer, "Transfer-Encoding: chunked\r\n"))
}

/// One piece of a chunked body, and its end.
pub(super) fn one_chunk(body: &str) -> String {
    format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len())
}
