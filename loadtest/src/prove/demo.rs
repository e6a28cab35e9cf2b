//! The demo does in a minute what it says: both ways, the proof, a report, and nothing else is left behind.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, ensure};
use tempfile::TempDir;
use tokio::process::Command;
use tokio::time::timeout;

use super::{Checks, Scale};
use crate::{clock, output};

/// It promises less than a minute; what is longer than this hangs.
const LONGEST: Duration = Duration::from_secs(300);
const MINUTE: Duration = Duration::from_secs(60);

pub(super) async fn prove(binary: &Path, scale: Scale, checks: &mut Checks) -> anyhow::Result<()> {
    let home = TempDir::with_prefix("forebay-prove-")?;
    let (buyers, options): (u64, &[&str]) =
        scale.pick((500, &["--over", "200ms", "--rate", "1000/s"]), (20_000, &[]));
    let scratch = home.path().join("scratch");
    std::fs::create_dir(&scratch)?;
    let began = clock::now();
    let running = Command::new(binary)
        .args(["demo", "--report", "report.html", "--buyers", &buyers.to_string()])
        .args(options)
        .current_dir(home.path())
        .env("TMPDIR", &scratch)
        .kill_on_drop(true)
        .output();
    let done = timeout(LONGEST, running).await.context("the demo hangs")??;
    let took = began.elapsed();
    let (told, said) =
        (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    ensure!(done.status.success(), "{}\n{told}{said}", done.status);
    output::line(told.trim_end());

    let row = |name: &str| figures(&told, name).with_context(|| format!("no row `{name}`"));
    let came = row("buyers who came")?;
    checks.promise(came == [buyers, buyers], "every buyer came, both ways");
    let (taken, stored) = (row("orders with a yes")?, row("orders in the store")?);
    checks.promise(
        taken == stored,
        format_args!("who has a yes is in the store: {taken:?}, {stored:?}"),
    );
    let proved = told.lines().any(|line| line.starts_with("proved: "));
    checks.promise(proved, "`verify` is part of it");
    let page = std::fs::read_to_string(home.path().join("report.html"))?;
    let whole = page.starts_with("<!doctype html>") && page.trim_end().ends_with("</html>");
    checks.promise(whole && page.matches("<svg").count() >= 4, "the report has its pictures");
    let last = told.lines().last().unwrap_or_default();
    checks.promise(page.contains(last) && !last.is_empty(), "and says what the last line says");
    let left = std::fs::read_dir(&scratch)?.count() + std::fs::read_dir(home.path())?.count();
    checks.promise(left == 2, "nothing but the report is left behind");
    if scale == Scale::Full {
        let in_time = row("a yes or a no within 2 s")?;
        let late = row("buyers the demo was late with")?;
        let punctual = late.iter().all(|late| late * 100 <= buyers);
        checks.threshold(punctual, format_args!("the demo itself was late with {late:?} buyers"));
        checks.threshold(took < MINUTE, format_args!("it takes {:.0} s", took.as_secs_f64()));
        checks
            .threshold(in_time[1] == buyers, "through Forebay everybody has an answer within 2 s");
        checks.threshold(in_time[0] < buyers, "directly not everybody has");
    }
    Ok(())
}

/// The two figures of a row: directly, through Forebay.
fn figures(table: &str, name: &str) -> Option<[u64; 2]> {
    let rest = table.lines().find_map(|line| line.strip_prefix(name))?;
    let mut numbers = rest.split_whitespace().map(|figure| figure.replace(',', "").parse().ok());
    Some([numbers.next()??, numbers.next()??])
}

#[cfg(test)]
mod tests {
    use super::figures;

    #[test]
    fn a_row_has_two_figures() {
        let table = "             DIRECTLY  THROUGH FOREBAY\nbuyers who came  20,000  19,999\nanswer, median  2 ms  1 ms\n";
        assert_eq!(figures(table, "buyers who came"), Some([20_000, 19_999]));
        assert_eq!(figures(table, "orders"), None);
    }
}
