//! What the ledger must take from the settings before the start is done: `[drain]`, each `[[sale]]`, and the sale
//! of a first run. A ledger that is elsewhere may not be there yet; then it is told later.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::StartError;
use super::pauses::Pauses;
use super::sales;
use super::sales::NotTold;
use crate::config::Settings;
use crate::ledger::Fault;
use crate::ledger::SharedLedger;
use crate::order::Keyring;
use crate::tasks::Check;
use crate::tasks::CheckStatus;

/// What is told, and to whom.
#[derive(Debug)]
pub(super) struct Preparation {
    settings: Settings,
    /// A process that takes orders was started without a file.
    first_run: bool,
    ledger: SharedLedger,
    keyring: Keyring,
    progress: Progress,
}

/// How far it is; a clone tells of the same.
#[derive(Clone, Debug)]
pub(super) struct Progress(Arc<watch::Sender<Stage>>);

#[derive(Clone, Debug)]
enum Stage {
    /// The ledger did not take it yet.
    Waits(Fault),
    /// It did. Whether there is an open sale `demo`.
    Done { demo: bool },
    /// The settings cannot be used.
    Refused(StartError),
}

impl Preparation {
    pub(super) fn new(
        settings: &Settings,
        first_run: bool,
        ledger: SharedLedger,
        keyring: Keyring,
    ) -> Self {
        let waits = Stage::Waits(Fault::unavailable("the ledger was not asked yet"));
        Self {
            settings: settings.clone(),
            first_run,
            ledger,
            keyring,
            progress: Progress(Arc::new(watch::Sender::new(waits))),
        }
    }

    pub(super) fn progress(&self) -> Progress {
        self.progress.clone()
    }

    /// Tells the ledger once.
    ///
    /// # Errors
    /// When it cannot answer, or the settings cannot be used.
    pub(super) async fn once(&self) -> Result<(), NotTold> {
        let (ledger, keyring) = (&self.ledger, &self.keyring);
        sales::write_drain(&self.settings, ledger).await?;
        let warnings = sales::make(&self.settings.sales, ledger, keyring).await?;
        let demo = self.first_run && sales::first_run(ledger, keyring).await?;
        warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
        self.progress.0.send_replace(Stage::Done { demo });
        Ok(())
    }

    /// Tells the ledger, as often as it takes. Never resolves: a task that ends has died.
    pub(super) async fn run(self) {
        let mut pauses = Pauses::begin();
        loop {
            match self.once().await {
                Ok(()) => break,
                Err(NotTold::Ledger(fault)) => {
                    self.progress.0.send_replace(Stage::Waits(fault.clone()));
                    pauses.after("what the settings say of drain and sales", &fault).await;
                }
                Err(NotTold::Refused(error)) => {
                    self.progress.0.send_replace(Stage::Refused(error));
                    std::future::pending::<()>().await;
                }
            }
        }
        pauses.over("what the settings say of drain and sales");
        std::future::pending().await
    }
}

impl Progress {
    /// Waits a while for the end. Whether there is an open sale `demo`, as far as it is known then.
    pub(super) async fn demo_within(&self, patience: Duration) -> bool {
        let mut stages = self.0.subscribe();
        let ended = stages.wait_for(|stage| !matches!(stage, Stage::Waits(_)));
        let ended = tokio::time::timeout(patience, ended).await;
        ended.is_ok_and(|stage| {
            stage.is_ok_and(|stage| matches!(*stage, Stage::Done { demo: true }))
        })
    }

    /// Resolves with what is wrong in the settings; never when nothing is.
    pub(super) async fn refused(&self) -> StartError {
        let mut stages = self.0.subscribe();
        let refused = stages.wait_for(|stage| matches!(stage, Stage::Refused(_))).await;
        match refused.as_deref() {
            Ok(Stage::Refused(error)) => error.clone(),
            // The sender lives in here.
            _ => std::future::pending().await,
        }
    }

    /// Why the ledger does not have the settings of the start yet; `None` when it has.
    pub(super) fn waits(&self) -> Option<Fault> {
        match &*self.0.borrow() {
            Stage::Waits(fault) => Some(fault.clone()),
            Stage::Refused(error) => Some(Fault::unavailable(&error.message)),
            Stage::Done { .. } => None,
        }
    }

    /// Readiness: the start is done.
    pub(super) fn check(&self) -> Check {
        let waits = self.waits();
        let status = if waits.is_some() { CheckStatus::Unready } else { CheckStatus::Ready };
        let reason = waits.map(|fault| {
            format!("the ledger has not taken [drain] and [[sale]] of the settings yet: {fault}")
        });
        Check { name: "start", status, reason: reason.unwrap_or_default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;
    use crate::ledger::suite::Engine as _;
    use crate::ledger::suite::Volatile;
    use crate::order::KEY_BYTES;
    use crate::order::TicketKey;

    const KEY: TicketKey = TicketKey { id: 1, secret: [7; KEY_BYTES] };

    /// What settings with one sale say, to a ledger whose key is not here yet.
    fn preparation() -> Preparation {
        let file = tempfile::NamedTempFile::new().unwrap();
        let text = "[drain]\nrate = \"7/s\"\n[[sale]]\nname = \"one\"\nitems = [{ sku = \"a\", stock = 5 }]\n";
        std::fs::write(file.path(), text).unwrap();
        let inputs = config::Inputs { file: Some(file.path().to_owned()), ..Default::default() };
        let loaded = config::load(&inputs);
        let settings = loaded.settings.unwrap_or_else(|| panic!("{:?}", loaded.findings));
        Preparation::new(&settings, false, Volatile::new().ledger(), Keyring::default())
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_ledger_cannot_take_yet_it_takes_when_it_can() {
        let preparation = preparation();
        let (ledger, keyring) = (Arc::clone(&preparation.ledger), preparation.keyring.clone());
        let progress = preparation.progress();
        let running = tokio::spawn(preparation.run());
        assert!(!progress.demo_within(Duration::from_secs(60)).await);
        let check = progress.check();
        assert_eq!((check.name, check.status), ("start", CheckStatus::Unready));
        assert!(check.reason.contains("ticket key is not here yet"), "{}", check.reason);
        assert!(ledger.sales().await.unwrap().is_empty());
        keyring.add(KEY).unwrap();
        progress.demo_within(Duration::from_secs(60)).await;
        assert_eq!(progress.check().status, CheckStatus::Ready);
        assert_eq!(ledger.sales().await.unwrap()[0].name.as_str(), "one");
        assert_eq!(ledger.drain().await.unwrap().rate, "7/s".parse().unwrap());
        assert!(!running.is_finished(), "a task that ends has died");
        running.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn terms_that_the_ledger_refuses_are_told_when_it_is_there() {
        let mut preparation = preparation();
        preparation.settings.sales[0].terms.items.clear();
        let (keyring, progress) = (preparation.keyring.clone(), preparation.progress());
        let running = tokio::spawn(preparation.run());
        assert!(!progress.demo_within(Duration::from_secs(60)).await);
        keyring.add(KEY).unwrap();
        let refused = progress.refused().await;
        assert_eq!(refused.kind, crate::app::StartKind::Config);
        assert!(refused.message.contains("[[sale]] `one`"), "{}", refused.message);
        assert_eq!(progress.check().status, CheckStatus::Unready);
        running.abort();
    }
}
