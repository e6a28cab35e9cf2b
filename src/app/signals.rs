//! Signals: the first TERM or INT stops in order, a second one ends the process at once.

use tokio::signal::unix::Signal;
use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;

/// The signals that an operator sends.
#[derive(Debug)]
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    reload: Signal,
}

impl Signals {
    /// Takes the signals over from their defaults; inside a runtime.
    ///
    /// # Errors
    /// When the system refuses.
    pub(super) fn take() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            reload: signal(SignalKind::hangup())?,
        })
    }

    /// Resolves when a stop is asked for, with the exit code of a process that the signal ended.
    pub(super) async fn stop(&mut self) -> u8 {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return 128 + 15,
                _ = self.interrupt.recv() => return 128 + 2,
                _ = self.reload.recv() => tracing::warn!(
                    "SIGHUP: reloading the settings is not built yet; restart to read them again"
                ),
            }
        }
    }
}
