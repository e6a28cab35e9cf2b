//! `forebay demo`: the same burst twice over real HTTP, at the same store (simulated, or a MySQL of the user's): first
//! straight at the store, as a shop without a gateway, then through Forebay. It shows what became of the buyers.

mod crowd;
pub mod direct;
mod live;
mod moments;
mod proof;
mod report;
mod scene;
mod store;
mod summary;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use forebay_loadtest::gateway::Process;
use forebay_loadtest::target::Target;
pub use live::picture;
pub use moments::Moment;
pub use proof::Proof;
pub use store::DATABASE_VARIABLE;
pub use store::Tables;
pub use summary::Summary;
pub use summary::WITHIN;
pub use summary::rows;
pub use summary::sentence;

use self::store::StoreAt;
use crate::sale::Rate;
use crate::store::simulated;

/// The sale and its only item.
pub const SALE: &str = "demo";
/// What is sold.
pub const SKU: &str = "phone";
/// Connections of the direct way's pool: with so many the measured MariaDB took the most orders of one stock row.
const POOL: u32 = 32;
/// A child of ours listens within it, on a slow machine too.
const LISTENS_WITHIN: Duration = Duration::from_secs(30);

/// What is shown.
#[derive(Clone, Debug)]
pub struct Options {
    /// The binary that is started: this one.
    pub binary: PathBuf,
    /// Buyers, one order each.
    pub buyers: u64,
    /// All of them come within this time.
    pub over: Duration,
    /// Units for sale.
    pub stock: u64,
    /// Orders a second that the drain takes to the store.
    pub rate: Rate,
    /// Orders end there, and not in a simulated store.
    pub tables: Option<Tables>,
    /// Files that this process may open, which bounds how many buyers hold a connection.
    pub files: u64,
}

impl Options {
    /// The store of one way: the tables, or a directory of its own.
    fn store(&self, directory: PathBuf) -> StoreAt {
        match &self.tables {
            Some(tables) => StoreAt::Tables(tables.clone()),
            None => StoreAt::Directory(directory),
        }
    }
}

/// The two ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Every buyer's request is a transaction of the store.
    Direct,
    /// Through the gateway.
    Forebay,
}

impl Way {
    /// As it is told.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Direct => "directly",
            Self::Forebay => "through Forebay",
        }
    }
}

/// What has been seen of one way so far.
#[derive(Clone, Debug)]
pub struct Scene {
    /// Which way.
    pub way: Way,
    /// Looks at it, ten a second.
    pub moments: Vec<Moment>,
    /// What became of its buyers, once all is over.
    pub summary: Option<Summary>,
}

/// The whole demo, once it is over.
#[derive(Clone, Debug)]
pub struct Demo {
    /// Directly, then through Forebay.
    pub scenes: [Scene; 2],
    /// That nothing was oversold, doubled or lost on the way through Forebay.
    pub proof: Proof,
    /// The report.
    pub html: String,
}

/// Runs both ways one after the other; `show` is called with what has been seen so far, several times a second.
///
/// # Errors
/// When a part of it cannot be started, or does not end.
pub async fn run(options: &Options, show: &mut dyn FnMut(&[Scene])) -> anyhow::Result<Demo> {
    let place = tempfile::Builder::new().prefix("forebay-demo-").tempdir()?;
    let direct = {
        empty(options).await?;
        let site = Site::direct(options, place.path()).await?;
        let scene =
            scene::play(&site, options, &mut |scene| show(std::slice::from_ref(scene))).await?;
        site.end().await?;
        scene
    };
    let (through, proof) = {
        empty(options).await?;
        let site = Site::forebay(options, place.path()).await?;
        let mut both = |scene: &Scene| show(&[direct.clone(), scene.clone()]);
        let scene = scene::play(&site, options, &mut both).await?;
        let proof = proof::of(&site, &scene).await?;
        site.end().await?;
        (scene, proof)
    };
    let scenes = [direct, through];
    let html = report::html(options, &scenes, &proof);
    Ok(Demo { scenes, proof, html })
}

async fn empty(options: &Options) -> anyhow::Result<()> {
    match &options.tables {
        Some(tables) => tables.empty().await.context("--mysql"),
        None => Ok(()),
    }
}

/// What the store is, as rows: name, value, source.
#[must_use]
pub fn constants(options: &Options) -> Vec<Vec<String>> {
    let row =
        |name: &str, value: String, source: &str| vec![name.to_owned(), value, source.to_owned()];
    if let Some(tables) = &options.tables {
        return vec![row("server", tables.version.clone(), "--mysql")];
    }
    let config = simulated::Config::default();
    let connections =
        row("connections", config.connections.to_string(), "max_connections as it comes");
    let measured = config.server.table();
    let measured = measured.into_iter().map(|(name, value, from)| row(name, value, from));
    std::iter::once(connections).chain(measured).collect()
}

/// A running shop, one way or the other.
struct Site {
    way: Way,
    process: Process,
    public: Target,
    admin: Option<Target>,
    store: StoreAt,
}

impl Site {
    async fn direct(options: &Options, place: &std::path::Path) -> anyhow::Result<Self> {
        let directory = place.join("direct/store");
        std::fs::create_dir_all(&directory)?;
        let (stock, pool) = (options.stock.to_string(), POOL.to_string());
        let directory_text = directory.to_string_lossy().into_owned();
        let arguments =
            ["demo", "direct", "--store", &directory_text, "--stock", &stock, "--pool", &pool];
        let store = options.store(directory);
        let process = Process::start(&options.binary, &arguments, place, &store.environment())?;
        let public = listens(&process, "orders").await?;
        Ok(Self { way: Way::Direct, process, public, admin: None, store })
    }

    async fn forebay(options: &Options, place: &std::path::Path) -> anyhow::Result<Self> {
        let home = place.join("forebay");
        std::fs::create_dir_all(&home)?;
        let settings = format!(
            "[public]\nlisten = \"127.0.0.1:0\"\n\n[public.timeouts]\nfirst_byte = \"5m\"\nidle = \"5m\"\n\n\
             [admin]\nlisten = \"127.0.0.1:0\"\n\n[queue]\nmax_wait = \"1h\"\n\n[drain]\nrate = \"{}\"\n\n[log]\nlevel = \"warn\"\n\n\
             [[sale]]\nname = \"{SALE}\"\nlimit_per_buyer = 1\nitems = [{{ sku = \"{SKU}\", stock = {} }}]\n",
            options.rate, options.stock
        );
        std::fs::write(home.join("forebay.toml"), settings)?;
        let arguments = ["serve", "--config", "forebay.toml"];
        // The directory is the default one, below where the process was started.
        let store = options.store(home.join(simulated::Config::default().directory));
        let mut process = Process::start(&options.binary, &arguments, &home, &store.environment())?;
        let public = listens(&process, "orders").await?;
        let admin = listens(&process, "admin").await?;
        process.ready(&public, LISTENS_WITHIN).await?;
        Ok(Self { way: Way::Forebay, process, public, admin: Some(admin), store })
    }

    async fn end(mut self) -> anyhow::Result<()> {
        self.process.kill().await
    }
}

/// Where a child says that it listens: `orders  http://127.0.0.1:40123`.
async fn listens(process: &Process, what: &str) -> anyhow::Result<Target> {
    let find = |text: &str| {
        let line = text.lines().find(|line| line.split_whitespace().next() == Some(what));
        line.and_then(|line| line.split_whitespace().nth(1)).map(str::to_owned)
    };
    let url = process.printed(LISTENS_WITHIN, find).await.context("a part of the demo")?;
    Target::resolve(&url).await
}
