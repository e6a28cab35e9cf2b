//! `forebay ticket show` and `forebay dead …`.

use hyper::Method;
use serde_json::Value;
use serde_json::json;

use super::args::Admin;
use super::args::Dead;
use super::args::OneDead;
use super::args::OneSale;
use super::args::Ticket;
use super::client::Client;
use super::exit::Exit;
use super::exit::Outcome;
use super::output;
use super::sale::export;
use super::sale::text;

/// The longest cell of what a store said; `ticket show` and `--json` have all of it.
const SAID_MAX: usize = 60;

pub(super) fn run(what: Ticket) -> Outcome {
    let Ticket::Show { ticket, admin } = what;
    let answer = Client::new(&admin)?.get(&format!("/admin/v1/tickets/{ticket}"))?;
    if admin.json {
        output::line(answer.text.trim_end())?;
        return Ok(Exit::Ok);
    }
    let fields = answer.value.as_object();
    let (lists, plain): (Vec<_>, Vec<_>) = fields.into_iter().flatten().partition(|(_, value)| {
        value.as_array().is_some_and(|list| list.iter().any(Value::is_object))
    });
    let rows: Vec<Vec<String>> =
        plain.into_iter().map(|(key, value)| vec![key.clone(), text(Some(value))]).collect();
    output::table(&["FIELD", "VALUE"], &rows)?;
    for (name, list) in lists {
        output::line("")?;
        objects(&name.to_ascii_uppercase(), list)?;
    }
    Ok(Exit::Ok)
}

/// A list of objects as a table, under the names of their fields.
fn objects(name: &str, list: &Value) -> std::io::Result<()> {
    let list = list.as_array().cloned().unwrap_or_default();
    output::line(name)?;
    let columns = columns(&list);
    let rows: Vec<Vec<String>> = list
        .iter()
        .map(|row| columns.iter().map(|column| text(row.get(column))).collect())
        .collect();
    output::table(&columns, &rows)
}

/// Every field that one of the objects has, as they come: not every step of an order has a reason.
fn columns(list: &[Value]) -> Vec<&str> {
    let mut columns: Vec<&str> = Vec::new();
    for name in list.iter().filter_map(Value::as_object).flat_map(serde_json::Map::keys) {
        if !columns.contains(&name.as_str()) {
            columns.push(name);
        }
    }
    columns
}

pub(super) fn dead(what: Dead) -> Outcome {
    match what {
        Dead::List(one) => list(&one),
        Dead::Export(one) => export(&one, "dead"),
        Dead::Retry(dead) => act(&dead, "retry", &json!({})),
        Dead::Refuse { dead, force: false } => act(&dead, "refuse", &json!({})),
        Dead::Refuse { dead, force: true } => act(&dead, "refuse", &json!({"force": true})),
    }
}

/// Pages are asked for until there is no next one.
fn list(one: &OneSale) -> Outcome {
    let client = Client::new(&one.admin)?;
    let path = format!("/admin/v1/sales/{}/dead", one.sale);
    let mut dead = Vec::new();
    let mut next = Value::Null;
    loop {
        let query =
            if next.is_null() { String::new() } else { format!("?from={}", text(Some(&next))) };
        let mut answer = client.get(&format!("{path}{query}"))?.value;
        if let Some(Value::Array(page)) = answer.get_mut("dead").map(Value::take) {
            dead.extend(page);
        }
        next = answer.get_mut("next").map(Value::take).unwrap_or_default();
        if next.is_null() {
            break;
        }
    }
    if one.admin.json {
        output::line(&json!({"dead": dead}).to_string())?;
        return Ok(Exit::Ok);
    }
    let columns = ["ticket", "buyer", "reason", "attempts", "accepted_at", "settled_at"];
    let rows: Vec<Vec<String>> = dead
        .iter()
        .map(|order| {
            let plain = columns.iter().map(|column| text(order.get(column)));
            plain.chain([said(order.get("last_error"))]).collect()
        })
        .collect();
    let heading = ["TICKET", "BUYER", "REASON", "ATTEMPTS", "ACCEPTED", "DIED", "LAST ERROR"];
    output::table(&heading, &rows)?;
    Ok(Exit::Ok)
}

/// What a store said, as a cell: it may be long, and hold what would break the row or move the cursor.
fn said(value: Option<&Value>) -> String {
    let whole = text(value);
    let mut cell: String = whole.chars().take(SAID_MAX).collect();
    if cell.len() < whole.len() {
        cell.pop();
        cell.push('…');
    }
    cell.replace(char::is_control, " ")
}

fn act(dead: &OneDead, action: &str, body: &Value) -> Outcome {
    let path = format!("/admin/v1/sales/{}/dead/{}/{action}", dead.sale, dead.ticket);
    let answer = Client::new(&dead.admin)?.change(Method::POST, &path, body)?;
    told(&dead.admin, &answer.text, &answer.value)
}

/// A flat document, field by field.
pub(super) fn told(admin: &Admin, json: &str, value: &Value) -> Outcome {
    if admin.json {
        output::line(json.trim_end())?;
        return Ok(Exit::Ok);
    }
    let fields = value.as_object().into_iter().flatten();
    let rows: Vec<Vec<String>> =
        fields.map(|(key, value)| vec![key.clone(), text(Some(value))]).collect();
    output::table(&["FIELD", "VALUE"], &rows)?;
    Ok(Exit::Ok)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_that_only_a_later_row_has_is_a_column() {
        let list = [json!({"at": 1, "what": "accepted"}), json!({"at": 2, "reason": "no stock"})];
        assert_eq!(columns(&list), ["at", "what", "reason"]);
    }

    #[test]
    fn whatever_a_store_said_is_one_short_cell() {
        assert_eq!(said(None), "-");
        assert_eq!(said(Some(&json!("1205\n\u{1b}[2Jlock wait"))), "1205  [2Jlock wait");
        let (whole, long) = ("ü".repeat(SAID_MAX), "ü".repeat(SAID_MAX + 1));
        assert_eq!(said(Some(&json!(whole))), whole);
        assert_eq!(said(Some(&json!(long))), format!("{}…", "ü".repeat(SAID_MAX - 1)));
    }
}
