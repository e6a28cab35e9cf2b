//! The ticket key of this ledger: one random secret, made at the first open, readable by its owner only.

use std::path::Path;

use super::OpenError;
use super::sealed::Kind;
use crate::order::{KEY_BYTES, Keyring, TicketKey};

const KIND: Kind = Kind(*b"FOREBAYK");
const NAME: &str = "keys";

/// The id of the ledger's own key; configured key files have ids from 1.
const OWN_ID: u8 = 0;

/// Puts the ledger's key into the keyring. `may_make` is true in a directory without a journal: a journal
/// without its key holds tickets that nobody could read any more.
pub(super) fn load(directory: &Path, keyring: &Keyring, may_make: bool) -> Result<(), OpenError> {
    let path = directory.join(NAME);
    let body = match KIND.read(directory, NAME)? {
        Some(body) => body,
        None if may_make => make(directory)?,
        None => {
            let what = "it signs the tickets of this ledger; restore it from a copy";
            return Err(OpenError::Missing { path, what });
        }
    };
    let Some((id, secret)) = body.split_first() else {
        return Err(OpenError::damaged(&path, 0, "the file holds no key"));
    };
    let secret: [u8; KEY_BYTES] = secret
        .try_into()
        .map_err(|_| OpenError::damaged(&path, 0, "the key has another length"))?;
    Ok(keyring.add(TicketKey { id: *id, secret })?)
}

fn make(directory: &Path) -> Result<Vec<u8>, OpenError> {
    let path = directory.join(NAME);
    let mut body = vec![OWN_ID; 1 + KEY_BYTES];
    let random = getrandom::fill(&mut body[1..]).map_err(std::io::Error::other);
    let written = random.and_then(|()| KIND.write(directory, NAME, &[&body]));
    written.map_err(OpenError::io("write", &path))?;
    Ok(body)
}
