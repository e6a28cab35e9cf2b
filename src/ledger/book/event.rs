//! What happened, as the journal keeps it: events and not commands.
//!
//! Kinds are versioned by their tag: a tag is never given another meaning, a changed kind gets a new one.

use bytes::Bytes;

use super::codec::{Decode, Reader, Truncated, Writer};
use crate::clock::Timestamp;
use crate::ledger::LeaseId;
use crate::order::{Buyer, ItemLine, ItemLines};
use crate::sale::{ItemTerms, Rate, SaleName, SaleNo, Terms};

/// Why an order came back to the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Return {
    /// The store gave no final answer. `true`: it was about this order and spends an attempt.
    Later(bool),
    /// The attempt was never started.
    Unstarted,
    /// Its lease ended unsettled.
    LeaseEnded,
}

/// One event. Orders are named by their index in the sale's admission order.
#[expect(missing_docs, reason = "fields say what their names say; the kinds are documented")]
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The ledger was opened: all leases end. Another epoch than before starts sequences at 1.
    Opened { at: Timestamp, epoch: u16 },
    /// A sale was made.
    SaleMade { sale_no: SaleNo, at: Timestamp, key_id: u8, name: SaleName, terms: Terms },
    /// A sale's terms changed; items are the old ones in their order, then new ones.
    SaleAmended { sale_no: SaleNo, at: Timestamp, closed: bool, terms: Terms },
    /// An operator's switches.
    SaleSwitched { sale_no: SaleNo, at: Timestamp, paused: bool, closed: bool },
    /// The sale's orders were dropped.
    SalePurged { sale_no: SaleNo, at: Timestamp },
    /// Name and census went too.
    SaleForgotten { sale_no: SaleNo },
    /// Units were added or cut.
    StockMoved { sale_no: SaleNo, at: Timestamp, item: u16, delta: i64, operation: Box<str> },
    /// An order was accepted, at the next place.
    Admitted {
        sale_no: SaleNo,
        at: Timestamp,
        buyer_hash: u64,
        key: u64,
        fingerprint: u64,
        lines: ItemLines,
        buyer: Buyer,
        payload: Bytes,
    },
    /// A buyer cancelled.
    Cancelled { sale_no: SaleNo, at: Timestamp, index: u32 },
    /// Orders went under a lease.
    Claimed {
        sale_no: SaleNo,
        at: Timestamp,
        lease: LeaseId,
        until: Timestamp,
        granted_at: Timestamp,
        indexes: Vec<u32>,
    },
    /// The store has the order.
    Placed { sale_no: SaleNo, at: Timestamp, index: u32, order_no: Box<str> },
    /// The store refused it.
    Refused { sale_no: SaleNo, at: Timestamp, index: u32, reason: Box<str> },
    /// It came back to the queue.
    Returned {
        sale_no: SaleNo,
        at: Timestamp,
        index: u32,
        due: Timestamp,
        why: Return,
        reason: Box<str>,
    },
    /// The drain gave it up, after this was seen. Events of tag 8 do not say what was.
    Died { sale_no: SaleNo, at: Timestamp, index: u32, reason: Box<str>, seen: Option<Box<str>> },
    /// An operator sent a dead order back to the queue.
    Retried { sale_no: SaleNo, at: Timestamp, index: u32 },
    /// The drain's settings.
    DrainSet {
        at: Timestamp,
        configured: (Rate, Option<u32>),
        operator_rate: Option<Rate>,
        operator_burst: Option<u32>,
        paused: Option<Box<str>>,
    },
    /// A dead order's payload was copied on, so that its old place in the journal can go.
    PayloadMoved { sale_no: SaleNo, index: u32, payload: Bytes },
}

impl Event {
    /// Appends the event; answers where in `out` its payload begins (the end where it has none).
    pub fn encode(&self, out: &mut Writer) -> usize {
        match self {
            Self::Admitted { sale_no, at, buyer_hash, key, fingerprint, lines, buyer, payload } => {
                out.head(1, *sale_no, *at);
                out.fixed(*buyer_hash);
                out.fixed(*key);
                out.fixed(*fingerprint);
                encode_lines(out, lines);
                out.text(buyer.as_str());
                out.bytes(payload)
            }
            Self::PayloadMoved { sale_no, index, payload } => {
                out.head(2, *sale_no, Timestamp(0));
                out.number(u64::from(*index));
                out.bytes(payload)
            }
            other => {
                other.encode_plain(out);
                out.len()
            }
        }
    }

    fn encode_plain(&self, out: &mut Writer) {
        match self {
            Self::Admitted { .. } | Self::PayloadMoved { .. } => {}
            Self::Cancelled { sale_no, at, index } => out.order(3, *sale_no, *at, *index),
            Self::Claimed { sale_no, at, lease, until, granted_at, indexes } => {
                out.head(4, *sale_no, *at);
                out.number(lease.0);
                out.number(until.0);
                out.number(granted_at.0);
                out.number(indexes.len() as u64);
                indexes.iter().for_each(|index| out.number(u64::from(*index)));
            }
            Self::Placed { sale_no, at, index, order_no } => {
                out.order(5, *sale_no, *at, *index);
                out.text(order_no);
            }
            Self::Refused { sale_no, at, index, reason } => {
                out.order(6, *sale_no, *at, *index);
                out.text(reason);
            }
            Self::Returned { sale_no, at, index, due, why, reason } => {
                out.order(7, *sale_no, *at, *index);
                out.number(due.0);
                out.number(match why {
                    Return::Later(false) => 0,
                    Return::Later(true) => 1,
                    Return::Unstarted => 2,
                    Return::LeaseEnded => 3,
                });
                out.text(reason);
            }
            Self::Died { sale_no, at, index, reason, seen } => {
                out.order(18, *sale_no, *at, *index);
                out.text(reason);
                out.option_with(seen.as_deref(), Writer::text);
            }
            Self::Retried { sale_no, at, index } => out.order(9, *sale_no, *at, *index),
            other => other.encode_rare(out),
        }
    }

    fn encode_rare(&self, out: &mut Writer) {
        match self {
            Self::Opened { at, epoch } => {
                out.head(10, SaleNo(0), *at);
                out.number(u64::from(*epoch));
            }
            Self::SaleMade { sale_no, at, key_id, name, terms } => {
                out.head(11, *sale_no, *at);
                out.number(u64::from(*key_id));
                out.text(name.as_str());
                encode_terms(out, terms);
            }
            Self::SaleAmended { sale_no, at, closed, terms } => {
                out.head(12, *sale_no, *at);
                out.flag(*closed);
                encode_terms(out, terms);
            }
            Self::SaleSwitched { sale_no, at, paused, closed } => {
                out.head(13, *sale_no, *at);
                out.flag(*paused);
                out.flag(*closed);
            }
            Self::SalePurged { sale_no, at } => out.head(14, *sale_no, *at),
            Self::SaleForgotten { sale_no } => out.head(15, *sale_no, Timestamp(0)),
            Self::StockMoved { sale_no, at, item, delta, operation } => {
                out.head(16, *sale_no, *at);
                out.number(u64::from(*item));
                out.signed(*delta);
                out.text(operation);
            }
            Self::DrainSet { at, configured, operator_rate, operator_burst, paused } => {
                out.head(17, SaleNo(0), *at);
                encode_rate(out, configured.0);
                out.option(configured.1.map(u64::from));
                out.option_with(*operator_rate, encode_rate);
                out.option(operator_burst.map(u64::from));
                out.option_with(paused.as_deref(), |out, reason| {
                    out.text(reason);
                });
            }
            _ => {}
        }
    }

    /// Reads one event; answers it and where in the reader's bytes its payload begins.
    ///
    /// # Errors
    /// When the bytes end early, or break a rule of the format.
    pub fn decode(from: &mut Reader<'_>) -> Result<(Self, usize), Truncated> {
        let tag = from.byte()?;
        let sale_no = SaleNo(from.get()?);
        let at = Timestamp(from.number()?);
        if tag == 1 {
            return decode_admitted(from, sale_no, at);
        }
        if tag == 2 {
            let index = from.get()?;
            let (payload, payload_at) = from.bytes()?;
            let payload = Bytes::copy_from_slice(payload);
            return Ok((Self::PayloadMoved { sale_no, index, payload }, payload_at));
        }
        let event = match tag {
            3..=9 | 18 => decode_order(tag, from, sale_no, at)?,
            _ => decode_rare(tag, from, sale_no, at)?,
        };
        Ok((event, from.position()))
    }
}

fn decode_admitted(
    from: &mut Reader<'_>,
    sale_no: SaleNo,
    at: Timestamp,
) -> Result<(Event, usize), Truncated> {
    let (buyer_hash, key, fingerprint) = (from.fixed()?, from.fixed()?, from.fixed()?);
    let lines = decode_lines(from)?;
    let buyer = Buyer::new(from.text()?.as_bytes()).map_err(|_| Truncated)?;
    let (payload, payload_at) = from.bytes()?;
    let payload = Bytes::copy_from_slice(payload);
    let event =
        Event::Admitted { sale_no, at, buyer_hash, key, fingerprint, lines, buyer, payload };
    Ok((event, payload_at))
}

fn decode_order(
    tag: u8,
    from: &mut Reader<'_>,
    sale_no: SaleNo,
    at: Timestamp,
) -> Result<Event, Truncated> {
    if tag == 4 {
        let lease = LeaseId(from.number()?);
        let (until, granted_at) = (Timestamp(from.number()?), Timestamp(from.number()?));
        let count = from.count()?;
        let indexes = (0..count).map(|_| from.get()).collect::<Result<_, _>>()?;
        return Ok(Event::Claimed { sale_no, at, lease, until, granted_at, indexes });
    }
    let index = from.get()?;
    Ok(match tag {
        3 => Event::Cancelled { sale_no, at, index },
        5 => Event::Placed { sale_no, at, index, order_no: from.text()?.into() },
        6 => Event::Refused { sale_no, at, index, reason: from.text()?.into() },
        7 => {
            let due = Timestamp(from.number()?);
            let why = match from.number()? {
                0 => Return::Later(false),
                1 => Return::Later(true),
                2 => Return::Unstarted,
                3 => Return::LeaseEnded,
                _ => return Err(Truncated),
            };
            Event::Returned { sale_no, at, index, due, why, reason: from.text()?.into() }
        }
        8 => Event::Died { sale_no, at, index, reason: from.text()?.into(), seen: None },
        18 => {
            let reason = from.text()?.into();
            let seen = from.option_with(|from| Ok(from.text()?.into()))?;
            Event::Died { sale_no, at, index, reason, seen }
        }
        _ => Event::Retried { sale_no, at, index },
    })
}

fn decode_rare(
    tag: u8,
    from: &mut Reader<'_>,
    sale_no: SaleNo,
    at: Timestamp,
) -> Result<Event, Truncated> {
    Ok(match tag {
        10 => Event::Opened { at, epoch: from.get()? },
        11 => {
            let key_id = from.get()?;
            let name = from.text()?.parse().map_err(|_| Truncated)?;
            Event::SaleMade { sale_no, at, key_id, name, terms: decode_terms(from)? }
        }
        12 => {
            let closed = from.flag()?;
            Event::SaleAmended { sale_no, at, closed, terms: decode_terms(from)? }
        }
        13 => Event::SaleSwitched { sale_no, at, paused: from.flag()?, closed: from.flag()? },
        14 => Event::SalePurged { sale_no, at },
        15 => Event::SaleForgotten { sale_no },
        16 => Event::StockMoved {
            sale_no,
            at,
            item: from.get()?,
            delta: from.signed()?,
            operation: from.text()?.into(),
        },
        17 => Event::DrainSet {
            at,
            configured: (decode_rate(from)?, from.option_get()?),
            operator_rate: from.option_with(decode_rate)?,
            operator_burst: from.option_get()?,
            paused: from.option_with(|from| Ok(from.text()?.into()))?,
        },
        _ => return Err(Truncated),
    })
}

fn encode_lines(out: &mut Writer, lines: &ItemLines) {
    let lines = lines.as_slice();
    out.number(lines.len() as u64);
    for line in lines {
        out.number(u64::from(line.item));
        out.number(u64::from(line.quantity));
    }
}

fn decode_lines(from: &mut Reader<'_>) -> Result<ItemLines, Truncated> {
    let count = from.count()?;
    let mut line = || Ok(ItemLine { item: from.get()?, quantity: from.get()? });
    if count == 1 {
        return line().map(ItemLines::One);
    }
    (0..count).map(|_| line()).collect::<Result<Vec<_>, _>>().map(ItemLines::from)
}

pub(super) fn encode_rate(out: &mut Writer, rate: Rate) {
    match rate {
        Rate::Unlimited => out.number(0),
        Rate::Per { permits, period_micros } => {
            out.number(u64::from(permits));
            out.number(period_micros);
        }
    }
}

pub(super) fn decode_rate(from: &mut Reader<'_>) -> Result<Rate, Truncated> {
    match from.get::<u32>()? {
        0 => Ok(Rate::Unlimited),
        permits => match from.number()? {
            0 => Err(Truncated),
            period_micros => Ok(Rate::Per { permits, period_micros }),
        },
    }
}

pub(super) fn encode_terms(out: &mut Writer, terms: &Terms) {
    out.option(terms.opens_at.map(|at| at.0));
    out.option(terms.closes_at.map(|at| at.0));
    out.option(terms.limit_per_buyer);
    out.option(terms.payment_window_ms);
    out.option_with(terms.admit_rate, encode_rate);
    out.option_with(terms.drain_rate, encode_rate);
    out.number(terms.items.len() as u64);
    for item in &terms.items {
        out.text(item.sku.as_str());
        out.option(item.stock);
    }
}

pub(super) fn decode_terms(from: &mut Reader<'_>) -> Result<Terms, Truncated> {
    Ok(Terms {
        opens_at: from.option()?.map(Timestamp),
        closes_at: from.option()?.map(Timestamp),
        limit_per_buyer: from.option()?,
        payment_window_ms: from.option()?,
        admit_rate: from.option_with(decode_rate)?,
        drain_rate: from.option_with(decode_rate)?,
        items: {
            let count = from.count()?;
            (0..count).map(|_| ItemTerms::decode(from)).collect::<Result<_, _>>()?
        },
    })
}

impl Decode for ItemTerms {
    fn decode(from: &mut Reader<'_>) -> Result<Self, Truncated> {
        let sku = from.text()?.parse().map_err(|_| Truncated)?;
        Ok(Self { sku, stock: from.option()? })
    }
}
