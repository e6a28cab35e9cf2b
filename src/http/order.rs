//! An order call as it is written: body and idempotency key, checked strictly.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use bytes::Bytes;
use hyper::HeaderMap;
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName};
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::problem::Problem;
use crate::order::{ItemLine, ItemLines, LINES_MAX, PAYLOAD_MAX, QUANTITY_MAX};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The deepest nesting of a payload.
const DEPTH_MAX: usize = 128;

/// The most characters of a key.
const KEY_MAX: usize = 255;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body<'a> {
    #[serde(borrow)]
    lines: Vec<Object<BodyLine<'a>>>,
    #[serde(borrow, default)]
    payload: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BodyLine<'a> {
    #[serde(borrow)]
    sku: Cow<'a, str>,
    quantity: u64,
}

/// A struct that is written as an object; serde alone would take an array too.
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Fields<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Fields<T> {
            type Value = Object<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<M: MapAccess<'de>>(self, map: M) -> Result<Object<T>, M::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Object)
            }
        }

        from.deserialize_map(Fields(PhantomData))
    }
}

/// What an order asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) lines: ItemLines,
    /// The payload's raw bytes; empty when there is none.
    pub(super) payload: Bytes,
}

/// The order in a body; `item` knows the place of each sku that the sale has.
pub(super) fn parse(body: &Bytes, item: impl Fn(&str) -> Option<u16>) -> Result<Asked, Problem> {
    let Object(read): Object<Body<'_>> = serde_json::from_slice(body).map_err(|_| {
        Problem::Malformed("the body must be {\"lines\":[{\"sku\",\"quantity\"}],\"payload\"}")
    })?;
    let payload = match read.payload {
        Some(raw) if raw.get().len() > PAYLOAD_MAX => return Err(Problem::TooLarge),
        Some(raw) if depth(raw.get()) > DEPTH_MAX => {
            return Err(Problem::Malformed("a payload is nested at most 128 deep"));
        }
        // A copy, so that the connection can read its next request into the buffer of this one.
        Some(raw) => Bytes::copy_from_slice(raw.get().as_bytes()),
        None => Bytes::new(),
    };
    if read.lines.is_empty() || read.lines.len() > LINES_MAX {
        return Err(Problem::BadQuantity);
    }
    let mut lines = Vec::with_capacity(read.lines.len());
    for Object(line) in &read.lines {
        let item = item(&line.sku).ok_or(Problem::UnknownSku)?;
        let quantity = u32::try_from(line.quantity).unwrap_or(0);
        let twice = lines.iter().any(|other: &ItemLine| other.item == item);
        if quantity == 0 || quantity > QUANTITY_MAX || twice {
            return Err(Problem::BadQuantity);
        }
        lines.push(ItemLine { item, quantity });
    }
    Ok(Asked { lines: ItemLines::from(lines), payload })
}

/// How deep valid JSON is nested: readers behind us may have no bound of their own.
fn depth(json: &str) -> usize {
    if json.len() <= 2 * DEPTH_MAX {
        return 0;
    }
    let (mut depth, mut deepest, mut text, mut escaped) = (0_usize, 0, false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = text,
            b'"' => text = !text,
            b'[' | b'{' if !text => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !text => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// Only JSON, in clear.
pub(super) fn media_type(headers: &HeaderMap) -> Result<(), Problem> {
    let value = headers.get(CONTENT_TYPE).map(hyper::header::HeaderValue::as_bytes);
    let json = match value {
        Some(b"application/json") => true,
        Some(other) => is_json(other),
        None => false,
    };
    let encoded = headers.get(CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity");
    let once = headers.get_all(CONTENT_TYPE).iter().nth(1).is_none();
    if json && once && !encoded { Ok(()) } else { Err(Problem::UnsupportedMediaType) }
}

fn is_json(value: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(value) else { return false };
    let mut parts = text.split(';').map(str::trim);
    let json = parts.next().is_some_and(|media| media.eq_ignore_ascii_case("application/json"));
    let charset = |part: &str| {
        let value = part.to_ascii_lowercase().replace('"', "");
        value == "charset=utf-8" || value == "charset=utf8"
    };
    json && parts.all(|part| part.is_empty() || charset(part))
}

/// The key of a request; quoted or bare are one key. `None` when the client sent none.
pub(super) fn idempotency_key(headers: &HeaderMap) -> Result<Option<Cow<'_, [u8]>>, Problem> {
    let bad = Problem::Malformed(
        "Idempotency-Key must be one value of 1 to 255 visible ASCII characters, bare or in quotes",
    );
    let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(bad);
    }
    let raw = value.as_bytes();
    let key = match raw {
        [b'"', inner @ .., b'"'] => unescaped(inner),
        _ => raw.iter().all(|byte| !matches!(byte, b'"' | b';')).then_some(Cow::Borrowed(raw)),
    };
    let visible = |key: &Cow<'_, [u8]>| {
        (1..=KEY_MAX).contains(&key.len()) && key.iter().all(u8::is_ascii_graphic)
    };
    key.filter(visible).map(Some).ok_or(bad)
}

/// A structured-field string: a backslash only before a quote or a backslash (RFC 9651, 3.3.3).
fn unescaped(inner: &[u8]) -> Option<Cow<'_, [u8]>> {
    if !inner.iter().any(|byte| matches!(byte, b'"' | b'\\')) {
        return Some(Cow::Borrowed(inner));
    }
    let (mut out, mut bytes) = (Vec::with_capacity(inner.len()), inner.iter());
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => return None,
            b'\\' => out.push(*bytes.next().filter(|next| matches!(next, b'"' | b'\\'))?),
            other => out.push(*other),
        }
    }
    Some(Cow::Owned(out))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &'static str, values: &[&[u8]]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for value in values {
            map.append(name, hyper::header::HeaderValue::from_bytes(value).unwrap());
        }
        map
    }

    #[test]
    fn quoted_and_bare_are_one_key() {
        let key = |value: &[u8]| {
            let map = headers("idempotency-key", &[value]);
            idempotency_key(&map).ok().flatten().map(Cow::into_owned)
        };
        assert_eq!(key(b"abc-1"), Some(b"abc-1".to_vec()));
        assert_eq!(key(b"\"abc-1\""), key(b"abc-1"));
        assert_eq!(key(b"\"a\\\"b\""), Some(b"a\"b".to_vec()));
        let long = [b'x'; 255];
        assert_eq!(key(&long), Some(long.to_vec()));
        for bad in [
            &b""[..],
            b"\"\"",
            b"\"abc",
            b"abc\"",
            b"a b",
            b"\xc3\xa4",
            b"\"a\";p=1",
            b"a;p=1",
            &[b'x'; 256],
        ] {
            assert_eq!(key(bad), None, "{bad:?}");
        }
        assert!(idempotency_key(&headers("idempotency-key", &[b"a", b"a"])).is_err());
        assert_eq!(idempotency_key(&HeaderMap::new()), Ok(None));
    }

    #[test]
    fn nesting_is_counted_outside_of_texts() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert_eq!((depth(&nested(129)), depth(&nested(200))), (129, 200));
        let flat = format!("[\"{}\\\"{}\",{{}}]", "[".repeat(200), "{".repeat(200));
        assert_eq!(depth(&flat), 2);
        let wide = format!("[{}1]", "{},".repeat(300));
        assert_eq!(depth(&wide), 2);
    }

    #[test]
    fn only_json_in_clear() {
        let of =
            |value: &'static str| media_type(&headers("content-type", &[value.as_bytes()])).is_ok();
        for good in [
            "application/json",
            "Application/JSON; charset=utf-8",
            "application/json;charset=\"UTF-8\"",
        ] {
            assert!(of(good), "{good}");
        }
        for bad in [
            "text/plain",
            "application/xml",
            "application/json; charset=utf-16",
            "multipart/form-data",
            "",
        ] {
            assert!(!of(bad), "{bad}");
        }
        assert!(media_type(&HeaderMap::new()).is_err());
        let mut zipped = headers("content-type", &[b"application/json"]);
        zipped.append("content-encoding", "gzip".parse().unwrap());
        assert!(media_type(&zipped).is_err());
    }
}
