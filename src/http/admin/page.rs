//! The status page: sales with their census, the drain, links. Plain HTML without scripts; it asks nobody for
//! anything, and everything that comes from outside is escaped.

use std::fmt::{self, Write as _};

use super::documents::phase;
use crate::clock::Timestamp;
use crate::ledger::{DrainDoc, ItemCensus, SaleDoc};
use crate::sale::Phase;

/// What browsers may do with the page: show it, with its own style.
pub(super) const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; \
                                 form-action 'none'; frame-ancestors 'none'";

const HEAD: &str = "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
<meta name=\"viewport\" content=\"width=device-width\"><title>Forebay</title><style>\
body{font:16px/1.5 system-ui,sans-serif;margin:2rem;color-scheme:light dark}\
table{border-collapse:collapse}th,td{padding:.2rem .8rem;text-align:right;border-bottom:1px solid #8884}\
th:first-child,td:first-child{text-align:left}</style></head><body><h1>Forebay</h1>";

/// Text in which HTML sees no markup.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// The page at wall time `now`. `trouble` is why the ledger takes no orders.
pub(super) fn render(
    sales: &[SaleDoc],
    drain: &DrainDoc,
    trouble: Option<&str>,
    now: Timestamp,
) -> String {
    let mut page = String::from(HEAD);
    // Writing to a string cannot fail.
    let _ = body(&mut page, sales, drain, trouble, now);
    page
}

fn body(
    page: &mut String,
    sales: &[SaleDoc],
    drain: &DrainDoc,
    trouble: Option<&str>,
    now: Timestamp,
) -> fmt::Result {
    if let Some(trouble) = trouble {
        write!(page, "<p><strong>Orders cannot be taken:</strong> {}</p>", Escaped(trouble))?;
    }
    write!(page, "<h2>Drain</h2><p>{}", drain.rate)?;
    if drain.paused {
        let reason = drain.reason.as_deref().unwrap_or("operator");
        write!(page, ", paused ({})", Escaped(reason))?;
    }
    page.push_str("</p><h2>Sales</h2>");
    if sales.is_empty() {
        page.push_str("<p>There is no sale yet: make one with <code>forebay sale put</code>.</p>");
    } else {
        page.push_str(
            "<table><tr><th>sale</th><th>phase</th><th>available</th><th>held</th><th>sold</th>\
             <th>accepted</th><th>waiting</th><th>placed</th><th>refused</th><th>dead</th></tr>",
        );
        sales.iter().try_for_each(|sale| row(page, sale, now))?;
        page.push_str("</table>");
    }
    page.push_str(
        "<p><a href=\"/metrics\">metrics</a> · <a href=\"/readyz\">readiness</a> · \
         <a href=\"/admin/v1/sales\">sales as JSON</a> · \
         <a href=\"/admin/v1/verify\">verify</a> · <a href=\"/openapi.json\">API</a> · \
         <a href=\"/version\">version</a></p></body></html>",
    );
    Ok(())
}

fn row(page: &mut String, sale: &SaleDoc, now: Timestamp) -> fmt::Result {
    let census = &sale.census;
    let sum = |of: fn(&ItemCensus) -> u64| census.items.iter().map(of).sum::<u64>();
    let name = Escaped(sale.name.as_str());
    let phase = match phase(sale, now) {
        Phase::Scheduled => "scheduled",
        Phase::Open => "open",
        Phase::SoldOut => "sold out",
        Phase::Paused => "paused",
        Phase::Closed => "closed",
    };
    write!(
        page,
        "<tr><td><a href=\"/admin/v1/sales/{name}\">{name}</a></td><td>{}</td><td>{}</td><td>{}</td>\
         <td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
        phase,
        sum(|item| item.available),
        sum(|item| item.held),
        sum(|item| item.sold),
        census.accepted,
        census.queued + census.placing,
        census.placed + census.paid,
        census.refused,
        census.dead,
    )
}
