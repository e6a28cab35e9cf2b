//! `forebay sale …`.

use hyper::Method;
use serde_json::Value;
use serde_json::json;

use super::args::Admin;
use super::args::OneSale;
use super::args::PutSale;
use super::args::Sale;
use super::args::Stock;
use super::client::Answer;
use super::client::Client;
use super::exit::Exit;
use super::exit::Failure;
use super::exit::Outcome;
use super::output;

const SALES: &str = "/admin/v1/sales";

pub(super) fn run(what: Sale) -> Outcome {
    match what {
        Sale::List { admin } => list(&admin),
        Sale::Show(one) => {
            let answer = Client::new(&one.admin)?.get(&format!("{SALES}/{}", one.sale))?;
            show(&one.admin, &answer)
        }
        Sale::Put(put) => self::put(&put),
        Sale::Pause(one) => switch(&one, "pause"),
        Sale::Resume(one) => switch(&one, "resume"),
        Sale::Close(one) => switch(&one, "close"),
        Sale::Purge(one) => switch(&one, "purge"),
        Sale::Rebuild(one) => switch(&one, "rebuild"),
        Sale::Redrive(one) => redrive(&one),
        Sale::Stock(stock) => self::stock(&stock),
        Sale::Export(one) => export(&one, "tickets"),
    }
}

fn list(admin: &Admin) -> Outcome {
    let answer = Client::new(admin)?.get(SALES)?;
    if admin.json {
        output::line(answer.text.trim_end())?;
        return Ok(Exit::Ok);
    }
    let sales = answer.value.get("sales").and_then(Value::as_array).cloned().unwrap_or_default();
    let sum = |sale: &Value, counter: &str| {
        let items = sale.pointer("/census/items").and_then(Value::as_array);
        let each = items.into_iter().flatten().filter_map(|item| item.get(counter)?.as_u64());
        each.sum::<u64>().to_string()
    };
    let count = |sale: &Value, counter: &str| text(sale.pointer(&format!("/census/{counter}")));
    let rows: Vec<Vec<String>> = sales
        .iter()
        .map(|sale| {
            let mut row = vec![text(sale.get("sale")), phase(sale)];
            row.extend(["available", "held", "sold"].map(|counter| sum(sale, counter)));
            row.extend(["queued", "placing", "placed", "dead"].map(|counter| count(sale, counter)));
            row
        })
        .collect();
    let heading =
        ["SALE", "PHASE", "AVAILABLE", "HELD", "SOLD", "QUEUED", "PLACING", "PLACED", "DEAD"];
    output::table(&heading, &rows)?;
    Ok(Exit::Ok)
}

/// A JSON value as a cell: texts without quotes, nothing as a dash.
pub(super) fn text(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

/// The phase, and whether the tickets are gone.
fn phase(sale: &Value) -> String {
    let phase = text(sale.get("phase"));
    if sale.get("purged") == Some(&Value::Bool(true)) { format!("{phase} (purged)") } else { phase }
}

fn show(admin: &Admin, answer: &Answer) -> Outcome {
    if admin.json {
        output::line(answer.text.trim_end())?;
        return Ok(Exit::Ok);
    }
    let sale = &answer.value;
    let mut rows = vec![
        vec!["sale".to_owned(), text(sale.get("sale"))],
        vec!["phase".to_owned(), phase(sale)],
    ];
    for part in ["terms", "census"] {
        let fields = sale.get(part).and_then(Value::as_object);
        let plain = fields.into_iter().flatten().filter(|(key, _)| *key != "items");
        rows.extend(plain.map(|(key, value)| vec![key.clone(), text(Some(value))]));
    }
    output::table(&["FIELD", "VALUE"], &rows)?;
    let items = sale.pointer("/census/items").and_then(Value::as_array);
    let columns = ["sku", "initial", "added", "cut", "available", "held", "sold"];
    let rows: Vec<Vec<String>> = items
        .into_iter()
        .flatten()
        .map(|item| columns.iter().map(|column| text(item.get(column))).collect())
        .collect();
    output::line("")?;
    output::table(&["SKU", "INITIAL", "ADDED", "CUT", "AVAILABLE", "HELD", "SOLD"], &rows)?;
    Ok(Exit::Ok)
}

fn put(put: &PutSale) -> Outcome {
    let items = put.items.iter().map(|item| match item.stock {
        Some(stock) => json!({"sku": item.sku, "stock": stock}),
        None => json!({"sku": item.sku}),
    });
    let body = json!({
        "opens_at": put.opens_at,
        "closes_at": put.closes_at,
        "limit_per_buyer": put.limit_per_buyer,
        "admit_rate": put.admit_rate,
        "drain_rate": put.drain_rate,
        "items": items.collect::<Vec<_>>(),
    });
    let path = format!("{SALES}/{}", put.sale);
    let answer = Client::new(&put.admin)?.change(Method::PUT, &path, &body)?;
    show(&put.admin, &answer)
}

fn switch(one: &OneSale, action: &str) -> Outcome {
    let path = format!("{SALES}/{}/{action}", one.sale);
    let answer = Client::new(&one.admin)?.change(Method::POST, &path, &json!({}))?;
    show(&one.admin, &answer)
}

/// Asks until all orders were looked at.
fn redrive(one: &OneSale) -> Outcome {
    let client = Client::new(&one.admin)?.patient()?;
    let path = format!("{SALES}/{}/redrive", one.sale);
    let (mut looked, mut placed, mut left) = (0, Vec::new(), Vec::new());
    let (mut next, mut broken_off) = (Some(0), None);
    while let (Some(from), None) = (next, &broken_off) {
        // What was placed before has lost its payload: that is told, whatever comes between.
        let answer = match client.change(Method::POST, &path, &json!({"from": from})) {
            Ok(answer) => answer.value,
            Err(failure) if placed.is_empty() => return Err(failure),
            Err(failure) => {
                broken_off = Some(failure.message);
                continue;
            }
        };
        let list = |name: &str| answer.get(name).and_then(Value::as_array).cloned();
        looked += answer.get("looked").and_then(Value::as_u64).unwrap_or_default();
        placed.extend(list("placed").unwrap_or_default());
        left.extend(list("left").unwrap_or_default());
        next = answer.get("next").and_then(Value::as_u64);
        broken_off = answer.get("stopped").and_then(Value::as_str).map(str::to_owned);
    }
    redriven(one, looked, &placed, &left, broken_off)
}

/// Tells what came of it; that it broke off is told last.
fn redriven(
    one: &OneSale,
    looked: u64,
    placed: &[Value],
    left: &[Value],
    broken_off: Option<String>,
) -> Outcome {
    let exit = if left.is_empty() && broken_off.is_none() { Exit::Ok } else { Exit::Failed };
    if one.admin.json {
        let whole =
            json!({"looked": looked, "placed": placed, "left": left, "stopped": broken_off});
        output::line(&whole.to_string())?;
        return Ok(exit);
    }
    let row = |ticket: Option<&Value>, what: String| vec![text(ticket), what];
    let mut rows: Vec<Vec<String>> =
        placed.iter().map(|ticket| row(Some(ticket), "placed again".to_owned())).collect();
    rows.extend(left.iter().map(|order| row(order.get("ticket"), text(order.get("reason")))));
    output::table(&["TICKET", "WHAT CAME OF IT"], &rows)?;
    let (lost, again) = (placed.len() + left.len(), placed.len());
    output::message(&format!(
        "{looked} placed orders looked at, {lost} not at the store, {again} placed again without their payloads"
    ));
    match broken_off {
        Some(why) => Err(Failure::new(Exit::Failed, format!("broken off, ask again: {why}"))),
        None => Ok(exit),
    }
}

fn stock(stock: &Stock) -> Outcome {
    let path = format!("{SALES}/{}/stock", stock.sale);
    let body = json!({"sku": stock.sku, "delta": stock.delta, "operation": stock.operation});
    let answer = Client::new(&stock.admin)?.change(Method::POST, &path, &body)?;
    show(&stock.admin, &answer)
}

/// Orders of a sale, a line each: `tickets` or `dead`.
pub(super) fn export(one: &OneSale, which: &str) -> Outcome {
    let path = format!("{SALES}/{}/{which}?format=ndjson", one.sale);
    Client::new(&one.admin)?.patient()?.stream(Method::GET, &path, None, output::data)?;
    Ok(Exit::Ok)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sale_whose_tickets_are_gone_says_so() {
        assert_eq!(phase(&json!({"phase": "closed", "purged": true})), "closed (purged)");
        assert_eq!(phase(&json!({"phase": "closed", "purged": false})), "closed");
    }
}
