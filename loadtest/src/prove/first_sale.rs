//! Started with nothing, it sells: by the very line that it prints.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, ensure};
use hyper::Method;
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;
use tokio::time::sleep;

use super::Checks;
use crate::call::call;
use crate::gateway::{Process, free_address};
use crate::plant::READY_WITHIN;
use crate::target::Target;
use crate::{clock, report};

/// One unit of an idle gateway is placed in far less.
const PLACED_WITHIN: Duration = Duration::from_secs(10);

pub(super) async fn prove(binary: &Path, checks: &mut Checks) -> anyhow::Result<()> {
    let directory = TempDir::with_prefix("forebay-first-sale-")?;
    let public = free_address()?;
    let listen = [
        ("FOREBAY_PUBLIC__LISTEN", public.to_string()),
        ("FOREBAY_ADMIN__LISTEN", free_address()?.to_string()),
    ];
    let public = Target::from(public);
    let mut process = Process::start(binary, &[] as &[&str], directory.path(), &listen)?;
    process.ready(&public, READY_WITHIN).await?;
    let line = process.printed(READY_WITHIN, curl_line).await?;
    report::row("printed", &line);
    // The printed line must work each time.
    for _ in 0..2 {
        let (status, ticket) = curl(&line, directory.path()).await?;
        checks.promise(status == "202", format_args!("the printed line is answered {status}"));
        let state = followed(&public, &ticket).await?;
        checks.promise(state == "placed", format_args!("ticket {ticket} became {state}"));
    }
    Ok(())
}

/// The first printed command that sends an order; a line that ends with a backslash goes on.
fn curl_line(printed: &str) -> Option<String> {
    let whole = printed.replace("\\\n", " ");
    let line = whole.lines().find(|line| line.contains("curl ") && line.contains("/orders"))?;
    Some(line.get(line.find("curl ")?..)?.trim_end_matches('`').to_owned())
}

/// Runs the line as a user would; a `.curlrc` makes curl tell the status too.
async fn curl(line: &str, directory: &Path) -> anyhow::Result<(String, String)> {
    std::fs::write(directory.join(".curlrc"), "write-out = \"\\n%{http_code}\"\n")?;
    let output = Command::new("sh")
        .args(["-c", line])
        .env("CURL_HOME", directory)
        .current_dir(directory)
        .kill_on_drop(true)
        .output()
        .await
        .context("sh cannot be run")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let status = text.lines().last().unwrap_or_default().to_owned();
    let body = text.get(text.find('{').unwrap_or_default()..=text.rfind('}').unwrap_or_default());
    let document: Value = serde_json::from_str(body.unwrap_or_default())
        .with_context(|| format!("`{line}` printed {text:?} {:?}", output.stderr))?;
    let ticket = document.get("ticket").and_then(Value::as_str).unwrap_or_default();
    ensure!(!ticket.is_empty(), "`{line}` got no ticket: {text}");
    Ok((status, ticket.to_owned()))
}

/// Follows a ticket until its order is neither queued nor placing.
async fn followed(public: &Target, ticket: &str) -> anyhow::Result<String> {
    let until = clock::now() + PLACED_WITHIN;
    loop {
        let document =
            call(public, Method::GET, &format!("/v1/tickets/{ticket}"), None, None).await?;
        let state =
            document.json()?.get("state").and_then(Value::as_str).unwrap_or_default().to_owned();
        if !matches!(state.as_str(), "queued" | "placing") || clock::now() >= until {
            return Ok(state);
        }
        sleep(Duration::from_millis(50)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::curl_line;

    #[test]
    fn the_order_line_is_found_whole() {
        let printed = "listening on 127.0.0.1:1\n  buy: curl -X POST \\\n  http://h/v1/sales/demo/orders -d '{}'\ncurl http://h/v1/tickets/…\n";
        let line = curl_line(printed).unwrap();
        assert!(line.starts_with("curl -X POST ") && line.ends_with("/orders -d '{}'"), "{line}");
        assert_eq!(curl_line("curl http://h/v1/tickets/x"), None);
    }
}
