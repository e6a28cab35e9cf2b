//! The pages that buyers see.

use std::fmt::Write as _;

use super::database::{Row, StockLeft};

fn page(title: &str, buyer: Option<&str>, inside: &str) -> String {
    let who = buyer.map_or_else(
        || "<a href=\"/login\">log in</a>".to_owned(),
        |name| format!("{} · <a href=\"/orders\">orders</a>", text(name)),
    );
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{title}</title>\
         <body><header><a href=\"/\">shop</a> · {who}</header><h1>{title}</h1>{inside}</body></html>"
    )
}

/// Text as HTML shows it.
fn text(raw: &str) -> String {
    let raw = raw.replace('&', "&amp;").replace('<', "&lt;");
    raw.replace('>', "&gt;").replace('"', "&quot;")
}

pub(super) fn items(buyer: Option<&str>, stock: &[StockLeft]) -> String {
    let mut list = String::from("<ul>");
    for item in stock {
        let _ = write!(list, "<li>{}: {} left</li>", text(&item.sku), item.available);
    }
    list.push_str("</ul>");
    page("Items", buyer, &list)
}

pub(super) fn login(buyer: Option<&str>) -> String {
    let form = "<form method=\"post\" action=\"/login\"><label>Name <input name=\"name\" required \
                maxlength=\"128\" autofocus></label> <button>Log in</button></form>";
    page("Log in", buyer, form)
}

pub(super) fn orders<'a>(buyer: &str, rows: impl Iterator<Item = &'a Row>) -> String {
    let mut list = String::from("<ul>");
    for row in rows {
        let state = row.reason.as_deref().unwrap_or(&row.state);
        let _ = write!(list, "<li>{}: {} units, {}</li>", row.order_no, row.units, text(state));
    }
    list.push_str("</ul>");
    page("Your orders", Some(buyer), &list)
}
