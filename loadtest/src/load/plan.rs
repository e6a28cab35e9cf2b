//! What one run does: a scenario with the command's overrides, scaled.

use std::time::Duration;

use anyhow::{bail, ensure};

use super::arrivals::{Arrivals, Stretch};
use super::options::Options;
use super::scenario::threshold::Threshold;
use super::scenario::{Buyers, Retry, Sale, Scenario, Then};
use crate::form::{Crowd, Group, OrderForm};

/// Goes on until all came.
const ENDLESS: Duration = Duration::from_secs(365 * 86_400);

/// A group of buyers as it is sent.
#[derive(Debug, Clone)]
pub(super) struct Flock {
    /// Index of the sale.
    pub(super) sale: usize,
    pub(super) form: OrderForm,
    pub(super) retry: Option<Retry>,
    pub(super) then: Then,
    /// Share of those who cancel, and when.
    pub(super) cancel: f64,
    pub(super) cancel_after: Duration,
    /// Bytes a second of the request.
    pub(super) slow: Option<f64>,
}

/// A sale that a run orders from.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    /// As it is called at the gateway.
    pub(super) name: String,
    /// A sale that belongs to nobody else: it is made by this run.
    pub(super) own: bool,
    /// Its terms, where it is to be made.
    pub(super) terms: serde_json::Value,
}

/// All of a run.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) crowd: Crowd,
    pub(super) flocks: Vec<Flock>,
    pub(super) sales: Vec<Wanted>,
    pub(super) stretches: Vec<Stretch>,
    /// Names of the phases, beside `stretches`.
    pub(super) phases: Vec<String>,
    /// So many orders come at most.
    pub(super) most: u64,
    pub(super) connections: usize,
    pub(super) patience: Duration,
    pub(super) settle: Duration,
    pub(super) late_after: Duration,
    pub(super) identity_header: String,
    pub(super) seed: u64,
    pub(super) keep: Vec<Threshold>,
}

impl Plan {
    /// `tag` makes the names of this run unlike those of every other one.
    pub(super) fn new(scenario: &Scenario, options: &Options, tag: &str) -> anyhow::Result<Self> {
        let peak = scenario.phase.iter().filter_map(|phase| {
            let (from, to) = (phase.rate?.0, phase.to.as_ref().map(|to| to.get_ref().0));
            Some(from.max(to.unwrap_or(from)))
        });
        let peak = peak.fold(0.0, f64::max);
        let factor = match options.rate {
            Some(_) if peak == 0.0 => bail!("--rate: the scenario has no phase with a rate"),
            Some(rate) => rate.0 / peak,
            None => options.scale,
        };
        let sales = sales(scenario, options, tag)?;
        let crowd = Crowd::of(tag, scenario.buyers.iter().map(group).collect());
        let flocks =
            scenario.buyers.iter().map(|buyers| flock(buyers, scenario, options, &sales, &crowd));
        let flocks = flocks.collect();
        let stretches = stretches(scenario, factor, options);
        let or = |seconds: Option<f64>, own: Duration| seconds.map_or(own, Duration::from_secs_f64);
        Ok(Self {
            crowd,
            flocks,
            sales,
            stretches,
            phases: scenario.phase.iter().map(|phase| phase.name.get_ref().clone()).collect(),
            most: options.buyers.unwrap_or(u64::MAX),
            connections: usize::try_from(options.connections.unwrap_or(scenario.connections))?,
            patience: or(options.patience, scenario.patience.0),
            settle: or(options.settle, scenario.settle.0),
            late_after: scenario.late_after.0,
            identity_header: scenario.identity_header.clone(),
            seed: options.seed.unwrap_or(scenario.seed),
            keep: keep(scenario, options),
        })
    }

    /// All who come.
    pub(super) fn arrivals(&self) -> Arrivals {
        Arrivals::new(self.stretches.clone(), self.flocks.len(), self.most, self.seed)
    }

    /// How many come, about; `None` where only the gateway's answers tell.
    pub(super) fn expected(&self) -> Option<u64> {
        if self.most < u64::MAX {
            return Some(self.most);
        }
        let all: Option<f64> = self.stretches.iter().map(Stretch::expected).sum();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a count of orders, never below 0"
        )]
        all.map(|all| all.round() as u64)
    }

    /// The group behind an ask.
    pub(super) fn flock(&self, ask: u64) -> Option<&Flock> {
        self.flocks.get(Crowd::group_of(ask))
    }
}

/// What an open loop must keep of its own for its figures to mean anything, unless the scenario says otherwise.
const CONDUCT: [&str; 2] = ["late < 1%", "dropped < 1%"];

fn keep(scenario: &Scenario, options: &Options) -> Vec<Threshold> {
    if options.no_thresholds {
        return options.thresholds.clone();
    }
    let mut keep: Vec<Threshold> =
        scenario.keep.iter().chain(&options.thresholds).cloned().collect();
    if scenario.phase.iter().any(|phase| phase.rate.is_some()) {
        for text in CONDUCT {
            let own: Threshold = text.parse().expect("a constant of this form can be read");
            if !keep.iter().any(|named| named.metric == own.metric) {
                keep.push(own);
            }
        }
    }
    keep
}

fn group(buyers: &Buyers) -> Group {
    let Buyers { orders_each, identities, keys, .. } = *buyers;
    Group { orders_each, identities, keyed: keys }
}

fn flock(
    buyers: &Buyers,
    scenario: &Scenario,
    options: &Options,
    sales: &[Wanted],
    crowd: &Crowd,
) -> Flock {
    let of = |name: &str| scenario.sale.iter().position(|sale| sale.name.get_ref() == name);
    let sale = buyers.sale.as_ref().and_then(|name| of(name.get_ref())).unwrap_or(0);
    let first = || scenario.sale.get(sale).and_then(|sale| sale.stock.keys().next().cloned());
    let sku = options.sku.clone().or_else(|| buyers.sku.clone()).or_else(first);
    let name = sales.get(sale).map_or("", |sale| &sale.name);
    let mut form = OrderForm::new(name, &sku.unwrap_or_default(), crowd.clone());
    form.quantity = buyers.quantity;
    if buyers.payload > 0 {
        form = form.with_payload_of(buyers.payload);
    }
    Flock {
        sale,
        form,
        retry: buyers.retry.clone(),
        then: buyers.then,
        cancel: buyers.cancel.0,
        cancel_after: buyers.cancel_after.map_or(Duration::ZERO, |span| span.0),
        slow: buyers.slow.map(|speed| speed.0),
    }
}

fn sales(scenario: &Scenario, options: &Options, tag: &str) -> anyhow::Result<Vec<Wanted>> {
    let (wanted, given) = (scenario.sale.len(), options.sale.len());
    ensure!(
        given == 0 || given == wanted,
        "--sale is given {given} times, and the scenario sells in {wanted}: name each once, in its order"
    );
    let named = scenario.sale.iter().enumerate().map(|(n, sale)| {
        let own = given == 0 && options.admin.is_some();
        let name = match options.sale.get(n) {
            Some(name) => name.clone(),
            None if own => format!("{}-{tag}", sale.name.get_ref()),
            None => sale.name.get_ref().clone(),
        };
        Wanted { name, own, terms: terms(sale, options) }
    });
    Ok(named.collect())
}

/// The body of the call that makes a sale.
fn terms(sale: &Sale, options: &Options) -> serde_json::Value {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a stock is far below 2^52 and never below 0"
    )]
    let scaled = |units: &u64| (*units as f64 * options.scale).ceil() as u64;
    let items: Vec<_> = sale
        .stock
        .iter()
        .map(|(sku, stock)| serde_json::json!({ "sku": sku, "stock": scaled(stock) }))
        .collect();
    serde_json::json!({
        "limit_per_buyer": sale.limit_per_buyer,
        "admit_rate": sale.admit_rate.map(|rate| written(rate.0 * options.scale)),
        "drain_rate": sale.drain_rate.map(|rate| written(rate.0 * options.scale)),
        "items": items,
    })
}

/// A rate as the gateway reads it: whole numbers, a second or an hour.
fn written(rate: f64) -> String {
    if rate.fract() == 0.0 { format!("{rate}/s") } else { format!("{}/h", (rate * 3_600.0).ceil()) }
}

fn stretches(scenario: &Scenario, factor: f64, options: &Options) -> Vec<Stretch> {
    let mut begins = Duration::ZERO;
    let mut stretches = Vec::with_capacity(scenario.phase.len() + 1);
    for phase in &scenario.phase {
        let length = phase.length.0.mul_f64(options.stretch);
        let rates = phase.rate.map(|rate| {
            let to = phase.to.as_ref().map_or(rate.0, |to| to.get_ref().0);
            (rate.0 * factor, to * factor)
        });
        let named = phase.buyers.as_ref();
        let comes = |buyers: &Buyers| {
            let name = buyers.name.get_ref();
            named.is_none_or(|named| named.iter().any(|one| one.get_ref() == name))
        };
        let groups = scenario.buyers.iter().enumerate().filter(|(_, buyers)| comes(buyers));
        let groups = groups.map(|(group, buyers)| (group, buyers.weight)).collect();
        stretches.push(Stretch { begins, length, rates, spread: phase.spread, groups });
        begins += length;
    }
    if options.buyers.is_some()
        && let Some(last) = stretches.last().cloned()
    {
        let rates = last.rates.map(|(_, to)| (to, to));
        stretches.push(Stretch { begins, length: ENDLESS, rates, ..last });
    }
    stretches
}
