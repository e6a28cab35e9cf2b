//! What was found out about a credential, remembered by its digest: bounded, and good for a time.

use std::collections::HashMap;

use hyper::header::HeaderValue;
use sha2::{Digest as _, Sha256};

/// SHA-256 of a credential, so that none is kept and nobody can make two that are taken for one another.
pub(super) type Digest = [u8; 32];

/// The digest of values in their order; each counts with its length.
pub(super) fn digest<'a>(values: impl IntoIterator<Item = &'a HeaderValue>) -> Digest {
    let mut hash = Sha256::new();
    for value in values {
        hash.update(value.len().to_be_bytes());
        hash.update(value.as_bytes());
    }
    hash.finalize().into()
}

/// Two generations: when the younger is full, the older goes. Bounded by twice its size.
#[derive(Debug)]
pub(super) struct Remembered<T> {
    young: HashMap<Digest, (T, u64)>,
    old: HashMap<Digest, (T, u64)>,
    generation: usize,
}

impl<T> Remembered<T> {
    /// Remembers at least the last `generation` and at most twice as many.
    pub(super) fn new(generation: usize) -> Self {
        Self { young: HashMap::new(), old: HashMap::new(), generation }
    }

    /// What is known and still good at `now`, on the clock that `put` was told.
    pub(super) fn get(&self, digest: &Digest, now: u64) -> Option<&T> {
        let (found, until) = self.young.get(digest).or_else(|| self.old.get(digest))?;
        (now < *until).then_some(found)
    }

    /// Remembers `found` until then.
    pub(super) fn put(&mut self, digest: Digest, found: T, until: u64) {
        if self.young.len() >= self.generation {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(digest, (found, until));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Digest {
        digest([&HeaderValue::from_str(text).unwrap()])
    }

    #[test]
    fn what_is_remembered_ends_in_time_and_is_bounded() {
        let mut remembered = Remembered::new(2);
        remembered.put(of("a"), 1, 10);
        assert_eq!(remembered.get(&of("a"), 9), Some(&1));
        assert_eq!(remembered.get(&of("a"), 10), None);
        for (at, name) in ["b", "c", "d", "e", "f", "g"].iter().enumerate() {
            remembered.put(of(name), at, 10);
            assert!(remembered.young.len() + remembered.old.len() <= 4);
        }
        assert_eq!(remembered.get(&of("g"), 0), Some(&5));
        assert_eq!(remembered.get(&of("f"), 0), Some(&4), "the last two are always there");
        assert_eq!(remembered.get(&of("a"), 0), None);
    }

    #[test]
    fn values_do_not_run_into_each_other() {
        let value = |text: &str| HeaderValue::from_str(text).unwrap();
        assert_ne!(digest([&value("ab"), &value("c")]), digest([&value("a"), &value("bc")]));
        assert_ne!(digest([&value("a")]), digest([&value("a"), &value("")]));
    }
}
