//! What a gateway remembers of one sale, read so that it is exact as of one entry of the sale's tail.

use std::collections::HashMap;

use super::core::Core;
use super::docs::Fields;
use super::record::{Known, read_place};
use super::reply::{self, Cut, strange};
use crate::clock::Timestamp;
use crate::ledger::{ENDED, EpochSpan, Fault, SaleSnapshot};
use crate::order::{Place, State};
use crate::sale::SaleNo;

/// One sale, and the number of the entry as of which it is true; `None` when there is no such sale.
///
/// Buyers are read after the rest: whoever holds a ticket by then is among them, and one more does no harm.
pub(super) async fn of_sale(
    core: &Core,
    sale_no: SaleNo,
) -> Result<Option<(u64, SaleSnapshot)>, Fault> {
    let answer = reply::list(core.call("snapshot", sale_no, |_| {}).await?)?;
    let mut answer = answer.into_iter();
    let Some(as_of) = answer.next() else { return Ok(None) };
    let as_of = Timestamp(reply::number(&as_of)?);
    let newest = reply::number(&reply::next(&mut answer)?)?;
    let claimed = reply::number(&reply::next(&mut answer)?)?;
    let fields = Fields::of(reply::list(reply::next(&mut answer)?)?)?;
    let doc = fields.sale(as_of, 0)?;
    let (spans, levels) = (fields.spans()?, fields.levels(&doc)?);
    let known = core.learn(&doc);
    let mut states = States::new(&spans, doc.census.accepted, claimed);
    for state in [State::Placing, State::Dead] {
        for place in reply::list(reply::next(&mut answer)?)? {
            states.set(read_place(&mut Cut(reply::bytes(&place)?))?, state);
        }
    }
    for ended in reply::list(reply::next(&mut answer)?)? {
        let mut ended = Cut(reply::bytes(&ended)?);
        let place = read_place(&mut ended)?;
        let state = State::from_code(ended.byte()?).ok_or_else(|| strange("a state"))?;
        states.set(place, state);
    }
    let (states, purged) = (states.codes, doc.purged);
    let (holders, states) =
        if purged { Default::default() } else { (holders(core, &known).await?, states) };
    Ok(Some((newest, SaleSnapshot { doc, holders, spans, states, levels })))
}

/// A code an order: what left the queue and is not known otherwise has ended, the rest waits.
struct States {
    first: HashMap<u16, u64>,
    codes: Vec<u8>,
}

impl States {
    fn new(spans: &[EpochSpan], accepted: u64, claimed: u64) -> Self {
        let first = spans.iter().map(|span| (span.epoch, span.first_index)).collect();
        let accepted = usize::try_from(accepted).unwrap_or(usize::MAX);
        let mut states = Self { first, codes: vec![State::Queued.code(); accepted] };
        let claimed = usize::try_from(claimed).unwrap_or(usize::MAX);
        states.codes.iter_mut().take(claimed).for_each(|code| *code = ENDED);
        states
    }

    fn index(&self, place: Place) -> Option<usize> {
        let index = self.first.get(&place.epoch)?.checked_add(place.sequence.checked_sub(1)?)?;
        usize::try_from(index).ok()
    }

    fn set(&mut self, place: Place, state: State) {
        let code = self.index(place).and_then(|index| self.codes.get_mut(index));
        if let Some(code) = code {
            *code = state.code();
        }
    }
}

/// Hashes of all buyers with a ticket.
async fn holders(core: &Core, known: &Known) -> Result<Vec<u64>, Fault> {
    // Without its key the sale takes no orders here.
    let Some(seal) = &known.seal else { return Ok(Vec::new()) };
    let (mut holders, mut cursor) = (Vec::new(), "0".to_owned());
    loop {
        let page = core.call("buyers", known.doc.sale_no, |command| {
            command.arg(&cursor);
        });
        let mut page = reply::list(page.await?)?.into_iter();
        cursor = reply::text(&reply::next(&mut page)?)?.to_owned();
        for name in reply::list(reply::next(&mut page)?)? {
            holders.push(seal.buyer_hash(reply::text(&name)?));
        }
        if cursor == "0" {
            return Ok(holders);
        }
    }
}
