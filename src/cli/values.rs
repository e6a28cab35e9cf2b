//! Values of the command line: read from their texts, or refused with the form that is wanted.

use std::str::FromStr;

use crate::sale::BadName;
use crate::sale::Rate;
use crate::sale::Sku;

/// An item of `sale put`.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) sku: Sku,
    pub(super) stock: Option<u64>,
}

/// A rate, or back to the file.
#[derive(Clone, Copy, Debug)]
pub(super) struct RateOrConfig(pub(super) Option<Rate>);

/// A burst, or back to the file.
#[derive(Clone, Copy, Debug)]
pub(super) struct BurstOrConfig(pub(super) Option<u32>);

fn number<T: FromStr>(text: &str, wanted: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("{wanted} is wanted"))
}

pub(super) fn item(text: &str) -> Result<Item, String> {
    let (sku, stock) = match text.split_once('=') {
        Some((sku, stock)) => (sku, Some(stock)),
        None => (text, None),
    };
    let sku = sku.parse().map_err(|error: BadName| error.to_string())?;
    let stock = stock.map(|stock| number(stock, "a stock of 0 or more units, such as phone=500,"));
    Ok(Item { sku, stock: stock.transpose()? })
}

pub(super) fn units(text: &str) -> Result<u64, String> {
    number(text, "a whole number of units, such as 2,")
}

pub(super) fn delta(text: &str) -> Result<i64, String> {
    number(text, "a whole number of units, such as 500 or -20,")
}

/// Only what can be a part of a path; whether it is a ticket is the gateway's to say.
pub(super) fn ticket(text: &str) -> Result<String, &'static str> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if !text.is_empty() && text.len() <= 64 && text.bytes().all(fits) {
        Ok(text.to_owned())
    } else {
        Err("a ticket is at most 64 of A-Z, a-z, 0-9, - and _")
    }
}

pub(super) fn rate_or_config(text: &str) -> Result<RateOrConfig, String> {
    match text {
        "config" => Ok(RateOrConfig(None)),
        _ => text.parse().map(|rate| RateOrConfig(Some(rate))).map_err(|error| format!("{error}")),
    }
}

pub(super) fn burst_or_config(text: &str) -> Result<BurstOrConfig, String> {
    if text == "config" {
        return Ok(BurstOrConfig(None));
    }
    let wanted = format!("a number from 1 to {}, or `config` to go back to the file,", u32::MAX);
    match number(text, &wanted)? {
        0 => Err(format!("{wanted} is wanted")),
        burst => Ok(BurstOrConfig(Some(burst))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_refused_says_what_is_wanted() {
        assert_eq!(item("phone=5").unwrap().stock, Some(5));
        assert_eq!(item("phone").unwrap().stock, None);
        for text in ["phone=-4", "phone=", "phone=many"] {
            assert!(item(text).unwrap_err().contains("0 or more units"), "{text}");
        }
        assert_eq!((units("2"), delta("-20")), (Ok(2), Ok(-20)));
        assert!(units("-1").unwrap_err().contains("such as 2"));
        assert!(delta("abc").unwrap_err().contains("500 or -20"));
        assert_eq!(burst_or_config("config").unwrap().0, None);
        assert_eq!(burst_or_config("7").unwrap().0, Some(7));
        for text in ["0", "-1", "99999999999", "abc"] {
            let said = burst_or_config(text).unwrap_err();
            assert!(said.contains("from 1 to 4294967295, or `config`"), "{text}: {said}");
        }
    }
}
