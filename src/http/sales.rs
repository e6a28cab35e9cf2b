//! Sales as everybody sees them: the same bytes for all, rendered at most every 100 ms.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderValue, IF_NONE_MATCH};
use hyper::http::request::Parts;
use serde::Serialize;

use super::answer::{Answer, with_body};
use super::gateway::Caller;
use super::problem::Problem;
use crate::clock::Timestamp;
use crate::sale::{Phase, SaleName, Sku};
use crate::watch::SaleView;

/// The age up to which a page is sent again as it is.
const FRESH: Duration = Duration::from_millis(100);

#[derive(Serialize)]
struct Document<'a> {
    sale: &'a SaleName,
    phase: Phase,
    server_time: Timestamp,
    opens_at: Option<Timestamp>,
    closes_at: Option<Timestamp>,
    items: Vec<Item<'a>>,
    limit_per_buyer: Option<u64>,
}

#[derive(Serialize)]
struct Item<'a> {
    sku: &'a Sku,
    sold_out: bool,
}

#[derive(Clone, Debug)]
struct Page {
    made: Duration,
    body: Bytes,
    etag: HeaderValue,
}

/// Rendered pages by sale; the list of all is under the empty name, which no sale has.
#[derive(Debug, Default)]
pub(super) struct Pages {
    made: Mutex<HashMap<String, Page>>,
}

impl Pages {
    fn get(&self, name: &str, now: Duration, make: impl FnOnce() -> Vec<u8>) -> Page {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(page) = made.get(name).filter(|page| now.saturating_sub(page.made) < FRESH) {
            return page.clone();
        }
        let body = Bytes::from(make());
        let mut hash = DefaultHasher::new();
        body.hash(&mut hash);
        let etag = HeaderValue::try_from(format!("\"{:016x}\"", hash.finish()));
        let etag = etag.unwrap_or(HeaderValue::from_static("\"0\""));
        let page = Page { made: now, body, etag };
        made.retain(|_, old| now.saturating_sub(old.made) < FRESH * 100);
        made.insert(name.to_owned(), page.clone());
        page
    }
}

impl Caller {
    /// `GET /v1/sales`.
    pub(super) fn sales(&self, head: &Parts) -> Result<Answer, Problem> {
        self.gateway.knows()?;
        let parts = &self.gateway.parts;
        let now = parts.clock.wall();
        let make = || {
            let all = parts.watch.all();
            let living = all.iter().filter(|sale| !sale.terms().doc.purged);
            let documents: Vec<serde_json::Value> =
                living.map(|sale| document(sale, now)).collect();
            serde_json::json!({ "sales": documents }).to_string().into_bytes()
        };
        Ok(page(&self.gateway.pages.get("", parts.clock.monotonic(), make), head))
    }

    /// `GET /v1/sales/{sale}`.
    pub(super) fn sale(&self, name: &str, head: &Parts) -> Result<Answer, Problem> {
        let parts = &self.gateway.parts;
        let sale = self.gateway.sale_named(name)?;
        if sale.terms().doc.purged {
            return Err(Problem::UnknownSale);
        }
        let make = || document(&sale, parts.clock.wall()).to_string().into_bytes();
        Ok(page(&self.gateway.pages.get(name, parts.clock.monotonic(), make), head))
    }
}

fn document(sale: &SaleView, now: Timestamp) -> serde_json::Value {
    let terms = sale.terms();
    let stated = &terms.doc.terms;
    let items = (0u16..).zip(&terms.doc.census.items);
    let items = items
        .map(|(index, item)| Item { sku: &item.sku, sold_out: terms.is_sold_out(index) })
        .collect();
    let document = Document {
        sale: sale.name(),
        phase: terms.phase(now),
        server_time: now,
        opens_at: stated.opens_at,
        closes_at: stated.closes_at,
        items,
        limit_per_buyer: stated.limit_per_buyer,
    };
    serde_json::to_value(document).unwrap_or_default()
}

fn page(page: &Page, head: &Parts) -> Answer {
    let seen = |value: &HeaderValue| {
        let tags = value.to_str().unwrap_or("").split(',').map(str::trim);
        tags.into_iter().any(|tag| tag == "*" || tag.trim_start_matches("W/") == page.etag)
    };
    let unchanged = head.headers.get_all(IF_NONE_MATCH).iter().any(seen);
    let mut answer = if unchanged {
        with_body(StatusCode::NOT_MODIFIED, Bytes::new())
    } else {
        with_body(StatusCode::OK, page.body.clone())
    };
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=1"));
    headers.insert(ETAG, page.etag.clone());
    answer
}
