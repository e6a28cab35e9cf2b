//! The accounts of a ledger that does not run.

use std::future::ready;

use super::{Accounts, Finding, Read};
use crate::ledger::book::Now;
use crate::ledger::embedded::offline::Offline;
use crate::ledger::{DrainDoc, ExportPage, OrderDoc, SaleDoc};
use crate::order::Place;
use crate::sale::SaleNo;

/// A ledger that nobody writes: everything in it is of one instant.
#[derive(Debug)]
pub struct OfflineAccounts(pub Offline);

impl OfflineAccounts {
    /// Later than every event: the book stands still.
    fn now(&self) -> Now {
        let now = self.0.book.last_at().plus(std::time::Duration::from_micros(1));
        Now { ledger: now, wall: now }
    }
}

impl OfflineAccounts {
    /// Every sale, by name.
    #[must_use]
    pub fn all_sales(&self) -> Vec<SaleDoc> {
        self.0.book.sales(self.now())
    }
}

impl Accounts for OfflineAccounts {
    fn sales(&self) -> Read<'_, Vec<SaleDoc>> {
        Box::pin(ready(Ok(self.all_sales())))
    }

    fn drain(&self) -> Read<'_, DrainDoc> {
        Box::pin(ready(Ok(self.0.book.drain_doc())))
    }

    fn export(&self, sale: SaleNo, from: u64, max: usize) -> Read<'_, ExportPage> {
        Box::pin(ready(Ok(self.0.book.export(sale, from, max))))
    }

    fn tickets(&self, sale: SaleNo, places: Vec<Place>) -> Read<'_, Vec<Option<OrderDoc>>> {
        Box::pin(ready(Ok(self.0.book.tickets(sale, &places))))
    }

    fn audit(&self) -> Vec<Finding> {
        let found = self.0.book.audit().into_iter().map(|broken| {
            let law = if broken.law == "limit" { "L3" } else { broken.law };
            let mut finding = Finding::new(law, "the book agrees with itself", broken.what);
            finding.sale = Some(broken.sale);
            finding
        });
        found.collect()
    }
}
