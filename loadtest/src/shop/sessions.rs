//! Who is logged in, by the cookie that he got. A name is enough: this is an example, and has no passwords.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hyper::HeaderMap;
use hyper::header::COOKIE;

/// The longest name of a buyer.
const NAME_MAX: usize = 128;

#[derive(Debug, Default)]
pub(super) struct Sessions(Mutex<HashMap<String, String>>);

impl Sessions {
    /// The cookie of a new session; `None` for what is no name.
    pub(super) fn begin(&self, name: &str) -> anyhow::Result<Option<String>> {
        let name = name.trim();
        let visible = !name.is_empty() && name.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        if !visible || name.len() > NAME_MAX {
            return Ok(None);
        }
        let mut secret = [0; 16];
        getrandom::fill(&mut secret)?;
        let session = URL_SAFE_NO_PAD.encode(secret);
        let mut sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.insert(session.clone(), name.to_owned());
        Ok(Some(format!("session={session}; Path=/; HttpOnly; SameSite=Lax")))
    }

    /// Whose cookie it is.
    pub(super) fn buyer(&self, headers: &HeaderMap) -> Option<String> {
        let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
        let mut pairs = cookies.flat_map(|text| text.split(';')).map(str::trim);
        let session = pairs.find_map(|pair| pair.strip_prefix("session="))?;
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(session).cloned()
    }
}
