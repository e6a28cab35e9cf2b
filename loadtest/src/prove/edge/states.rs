//! Rows that need something to have happened before: B-65, B-73 to B-78, B-88, B-89 and B-93.

use anyhow::{Context, ensure};
use serde_json::json;

use super::exchange::{Answer, exchange};
use super::print;
use super::row::{BODY, Row, SALE, SKU, get, order};
use crate::plant::Plant;
use crate::prove::Checks;

/// Orders at once with one key.
const SAME_KEY: usize = 50;
/// Different bad paths; the number of series must not notice them.
const BAD_PATHS: usize = 2_000;

pub(super) async fn prove(plant: &Plant, checks: &mut Checks) -> anyhow::Result<()> {
    phases(plant, checks).await?;
    keys(plant, checks).await?;
    tickets(plant, checks).await?;
    purged(plant, checks).await?;
    operators(plant, checks).await?;
    series(plant, checks).await
}

/// Sends a row, prints it, and gives the last answer back.
async fn ask(plant: &Plant, row: Row, checks: &mut Checks) -> anyhow::Result<Answer> {
    let target = plant.public.address;
    answered(target, row, checks).await
}

async fn answered(
    target: std::net::SocketAddr,
    row: Row,
    checks: &mut Checks,
) -> anyhow::Result<Answer> {
    let mut seen = exchange(target, &row).await?;
    print(&row, &seen.text, checks);
    seen.answers.pop().with_context(|| format!("{}: no answer", row.what))
}

async fn phases(plant: &Plant, checks: &mut Checks) -> anyhow::Result<()> {
    let to =
        |sale: &str| order("phases", "", BODY).replace(&format!("/{SALE}/"), &format!("/{sale}/"));
    let items = json!([{ "sku": SKU, "stock": 10 }]);
    let later = json!({ "opens_at": "2999-01-01T00:00:00Z", "items": items });
    plant.admin.put_sale("later", &later).await?;
    plant.admin.create_sale("over", SKU, 10, None).await?;
    plant.admin.close("over").await?;
    plant.admin.create_sale("halted", SKU, 10, None).await?;
    plant.admin.switch("halted", "pause").await?;
    for (sale, phase) in [("later", "scheduled"), ("over", "closed"), ("halted", "paused")] {
        plant.phase(sale, phase).await?;
    }
    for (sale, wanted) in [
        ("none", "404 unknown_sale open"),
        ("later", "403 not_open open"),
        ("over", "410 closed open"),
        ("halted", "503 paused open"),
    ] {
        let id = if sale == "halted" { "B-89" } else { "B-65" };
        let answer = ask(
            plant,
            Row::new(id, format!("an order of the sale `{sale}`"), to(sale), wanted),
            checks,
        )
        .await?;
        if sale == "later" {
            checks
                .promise(answer.field("retry-after").is_some(), "not_open says when to come back");
        }
    }
    Ok(())
}

async fn keys(plant: &Plant, checks: &mut Checks) -> anyhow::Result<()> {
    let keyed = |buyer: &str, body: &str| order(buyer, "Idempotency-Key: one\r\n", body);
    let row = |what: &str, bytes: String, wanted| Row::new("B-73", what, bytes, wanted);
    let first =
        ask(plant, row("a key for the first time", keyed("k1", BODY), "202 open"), checks).await?;
    let again =
        ask(plant, row("the same key and order", keyed("k1", BODY), "202 open"), checks).await?;
    let other = BODY.replace('1', "2");
    ask(
        plant,
        row("the same key, another order", keyed("k1", &other), "422 key_reused open"),
        checks,
    )
    .await?;
    let foreign =
        ask(plant, row("the same key, another buyer", keyed("k2", BODY), "202 open"), checks)
            .await?;
    let quoted = keyed("k1", BODY).replace(": one", ": \"one\"");
    let quoted = ask(plant, row("the same key in quotes", quoted, "202 open"), checks).await?;
    let ticket = |answer: &Answer| answer.says("ticket");
    let same = ticket(&first) == ticket(&again) && ticket(&first) == ticket(&quoted);
    checks.promise(same && ticket(&first) != ticket(&foreign), "one ticket a buyer and key");

    let parallel =
        Row::new("B-74", "50 orders at once with one key", keyed("k50", BODY), "202 open");
    let target = plant.public.address;
    let sent: Vec<_> = (0..SAME_KEY)
        .map(|_| {
            let row = parallel.clone();
            tokio::spawn(async move { exchange(target, &row).await })
        })
        .collect();
    let mut tickets = Vec::new();
    for one in sent {
        let seen = one.await??;
        if !parallel.holds(&seen.text) {
            print(&parallel, &seen.text, checks);
        }
        tickets.extend(seen.answers.iter().filter_map(ticket));
    }
    tickets.dedup();
    checks.promise(
        tickets.len() == 1,
        format_args!("{SAME_KEY} orders at once with one key: {} ticket", tickets.len()),
    );
    Ok(())
}

async fn tickets(plant: &Plant, checks: &mut Checks) -> anyhow::Result<()> {
    let accepted =
        ask(plant, Row::new("B-75", "an order", order("owner", "", BODY), "202 open"), checks)
            .await?;
    let ticket = accepted.says("ticket").context("a 202 without a ticket")?;
    let read = |ticket: &str, fields: &str| get(&format!("/v1/tickets/{ticket}"), fields);
    let unknown = "404 unknown_ticket open";
    let row = |id, what: &str, bytes: String, wanted| Row::new(id, what, bytes, wanted);
    ask(plant, row("B-75", "its ticket", read(&ticket, ""), "200 open"), checks).await?;
    ask(
        plant,
        row("B-78", "Prefer that cannot be read", read(&ticket, "Prefer: wait=x\r\n"), "200 open"),
        checks,
    )
    .await?;
    ask(
        plant,
        row(
            "B-77",
            "its ticket, by another buyer",
            read(&ticket, "X-Buyer-Id: thief\r\n"),
            unknown,
        ),
        checks,
    )
    .await?;
    let cancel = read(&ticket, "X-Buyer-Id: thief\r\n").replace("GET", "DELETE");
    ask(plant, row("B-77", "cancelled by another buyer", cancel, unknown), checks).await?;
    ask(
        plant,
        row(
            "B-77",
            "cancelled by nobody",
            read(&ticket, "").replace("GET", "DELETE"),
            "401 unknown_buyer open",
        ),
        checks,
    )
    .await?;
    let mut bodies = Vec::new();
    let last = ticket.chars().last().context("an empty ticket")?;
    let twin = |char: char| if char == 'A' { 'B' } else { 'A' };
    let flipped = format!("{}{}", &ticket[..ticket.len() - 1], twin(last));
    for (what, bad) in [
        ("its last letter changed", flipped),
        ("cut", ticket[..ticket.len() - 1].to_owned()),
        ("with one letter more", format!("{ticket}A")),
        ("padded", format!("{ticket}=")),
        ("its first letter changed", format!("B{}", &ticket[1..])),
    ] {
        bodies.push(
            ask(plant, row("B-75", &format!("a ticket {what}"), read(&bad, ""), unknown), checks)
                .await?
                .body,
        );
    }
    bodies.dedup();
    checks.promise(bodies.len() == 1, "wrong tickets are all answered with the same bytes");
    Ok(())
}

async fn purged(plant: &Plant, checks: &mut Checks) -> anyhow::Result<()> {
    let read = |ticket: &str, fields: &str| get(&format!("/v1/tickets/{ticket}"), fields);
    let row = |what: &str, bytes: String, wanted| Row::new("B-76", what, bytes, wanted);
    plant.admin.create_sale("gone", SKU, 10, None).await?;
    plant.phase("gone", "open").await?;
    let gone = order("gone", "", BODY).replace(&format!("/{SALE}/"), "/gone/");
    let answer =
        ask(plant, row("an order of a sale that will be purged", gone, "202 open"), checks).await?;
    let ticket = answer.says("ticket").context("a 202 without a ticket")?;
    let cancel = read(&ticket, "X-Buyer-Id: gone\r\n").replace("GET", "DELETE");
    ask(plant, row("cancelled", cancel, "200 open|409 too_late open"), checks).await?;
    plant.settled("gone", std::time::Duration::from_secs(30)).await?;
    plant.admin.close("gone").await?;
    plant.admin.switch("gone", "purge").await?;
    plant.phase("gone", "unknown").await?;
    ask(plant, row("its ticket after the purge", read(&ticket, ""), "410 purged open"), checks)
        .await?;
    Ok(())
}

async fn operators(plant: &Plant, checks: &mut Checks) -> anyhow::Result<()> {
    let target = plant.admin.address();
    let post = |path: &str, body: &str| {
        format!(
            "POST /admin/v1/sales/{path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let stock = |delta: &str, operation: &str| {
        post(
            "halted/stock",
            &format!("{{\"sku\":\"{SKU}\",\"delta\":{delta},\"operation\":\"{operation}\"}}"),
        )
    };
    for (id, what, bytes, wanted) in [
        ("B-88", "stock of 0", stock("0", "a"), "422 bad_delta open"),
        ("B-88", "stock of 2^63", stock("9223372036854775808", "b"), "422 bad_delta open"),
        ("B-88", "stock beyond 2^53", stock("9007199254740993", "c"), "422 bad_delta open"),
        ("B-88", "a cut of 5 of 10", stock("-5", "d"), "200 open"),
        ("B-88", "the same operation again", stock("-5", "d"), "200 open"),
        (
            "B-88",
            "the same operation, another delta",
            stock("-4", "d"),
            "422 operation_reused open",
        ),
        ("B-88", "a cut of 6 of 5", stock("-6", "e"), "409 below_available open"),
        ("B-89", "pause of a paused sale", post("halted/pause", "{}"), "200 open"),
        ("B-89", "resume", post("halted/resume", "{}"), "200 open"),
        ("B-89", "resume again", post("halted/resume", "{}"), "200 open"),
    ] {
        answered(target, Row::new(id, what, bytes, wanted), checks).await?;
    }
    let census = plant.admin.census("halted").await?;
    let left = census.items.first().map(|item| item.available);
    checks.promise(
        left == Some(5),
        format_args!("one operation takes effect once: {left:?} units left"),
    );
    Ok(())
}

async fn series(plant: &Plant, checks: &mut Checks) -> anyhow::Result<()> {
    let ask = |from: usize, count: usize| {
        let paths = (from..from + count).map(|number| get(&format!("/no/{number}"), ""));
        Row::new("B-93", format!("{count} bad paths"), paths.collect::<String>(), "")
    };
    let count = async || anyhow::Ok(plant.admin.metrics_text().await?.lines().count());
    exchange(plant.public.address, &ask(0, 1)).await?;
    // A read of the metrics is counted itself, for the next one.
    count().await?;
    let before = count().await?;
    let seen = exchange(plant.public.address, &ask(1, BAD_PATHS)).await?;
    ensure!(seen.answers.len() == BAD_PATHS, "{}", seen.text);
    let after = count().await?;
    checks.promise(
        before == after,
        format_args!("B-93: {BAD_PATHS} bad paths, {before} and {after} lines of metrics"),
    );
    Ok(())
}
