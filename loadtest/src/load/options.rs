//! The command's options.

use std::path::PathBuf;

use clap::Args;

use super::scenario::threshold::Threshold;
use super::scenario::written::Rate;
use crate::store::StoreAt;
use crate::target::Target;

const EXAMPLES: &str = "Examples:
  forebay load --list                                       the scenarios that come with it
  forebay load open-spike --target http://127.0.0.1:8080 --admin http://127.0.0.1:9180
  forebay load steady --target http://127.0.0.1:8080 --sale demo --rate 200/s --threshold 'p99 < 20ms'
  forebay load my-sale.toml --target http://127.0.0.1:8080 --json before.json
  forebay load my-sale.toml --target http://127.0.0.1:8080 --baseline before.json --threshold 'regress < 10%'

With --admin each run makes a sale of its own, hears the ledger and closes the sale at the end; without it the
sales must be there.

Exit codes: 0 all held, 5 a promise is broken, 99 a threshold is missed or the generator could not keep up,
2 usage, 3 the scenario is wrong, 1 failure at run time.";

/// Send a scenario's buyers to a gateway and judge what became of their orders.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES)]
pub struct Options {
    /// A scenario that comes with it (see --list), or a TOML file
    #[arg(required_unless_present = "list")]
    pub scenario: Option<String>,
    /// Name the scenarios that come with it
    #[arg(long, conflicts_with = "scenario")]
    pub list: bool,
    /// The gateway's public listener, like `http://127.0.0.1:8080`
    #[arg(long, value_name = "URL", value_parser = url, required_unless_present = "list")]
    pub target: Option<String>,
    /// The admin listener, like `http://127.0.0.1:9180`: sales are made, and the verdict hears the ledger
    #[arg(long, value_name = "URL", value_parser = url)]
    pub admin: Option<String>,
    /// A file whose first line is `name:token` or a token, for the admin listener
    #[arg(long, value_name = "FILE", requires = "admin")]
    pub token_file: Option<PathBuf>,
    /// Directory of the simulated store, or mysql://… of a database: the verdict then hears the store too
    #[arg(long, value_name = "DIR or URL", requires = "admin")]
    pub store: Option<StoreAt>,
    /// A sale that is there, in place of the scenario's (once for each of them); with --admin it is made if it is not
    #[arg(long, value_name = "NAME")]
    pub sale: Vec<String>,
    /// The item that everybody orders
    #[arg(long)]
    pub sku: Option<String>,
    /// So many orders come in all: what is left of the phases is cut off, or the last one goes on
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub buyers: Option<u64>,
    /// The highest rate of arrivals; all rates change with it
    #[arg(long, value_name = "RATE")]
    pub rate: Option<Rate>,
    /// Keep-alive connections for orders
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=60_000))]
    pub connections: Option<u64>,
    /// Multiplies rates and stocks
    #[arg(long, value_name = "X", default_value_t = 1.0, value_parser = positive)]
    pub scale: f64,
    /// Multiplies the lengths of the phases
    #[arg(long, value_name = "X", default_value_t = 1.0, value_parser = positive)]
    pub stretch: f64,
    /// Seconds a buyer waits for an answer, and for a gateway that is away
    #[arg(long, value_name = "SECONDS", value_parser = positive)]
    pub patience: Option<f64>,
    /// Seconds that all accepted orders may take to their end after the last arrival
    #[arg(long, value_name = "SECONDS", value_parser = positive)]
    pub settle: Option<f64>,
    /// Where all chance comes from
    #[arg(long)]
    pub seed: Option<u64>,
    /// One more thing to keep, like 'p99 < 5ms'; may be repeated
    #[arg(long = "threshold", value_name = "METRIC OP VALUE")]
    pub thresholds: Vec<Threshold>,
    /// Judge no threshold of the scenario
    #[arg(long)]
    pub no_thresholds: bool,
    /// Print the result as JSON, or write it to this file
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "-")]
    pub json: Option<PathBuf>,
    /// Write the spectrum of latencies to this file, in the text form of HdrHistogram
    #[arg(long, value_name = "FILE")]
    pub hgrm: Option<PathBuf>,
    /// Write one page with charts to this file
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// An earlier --json: print the differences; `regress < 10%` is then a threshold
    #[arg(long, value_name = "FILE")]
    pub baseline: Option<PathBuf>,
    /// Write every attempt to this file, one JSON object a line
    #[arg(long, value_name = "FILE")]
    pub history: Option<PathBuf>,
    /// The host of the target, said again: needed where it is not this machine
    #[arg(long = "i-own-this-target", value_name = "HOST")]
    pub owned: Vec<String>,
}

fn url(text: &str) -> Result<String, String> {
    Target::check(text).map(|_| text.to_owned())
}

/// No rate, factor or number of seconds is meant to be larger.
const NUMBER_MAX: f64 = 1e6;

fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number > 0.0 && number <= NUMBER_MAX => Ok(number),
        _ => Err("a number above 0 is needed, at most 1000000".to_owned()),
    }
}
