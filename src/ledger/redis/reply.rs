//! Reads what the library's functions answer.

use redis::Value;

use crate::ledger::{Fault, FaultKind};

/// The server answered something that our functions do not answer.
pub(super) fn strange(what: &str) -> Fault {
    let reason = format!("the server's answer is not one of ours: {what}");
    Fault { kind: FaultKind::Corrupt, reason: reason.into() }
}

/// An array's elements.
pub(super) fn list(value: Value) -> Result<Vec<Value>, Fault> {
    match value {
        Value::Array(values) => Ok(values),
        Value::Nil => Ok(Vec::new()),
        _ => Err(strange("a list is missing")),
    }
}

/// A whole number.
pub(super) fn number(value: &Value) -> Result<u64, Fault> {
    let number = match value {
        Value::Int(number) => u64::try_from(*number).ok(),
        Value::BulkString(text) => {
            std::str::from_utf8(text).ok().and_then(|text| text.parse().ok())
        }
        _ => None,
    };
    number.ok_or_else(|| strange("a number is missing"))
}

/// A number that may be below zero.
pub(super) fn signed(value: &Value) -> Result<i64, Fault> {
    match value {
        Value::Int(number) => Ok(*number),
        _ => Err(strange("a number is missing")),
    }
}

/// A text's bytes.
pub(super) fn bytes(value: &Value) -> Result<&[u8], Fault> {
    match value {
        Value::BulkString(bytes) => Ok(bytes),
        Value::SimpleString(text) => Ok(text.as_bytes()),
        _ => Err(strange("a text is missing")),
    }
}

/// A text.
pub(super) fn text(value: &Value) -> Result<&str, Fault> {
    std::str::from_utf8(bytes(value)?).map_err(|_| strange("a text is not UTF-8"))
}

/// The next of the elements.
pub(super) fn next(values: &mut impl Iterator<Item = Value>) -> Result<Value, Fault> {
    values.next().ok_or_else(|| strange("it ended early"))
}

/// Bytes that are read from the front.
#[derive(Debug)]
pub(super) struct Cut<'a>(pub(super) &'a [u8]);

impl<'a> Cut<'a> {
    /// The next `count` bytes.
    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], Fault> {
        let (taken, rest) =
            self.0.split_at_checked(count).ok_or_else(|| strange("a record is short"))?;
        self.0 = rest;
        Ok(taken)
    }

    /// The next `count` bytes as a number, at most eight.
    pub(super) fn number(&mut self, count: usize) -> Result<u64, Fault> {
        Ok(self.take(count)?.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    pub(super) fn byte(&mut self) -> Result<u8, Fault> {
        Ok(self.take(1)?[0])
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
