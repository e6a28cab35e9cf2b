//! The seam as the embedded engine keeps it: each call is one command for the writer thread.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::queue::{CLOSED, Command, Reply, View};
use super::{Embedded, Lsn};
use crate::ledger::book::{Batch, Book, Now, PayloadAt};
use crate::ledger::{
    Answer, Cancel, Cancelled, Change, Changed, Claim, Claimed, DeadPage, DrainDoc, ExportPage,
    Fault, Grant, Ledger, OrderDoc, Reserve, Reserved, SaleDoc, Settle, Settled, Snapshot, Tail,
    TailId, Timeline,
};
use crate::order::Place;
use crate::sale::{SaleName, SaleNo};

async fn answered<T>(reply: Reply<T>) -> Result<T, Fault> {
    let gone = |_| Err(Fault::in_doubt("the ledger's writer ended before it answered"));
    reply.await.unwrap_or_else(gone)
}

impl Embedded {
    /// The command is handed over at once, whether or not the answer is waited for.
    fn write<T: Send + 'static>(
        &self,
        command: impl FnOnce(&mut Book, Now, &mut Batch) -> T + Send + 'static,
    ) -> Answer<'static, T> {
        let (command, reply) = Command::write(command);
        self.shared.queue.push(command);
        Box::pin(answered(reply))
    }

    pub(super) fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&View<'_>) -> T + Send + 'static,
    ) -> Answer<'static, T> {
        let (command, reply) = Command::read(read);
        self.shared.queue.push(command);
        Box::pin(answered(reply))
    }

    /// Reads the payloads of a claim. On the caller's thread: the writer never waits for a read.
    fn bring(&self, claimed: &mut Claimed, payloads: &[PayloadAt]) -> Result<(), Fault> {
        let there = payloads.iter().filter(|at| at.len > 0);
        let pieces: Vec<(Lsn, usize)> =
            there.map(|at| (Lsn(at.lsn), usize::from(at.len))).collect();
        let read = self.shared.reader.read_many(&pieces).map_err(|error| {
            let reason = format!("a payload cannot be read from the journal: {error}");
            Fault::in_doubt(&reason)
        })?;
        let with_payload = claimed.orders.iter_mut().zip(payloads).filter(|(_, at)| at.len > 0);
        for ((order, _), payload) in with_payload.zip(read) {
            order.payload = payload;
        }
        Ok(())
    }
}

impl Ledger for Embedded {
    fn reserve(&self, orders: Vec<Reserve>) -> Answer<'_, Vec<Reserved>> {
        self.write(move |book, now, batch| {
            orders.into_iter().map(|order| book.reserve(order, now, batch)).collect()
        })
    }

    fn cancel(&self, orders: Vec<Cancel>) -> Answer<'_, Vec<Cancelled>> {
        self.write(move |book, now, batch| {
            orders.into_iter().map(|order| book.cancel(order, now, batch)).collect()
        })
    }

    fn grant(&self, sale: SaleNo, want: u32) -> Answer<'_, Grant> {
        let (shared, closed) = (&self.shared, self.shared.queue.is_stopped());
        let trouble = shared.trouble().or_else(|| closed.then(|| CLOSED.into()));
        let grant = match trouble {
            Some(why) => Err(Fault::unavailable(&why)),
            None => Ok(shared.pacer.grant(sale, want, || shared.ledger_clock.now())),
        };
        Box::pin(std::future::ready(grant))
    }

    fn claim(&self, claim: Claim) -> Answer<'_, Claimed> {
        let claimed = self.write(move |book, now, batch| book.claim(claim, now, batch));
        Box::pin(async move {
            let (mut claimed, payloads) = claimed.await?;
            self.bring(&mut claimed, &payloads)?;
            Ok(claimed)
        })
    }

    fn settle(&self, settles: Vec<Settle>) -> Answer<'_, Vec<Settled>> {
        self.write(move |book, now, batch| {
            settles.into_iter().map(|settle| book.settle(settle, now, batch)).collect()
        })
    }

    fn change(&self, change: Change) -> Answer<'_, Changed> {
        self.write(move |book, now, batch| book.change(change, now, batch))
    }

    fn census(&self, sale: SaleName) -> Answer<'_, Option<SaleDoc>> {
        self.read(move |view| view.book.census(&sale, view.now))
    }

    fn sales(&self) -> Answer<'_, Vec<SaleDoc>> {
        self.read(|view| view.book.sales(view.now))
    }

    fn drain(&self) -> Answer<'_, DrainDoc> {
        self.read(|view| view.book.drain_doc())
    }

    fn tickets(&self, sale: SaleNo, places: Vec<Place>) -> Answer<'_, Vec<Option<OrderDoc>>> {
        self.read(move |view| view.book.tickets(sale, &places))
    }

    fn timeline(&self, sale: SaleNo, place: Place) -> Answer<'_, Option<Timeline>> {
        self.read(move |view| view.book.timeline(sale, place))
    }

    fn export(&self, sale: SaleNo, from: u64, max: usize) -> Answer<'_, ExportPage> {
        self.read(move |view| view.book.export(sale, from, max))
    }

    fn dead(&self, sale: SaleNo, from: u64, max: usize) -> Answer<'_, DeadPage> {
        self.read(move |view| view.book.dead(sale, from, max))
    }

    fn snapshot(&self) -> Answer<'_, Snapshot> {
        self.read(|view| view.book.gateway_snapshot(view.tail, view.now))
    }

    fn tail(&self, after: TailId, max: usize) -> Answer<'_, Tail> {
        let tail = self.shared.ring.after(after, max);
        Box::pin(std::future::ready(Ok(tail)))
    }

    fn news(&self, after: TailId) -> BoxFuture<'_, ()> {
        Box::pin(self.shared.ring.news(after))
    }

    fn durability(&self) -> &'static str {
        self.durability.name()
    }

    fn trouble(&self) -> Option<Arc<str>> {
        self.shared.trouble()
    }
}
