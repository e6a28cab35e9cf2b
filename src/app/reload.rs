//! Settings read again while the process serves, and taken over: all or nothing.
//!
//! What can fail (reading, checking, the ledger) comes first; what then changes the parts that run cannot fail.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use serde::Serialize;
use tokio::signal::unix::Signal;
use tokio::sync::Mutex;

use super::logs::Verbosity;
use super::preparation::Progress;
use super::recorder;
use super::sales;
use super::sales::NotTold;
use crate::clock::SharedClock;
use crate::config;
use crate::config::Finding;
use crate::config::Inputs;
use crate::config::Loaded;
use crate::config::Retention;
use crate::config::SettingChange;
use crate::config::Settings;
use crate::config::Severity;
use crate::http::Gateway;
use crate::http::NewSettings;
use crate::http::admin::Access;
use crate::http::config::Queue;
use crate::http::operations::OperationFault;
use crate::ledger::SharedLedger;
use crate::order::Keyring;
use crate::watch::QueueBound;

/// Between two reads that must say the same.
const SETTLES: Duration = Duration::from_millis(100);
/// So many reads; then somebody writes all the time.
const READS: u32 = 20;

/// The parts whose settings can change while they run.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) ledger: SharedLedger,
    pub(super) keyring: Keyring,
    /// Where buyers come in, if they do.
    pub(super) gateway: Option<Arc<Gateway>>,
    /// What the start has told the ledger.
    pub(super) progress: Progress,
    pub(super) access: Arc<ArcSwap<Access>>,
    pub(super) retention: Arc<ArcSwap<Retention>>,
    pub(super) verbosity: Verbosity,
}

/// Reads the settings again.
#[derive(Debug)]
pub(super) struct Reloader {
    inputs: Inputs,
    /// Held during a reload: one at a time.
    in_force: Mutex<Settings>,
    live: Live,
    clock: SharedClock,
}

/// What a reload has done.
#[derive(Debug, Serialize)]
pub(super) struct Reloaded {
    changed: Vec<SettingChange>,
    warnings: Vec<String>,
}

impl Reloader {
    /// `settings` are in force, and came of `inputs`.
    pub(super) fn new(inputs: Inputs, settings: Settings, live: Live, clock: SharedClock) -> Self {
        Self { inputs, in_force: Mutex::new(settings), live, clock }
    }

    /// Reloads at each SIGHUP.
    pub(super) async fn follow(self: Arc<Self>, mut hangups: Signal) {
        while hangups.recv().await.is_some() {
            tracing::info!("SIGHUP: reading the settings again");
            // Both ways it is told in the log.
            let _ = self.reload().await;
        }
    }

    /// Reads file and environment again and takes over what differs.
    ///
    /// # Errors
    /// Why nothing was changed.
    pub(super) async fn reload(&self) -> Result<Reloaded, OperationFault> {
        let mut in_force = self.in_force.lock().await;
        match self.taken_over(&mut in_force).await {
            Ok(done) => {
                for SettingChange { key, old, new, .. } in &done.changed {
                    let (old, new) = (shown(old.as_deref()), shown(new.as_deref()));
                    tracing::info!(setting = key, old, new, "a setting was changed");
                }
                tracing::info!(changed = done.changed.len(), "the settings were read again");
                recorder::reloaded(Some(self.clock.wall()));
                Ok(done)
            }
            Err(fault) => {
                tracing::error!(%fault, "the settings in force stay: the new ones were refused");
                recorder::reloaded(None);
                Err(fault)
            }
        }
    }

    async fn taken_over(&self, in_force: &mut Settings) -> Result<Reloaded, OperationFault> {
        let Loaded { settings, findings, .. } = self.settled().await?;
        let Some(new) = settings else { return Err(bad(&findings)) };
        let changed = config::changes(in_force, &new);
        let restart: Vec<&str> = changed
            .iter()
            .filter(|change| change.restart)
            .map(|change| change.key.as_str())
            .collect();
        if !restart.is_empty() {
            return Err(OperationFault::RestartNeeded(restart.join(", ")));
        }
        // The start would write over it what it still has to tell.
        if let Some(fault) = self.live.progress.waits() {
            return Err(OperationFault::Ledger(fault));
        }
        let mut warnings = self.in_ledger(&new).await?;
        self.in_memory(&new);
        *in_force = new;
        warnings.extend(findings.iter().map(Finding::one_line));
        warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
        Ok(Reloaded { changed, warnings })
    }

    /// The settings once two reads in a row say the same: who reads while somebody writes reads half a file, and
    /// half a file may well be a file that can be read.
    async fn settled(&self) -> Result<Loaded, OperationFault> {
        let read = twice(|| read(self.inputs.clone()), same).await?;
        let text = "nothing was changed: the files change while they are read: write them elsewhere and move them \
                    into place";
        read.ok_or_else(|| OperationFault::BadSettings(text.to_owned()))
    }

    /// What the ledger must take: the drain's rate, new sales. Answers what of it is not in force.
    async fn in_ledger(&self, new: &Settings) -> Result<Vec<String>, OperationFault> {
        let live = &self.live;
        if let Some(key) = new.ticket_keys.iter().find(|key| live.keyring.clashes(key)) {
            let text = format!("tickets.key_files: key {} is there with another secret", key.id);
            return Err(OperationFault::BadSettings(text));
        }
        // A key that no sale uses changes nothing: it may stay when the ledger then takes no more.
        for key in &new.ticket_keys {
            live.keyring.add(key.clone()).expect("looked at before: no key has its id");
        }
        sales::write_drain(new, &live.ledger).await?;
        sales::make(&new.sales, &live.ledger, &live.keyring).await.map_err(refused)
    }

    /// What cannot fail.
    fn in_memory(&self, new: &Settings) {
        let live = &self.live;
        live.verbosity.set(new.log.level);
        live.access.store(Arc::new(new.admin_access.clone()));
        live.retention.store(Arc::new(new.retention));
        if let Some(gateway) = &live.gateway {
            gateway.change(NewSettings {
                public: new.public.clone(),
                identity: new.identity.clone(),
                limits: &new.limits,
                queue: bound(&new.queue),
            });
        }
    }
}

async fn read(inputs: Inputs) -> Result<Loaded, OperationFault> {
    let inputs = Inputs { variables: config::variables(), ..inputs };
    let reading = tokio::task::spawn_blocking(move || {
        inputs.file.as_deref().map_or(Ok(()), whole)?;
        Ok(config::load(&inputs))
    });
    let read = reading.await.unwrap_or_else(|error| Err(format!("reading them: {error}")));
    read.map_err(|text| OperationFault::BadSettings(format!("nothing was changed: {text}")))
}

/// What two reads in a row have found, which are a while apart; `None` when it is something else each time.
async fn twice<T, E, R: Future<Output = Result<T, E>>>(
    mut read: impl FnMut() -> R,
    same: impl Fn(&T, &T) -> bool,
) -> Result<Option<T>, E> {
    let mut last = read().await?;
    for _ in 1..READS {
        tokio::time::sleep(SETTLES).await;
        let next = read().await?;
        if same(&last, &next) {
            return Ok(Some(next));
        }
        last = next;
    }
    Ok(None)
}

/// What the settings cannot tell of their file. One that is not there is theirs to tell.
fn whole(file: &Path) -> Result<(), String> {
    let (name, about) = (file.display(), std::fs::metadata(file));
    match about {
        // A pipe is read once, and waited for the second time.
        Ok(about) if !about.is_file() && !about.is_dir() => {
            Err(format!("{name}: is no regular file: it cannot be read again"))
        }
        Ok(about) if about.len() == 0 => Err(format!(
            "{name}: is empty, as a file is before it is written: one without settings needs a comment at least"
        )),
        _ => Ok(()),
    }
}

fn same(one: &Loaded, other: &Loaded) -> bool {
    let alike = match (&one.settings, &other.settings) {
        (Some(one), Some(other)) => config::changes(one, other).is_empty(),
        (one, other) => one.is_none() && other.is_none(),
    };
    alike && one.findings == other.findings
}

fn bad(findings: &[Finding]) -> OperationFault {
    let errors = findings.iter().filter(|finding| finding.severity == Severity::Error);
    let errors: Vec<String> = errors.map(Finding::one_line).collect();
    OperationFault::BadSettings(format!("nothing was changed: {}", errors.join("; ")))
}

fn refused(not_told: NotTold) -> OperationFault {
    match not_told {
        NotTold::Ledger(fault) => OperationFault::Ledger(fault),
        NotTold::Refused(error) => OperationFault::BadSettings(error.message),
    }
}

/// What the settings let wait.
pub(super) fn bound(queue: &Queue) -> QueueBound {
    QueueBound { max_wait: queue.max_wait.0, capacity: queue.capacity, memory: queue.memory.0 }
}

fn shown(value: Option<&str>) -> &str {
    value.unwrap_or("not set")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn half_a_file_is_not_what_was_written() {
        let found = async |mut reads: Vec<u32>| {
            reads.reverse();
            let read = || std::future::ready(reads.pop().ok_or("read too often"));
            twice(read, |one, other| one == other).await
        };
        assert_eq!(found(vec![1, 1]).await, Ok(Some(1)));
        assert_eq!(found(vec![0, 1, 2, 2]).await, Ok(Some(2)));
        assert_eq!(found((0..READS).collect()).await, Ok(None), "somebody writes all the time");
        assert_eq!(found(vec![1]).await, Err("read too often"));
    }
}
