//! The example shop: a small backend where orders end by HTTP, and that says who its buyers are.
//!
//! It shows what a shop has to do: take each ticket once, whatever comes twice; guard its own stock; remember what it
//! refused and what was voided. Its faults can be planned while it runs, so it is also what tests place orders at.

mod database;
mod faults;
mod pages;
mod route;
mod sessions;
mod signature;

use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context;
pub use database::{Row, StockLeft};
pub use faults::{Body, Faults};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use route::Desk;
use tempfile::TempDir;
use tokio::runtime::Builder;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::output;

/// When nothing can be accepted (no descriptors), it is tried again after so long.
const ACCEPTS_AGAIN: Duration = Duration::from_millis(10);

/// What a shop sells, and where it keeps its orders.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Where to listen
    #[arg(long, default_value = "127.0.0.1:8090")]
    pub listen: SocketAddr,
    /// An item and its units; may be repeated
    #[arg(long = "stock", value_name = "SKU=UNITS", value_parser = item, default_value = "phone=1000")]
    pub stock: Vec<(String, u64)>,
    /// Only orders signed by the secret on the first line of this file are taken
    #[arg(long, value_name = "FILE")]
    pub secret_file: Option<PathBuf>,
    /// Where its database lies; without it a temporary directory that goes with the process
    #[arg(long)]
    pub directory: Option<PathBuf>,
}

impl Options {
    /// On a free port of this machine, in a directory of its own.
    #[must_use]
    pub fn selling(stock: &[(&str, u64)]) -> Self {
        let stock = stock.iter().map(|(sku, units)| ((*sku).to_owned(), *units)).collect();
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        Self { listen, stock, secret_file: None, directory: None }
    }
}

fn item(text: &str) -> Result<(String, u64), String> {
    let parsed =
        text.split_once('=').and_then(|(sku, units)| Some((sku.to_owned(), units.parse().ok()?)));
    parsed.ok_or_else(|| "give an item and its units, like phone=1000".to_owned())
}

/// A running shop, on a thread of its own; it ends with all its connections when it is dropped.
#[derive(Debug)]
pub struct Shop {
    address: SocketAddr,
    desk: Arc<Desk>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    _directory: Option<TempDir>,
}

impl Shop {
    /// Opens its database and takes connections.
    pub fn start(options: &Options) -> anyhow::Result<Self> {
        let (path, temporary) = match &options.directory {
            Some(directory) => (directory.clone(), None),
            None => {
                let temporary = TempDir::with_prefix("forebay-shop-")?;
                (temporary.path().to_owned(), Some(temporary))
            }
        };
        let desk = Arc::new(Desk::open(&path, options)?);
        let listener = TcpListener::bind(options.listen)
            .with_context(|| format!("the shop cannot listen on {}", options.listen))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel();
        let serving = Arc::clone(&desk);
        let thread = std::thread::Builder::new().name("shop".to_owned()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = stopped => {}
                    () = serve(listener, serving) => {}
                }
            });
        })?;
        Ok(Self { address, desk, stop: Some(stop), thread: Some(thread), _directory: temporary })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL of a path of it.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Plans its faults anew; the default is none.
    pub fn plan(&self, faults: Faults) {
        self.desk.faults.plan(faults);
    }

    /// Every ticket that it has decided.
    pub fn rows(&self) -> anyhow::Result<Vec<Row>> {
        self.desk.database.rows()
    }

    /// What is left of its items.
    pub fn stock(&self) -> anyhow::Result<Vec<StockLeft>> {
        self.desk.database.stock()
    }

    /// Order calls that came so far.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.desk.calls()
    }

    /// The most order calls that were under way at once.
    #[must_use]
    pub fn most_at_once(&self) -> u64 {
        self.desk.most_at_once()
    }

    /// Order calls that came with other bytes than the first of their ticket.
    #[must_use]
    pub fn altered(&self) -> u64 {
        self.desk.altered()
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A shop that broke has said so on its thread.
            let _ = thread.join();
        }
    }
}

/// Serves until the process is ended. Prints its address, so that its parent knows when it is there.
pub async fn run(options: &Options) -> anyhow::Result<()> {
    let shop = Shop::start(options)?;
    output::line(format_args!("listening on {}", shop.address()));
    output::note(format_args!("orders are posted to {}", shop.url("/internal/orders")));
    std::future::pending().await
}

async fn serve(listener: TcpListener, desk: Arc<Desk>) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(ACCEPTS_AGAIN).await;
            continue;
        };
        let desk = Arc::clone(&desk);
        connections.spawn(async move {
            // Nagle's wait would be taken for the shop's.
            let _ = stream.set_nodelay(true);
            let service = service_fn(|request| {
                let desk = Arc::clone(&desk);
                async move { desk.answer(request).await }
            });
            // Whatever ends a connection is the client's business, or a fault that was planned.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            Ok::<(), Infallible>(())
        });
    }
}
