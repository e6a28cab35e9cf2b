//! `forebay verify`: exit 5 when a law is broken.

use std::time::Duration;

use serde_json::Value;

use super::args::Verify;
use super::check;
use super::client::Answer;
use super::client::Client;
use super::exit::Exit;
use super::exit::Failure;
use super::exit::Outcome;
use super::output;
use super::sale::text;
use super::serve;
use crate::app;
use crate::units::counted;

/// Every order is read at each look.
const WATCH_MIN: Duration = Duration::from_secs(1);

pub(super) fn run(verify: Verify) -> Outcome {
    if verify.watch {
        return watch(&verify);
    }
    if !verify.offline {
        let answer = look(&verify)?;
        return shown(&verify, &answer.text, &answer.value);
    }
    let settings = check::settings(&check::inputs(verify.settings.clone()))?;
    let report = app::verify_offline(&settings).map_err(serve::failure)?;
    let report = serde_json::to_value(&report)
        .map_err(|error| Failure::new(Exit::Failed, format!("the report: {error}")))?;
    shown(&verify, &report.to_string(), &report)
}

/// What the gateway says.
fn look(verify: &Verify) -> Result<Answer, Failure> {
    Client::new(&verify.admin)?.patient()?.get("/admin/v1/verify")
}

/// A line for each look, until one finds something.
fn watch(verify: &Verify) -> Outcome {
    let every = verify.every.0.max(WATCH_MIN);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    loop {
        match look(verify) {
            Ok(answer) if !holds(&answer.value) => {
                return shown(verify, &answer.text, &answer.value);
            }
            Ok(answer) if verify.admin.json => output::line(answer.text.trim_end())?,
            Ok(answer) => output::line(&told(&answer.value).trim_end().replace('\n', "; "))?,
            // A gateway that is away, or whose store is, is looked at again.
            Err(failure) if matches!(failure.exit, Exit::Failed | Exit::Dependency) => {
                output::message(&format!("forebay: {failure}"));
            }
            Err(failure) => return Err(failure),
        }
        runtime.block_on(async { tokio::time::sleep(every).await });
    }
}

fn holds(report: &Value) -> bool {
    report.get("ok").and_then(Value::as_bool) == Some(true)
}

fn shown(verify: &Verify, json: &str, report: &Value) -> Outcome {
    if verify.admin.json {
        output::line(json.trim_end())?;
    } else {
        output::data(told(report).as_bytes())?;
        let rows = rows(report);
        if !rows.is_empty() {
            output::table(&["LAW", "SALE", "SKU", "TICKET", "EXPECTED", "FOUND"], &rows)?;
        }
    }
    Ok(if holds(report) { Exit::Ok } else { Exit::Broken })
}

/// The report in a few lines.
fn told(report: &Value) -> String {
    let number = |key: &str| report.pointer(key).and_then(Value::as_u64).unwrap_or_default();
    let findings = rows(report).len() as u64 + number("/findings_omitted");
    let verdict = match findings {
        0 => "ok: every law holds".to_owned(),
        _ => format!("BROKEN: {}", counted(findings, "finding")),
    };
    let compared = match report.get("compared").and_then(Value::as_str) {
        Some("placed") => "orders that the store was asked for; it lists none, so it may have more",
        Some("none") => "rows: this store can neither list nor be asked, so nothing is known of it",
        _ => "rows",
    };
    let mut told = format!(
        "{verdict}\nchecked {} tickets against {} {compared}, as of {}; {} at the store, fate unknown yet\n",
        number("/checked/tickets"),
        number("/checked/rows"),
        text(report.get("as_of")),
        number("/pending"),
    );
    if number("/foreign") > 0 {
        told.push_str(&format!(
            "{} rows of sales that are not in the ledger\n",
            number("/foreign")
        ));
    }
    let forced = report.get("forced").and_then(Value::as_array).into_iter().flatten();
    for ticket in forced {
        let ticket = text(Some(ticket));
        told.push_str(&format!("refused by force, and the shop may have it: {ticket}\n"));
    }
    if number("/torn_bytes") > 0 {
        let bytes = number("/torn_bytes");
        told.push_str(&format!(
            "{bytes} bytes of a torn tail, which the next start cuts off: nobody was answered for them\n"
        ));
    }
    told
}

fn rows(report: &Value) -> Vec<Vec<String>> {
    let columns = ["law", "sale", "sku", "ticket", "expected", "found"];
    let findings = report.get("findings").and_then(Value::as_array);
    let row = |finding: &Value| columns.map(|column| text(finding.get(column))).to_vec();
    findings.into_iter().flatten().map(row).collect()
}
