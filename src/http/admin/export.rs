//! The export of a sale: every order as one line of JSON, read page by page.
//!
//! A page is read only when the client has taken the one before it, so a slow client costs one page of memory
//! and no time of the ledger. A read that fails in the middle ends the answer as broken: an export that looks
//! whole is whole.

use bytes::Bytes;
use futures_util::stream::{self, Stream};

use super::documents::Order;
use crate::ledger::{ExportPage, Fault, SharedLedger};
use crate::order::SaleSeal;
use crate::sale::SaleNo;

/// Orders that are read and rendered at once: about 100 KiB of text.
pub(super) const PAGE: usize = 256;

/// What is exported, and what makes its tickets.
#[derive(Debug)]
pub(super) struct Export {
    pub(super) ledger: SharedLedger,
    pub(super) sale_no: SaleNo,
    pub(super) seal: SaleSeal,
}

enum Step {
    Render(ExportPage),
    Read(u64),
    End,
}

impl Export {
    /// The lines from `first` on, a page each item.
    pub(super) fn lines(
        self,
        first: ExportPage,
    ) -> impl Stream<Item = Result<Bytes, Fault>> + Send + 'static {
        stream::try_unfold((self, Step::Render(first)), |(export, step)| async move {
            let page = match step {
                Step::Render(page) => page,
                Step::Read(from) => export.next(from).await?,
                Step::End => return Ok(None),
            };
            if page.orders.is_empty() {
                return Ok(None);
            }
            let lines = export.render(&page);
            let step = page.next.map_or(Step::End, Step::Read);
            Ok(Some((lines, (export, step))))
        })
    }

    async fn next(&self, from: u64) -> Result<ExportPage, Fault> {
        let page = self.ledger.export(self.sale_no, from, PAGE).await?;
        if page.orders.is_empty() {
            // The page before it promised more, and only a purge takes orders away.
            return Err(Fault::unavailable("the sale was purged while it was exported"));
        }
        Ok(page)
    }

    fn render(&self, page: &ExportPage) -> Bytes {
        let mut out = Vec::with_capacity(page.orders.len() * 400);
        for order in &page.orders {
            // Neither a vector nor the types of a line can fail.
            let _ = serde_json::to_writer(&mut out, &Order::new(&self.seal, order));
            out.push(b'\n');
        }
        out.into()
    }
}
