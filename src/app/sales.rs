//! What the settings say about drain and sales, told to the ledger, which owns both.

use crate::config::ConfiguredSale;
use crate::config::Settings;
use crate::ledger::Change;
use crate::ledger::Changed;
use crate::ledger::Fault;
use crate::ledger::FaultKind;
use crate::ledger::SaleDoc;
use crate::ledger::SharedLedger;
use crate::order::Keyring;
use crate::sale::ItemTerms;
use crate::sale::SaleName;
use crate::sale::SaleNo;
use crate::sale::Sku;
use crate::sale::Terms;

use super::StartError;

/// Random numbers to choose from for a new sale.
///
/// # Panics
/// When the system has no randomness: nothing could be made safely.
pub(super) fn numbers() -> [SaleNo; 4] {
    std::array::from_fn(|_| SaleNo(getrandom::u32().expect("the system must give random numbers")))
}

/// The ledger was not told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NotTold {
    /// It could not answer: it may later.
    Ledger(Fault),
    /// The settings cannot be used.
    Refused(StartError),
}

impl From<Fault> for NotTold {
    fn from(fault: Fault) -> Self {
        Self::Ledger(fault)
    }
}

impl From<NotTold> for StartError {
    fn from(not_told: NotTold) -> Self {
        match not_told {
            NotTold::Ledger(fault) => fault.into(),
            NotTold::Refused(error) => error,
        }
    }
}

impl NotTold {
    /// Names the sales that were made before.
    fn after(self, made: &[&str]) -> Self {
        if made.is_empty() {
            return self;
        }
        let told = |what: &str| format!("{what}; the [[sale]] {} was made", made.join(", "));
        match self {
            Self::Ledger(fault) => {
                Self::Ledger(Fault { reason: told(&fault.reason).into(), ..fault })
            }
            Self::Refused(error) => {
                Self::Refused(StartError { message: told(&error.message), ..error })
            }
        }
    }
}

/// Writes `[drain]` to the ledger, where an operator's rate beats it.
///
/// # Errors
/// When the ledger does not take it.
pub(super) async fn write_drain(settings: &Settings, ledger: &SharedLedger) -> Result<(), Fault> {
    let change = Change::DrainConfig { rate: settings.drain.rate, burst: settings.drain.burst() };
    ledger.change(change).await?;
    Ok(())
}

/// Makes the sales that the ledger does not have. A sale that is there and differs stays as it is: the ledger
/// owns it, and the difference is a warning. Answers the warnings.
///
/// A sale whose data in the ledger cannot be trusted is a warning too.
///
/// # Errors
/// When the ledger cannot be asked, or refuses the terms of a new sale.
pub(super) async fn make(
    sales: &[ConfiguredSale],
    ledger: &SharedLedger,
    keyring: &Keyring,
) -> Result<Vec<String>, NotTold> {
    let mut warnings = Vec::new();
    let mut made: Vec<&str> = Vec::new();
    for sale in sales {
        let name = &sale.name;
        let changed = match put(sale, ledger, keyring).await {
            // It is there and halted, which is no reason to halt the others.
            Err(fault) if fault.kind == FaultKind::Corrupt => {
                warnings.push(format!("[[sale]] `{name}`: {fault}"));
                continue;
            }
            changed => changed,
        };
        match changed.map_err(|fault| NotTold::from(fault).after(&made))? {
            Changed::Created(_) => {
                tracing::info!(sale = %name, "sale made");
                made.push(name.as_str());
            }
            Changed::Sale(doc) if doc.purged => {
                warnings.push(format!("[[sale]] `{name}` was purged and is not made again"));
            }
            Changed::Sale(doc) if differs(&sale.terms, &doc.terms) => warnings.push(format!(
                "[[sale]] `{name}` differs from its terms in the ledger, which are in force: \
                 `forebay sale show` shows them, `forebay sale put` changes them"
            )),
            Changed::Conflict { detail, .. } => {
                let message = format!("[[sale]] `{}`: {detail}", sale.name);
                return Err(NotTold::Refused(StartError::config(message)));
            }
            _ => {}
        }
    }
    Ok(warnings)
}

/// Whether terms of a file and terms in force say different things. Items that were added later are no
/// difference, and neither is an opening time that was "now".
#[must_use]
pub fn differs(said: &Terms, held: &Terms) -> bool {
    let item = |sku: &Sku| held.items.iter().find(|item| item.sku == *sku);
    said.items.iter().any(|wanted| item(&wanted.sku) != Some(wanted))
        || (said.opens_at.is_some() && said.opens_at != held.opens_at)
        || said.closes_at != held.closes_at
        || said.limit_per_buyer != held.limit_per_buyer
        || said.drain_rate != held.drain_rate
}

async fn put(
    sale: &ConfiguredSale,
    ledger: &SharedLedger,
    keyring: &Keyring,
) -> Result<Changed, Fault> {
    let none = || Fault::unavailable("the ledger's ticket key is not here yet");
    let key_id = keyring.newest().ok_or_else(none)?;
    let change = Change::PutSale {
        name: sale.name.clone(),
        terms: sale.terms.clone(),
        numbers: numbers(),
        key_id,
        only_new: true,
    };
    ledger.change(change).await
}

/// The name of the sale of a first run.
pub(super) const DEMO: &str = "demo";

/// The sale of a first run: 1,000 phones, one a buyer, open, never closed by the clock.
///
/// # Panics
/// Never: the names are constant.
fn demo() -> ConfiguredSale {
    let sku = "phone".parse().expect("a constant sku");
    ConfiguredSale {
        name: DEMO.parse().expect("a constant name"),
        terms: Terms {
            opens_at: None,
            closes_at: None,
            limit_per_buyer: Some(1),
            payment_window_ms: None,
            admit_rate: None,
            drain_rate: None,
            items: vec![ItemTerms { sku, stock: Some(1_000) }],
        },
    }
}

/// Makes the demo sale in a ledger that has no sale, and says whether one is there that can be bought in.
///
/// # Errors
/// When the ledger cannot be asked.
pub(super) async fn first_run(ledger: &SharedLedger, keyring: &Keyring) -> Result<bool, NotTold> {
    let is_empty = match ledger.sales().await {
        // There is one at least.
        Err(fault) if fault.kind == FaultKind::Corrupt => false,
        sales => sales?.is_empty(),
    };
    if is_empty {
        make(&[demo()], ledger, keyring).await?;
    }
    let name: SaleName = demo().name;
    let found: Result<_, Fault> = ledger.census(name).await;
    let sells = |sale: SaleDoc| {
        let has_units = sale.census.items.iter().any(|item| item.available > 0);
        has_units && !sale.closed && !sale.paused && !sale.purged
    };
    Ok(found?.is_some_and(sells))
}
