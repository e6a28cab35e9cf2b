//! The threads that take orders: each has a runtime of its own and accepts from the one listener, so that a
//! connection lives on one thread and its orders go to the ledger with the others of that thread.

use std::io;
use std::num::NonZero;
use std::sync::Arc;
use std::thread;

use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::mpsc::UnboundedSender;

use super::StartError;
use crate::http::Bounds;
use crate::http::Gateway;
use crate::tasks::Stop;

/// Says that a thread has ended, however it did.
struct Ended(UnboundedSender<()>);

impl Drop for Ended {
    fn drop(&mut self) {
        // Nobody listens any more when the process ends at once.
        let _ = self.0.send(());
    }
}

/// How many threads to run where the settings say 0: half of the cores. The other half is the ledger's, the
/// drain's and the kernel's.
pub(super) fn threads(said: usize) -> usize {
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    if said == 0 { (cores / 2).max(1) } else { said }
}

/// Starts so many threads; the answer resolves when all have ended after the stop, or as soon as one ends before.
///
/// # Errors
/// When the system gives no thread or descriptor.
pub(super) fn start(
    gateway: &Arc<Gateway>,
    listener: &std::net::TcpListener,
    threads: usize,
    stop: Stop,
) -> Result<impl Future<Output = ()> + Send + 'static, StartError> {
    let failed = |error: io::Error| StartError::runtime(format!("threads of [public]: {error}"));
    let bounds = gateway.bounds();
    let (sender, ends) = mpsc::unbounded_channel();
    for number in 0..threads {
        let (gateway, bounds) = (Arc::clone(gateway), bounds.clone());
        let listener = listener.try_clone().map_err(failed)?;
        let ended = Ended(sender.clone());
        thread::Builder::new()
            .name(format!("forebay-http-{number}"))
            .spawn(move || {
                let _ended = ended;
                if let Err(error) = run(gateway, listener, bounds) {
                    tracing::error!(%error, "a thread that takes orders could not start");
                }
            })
            .map_err(failed)?;
    }
    Ok(over(ends, stop))
}

fn run(gateway: Arc<Gateway>, listener: std::net::TcpListener, bounds: Bounds) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        gateway.run(TcpListener::from_std(listener)?, bounds).await;
        Ok(())
    })
}

async fn over(mut ends: UnboundedReceiver<()>, stop: Stop) {
    while ends.recv().await.is_some() {
        if !stop.is_pulled() {
            return;
        }
    }
}
