//! Signals: the first TERM or INT stops in order, a second one ends the process at once. HUP reloads.

use tokio::signal::unix::Signal;
use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;

/// The signals that an operator sends.
#[derive(Debug)]
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
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
        })
    }

    /// Resolves when a stop is asked for, with the exit code of a process that the signal ended.
    pub(super) async fn stop(&mut self) -> u8 {
        tokio::select! {
            _ = self.terminate.recv() => 128 + 15,
            _ = self.interrupt.recv() => 128 + 2,
        }
    }
}

/// SIGHUP, taken over from its default, which would end the process; inside a runtime.
///
/// # Errors
/// When the system refuses.
pub(super) fn hangups() -> std::io::Result<Signal> {
    signal(SignalKind::hangup())
}
