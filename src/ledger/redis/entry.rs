//! Entries of the tails, as the function library writes them. An id is epoch and number; numbers go on over epochs.

use std::sync::Arc;

use redis::{Cmd, Value};

use super::core::Core;
use super::docs::Fields;
use super::names::number_of;
use super::record::read_place;
use super::reply::{self, Cut, strange};
use crate::clock::Timestamp;
use crate::ledger::{Fault, Level, TailEvent};
use crate::order::State;
use crate::sale::SaleNo;

/// A place in one tail.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Id {
    pub(super) epoch: u64,
    pub(super) n: u64,
}

/// One entry.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) id: Id,
    fields: Vec<Value>,
}

/// What an entry tells.
#[derive(Debug)]
pub(super) enum Told {
    /// A name took a number: the sale has a tail of its own.
    Made(SaleNo),
    Forgotten(SaleNo),
    Events(Vec<TailEvent>),
    /// Another epoch began.
    Epoch,
}

/// Reads a page of entries after `after`.
pub(super) fn page(key: &str, after: Id, count: usize) -> Cmd {
    let mut command = redis::cmd("XRANGE");
    command.arg(key).arg(format!("({}-{}", after.epoch, after.n)).arg("+");
    command.arg("COUNT").arg(count);
    command
}

/// The id of the newest entry.
pub(super) async fn newest(core: &Core, key: &str) -> Result<Id, Fault> {
    let live = core.calls.live().await?;
    let mut command = redis::cmd("XREVRANGE");
    command.arg(key).arg("+").arg("-").arg("COUNT").arg(1);
    let page = read(core.calls.send(&live, &command).await?)?;
    Ok(page.first().map_or_else(Id::default, |entry| entry.id))
}

/// The entries of a page.
pub(super) fn read(page: Value) -> Result<Vec<Entry>, Fault> {
    let entry = |value: Value| {
        let mut parts = reply::list(value)?.into_iter();
        let id = reply::next(&mut parts)?;
        let (epoch, n) = reply::text(&id)?.split_once('-').ok_or_else(|| strange("an id"))?;
        let number = |text: &str| text.parse().map_err(|_| strange("an id"));
        let id = Id { epoch: number(epoch)?, n: number(n)? };
        Ok(Entry { id, fields: reply::list(reply::next(&mut parts)?)? })
    };
    reply::list(page)?.into_iter().map(entry).collect()
}

impl Entry {
    fn field(&self, name: &str) -> Option<&Value> {
        let mut pairs = self.fields.chunks_exact(2);
        pairs.find_map(|pair| match pair {
            [field, value] if reply::bytes(field).is_ok_and(|field| field == name.as_bytes()) => {
                Some(value)
            }
            _ => None,
        })
    }

    /// Read as one of the deployment's tail.
    pub(super) fn of_all(&self) -> Result<Told, Fault> {
        let numbered =
            |value: &Value| number_of(reply::bytes(value)?).ok_or_else(|| strange("a number"));
        if let Some(value) = self.field("n") {
            return numbered(value).map(Told::Made);
        }
        if let Some(value) = self.field("f") {
            return numbered(value).map(Told::Forgotten);
        }
        let (Some(fields), Some(eras)) = (self.field("d"), self.field("eras")) else {
            return Ok(Told::Epoch);
        };
        let drain = Fields::packed(reply::bytes(fields)?)?.drain(reply::text(eras)?)?;
        Ok(Told::Events(vec![TailEvent::Drain(Arc::new(drain))]))
    }

    /// Read as one of the tail of `sale_no`.
    pub(super) fn of_sale(&self, sale_no: SaleNo) -> Result<Told, Fault> {
        if self.field("e").is_some() {
            return Ok(Told::Epoch);
        }
        let mut events = Vec::new();
        for pair in self.fields.chunks_exact(2) {
            let [field, value] = pair else { continue };
            let bytes = reply::bytes(value)?;
            match reply::bytes(field)? {
                b"a" => events.push(admitted(sale_no, bytes)?),
                b"c" => events.push(all_moved(sale_no, bytes, State::Placing)?),
                b"p" => events.push(all_moved(sale_no, bytes, State::Placed)?),
                b"m" => events.push(moved(sale_no, bytes)?),
                b"l" => levels(sale_no, bytes, &mut events)?,
                b"s" => {
                    let at = self.field("at").map_or(Ok(0), reply::number)?;
                    let doc = Fields::packed(bytes)?.sale(Timestamp(at), 0)?;
                    events.push(TailEvent::Sale(Arc::new(doc)));
                }
                _ => {}
            }
        }
        Ok(Told::Events(events))
    }
}

/// The first one's place, and the buyers' hashes.
fn admitted(sale_no: SaleNo, bytes: &[u8]) -> Result<TailEvent, Fault> {
    let mut from = Cut(bytes);
    let first = read_place(&mut from)?;
    let mut buyers = Vec::with_capacity(from.0.len() / 8);
    while !from.is_empty() {
        buyers.push(from.number(8)?);
    }
    Ok(TailEvent::Admitted { sale_no, first, buyers })
}

/// Places of orders that all went to one state.
fn all_moved(sale_no: SaleNo, bytes: &[u8], state: State) -> Result<TailEvent, Fault> {
    let (mut from, mut orders) = (Cut(bytes), Vec::with_capacity(bytes.len() / 8));
    while !from.is_empty() {
        orders.push((read_place(&mut from)?, state));
    }
    Ok(TailEvent::Moved { sale_no, orders })
}

/// Places and states.
fn moved(sale_no: SaleNo, bytes: &[u8]) -> Result<TailEvent, Fault> {
    let (mut from, mut orders) = (Cut(bytes), Vec::with_capacity(bytes.len() / 9));
    while !from.is_empty() {
        let place = read_place(&mut from)?;
        let state = State::from_code(from.byte()?).ok_or_else(|| strange("a state"))?;
        orders.push((place, state));
    }
    Ok(TailEvent::Moved { sale_no, orders })
}

fn levels(sale_no: SaleNo, bytes: &[u8], events: &mut Vec<TailEvent>) -> Result<(), Fault> {
    let mut from = Cut(bytes);
    while !from.is_empty() {
        let item = u16::try_from(from.number(2)?).map_err(|_| strange("an item"))?;
        let (generation, sold_out) = (from.number(6)?, from.byte()? == 1);
        events.push(TailEvent::Level(Level { sale_no, item, generation, sold_out }));
    }
    Ok(())
}
