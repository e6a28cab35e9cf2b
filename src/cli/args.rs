//! The command line, as it is written.

use std::path::PathBuf;

use clap::Args;
use clap::Parser;
use clap::Subcommand;
use clap::ValueEnum;

use crate::clock::Timestamp;
use crate::sale::Rate;
use crate::sale::SaleName;
use crate::sale::Sku;

const EXAMPLES: &str = "Examples:
  forebay                                    run, with an open sale to try
  forebay check forebay.toml                 tell every mistake in a settings file
  forebay sale put phones --item phone=1000 --limit 1
  forebay doctor --config forebay.toml       look at this machine before the sale
  forebay verify                             prove that nothing was oversold, doubled or lost

Exit codes: 0 ok, 1 failure at run time, 2 usage, 3 configuration, 4 a dependency is unusable or
cannot be reached, 5 an invariant is broken.";

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
    /// Look at this machine and the settings for what would go wrong in the sale.
    Doctor(Doctor),
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
    /// The settings file. None is read unless it is named.
    #[arg(long, env = "FOREBAY_CONFIG", value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Overrides one setting; may be repeated.
    #[arg(long = "set", value_name = "SECTION.KEY=VALUE")]
    pub(super) set: Vec<String>,
}

#[derive(Clone, Debug, Default, Args)]
pub(super) struct Serve {
    #[command(flatten)]
    pub(super) settings: Settings,
    /// What this process does. Only `all` works with the embedded ledger.
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
    /// The settings file; else the one that FOREBAY_CONFIG names; else the defaults.
    #[arg(env = "FOREBAY_CONFIG", value_name = "FILE")]
    pub(super) file: Option<PathBuf>,
    /// Overrides one setting; may be repeated.
    #[arg(long = "set", value_name = "SECTION.KEY=VALUE")]
    pub(super) set: Vec<String>,
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
    /// The admin listener.
    #[arg(
        long = "admin",
        env = "FOREBAY_ADMIN_URL",
        value_name = "URL",
        default_value = "http://127.0.0.1:9180"
    )]
    pub(super) url: String,
    /// A file whose first line is `name:token` or a token.
    #[arg(long, env = "FOREBAY_TOKEN_FILE", value_name = "FILE")]
    pub(super) token_file: Option<PathBuf>,
    /// Print the answer as JSON.
    #[arg(long)]
    pub(super) json: bool,
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
    #[arg(long = "limit", value_name = "UNITS")]
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

/// An item of `sale put`.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) sku: Sku,
    pub(super) stock: Option<u64>,
}

fn item(text: &str) -> Result<Item, String> {
    let (sku, stock) = match text.split_once('=') {
        Some((sku, stock)) => (sku, Some(stock)),
        None => (text, None),
    };
    let sku = sku.parse().map_err(|error: crate::sale::BadName| error.to_string())?;
    let stock = stock.map(|stock| stock.parse::<u64>().map_err(|error| format!("stock: {error}")));
    Ok(Item { sku, stock: stock.transpose()? })
}

#[derive(Debug, Args)]
pub(super) struct Stock {
    /// The sale's name.
    pub(super) sale: SaleName,
    /// The item.
    pub(super) sku: Sku,
    /// Units to add, or to cut when negative.
    #[arg(allow_negative_numbers = true)]
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

/// Only what can be a part of a path; whether it is a ticket is the gateway's to say.
fn ticket(text: &str) -> Result<String, &'static str> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if !text.is_empty() && text.len() <= 64 && text.bytes().all(fits) {
        Ok(text.to_owned())
    } else {
        Err("a ticket is at most 64 of A-Z, a-z, 0-9, - and _")
    }
}

#[derive(Debug, Subcommand)]
pub(super) enum Dead {
    /// The dead orders of a sale.
    List(OneSale),
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
        /// Such as 500/s, or `unlimited`, or `config` to go back to the file.
        #[arg(long, value_name = "RATE", value_parser = rate_or_config, required_unless_present = "burst")]
        rate: Option<RateOrConfig>,
        /// The most attempts at one instant, or `config` to go back to the file.
        #[arg(long, value_name = "N", value_parser = burst_or_config)]
        burst: Option<BurstOrConfig>,
        #[command(flatten)]
        admin: Admin,
    },
    /// Send nothing to the store.
    Pause(ShowDrain),
    /// Go on.
    Resume(ShowDrain),
}

#[derive(Debug, Args)]
pub(super) struct ShowDrain {
    #[command(flatten)]
    pub(super) admin: Admin,
}

/// A rate, or back to the file.
#[derive(Clone, Copy, Debug)]
pub(super) struct RateOrConfig(pub(super) Option<Rate>);

/// A burst, or back to the file.
#[derive(Clone, Copy, Debug)]
pub(super) struct BurstOrConfig(pub(super) Option<u32>);

fn rate_or_config(text: &str) -> Result<RateOrConfig, String> {
    match text {
        "config" => Ok(RateOrConfig(None)),
        _ => text.parse().map(|rate| RateOrConfig(Some(rate))).map_err(|error| format!("{error}")),
    }
}

fn burst_or_config(text: &str) -> Result<BurstOrConfig, String> {
    match text {
        "config" => Ok(BurstOrConfig(None)),
        _ => text.parse().map(|n| BurstOrConfig(Some(n))).map_err(|error| format!("{error}")),
    }
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
pub(super) struct Verify {
    /// Read the ledger's directory and the store with no gateway running; --config says where they are.
    #[arg(long)]
    pub(super) offline: bool,
    #[command(flatten)]
    pub(super) settings: Settings,
    #[command(flatten)]
    pub(super) admin: Admin,
}
