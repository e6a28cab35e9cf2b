//! Doors for the fuzz targets in `fuzz/`: what clients write, and what must hold of it.

use bytes::Bytes;
use hyper::Request;
use hyper::header::HeaderName;
use hyper::http::request::Parts;

use super::{order, wait};
use crate::identity::fuzz::fields;
use crate::order::{LINES_MAX, PAYLOAD_MAX, QUANTITY_MAX};

/// An order within the bounds or a refusal, and the same again.
pub fn order_body(body: &[u8]) {
    let item = |sku: &str| u16::try_from(sku.len()).ok().filter(|len| *len < 9);
    let body = Bytes::copy_from_slice(body);
    let read = order::parse(&body, item);
    let Ok(asked) = &read else { return };
    assert!((1..=LINES_MAX).contains(&asked.lines.as_slice().len()));
    assert!(asked.payload.len() <= PAYLOAD_MAX);
    for line in asked.lines.as_slice() {
        assert!((1..=QUANTITY_MAX).contains(&line.quantity) && line.item < 9);
        let same = asked.lines.as_slice().iter().filter(|other| other.item == line.item);
        assert_eq!(same.count(), 1, "an item twice");
    }
    assert_eq!(order::parse(&body, item).ok().as_ref(), Some(asked));
}

/// Visible characters within the bounds, none, or a refusal.
fn idempotency_key(values: &[&[u8]]) {
    let Some(head) = head("/", "idempotency-key", values) else { return };
    if let Ok(Some(key)) = order::idempotency_key(&head.headers) {
        assert!((1..=255).contains(&key.len()) && key.iter().all(u8::is_ascii_graphic));
        assert_eq!(head.headers.get_all("idempotency-key").iter().count(), 1);
    }
}

/// A time within the bounds.
fn prefer(values: &[&[u8]]) {
    let Some(head) = head("/", "prefer", values) else { return };
    let Ok(wished) = wait::wished(&head) else { panic!("a preference is never refused") };
    assert!(wished.as_secs_f64() <= 30.0);
}

/// A time within the bounds, or a refusal.
fn query(query: &[u8]) {
    let Ok(query) = std::str::from_utf8(query) else { return };
    let Some(head) = head(&format!("/?{query}"), "prefer", &[]) else { return };
    if let Ok(wished) = wait::wished(&head) {
        assert!(wished.as_secs_f64() <= 30.0);
    }
}

/// Taken or refused.
fn media_type(values: &[&[u8]]) {
    let Some(head) = head("/", "content-type", values) else { return };
    if order::media_type(&head.headers).is_ok() {
        assert_eq!(head.headers.len(), 1, "it was said once");
    }
}

/// A head with one field, if there can be such a one.
fn head(uri: &str, name: &'static str, values: &[&[u8]]) -> Option<Parts> {
    let mut head = Request::get(uri).body(()).ok()?.into_parts().0;
    head.headers = fields(&HeaderName::from_static(name), values)?;
    Some(head)
}

/// One input of the target `headers`. The first byte says which field, a line feed parts
/// repeated ones.
pub fn headers(input: &[u8]) {
    let Some((which, rest)) = input.split_first() else { return };
    let values: Vec<&[u8]> = rest.split(|byte| *byte == b'\n').collect();
    match which % 6 {
        0 => idempotency_key(&values),
        1 => prefer(&values),
        2 => media_type(&values),
        3 => query(rest),
        4 => crate::identity::fuzz::addresses(&values),
        _ => crate::identity::fuzz::token(&values),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The inputs that are kept for a target.
    fn corpus(target: &str) -> Vec<Vec<u8>> {
        let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/");
        let entries = std::fs::read_dir(format!("{directory}{target}")).expect("it is kept");
        let read = |entry: std::fs::DirEntry| std::fs::read(entry.path()).ok();
        let inputs: Vec<Vec<u8>> = entries.flatten().filter_map(read).collect();
        assert!(inputs.len() > 10, "only {} inputs for {target}", inputs.len());
        inputs
    }

    #[test]
    fn what_fuzzing_found_worth_keeping_still_holds() {
        corpus("order_body").iter().for_each(|body| order_body(body));
        corpus("headers").iter().for_each(|input| headers(input));
    }
}
