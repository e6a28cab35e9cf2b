//! The export of a sale: every order, or every dead one, as one line of JSON, read page by page.
//!
//! A page is read only when the client has taken the one before it, so a slow client costs one page of memory
//! and no time of the ledger. A read that fails in the middle ends the answer as broken: an export that looks
//! whole is whole.

use bytes::Bytes;
use futures_util::stream::{self, Stream};
use serde::Serialize;

use super::documents::{DeadOrder, Order};
use crate::ledger::{Fault, Page, SharedLedger};
use crate::order::SaleSeal;
use crate::sale::SaleNo;

/// Orders that are read and rendered at once: about 100 KiB of text.
const PAGE: usize = 256;

/// Which orders of a sale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    All,
    Dead,
}

/// What is exported, and what makes its tickets.
#[derive(Debug)]
pub(super) struct Export {
    pub(super) ledger: SharedLedger,
    pub(super) sale_no: SaleNo,
    pub(super) seal: SaleSeal,
    pub(super) which: Which,
}

/// The lines of one page, and where the next one begins.
struct Part {
    lines: Bytes,
    next: Option<u64>,
}

enum Step {
    Send(Part),
    Read(u64),
    End,
}

impl Export {
    /// The lines from index `from` on, a page each item; the first page is read at once.
    ///
    /// # Errors
    /// When the first page cannot be read.
    pub(super) async fn lines(
        self,
        from: u64,
    ) -> Result<impl Stream<Item = Result<Bytes, Fault>> + Send + 'static, Fault> {
        let first = Step::Send(self.read(from).await?);
        Ok(stream::try_unfold((self, first), |(export, step)| async move {
            let part = match step {
                Step::Send(part) => part,
                Step::Read(from) => export.next(from).await?,
                Step::End => return Ok(None),
            };
            if part.lines.is_empty() {
                return Ok(None);
            }
            let step = part.next.map_or(Step::End, Step::Read);
            Ok(Some((part.lines, (export, step))))
        }))
    }

    async fn next(&self, from: u64) -> Result<Part, Fault> {
        let part = self.read(from).await?;
        if part.lines.is_empty() && self.which == Which::All {
            // The page before it promised more, and only a purge takes orders away. Dead ones may be dead no more.
            return Err(Fault::unavailable("the sale was purged while it was exported"));
        }
        Ok(part)
    }

    async fn read(&self, from: u64) -> Result<Part, Fault> {
        Ok(match self.which {
            Which::All => {
                let page = self.ledger.export(self.sale_no, from, PAGE).await?;
                render(&page, |order| Order::new(&self.seal, order))
            }
            Which::Dead => {
                let page = self.ledger.dead(self.sale_no, from, PAGE).await?;
                render(&page, |dead| DeadOrder::new(&self.seal, dead))
            }
        })
    }
}

fn render<'a, T, D: Serialize>(page: &'a Page<T>, document: impl Fn(&'a T) -> D) -> Part {
    let mut out = Vec::with_capacity(page.orders.len() * 400);
    for order in &page.orders {
        // Neither a vector nor the types of a line can fail.
        let _ = serde_json::to_writer(&mut out, &document(order));
        out.push(b'\n');
    }
    Part { lines: out.into(), next: page.next }
}
