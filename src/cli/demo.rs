//! `forebay demo`: the same burst twice, seen in the terminal and in a report.

use std::future::poll_fn;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::task::Poll;
use std::time::Duration;

use clap::Args;
use clap::Subcommand;
use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;

use super::exit::Exit;
use super::exit::Failure;
use super::exit::Outcome;
use super::output;
use crate::app;
use crate::sale::Rate;
use crate::tools::demo;
use crate::tools::demo::Scene;
use crate::units::Span;
use crate::units::grouped;

/// Looks between two lines where no picture is seen: a line a second.
const LOOKS_A_LINE: usize = 10;

#[derive(Clone, Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Demo {
    /// Buyers, one order each.
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    buyers: u64,
    /// All of them come within this time.
    #[arg(long, default_value = "1s")]
    over: Span,
    /// Units for sale; else one for each buyer.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    stock: Option<u64>,
    /// Orders a second that Forebay takes to the store.
    #[arg(long, default_value = "2000/s")]
    rate: Rate,
    /// Where the report goes; a file that is there is replaced.
    #[arg(long, value_name = "FILE", default_value = "forebay-demo.html")]
    report: PathBuf,
    /// A MySQL or MariaDB in place of the simulated store: mysql://user[:password]@host[:port]/database. The demo makes
    /// three tables in that database and takes them away again.
    #[arg(long, value_name = "URL")]
    mysql: Option<String>,
    #[command(subcommand)]
    part: Option<Part>,
}

/// What the demo starts as processes of their own.
#[derive(Clone, Debug, Subcommand)]
enum Part {
    /// The shop without a gateway.
    #[command(hide = true)]
    Direct {
        #[arg(long)]
        store: PathBuf,
        #[arg(long)]
        stock: u64,
        #[arg(long)]
        pool: u32,
    },
}

pub(super) fn run(demo: Demo) -> Outcome {
    match demo.part {
        Some(Part::Direct { store, stock, pool }) => {
            // An argument would show the password.
            let mysql = std::env::var(demo::DATABASE_VARIABLE).ok();
            direct(demo::direct::Direct { store, mysql, stock, pool })
        }
        None => shown(&demo),
    }
}

fn direct(direct: demo::direct::Direct) -> Outcome {
    app::raise_open_files();
    let announce = |address| {
        // Whoever started it reads it; without him there is nothing to serve.
        let _ = output::line(&format!("orders  http://{address}"));
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(demo::direct::serve(direct, announce)).map_err(failed)?;
    Ok(Exit::Ok)
}

fn shown(arguments: &Demo) -> Outcome {
    let mut options = options(arguments)?;
    let fresh = !arguments.report.exists();
    writable(&arguments.report)?;
    let done = match &arguments.mysql {
        Some(url) => on_tables(url, arguments, &mut options),
        None => played(arguments, &options),
    };
    if done.is_err() && fresh {
        // An empty report would look like one.
        let _ = std::fs::remove_file(&arguments.report);
    }
    done
}

/// Plays on tables that are made for it, and takes them away however it ends.
fn on_tables(url: &str, arguments: &Demo, options: &mut demo::Options) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    demo::Tables::named(url)
        .map_err(|error| Failure::new(Exit::Usage, format!("--mysql {error}")))?;
    let unreachable = |error: anyhow::Error| Failure::new(Exit::Dependency, format!("{error:#}"));
    let tables = runtime.block_on(demo::Tables::make(url)).map_err(unreachable)?;
    options.tables = Some(tables.clone());
    let done = played(arguments, options);
    runtime.block_on(tables.take_away()).map_err(|error| {
        Failure::new(
            Exit::Dependency,
            format!("the demo's tables forebay_* are left there: {error:#}"),
        )
    })?;
    done
}

fn played(arguments: &Demo, options: &demo::Options) -> Outcome {
    output::message(&format!(
        "{} buyers come within {}, first directly, then through Forebay; in a directory that is taken away again.\n",
        grouped(options.buyers),
        arguments.over,
    ));
    let mut watcher = Watcher { canvas: output::Canvas::new(), looks: 0 };
    // One thread for the crowd: on a small machine a second one only takes from the shop.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut show = |scenes: &[Scene]| watcher.look(scenes);
    let seen = runtime.block_on(async {
        tokio::select! {
            seen = demo::run(options, &mut show) => seen.map_err(failed),
            () = told_to_stop() => Err(Failure::new(Exit::Failed, "interrupted")),
        }
    })?;
    std::fs::write(&arguments.report, &seen.html).map_err(unwritable(&arguments.report))?;
    output::table(&["", "DIRECTLY", "THROUGH FOREBAY"], &demo::rows(&seen.scenes))?;
    output::line("")?;
    output::table(&["THE STORE", "", "SOURCE"], &demo::constants(options))?;
    output::line(&format!("\n{}", seen.proof.told()))?;
    output::line(&format!("report: {}", arguments.report.display()))?;
    output::line(&demo::sentence(&seen.scenes, options))?;
    Ok(if seen.proof.holds { Exit::Ok } else { Exit::Broken })
}

/// Whatever ends the demo early must end what it has started.
async fn told_to_stop() {
    let mut signals: Vec<_> =
        [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()]
            .into_iter()
            .filter_map(|kind| signal(kind).ok())
            .collect();
    poll_fn(|cx| {
        let told = signals.iter_mut().any(|signal| signal.poll_recv(cx).is_ready());
        if told { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

fn options(arguments: &Demo) -> Result<demo::Options, Failure> {
    let Demo { buyers, over, stock, rate, .. } = arguments;
    if *rate == Rate::Unlimited {
        let message =
            "--rate: the demo shows a rate that the store can bear: give one, such as 2000/s";
        return Err(Failure::new(Exit::Usage, message));
    }
    if !(Duration::from_millis(100)..=Duration::from_secs(60)).contains(&over.0) {
        return Err(Failure::new(Exit::Usage, "--over is 100ms at least and 60s at most"));
    }
    Ok(demo::Options {
        binary: std::env::current_exe()?,
        buyers: *buyers,
        over: over.0,
        stock: stock.unwrap_or(*buyers),
        rate: *rate,
        tables: None,
        files: app::raise_open_files(),
    })
}

/// Told before a minute is spent, and not after it.
fn writable(report: &Path) -> Result<(), Failure> {
    let opened = std::fs::OpenOptions::new().append(true).create(true).open(report);
    opened.map(drop).map_err(unwritable(report))
}

fn unwritable(report: &Path) -> impl Fn(io::Error) -> Failure {
    move |error| {
        let name = report.display();
        Failure::new(
            Exit::Failed,
            format!("{name} cannot be written: {error}; name another with --report"),
        )
    }
}

fn failed(error: anyhow::Error) -> Failure {
    Failure::new(Exit::Failed, format!("{error:#}"))
}

/// Draws where somebody looks, and says a line a second elsewhere.
struct Watcher {
    canvas: output::Canvas,
    looks: usize,
}

impl Watcher {
    fn look(&mut self, scenes: &[Scene]) {
        self.canvas.draw(&demo::picture(scenes));
        self.looks += 1;
        let Some(scene) = scenes.last() else { return };
        if self.canvas.is_seen()
            || !(scene.summary.is_some() || self.looks.is_multiple_of(LOOKS_A_LINE))
        {
            return;
        }
        let last = scene.moments.last().copied().unwrap_or_default();
        output::message(&format!(
            "{}: {:.1} s, {} came, {} wait, {} in the store",
            scene.way.name(),
            last.at,
            grouped(last.came),
            grouped(last.waiting()),
            grouped(last.stored),
        ));
    }
}
