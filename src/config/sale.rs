//! `[[sale]]`: a name and the terms of `PUT /admin/v1/sales/{sale}`.

use std::ops::Range;

use serde::Deserialize;
use toml::Spanned;
use toml::de::DeArray;
use toml::de::DeString;
use toml::de::DeTable;
use toml::de::DeValue;

use super::finding::Finding;
use super::finding::Findings;
use super::known;
use super::read::at;
use super::read::one_line;
use super::source::Source;
use crate::sale::SaleName;
use crate::sale::Terms;

/// A sale that the ledger shall have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfiguredSale {
    /// Its name.
    pub name: SaleName,
    /// Its terms.
    pub terms: Terms,
}

/// The keys of a `[[sale]]`.
pub(super) fn keys() -> Vec<String> {
    let mut keys = vec!["name".to_owned()];
    keys.extend(known::keys_of::<Terms>());
    keys
}

/// Keys of a sale that are not built yet.
pub(super) const NOT_BUILT: [&str; 1] = ["payment_window_ms"];

/// Checks each `[[sale]]` and gives those that are right, with the spans of their headers.
pub(super) fn checked(
    sales: Vec<(Range<usize>, DeTable<'_>)>,
    source: &Source,
    findings: &mut Findings,
) -> Vec<(Range<usize>, ConfiguredSale)> {
    let mut right: Vec<(Range<usize>, ConfiguredSale)> = Vec::new();
    for (span, mut table) in sales {
        let name = name(&mut table, &span, source, findings);
        let terms = terms(table, &span, source, findings);
        let (Some(name), Some(terms)) = (name, terms) else { continue };
        let known = right.iter().any(|(_, sale)| sale.name == name);
        if known {
            let message = format!("the sale `{name}` is there twice: give each its own name");
            findings.add(Finding::error(at(source, span), message));
        } else {
            right.push((span, ConfiguredSale { name, terms }));
        }
    }
    right
}

fn name(
    table: &mut DeTable<'_>,
    header: &Range<usize>,
    source: &Source,
    findings: &mut Findings,
) -> Option<SaleName> {
    let Some(name) = table.remove("name") else {
        findings.add(Finding::error(at(source, header.clone()), "a [[sale]] needs a `name`"));
        return None;
    };
    let span = name.span();
    match name.get_ref().as_str().map(str::parse) {
        Some(Ok(name)) => return Some(name),
        Some(Err(error)) => findings.add(Finding::error(at(source, span), error.to_string())),
        None => findings.add(Finding::error(at(source, span), "`name` is a text in quotes")),
    }
    None
}

/// The terms, each key tried alone so that one mistake hides no other.
fn terms(
    table: DeTable<'_>,
    header: &Range<usize>,
    source: &Source,
    findings: &mut Findings,
) -> Option<Terms> {
    let mut right = true;
    let mut whole = DeTable::new();
    for (key, value) in table {
        let value = written_out(value);
        match refused(&key, &value, header) {
            Some((span, message)) => {
                right = false;
                findings.add(Finding::error(at(source, span), message));
            }
            None => {
                whole.insert(key, value);
            }
        }
    }
    if !whole.contains_key("items") && right {
        right = false;
        let message = "a [[sale]] needs `items = [{ sku = \"…\", stock = … }]`";
        findings.add(Finding::error(at(source, header.clone()), message));
    }
    if !right {
        return None;
    }
    let checked = Terms::deserialize(toml::Deserializer::from(Spanned::new(header.clone(), whole)))
        .map_err(|error| one_line(error.message()))
        .and_then(|terms| terms.check().map_err(|error| error.to_string()).map(|()| terms))
        .and_then(|terms| match terms.items.iter().find(|item| item.stock.is_none()) {
            Some(item) => Err(format!("the item `{}` needs a `stock`", item.sku)),
            None => Ok(terms),
        });
    match checked {
        Ok(terms) => Some(terms),
        Err(message) => {
            findings.add(Finding::error(at(source, header.clone()), message));
            None
        }
    }
}

fn refused(
    key: &Spanned<DeString<'_>>,
    value: &Spanned<DeValue<'_>>,
    header: &Range<usize>,
) -> Option<(Range<usize>, String)> {
    let name = key.get_ref().as_ref();
    if !keys().iter().any(|known| known == name) {
        let hint = known::meant_by(name, &keys()).unwrap_or_default();
        return Some((key.span(), format!("unknown key `{name}` in [[sale]]: {hint}")));
    }
    if NOT_BUILT.contains(&name) {
        return Some((key.span(), format!("`{name}` is not built yet: leave it out")));
    }
    let mut alone = DeTable::new();
    let no_items = Spanned::new(header.clone(), DeValue::Array(DeArray::new()));
    alone.insert(Spanned::new(header.clone(), DeString::Borrowed("items")), no_items);
    alone.insert(key.clone(), value.clone());
    let error = Terms::deserialize(toml::Deserializer::from(Spanned::new(0..0, alone))).err()?;
    let span = error.span().unwrap_or_else(|| value.span());
    Some((span, format!("`{name}`: {}", one_line(error.message()))))
}

/// TOML has instants of its own; terms are read from texts.
fn written_out<'t>(value: Spanned<DeValue<'t>>) -> Spanned<DeValue<'t>> {
    let span = value.span();
    match value.into_inner() {
        DeValue::Datetime(instant) => {
            Spanned::new(span, DeValue::String(DeString::Owned(instant.to_string())))
        }
        other => Spanned::new(span, other),
    }
}
