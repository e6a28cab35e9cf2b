//! One look at everything, in the order that makes it exact: ledger, store, ledger again.

use super::findings::{Finding, Findings};
use super::ledger::Orders;
use super::rows::RowScan;
use super::{Accounts, Checked, VerifyError, asked, pace, recount, stock};
use crate::clock::Timestamp;
use crate::ledger::SaleDoc;
use crate::order::{Keyring, TicketText};
use crate::store::{Comparable, StoreRows};

/// What one look saw.
#[derive(Debug)]
pub(super) struct Look {
    pub(super) findings: Findings,
    pub(super) pending: u64,
    pub(super) checked: Checked,
    pub(super) compared: Comparable,
    pub(super) foreign: u64,
    pub(super) forced: Vec<TicketText>,
    /// `None` when there is no sale.
    pub(super) as_of: Option<Timestamp>,
    /// Nothing moved while it looked, and nothing was at the store: all it says is of one instant.
    pub(super) quiet: bool,
}

/// Looks at everything once.
pub(super) async fn look(
    accounts: &impl Accounts,
    store: &dyn StoreRows,
    keyring: &Keyring,
) -> Result<Look, VerifyError> {
    let mut findings = Findings::default();
    let docs = accounts.sales().await?;
    let mut orders = Orders::default();
    for doc in &docs {
        recount::census(doc, &mut findings);
        if !doc.purged {
            recount::sale(accounts, keyring, doc, &mut orders, &mut findings).await?;
        }
    }
    // Read after the orders: every attempt of theirs began under one of these paces.
    pace::check(&mut orders.attempts, &accounts.drain().await?.eras, &mut findings);

    let compared = store.comparable();
    let (rows, foreign) = match compared {
        Comparable::All => {
            all_rows(accounts, store, keyring, &docs, &mut orders, &mut findings).await?
        }
        Comparable::Placed => {
            (asked::placed(accounts, store, keyring, &docs, &mut findings).await?, 0)
        }
        Comparable::None => (0, 0),
    };
    // The same once more, in the words of whoever holds the whole book, says nothing new.
    let known = |finding: &Finding| findings.names(finding.law, finding.sale.as_deref());
    let audited: Vec<Finding> =
        accounts.audit().into_iter().filter(|finding| !known(finding)).collect();
    audited.into_iter().for_each(|finding| findings.add(finding));

    let now = accounts.sales().await?;
    let pending = docs.iter().map(|doc| doc.census.placing).sum();
    let quiet = pending == 0 && still(&docs, &now);
    let checked = Checked { tickets: orders.count(), rows };
    let as_of = docs.first().map(|doc| doc.as_of);
    let forced = orders.forced;
    Ok(Look { findings, pending, checked, compared, foreign, forced, as_of, quiet })
}

/// Compares with everything that the store lists; answers how many rows there are, and how many are foreign.
async fn all_rows(
    accounts: &impl Accounts,
    store: &dyn StoreRows,
    keyring: &Keyring,
    docs: &[SaleDoc],
    orders: &mut Orders,
    findings: &mut Findings,
) -> Result<(u64, u64), VerifyError> {
    let stock_before = store.stock_rows().await?;
    let mut scan = RowScan::new(orders, keyring);
    let mut after = None;
    loop {
        let page = store.order_rows(after).await?;
        scan.page(page.rows);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let scanned = scan.finish();
    let stock_after = store.stock_rows().await?;
    stock::check(docs, &stock_before, &stock_after, &scanned.units, findings);
    orders.resolve(accounts, &scanned.suspects, findings).await?;
    orders.missing(accounts, findings).await?;
    Ok((scanned.rows, scanned.foreign))
}

/// Whether no counter moved between two reads. The age of the oldest order is no counter.
fn still(before: &[SaleDoc], after: &[SaleDoc]) -> bool {
    let timeless = |doc: &SaleDoc| {
        let mut doc = doc.clone();
        (doc.as_of, doc.census.oldest_waiting_ms) = (Timestamp(0), 0);
        doc
    };
    before.len() == after.len()
        && before.iter().zip(after).all(|(before, after)| timeless(before) == timeless(after))
}
