//! The command line, as it is written.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;
use clap::Parser;
use clap::Subcommand;
use clap::ValueEnum;

use super::values::BurstOrConfig;
use super::values::Item;
use super::values::RateOrConfig;
use super::values::burst_or_config;
use super::values::delta;
use super::values::item;
use super::values::rate_or_config;
use super::values::ticket;
use super::values::units;
use crate::clock::Timestamp;
use crate::sale::Rate;
use crate::sale::SaleName;
use crate::sale::Sku;
use crate::tools::load::Options;
use crate::units::Span;

const EXAMPLES: &str = "Examples:
  forebay                                    run, with an open sale to try
  forebay demo                               see what it is for, in a minute
  forebay check forebay.toml                 tell every mistake in a settings file
  forebay sale put phones --item phone=1000 --limit 1
  forebay doctor --config forebay.toml       look at this machine before the sale
  forebay load --list                        scenarios to try it with before the sale
  forebay verify                             prove that nothing was oversold, doubled or lost

Exit codes: 0 ok, 1 failure at run time, 2 usage, 3 configuration, 4 a dependency is unusable or
cannot be reached, 5 an invariant is broken, 99 a load-test threshold failed.";

/// Where the admin API is if nothing else is said.
const ADMIN_URL: &str = "http://127.0.0.1:9180";

/// A variable that stands for an option; an empty one is as good as none. Read here and not by the parser, which
/// would take it for an option that was given: one that clashes with others, or that a usage line must show.
fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// A flash-sale gateway: takes the burst, answers exactly, drains at the rate the shop can bear.
#[derive(Debug, Parser)]
#[command(name = "forebay", version, after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub(super) struct CommandLine {
    #[command(subcommand)]
    pub(super) command: Option<Command>,
    #[command(flatten)]
    pub(super) serve: Serve,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run the gateway (what `forebay` alone does).
    Serve(Serve),
    /// Check the settings: every mistake at once, with line and column.
    Check(Check),
    /// Print settings.
    Config {
        #[command(subcommand)]
        what: Config,
    },
    /// Make, watch and change sales.
    Sale {
        #[command(subcommand)]
        what: Sale,
    },
    /// Look at one order.
    Ticket {
        #[command(subcommand)]
        what: Ticket,
    },
    /// Orders that the drain gave up.
    Dead {
        #[command(subcommand)]
        what: Dead,
    },
    /// The pace at which orders reach the store.
    Drain {
        #[command(subcommand)]
        what: Drain,
    },
    /// See in a minute what a sale's opening does to a database, and what it does behind Forebay.
    Demo(super::demo::Demo),
    /// Send a scenario's buyers to a gateway and judge what became of their orders.
    Load(Box<Options>),
    /// Look at this machine and the settings for what would go wrong in the sale.
    Doctor(Doctor),
    /// Print the tables of the MySQL store; make those that are missing.
    Migrate(Migrate),
    /// Print the completions of a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Print the manual page, of this command or of one of its commands.
    Man {
        /// Such as `sale put`; left out: `forebay` itself.
        #[arg(value_name = "COMMAND")]
        command: Vec<String>,
    },
    /// Prove the ledger against itself and against the store; exit 5 when something is wrong.
    Verify(Verify),
}

/// Where settings come from.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct Settings {
    /// The settings file; else the one that FOREBAY_CONFIG names; else none is read.
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Overrides one setting; may be repeated.
    #[arg(long = "set", value_name = "SECTION.KEY=VALUE")]
    pub(super) set: Vec<String>,
}

impl Settings {
    /// The file that is named, here or by the variable.
    pub(super) fn file(&self) -> Option<PathBuf> {
        self.config.clone().or_else(|| variable("FOREBAY_CONFIG").map(PathBuf::from))
    }
}

#[derive(Debug, Args)]
pub(super) struct Migrate {
    #[command(flatten)]
    pub(super) settings: Settings,
    /// Make the tables that are missing, in the database of [store.mysql] url. No table that is there is changed.
    #[arg(long)]
    pub(super) apply: bool,
}

#[derive(Clone, Debug, Default, Args)]
pub(super) struct Serve {
    #[command(flatten)]
    pub(super) settings: Settings,
    /// What this process does. `gateway` and `drain` need a ledger that processes share: [ledger] engine = "redis".
    #[arg(long, value_enum, default_value_t = Role::All)]
    pub(super) role: Role,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Role {
    /// Takes orders.
    Gateway,
    /// Carries orders to the store.
    Drain,
    /// Both.
    #[default]
    All,
}

#[derive(Debug, Args)]
pub(super) struct Check {
    /// The settings file, the same as `--config FILE`.
    #[arg(value_name = "FILE", conflicts_with = "config")]
    pub(super) file: Option<PathBuf>,
    #[command(flatten)]
    pub(super) settings: Settings,
}

#[derive(Debug, Subcommand)]
pub(super) enum Config {
    /// Print the annotated file with every key and its default.
    Default,
    /// Print every key with the value in force and where it comes from.
    Effective {
        #[command(flatten)]
        settings: Settings,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

/// How to reach the admin API.
#[derive(Clone, Debug, Args)]
pub(super) struct Admin {
    /// The admin listener; else FOREBAY_ADMIN_URL; else `http://127.0.0.1:9180`.
    #[arg(long = "admin", value_name = "URL")]
    url: Option<String>,
    /// A file whose first line is `name:token` or a token; else the one that FOREBAY_TOKEN_FILE names.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Print the answer as JSON.
    #[arg(long)]
    pub(super) json: bool,
}

impl Admin {
    /// The listener's address.
    pub(super) fn url(&self) -> String {
        let named = || variable("FOREBAY_ADMIN_URL").map(|url| url.to_string_lossy().into_owned());
        self.url.clone().or_else(named).unwrap_or_else(|| ADMIN_URL.to_owned())
    }

    /// The file with the token, if one is named.
    pub(super) fn token_file(&self) -> Option<PathBuf> {
        self.token_file.clone().or_else(|| variable("FOREBAY_TOKEN_FILE").map(PathBuf::from))
    }
}

#[derive(Debug, Subcommand)]
pub(super) enum Sale {
    /// Every sale with its phase and its counters.
    List {
        #[command(flatten)]
        admin: Admin,
    },
    /// One sale: terms and census.
    Show(OneSale),
    /// Make a sale, or change its terms; states all terms.
    Put(Box<PutSale>),
    /// Stop taking orders; the drain goes on.
    Pause(OneSale),
    /// Take orders again.
    Resume(OneSale),
    /// Close for good.
    Close(OneSale),
    /// Add units of an item, or cut some.
    Stock(Stock),
    /// Every ticket in admission order, one JSON object a line.
    Export(OneSale),
    /// Drop the tickets of a sale that is closed and settled.
    Purge(OneSale),
    /// Make a halted sale anew from what the processes remember and what the store has.
    Rebuild(OneSale),
    /// Place again what was placed and the store has lost: after a database came back without its last rows.
    Redrive(OneSale),
}

#[derive(Debug, Args)]
pub(super) struct OneSale {
    /// The sale's name.
    pub(super) sale: SaleName,
    #[command(flatten)]
    pub(super) admin: Admin,
}

#[derive(Debug, Args)]
pub(super) struct PutSale {
    /// The sale's name.
    pub(super) sale: SaleName,
    /// What is sold; may be repeated. Without a stock: a known item, unchanged.
    #[arg(long = "item", value_name = "SKU[=STOCK]", required = true, value_parser = item)]
    pub(super) items: Vec<Item>,
    /// Opens then (RFC 3339); now if left out.
    #[arg(long, value_name = "TIME")]
    pub(super) opens_at: Option<Timestamp>,
    /// Closes then (RFC 3339); never if left out.
    #[arg(long, value_name = "TIME")]
    pub(super) closes_at: Option<Timestamp>,
    /// Units that one buyer may hold; no limit if left out.
    #[arg(long = "limit", value_name = "UNITS", value_parser = units)]
    pub(super) limit_per_buyer: Option<u64>,
    /// Order calls that each gateway lets through to the ledger, such as 5000/s.
    #[arg(long, value_name = "RATE")]
    pub(super) admit_rate: Option<Rate>,
    /// This sale's cap at the drain, such as 100/s.
    #[arg(long, value_name = "RATE")]
    pub(super) drain_rate: Option<Rate>,
    #[command(flatten)]
    pub(super) admin: Admin,
}

#[derive(Debug, Args)]
pub(super) struct Stock {
    /// The sale's name.
    pub(super) sale: SaleName,
    /// The item.
    pub(super) sku: Sku,
    /// Units to add, or to cut when negative.
    #[arg(allow_negative_numbers = true, value_parser = delta)]
    pub(super) delta: i64,
    /// A name for this change: made again under the same name, it has no second effect.
    #[arg(long, value_name = "NAME")]
    pub(super) operation: String,
    #[command(flatten)]
    pub(super) admin: Admin,
}

#[derive(Debug, Subcommand)]
pub(super) enum Ticket {
    /// An order's timeline: accepted, each attempt, settled, with reasons.
    Show {
        #[arg(value_parser = ticket)]
        ticket: String,
        #[command(flatten)]
        admin: Admin,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum Dead {
    /// The dead orders of a sale, with what the store said last.
    List(OneSale),
    /// Every dead order in admission order, one JSON object a line.
    Export(OneSale),
    /// Send dead orders to the store again.
    Retry(OneDead),
    /// Refuse dead orders: void them at the store, give stock and limit back.
    Refuse {
        #[command(flatten)]
        dead: OneDead,
        /// Refuse also where the store cannot void; `verify` names such orders.
        #[arg(long)]
        force: bool,
    },
}

#[derive(Debug, Args)]
pub(super) struct OneDead {
    /// The sale's name.
    pub(super) sale: SaleName,
    /// A ticket, or `all`.
    #[arg(value_parser = ticket)]
    pub(super) ticket: String,
    #[command(flatten)]
    pub(super) admin: Admin,
}

#[derive(Debug, Subcommand)]
pub(super) enum Drain {
    /// The settings in force and what the drain does.
    Show(ShowDrain),
    /// Change the pace; it holds for all processes and outlives restarts.
    Set {
        #[command(flatten)]
        pace: Pace,
        #[command(flatten)]
        admin: Admin,
    },
    /// Send nothing to the store.
    Pause(ShowDrain),
    /// Go on.
    Resume(ShowDrain),
}

/// One of them, or both.
#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub(super) struct Pace {
    /// Such as 500/s, or `unlimited`, or `config` to go back to the file.
    #[arg(long, value_name = "RATE", value_parser = rate_or_config)]
    pub(super) rate: Option<RateOrConfig>,
    /// The most attempts at one instant, or `config` to go back to the file.
    #[arg(long, value_name = "N", value_parser = burst_or_config)]
    pub(super) burst: Option<BurstOrConfig>,
}

#[derive(Debug, Args)]
pub(super) struct ShowDrain {
    #[command(flatten)]
    pub(super) admin: Admin,
}

#[derive(Debug, Args)]
pub(super) struct Doctor {
    #[command(flatten)]
    pub(super) settings: Settings,
    /// Print JSON.
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
#[command(mut_arg("config", |arg| arg.requires("offline")))]
#[command(mut_arg("set", |arg| arg.requires("offline")))]
#[command(mut_arg("url", |arg| arg.conflicts_with("offline")))]
#[command(mut_arg("token_file", |arg| arg.conflicts_with("offline")))]
pub(super) struct Verify {
    /// Look again and again, a line each; ends with the first finding.
    #[arg(long, conflicts_with = "offline")]
    pub(super) watch: bool,
    /// How long to wait between two looks.
    #[arg(long, value_name = "DURATION", default_value = "5s", requires = "watch")]
    pub(super) every: Span,
    /// Read the ledger's directory and the store with no gateway running; --config says where they are. Without it
    /// the gateway at --admin is asked, which has its settings itself.
    #[arg(long)]
    pub(super) offline: bool,
    #[command(flatten)]
    pub(super) settings: Settings,
    #[command(flatten)]
    pub(super) admin: Admin,
}
