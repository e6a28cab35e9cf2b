//! Rows B-78 and B-79: what a client says about waiting, at a ticket whose order is placed.

use std::time::Duration;

use anyhow::Context;

use super::exchange::{Answer, exchange};
use super::print;
use super::row::{BODY, Row, SALE, get, order};
use crate::plant::Plant;
use crate::prove::Checks;

pub(super) async fn prove(plant: &Plant, checks: &mut Checks) -> anyhow::Result<()> {
    let bought = Row::new("B-79", "an order", order("waits", "", BODY), "202 open");
    let ticket = ask(plant, bought, checks).await?.says("ticket").context("no ticket")?;
    plant.settled(SALE, Duration::from_secs(30)).await?;
    let path = format!("/v1/tickets/{ticket}");
    let bad = "400 malformed open";
    for (query, wanted, applied) in [
        ("wait=99999", "200 open", Some("wait=30")),
        ("wait=1e99", "200 open", Some("wait=30")),
        ("wait=-1", "200 open", None),
        ("wait=0", "200 open", None),
        ("wait=x", bad, None),
        ("wait=NaN", bad, None),
        ("wait=", bad, None),
        ("wait=1&wait=1", bad, None),
    ] {
        let row =
            Row::new("B-78", format!("?{query}"), get(&format!("{path}?{query}"), ""), wanted);
        let answer = ask(plant, row, checks).await?;
        let said = answer.field("preference-applied");
        if said != applied {
            checks.promise(false, format_args!("?{query}: Preference-Applied is {said:?}"));
        }
    }
    for prefer in ["wait=99999", "wait=-1", "wait=x", "wait", "\u{ff}"] {
        let row = get(&path, &format!("Prefer: {prefer}\r\n"));
        ask(plant, Row::new("B-78", format!("Prefer: {prefer}"), row, "200 open"), checks).await?;
    }
    events(plant, &format!("{path}/events"), checks).await
}

async fn events(plant: &Plant, path: &str, checks: &mut Checks) -> anyhow::Result<()> {
    let row = |what: &str, fields: &str, wanted| Row::new("B-79", what, get(path, fields), wanted);
    let first = ask(plant, row("its events", "", "200 open"), checks).await?;
    let text = String::from_utf8_lossy(&first.body).into_owned();
    let id = text.lines().find_map(|line| line.strip_prefix("id: ")).context("no id")?;
    let huge = "9".repeat(12_000);
    for last in ["x", "-1", "18446744073709551616", "0", "", "\u{ff}", huge.as_str()] {
        let what: String = format!("Last-Event-ID: {last}").chars().take(40).collect();
        let answer =
            ask(plant, row(&what, &format!("Last-Event-ID: {last}\r\n"), "200 open"), checks)
                .await?;
        let told = String::from_utf8_lossy(&answer.body).contains("\"state\":\"placed\"");
        if !told {
            checks.promise(false, format_args!("{what}: the state is told"));
        }
    }
    let seen = format!("Last-Event-ID: {id}\r\n");
    ask(plant, row("Last-Event-ID of the end", &seen, "204 open"), checks).await.map(drop)
}

async fn ask(plant: &Plant, row: Row, checks: &mut Checks) -> anyhow::Result<Answer> {
    let mut seen = exchange(plant.public.address, &row).await?;
    print(&row, &seen.text, checks);
    seen.answers.pop().with_context(|| format!("{}: no answer", row.what))
}
