//! Sales and the drain's settings as hashes of the library keep them.

use std::collections::HashMap;

use redis::Value;

use super::names::number_of;
use super::reply::{self, Cut, strange};
use crate::clock::Timestamp;
use crate::ledger::{
    Census, DrainDoc, DrainOrigin, EpochSpan, Fault, ItemCensus, Level, PaceEra, SaleDoc,
};
use crate::order::State;
use crate::sale::{ItemTerms, Rate, Terms};

/// Fields of a hash.
#[derive(Debug, Default)]
pub(super) struct Fields(HashMap<Vec<u8>, Vec<u8>>);

impl Fields {
    /// From fields and values in turn.
    pub(super) fn of(values: Vec<Value>) -> Result<Self, Fault> {
        let mut fields = HashMap::with_capacity(values.len() / 2);
        let mut values = values.into_iter();
        while let Some(field) = values.next() {
            let value = reply::next(&mut values)?;
            fields.insert(reply::bytes(&field)?.to_vec(), reply::bytes(&value)?.to_vec());
        }
        Ok(Self(fields))
    }

    /// From lengths and bytes, fields and values in turn, as the tail bears them.
    pub(super) fn packed(bytes: &[u8]) -> Result<Self, Fault> {
        let (mut fields, mut from) = (HashMap::new(), Cut(bytes));
        let text = |from: &mut Cut<'_>| -> Result<Vec<u8>, Fault> {
            let length = usize::try_from(from.number(4)?).map_err(|_| strange("a length"))?;
            Ok(from.take(length)?.to_vec())
        };
        while !from.is_empty() {
            let field = text(&mut from)?;
            fields.insert(field, text(&mut from)?);
        }
        Ok(Self(fields))
    }

    /// Whether the field is there.
    pub(super) fn has(&self, field: &str) -> bool {
        self.0.contains_key(field.as_bytes())
    }

    fn text(&self, field: &str) -> &str {
        let bytes = self.0.get(field.as_bytes());
        bytes.and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or_default()
    }

    fn number(&self, field: &str) -> Result<u64, Fault> {
        match self.text(field) {
            "" => Ok(0),
            text => text.parse().map_err(|_| strange(&format!("field {field} is no number"))),
        }
    }

    fn option(&self, field: &str) -> Result<Option<u64>, Fault> {
        if self.text(field).is_empty() { Ok(None) } else { self.number(field).map(Some) }
    }

    fn narrow<T: TryFrom<u64>>(&self, field: &str) -> Result<T, Fault> {
        let number = self.number(field)?;
        T::try_from(number).map_err(|_| strange(&format!("field {field} is too large")))
    }

    fn flag(&self, field: &str) -> bool {
        self.text(field) == "1"
    }

    fn parsed<T: std::str::FromStr>(&self, field: &str) -> Result<T, Fault> {
        let text = self.text(field);
        text.parse().map_err(|_| strange(&format!("field {field} cannot be read")))
    }

    fn items(&self) -> Result<Vec<ItemCensus>, Fault> {
        let count = self.number("ni")?;
        let item = |index: u64| {
            let of = |kind: &str| self.number(&format!("{kind}{index}"));
            Ok(ItemCensus {
                sku: self.parsed(&format!("k{index}"))?,
                initial: of("i")?,
                added: of("+")?,
                cut: of("-")?,
                available: of("a")?,
                held: of("h")?,
                sold: of("s")?,
            })
        };
        (0..count).map(item).collect()
    }

    /// The sale at `as_of`; the oldest order that waits was accepted at `waits_since`.
    pub(super) fn sale(&self, as_of: Timestamp, waits_since: u64) -> Result<SaleDoc, Fault> {
        let items = self.items()?;
        let stated: Terms = serde_json::from_str(self.text("terms"))
            .map_err(|_| strange("the terms cannot be read"))?;
        let listed =
            items.iter().map(|item| ItemTerms { sku: item.sku.clone(), stock: Some(item.initial) });
        let terms = Terms { items: listed.collect(), ..stated };
        let count = |state: State| self.number(&format!("c{}", state.code()));
        let mut accepted = 0;
        for state in State::ALL {
            accepted += count(state)?;
        }
        let waited = if waits_since == 0 { 0 } else { as_of.0.saturating_sub(waits_since) / 1_000 };
        let census = Census {
            items,
            accepted,
            queued: count(State::Queued)?,
            placing: count(State::Placing)?,
            placed: count(State::Placed)?,
            paid: count(State::Paid)?,
            refused: count(State::Refused)?,
            cancelled: count(State::Cancelled)?,
            expired: count(State::Expired)?,
            dead: count(State::Dead)?,
            lost: count(State::Lost)?,
            oldest_waiting_ms: waited,
            epoch: self.narrow("ep")?,
            revision: self.number("rev")?,
        };
        Ok(SaleDoc {
            sale_no: number_of(self.text("no").as_bytes()).ok_or_else(|| strange("a number"))?,
            name: self.parsed("name")?,
            terms,
            made_at: Timestamp(self.number("made")?),
            key_id: self.narrow("key")?,
            paused: self.flag("paused"),
            closed: self.flag("closed"),
            purged: !self.text("purged").is_empty(),
            limit_loosest: self.option("loose")?,
            stock_changes: self.number("nm")?,
            as_of,
            census,
        })
    }

    /// Where each epoch of the sale begins.
    pub(super) fn spans(&self) -> Result<Vec<EpochSpan>, Fault> {
        spans(self.text("spans"))
    }

    /// Each item's level.
    pub(super) fn levels(&self, doc: &SaleDoc) -> Result<Vec<Level>, Fault> {
        let level = |(item, state): (u16, &ItemCensus)| {
            Ok(Level {
                sale_no: doc.sale_no,
                item,
                generation: self.number(&format!("g{item}"))?,
                sold_out: state.available == 0,
            })
        };
        (0u16..).zip(&doc.census.items).map(level).collect()
    }

    /// The drain's settings; `eras` as the library lists them.
    pub(super) fn drain(&self, eras: &str) -> Result<DrainDoc, Fault> {
        let configured = match self.option("permits")? {
            None => Rate::per_second(500),
            Some(_) => self.rate("permits", "period")?,
        };
        let operators = match self.option("op_permits")? {
            None => None,
            Some(_) => Some(self.rate("op_permits", "op_period")?),
        };
        let of_file = if operators.is_none() { self.option("burst")? } else { None };
        let asked = self.option("op_burst")?.or(of_file);
        let asked = asked.map(|burst| u32::try_from(burst).unwrap_or(u32::MAX));
        let rate = operators.unwrap_or(configured);
        let reason = self.text("paused");
        Ok(DrainDoc {
            rate,
            burst: match rate {
                Rate::Unlimited => None,
                Rate::Per { .. } => asked.or(rate.burst_auto()),
            },
            paused: !reason.is_empty(),
            reason: (!reason.is_empty()).then(|| reason.into()),
            configured_rate: configured,
            origin: if operators.is_some() { DrainOrigin::Operator } else { DrainOrigin::Config },
            eras: eras
                .split(',')
                .filter(|era| !era.is_empty())
                .map(era)
                .collect::<Result<_, _>>()?,
        })
    }

    fn rate(&self, permits: &str, period: &str) -> Result<Rate, Fault> {
        Ok(rate(self.narrow(permits)?, self.number(period)?))
    }
}

/// Where each epoch begins: `1:0,2:17`.
pub(super) fn spans(text: &str) -> Result<Vec<EpochSpan>, Fault> {
    let span = |text: &str| {
        let (epoch, first) = text.split_once(':')?;
        Some(EpochSpan { epoch: epoch.parse().ok()?, first_index: first.parse().ok()? })
    };
    text.split(',').map(span).collect::<Option<_>>().ok_or_else(|| strange("an epoch"))
}

fn rate(permits: u32, period_micros: u64) -> Rate {
    if permits == 0 || period_micros == 0 {
        Rate::Unlimited
    } else {
        Rate::Per { permits, period_micros }
    }
}

/// `from permits period burst`.
fn era(text: &str) -> Result<PaceEra, Fault> {
    let numbers: Option<Vec<u64>> = text.split(' ').map(|part| part.parse().ok()).collect();
    let Some([from, permits, period, burst]) = numbers.as_deref() else {
        return Err(strange("a pace"));
    };
    let rate = rate(u32::try_from(*permits).unwrap_or(u32::MAX), *period);
    let burst = match rate {
        Rate::Unlimited => None,
        Rate::Per { .. } => Some(u32::try_from(*burst).unwrap_or(u32::MAX)),
    };
    Ok(PaceEra { from: Timestamp(*from), rate, burst })
}
