//! What it was measured on.

use anyhow::Context;
use serde_json::{Value, json};

/// The machine of a table.
#[derive(Debug)]
pub(super) struct Machine {
    cores: usize,
    model: String,
    kernel: String,
}

impl Machine {
    pub(super) fn here() -> anyhow::Result<Self> {
        let read = |path: &str| std::fs::read_to_string(path).with_context(|| path.to_owned());
        let info = read("/proc/cpuinfo")?;
        let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        Ok(Self {
            cores: std::thread::available_parallelism()?.get(),
            model: model.map_or("an unnamed processor", |(_, model)| model).to_owned(),
            kernel: read("/proc/sys/kernel/osrelease")?.trim().to_owned(),
        })
    }

    /// For people.
    pub(super) fn line(&self) -> String {
        let Self { cores, model, kernel } = self;
        format!("{cores} cores of {model}, Linux {kernel}, loopback")
    }

    /// For machines.
    pub(super) fn json(&self) -> Value {
        let Self { cores, model, kernel } = self;
        json!({ "cores": cores, "model": model, "kernel": kernel })
    }
}
