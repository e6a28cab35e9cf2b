//! The only place that names concrete engines: build, bind, run, stop.
//!
//! Threads: `forebay-http-N` take orders, each with a runtime of its own; `forebay-control` carries the rest
//! (admin, drain, upkeep), so that a burst does not starve the operator and the operator not the burst.

mod admin;
mod descriptors;
mod engines;
mod failure;
mod logs;
mod operations;
mod process;
mod public;
mod recorder;
mod reload;
mod sales;
mod signals;
mod sockets;
mod upkeep;
mod verifier;
mod vitals;

use std::net::SocketAddr;
use std::sync::Arc;

use descriptors::Connections;
pub use descriptors::{DescriptorNeeds, descriptor_needs, raise_open_files};
use engines::Engines;
pub use failure::{StartError, StartKind};
use logs::Verbosity;
use process::{Given, Process, Sockets};
pub use sales::differs as sale_differs;
use signals::Signals;
pub use sockets::address_is_free;
pub use verifier::verify_offline;

use crate::clock::SharedClock;
use crate::clock::SystemClock;
use crate::config::Inputs;
use crate::config::Settings;

/// What a process tells once it serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Started {
    /// Where buyers come in.
    pub public: SocketAddr,
    /// Where operators come in.
    pub admin: SocketAddr,
    /// There is an open sale `demo` with units to try.
    pub demo: bool,
}

/// Serves until a signal or a failure ends it. `announce` is called once, when requests are answered. A reload
/// reads `inputs` again, of which `settings` came.
///
/// # Errors
/// When it cannot start, or must end because a part of it ended.
pub fn serve(
    settings: Settings,
    inputs: Inputs,
    first_run: bool,
    announce: impl FnOnce(Started),
) -> Result<(), StartError> {
    let verbosity = logs::start(&settings.log);
    let connections = descriptors::connections(&settings)?;
    let control = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("forebay-control")
        .enable_all()
        .build()
        .map_err(|error| StartError::runtime(format!("runtime: {error}")))?;
    let served = control.block_on(async {
        let sources = Sources { settings, inputs, verbosity };
        run(sources, connections, first_run, announce).await
    });
    // What still runs is nobody's any more: leases are handed back and the ledger is closed.
    control.shutdown_background();
    served
}

/// The settings, where they came from, and the log that they opened.
struct Sources {
    settings: Settings,
    inputs: Inputs,
    verbosity: Verbosity,
}

async fn run(
    sources: Sources,
    connections: Connections,
    first_run: bool,
    announce: impl FnOnce(Started),
) -> Result<(), StartError> {
    let Sources { settings, inputs, verbosity } = sources;
    let clock: SharedClock = Arc::new(SystemClock::new());
    let metrics = recorder::install(clock.wall())?;
    let no_signals = |error| StartError::runtime(format!("signals: {error}"));
    let mut signals = Signals::take().map_err(no_signals)?;
    let hangups = signals::hangups().map_err(no_signals)?;
    let public = sockets::bind("public", settings.public.listen)?;
    let admin = sockets::bind("admin", settings.admin)?;
    let engines = open(&settings, &clock).await?;
    let demo = prepare(&settings, &engines, first_run).await?;
    let started = Started { public: public.address, admin: admin.address, demo };

    let process = Process::new(engines, &settings);
    let sockets = Sockets { public, admin, connections };
    let given = Given { settings, inputs, verbosity, hangups, clock, metrics, sockets };
    process.start(given).await?;
    announce(started);
    let outcome = tokio::select! {
        code = signals.stop() => {
            tracing::info!("stopping");
            end_at_once_if_asked_again(signals, code);
            process.leave().await;
            Ok(())
        }
        name = process.failed() => {
            Err(StartError::runtime(format!("the task `{name}` ended: see the log")))
        }
    };
    process.stop().await;
    outcome
}

/// A second signal ends the process, whatever it is doing.
fn end_at_once_if_asked_again(mut signals: Signals, _: u8) {
    tokio::spawn(async move {
        let code = signals.stop().await;
        tracing::warn!("asked again: ending at once");
        std::process::exit(i32::from(code));
    });
}

async fn open(settings: &Settings, clock: &SharedClock) -> Result<Engines, StartError> {
    let (settings, clock) = (settings.clone(), Arc::clone(clock));
    let opening = tokio::task::spawn_blocking(move || Engines::open(&settings, &clock));
    let opened = opening.await;
    opened.map_err(|error| StartError::runtime(format!("opening the ledger: {error}")))?
}

/// Tells the ledger what the settings say. Whether an open sale `demo` is there.
async fn prepare(
    settings: &Settings,
    engines: &Engines,
    first_run: bool,
) -> Result<bool, StartError> {
    let (ledger, keyring) = (&engines.ledger, &engines.keyring);
    sales::write_drain(settings, ledger).await?;
    let warnings = sales::make(&settings.sales, ledger, keyring).await?;
    warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    if first_run { sales::first_run(ledger, keyring).await } else { Ok(false) }
}
