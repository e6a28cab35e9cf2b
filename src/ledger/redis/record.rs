//! Records as the function library keeps them (`library/book.lua`), written and read.
//!
//! A place is epoch (2 bytes) and sequence (6). An order in `q` and `a`: time of acceptance 8, then what the gateway wrote:
//! number of lines 1, item 2 and quantity 4 of each, length of the name 1, name, payload. The buyer's hash is not kept:
//! the sale's seal gives it again.

use bytes::Bytes;

use super::reply::{Cut, strange};
use crate::clock::Timestamp;
use crate::ledger::{AttemptNote, ClaimedOrder, Fault, OrderDoc, Reserve, SaleDoc, Timeline};
use crate::order::{Buyer, ItemLine, Line, Place, SaleSeal, State};
use crate::sale::Sku;

/// What this process learnt of a sale: what records leave out because it is the same for all of its orders, and what a
/// sale is made anew from when the server has lost it.
#[derive(Clone, Debug)]
pub(super) struct Known {
    /// As it was at its last change; the counters are of then.
    pub(super) doc: SaleDoc,
    /// `None` while its ticket key is not in the keyring: its orders cannot be read.
    pub(super) seal: Option<SaleSeal>,
}

impl Known {
    /// The item's name; one that was added since is read with what is known then.
    pub(super) fn sku(&self, item: usize) -> Result<&Sku, Unread> {
        self.doc.census.items.get(item).map(|item| &item.sku).ok_or(Unread::NewItem)
    }
}

pub(super) fn write_place(out: &mut Vec<u8>, place: Place) {
    out.extend_from_slice(&place.epoch.to_be_bytes());
    out.extend_from_slice(&place.sequence.to_be_bytes()[2..]);
}

pub(super) fn place_bytes(place: Place) -> Vec<u8> {
    let mut out = Vec::with_capacity(8);
    write_place(&mut out, place);
    out
}

pub(super) fn read_place(from: &mut Cut<'_>) -> Result<Place, Fault> {
    let epoch = u16::try_from(from.number(2)?).map_err(|_| strange("an epoch"))?;
    Ok(Place { epoch, sequence: from.number(6)? })
}

/// Key 8, body 8 and buyer's hash 8 of an order call.
pub(super) fn key_bytes(order: &Reserve) -> [u8; 24] {
    let mut out = [0; 24];
    out[..8].copy_from_slice(&order.key.to_be_bytes());
    out[8..16].copy_from_slice(&order.fingerprint.to_be_bytes());
    out[16..].copy_from_slice(&order.buyer_hash.to_be_bytes());
    out
}

/// An order as it will be kept, without its time.
pub(super) fn write_order(out: &mut Vec<u8>, order: &Reserve) {
    out.clear();
    write_ordered(out, order.lines.as_slice(), order.buyer.as_str(), &order.payload);
}

/// The same from its parts, behind what is there.
pub(super) fn write_ordered(out: &mut Vec<u8>, lines: &[ItemLine], name: &str, payload: &[u8]) {
    out.push(u8::try_from(lines.len()).expect("an order has at most 8 lines"));
    for line in lines {
        out.extend_from_slice(&line.item.to_be_bytes());
        out.extend_from_slice(&line.quantity.to_be_bytes());
    }
    out.push(u8::try_from(name.len()).expect("a buyer is at most 128 bytes"));
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(payload);
}

/// What was ordered, by whom.
#[derive(Debug)]
struct Ordered {
    buyer: Buyer,
    buyer_hash: u64,
    lines: Vec<Line>,
}

/// An item of the sale was added after the caller learnt of its items: learn, and read again.
#[derive(Debug)]
pub(super) enum Unread {
    NewItem,
    Fault(Fault),
}

impl From<Fault> for Unread {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

fn read_ordered(from: &mut Cut<'_>, known: &Known) -> Result<Ordered, Unread> {
    let seal = known.seal.as_ref();
    let no_key = || Fault::unavailable("the sale's ticket key is not here");
    let seal = seal.ok_or_else(no_key)?;
    let mut lines = Vec::new();
    for _ in 0..from.byte()? {
        let item = usize::try_from(from.number(2)?).map_err(|_| strange("an item"))?;
        let quantity = u32::try_from(from.number(4)?).map_err(|_| strange("a quantity"))?;
        let sku = known.sku(item)?;
        lines.push(Line { sku: sku.clone(), quantity });
    }
    let length = usize::from(from.byte()?);
    let buyer = Buyer::new(from.take(length)?).map_err(|_| strange("a buyer"))?;
    Ok(Ordered { buyer_hash: seal.buyer_hash(buyer.as_str()), buyer, lines })
}

fn time(micros: u64) -> Option<Timestamp> {
    (micros != 0).then_some(Timestamp(micros))
}

/// An order that was claimed.
pub(super) fn claimed(
    place: &[u8],
    order: &[u8],
    (attempts, claims): (u64, u64),
    known: &Known,
) -> Result<ClaimedOrder, Unread> {
    let place = read_place(&mut Cut(place))?;
    let mut from = Cut(order);
    let accepted_at = Timestamp(from.number(8)?);
    let Ordered { buyer, buyer_hash, lines } = read_ordered(&mut from, known)?;
    Ok(ClaimedOrder {
        place,
        buyer,
        buyer_hash,
        lines,
        payload: Bytes::copy_from_slice(from.0),
        accepted_at,
        attempts: u32::try_from(attempts).unwrap_or(u32::MAX),
        claims: u32::try_from(claims).unwrap_or(u32::MAX),
    })
}

/// What the library keeps of one order: itself (in `q` or `a`), attempts (in `a`), its end (in `t`), and what is too
/// long for that (in `n`); each is empty where it is not.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kept<'a> {
    pub(super) queue: &'a [u8],
    pub(super) tries: &'a [u8],
    pub(super) ended: &'a [u8],
    pub(super) long: &'a [u8],
}

/// An order with its attempts; `None` when there is no such order.
pub(super) fn timeline(
    place: Place,
    kept: Kept<'_>,
    known: &Known,
) -> Result<Option<Timeline>, Unread> {
    if !kept.ended.is_empty() {
        return ended(place, kept, known).map(Some);
    }
    if kept.queue.is_empty() {
        // Nobody may be told that it is lost while somebody may bring it back.
        let on_hold =
            Fault::unavailable("a new epoch began: orders that were accepted come back first");
        return if kept.long == b"H" { Err(on_hold.into()) } else { Ok(None) };
    }
    let mut from = Cut(kept.queue);
    let accepted_at = Timestamp(from.number(8)?);
    let order = doc(place, accepted_at, read_ordered(&mut from, known)?, known);
    if kept.tries.is_empty() {
        return Ok(Some(Timeline {
            order,
            attempts: Vec::new(),
            leased_until: None,
            due_at: None,
        }));
    }
    open(order, kept.tries).map(Some)
}

fn doc(place: Place, accepted_at: Timestamp, ordered: Ordered, known: &Known) -> OrderDoc {
    OrderDoc {
        sale_no: known.doc.sale_no,
        place,
        buyer: ordered.buyer,
        buyer_hash: ordered.buyer_hash,
        lines: ordered.lines,
        state: State::Queued,
        reason: None,
        order_no: None,
        accepted_at,
        attempted_at: None,
        settled_at: None,
        attempts: 0,
        version: 1,
    }
}

fn state(code: u8) -> Result<State, Fault> {
    State::from_code(code).ok_or_else(|| strange("a state"))
}

/// A claimed order, or a dead one.
fn open(order: OrderDoc, tries: &[u8]) -> Result<Timeline, Unread> {
    let mut from = Cut(tries);
    let state = state(from.byte()?)?;
    let version = u32::try_from(from.number(2)?).unwrap_or(u32::MAX);
    let attempts = u32::from(from.byte()?);
    // Claims without an answer, claims, answers of the store: the library's own.
    from.take(1 + 4 + 7)?;
    let (lease, at) = (from.number(8)?, from.number(8)?);
    let (attempted_at, settled_at) = (time(from.number(8)?), time(from.number(8)?));
    let count = from.byte()?;
    // Their length, for the library.
    from.take(2)?;
    let Notes { attempts: mut notes, death } = read_notes(count, &mut from)?;
    let reason = death.filter(|_| state == State::Dead);
    if let (true, Some(at)) = (lease != 0, attempted_at) {
        notes.push(AttemptNote { at, ended_at: None, outcome: "open", reason: None });
    }
    let placing = (state == State::Placing).then_some(Timestamp(at));
    Ok(Timeline {
        order: OrderDoc { state, version, attempts, attempted_at, settled_at, reason, ..order },
        attempts: notes,
        leased_until: placing.filter(|_| lease != 0),
        due_at: placing.filter(|_| lease == 0),
    })
}

fn ended(place: Place, kept: Kept<'_>, known: &Known) -> Result<Timeline, Unread> {
    let mut from = Cut(kept.ended);
    let state = state(from.byte()?)?;
    let version = u32::try_from(from.number(2)?).unwrap_or(u32::MAX);
    let spent = u32::from(from.byte()?);
    let accepted_at = Timestamp(known.doc.made_at.0.saturating_add(from.number(6)?));
    let sizes = usize::from(from.byte()?);
    let attempted_at = match sizes >> 4 {
        0 => None,
        // Eight bytes are a difference below zero.
        size => Some(Timestamp(accepted_at.0.wrapping_add(from.number(size)?))),
    };
    let last = attempted_at.map_or(accepted_at, |at| at.max(accepted_at));
    let settled_at = Some(Timestamp(last.0.wrapping_add(from.number(sizes & 15)?)));
    let ordered = read_ordered(&mut from, known)?;
    let (text, mut notes) = match from.byte()? {
        u8::MAX => {
            let mut long = Cut(kept.long);
            let length = usize::from(long.byte()?);
            let text = long.take(length)?;
            (text, read_notes(long.byte()?, &mut long)?.attempts)
        }
        length => (from.take(usize::from(length))?, Vec::new()),
    };
    let text: Option<Box<str>> = match text {
        [] => None,
        text => Some(std::str::from_utf8(text).map_err(|_| strange("a text"))?.into()),
    };
    let answered = matches!(state, State::Placed | State::Refused | State::Paid | State::Expired);
    let (order_no, reason) = if state.is_sold() { (text, None) } else { (None, text) };
    if let (true, Some(at)) = (notes.is_empty(), attempted_at) {
        let (outcome, reason) = (state.name(), reason.clone());
        notes.push(AttemptNote { at, ended_at: settled_at, outcome, reason });
    }
    let attempts = spent + u32::from(answered);
    let order = OrderDoc {
        state,
        reason,
        order_no,
        attempted_at,
        settled_at,
        attempts,
        version,
        ..doc(place, accepted_at, ordered, known)
    };
    Ok(Timeline { order, attempts: notes, leased_until: None, due_at: None })
}

struct Notes {
    attempts: Vec<AttemptNote>,
    /// The code of the last death.
    death: Option<Box<str>>,
}

/// A death is two notes where something was seen at it: that, without an end, and the code.
fn read_notes(count: u8, from: &mut Cut<'_>) -> Result<Notes, Fault> {
    let mut notes = Notes { attempts: Vec::new(), death: None };
    let mut seen = None;
    for _ in 0..count {
        let (at, ended_at) = (Timestamp(from.number(8)?), time(from.number(8)?));
        let outcome = match from.byte()? {
            b'p' => "placed",
            b'r' => "refused",
            b'l' => "later",
            b'u' => "unstarted",
            b'e' => "lease_ended",
            b'd' => "dead",
            _ => return Err(strange("an attempt")),
        };
        let length = usize::from(from.byte()?);
        let reason = std::str::from_utf8(from.take(length)?).map_err(|_| strange("a reason"))?;
        let mut reason = (!reason.is_empty()).then(|| reason.into());
        if ended_at.is_none() {
            seen = reason;
            continue;
        }
        if outcome == "dead" {
            notes.death = std::mem::replace(&mut reason, seen.take());
        }
        notes.attempts.push(AttemptNote { at, ended_at, outcome, reason });
    }
    Ok(notes)
}
