//! The files that a run leaves.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::Context;

use super::engine::Engine;
use super::options::Options;
use super::{Run, hgrm, html};
use crate::drive::look;
use crate::output;

/// What stands for stdout.
const STDOUT: &str = "-";

/// Fails before the load and not after it when a file cannot be written.
pub(super) fn can_be_written(options: &Options) -> anyhow::Result<()> {
    let json = options.json.as_deref().filter(|path| *path != Path::new(STDOUT));
    let [hgrm, html, history] = [&options.hgrm, &options.html, &options.history];
    let paths = [json, hgrm.as_deref(), html.as_deref(), history.as_deref()];
    for path in paths.into_iter().flatten() {
        OpenOptions::new()
            .append(true)
            .create(true)
            .open(path)
            .with_context(|| format!("{} cannot be written", path.display()))?;
    }
    Ok(())
}

/// Writes what was asked for; true when stdout is taken by it.
///
/// # Errors
/// When a file cannot be written.
pub fn write(options: &Options, run: &Run) -> anyhow::Result<bool> {
    let mut on_stdout = false;
    if let Some(path) = &options.json {
        let text = serde_json::to_string_pretty(&run.document)?;
        if path == Path::new(STDOUT) {
            output::line(text);
            on_stdout = true;
        } else {
            whole(path, &format!("{text}\n"))?;
        }
    }
    if let Some(path) = &options.hgrm {
        whole(path, &hgrm::text(look(&run.outcome.seen).orders.latencies()))?;
    }
    if let Some(path) = &options.html {
        whole(path, &html::page(run))?;
    }
    Ok(on_stdout)
}

/// Writes every attempt, one JSON object a line.
pub(super) fn write_history(engine: &Engine, path: &Path) -> anyhow::Result<()> {
    let file = File::create(path)
        .with_context(|| format!("the history cannot be written to {}", path.display()))?;
    let mut file = BufWriter::new(file);
    let seen = look(&engine.seen);
    let flocks = &engine.plan.flocks;
    for (at, history) in seen.histories.iter().enumerate() {
        let Some(any) = flocks.iter().find(|flock| flock.sale == at) else { continue };
        history.write_ndjson(&mut file, |ask| &engine.plan.flock(ask).unwrap_or(any).form)?;
    }
    file.flush()?;
    Ok(())
}

fn whole(path: &Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(path, text).with_context(|| format!("{} cannot be written", path.display()))
}
