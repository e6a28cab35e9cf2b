//! What is wrong with a component's settings, and the files with passwords and certificates that settings name.
//! No message shows what is in such a file.

use std::fmt;
use std::fs;
use std::ops::RangeInclusive;
use std::path::Path;

/// What is wrong with settings, and which: the keys as they are written, the one to be marked first.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct BadSetting {
    /// `section.key` of each setting that has a part in it.
    pub keys: Vec<&'static str>,
    /// What to change.
    pub text: String,
}

impl BadSetting {
    /// Of these keys, with what to change.
    pub fn new(keys: &[&'static str], text: impl Into<String>) -> Self {
        Self { keys: keys.to_vec(), text: text.into() }
    }
}

/// That a value must lie within bounds, if it does not.
pub fn outside<T: PartialOrd + fmt::Display>(
    key: &'static str,
    value: &T,
    bounds: &RangeInclusive<T>,
) -> Option<BadSetting> {
    let (least, most) = (bounds.start(), bounds.end());
    let text = || format!("{key} must be {least} to {most}");
    (!bounds.contains(value)).then(|| BadSetting::new(&[key], text()))
}

/// The password in a file: its first line. `key` is the setting that names the file.
///
/// # Errors
/// When the file cannot be read or holds no password.
pub fn password(key: &'static str, file: &Path) -> Result<String, BadSetting> {
    let bad = |what: &str| BadSetting::new(&[key], format!("{key} {}: {what}", file.display()));
    let text = String::from_utf8(read(key, file)?).map_err(|_| bad("is not UTF-8"))?;
    let line = text.lines().next().unwrap_or_default();
    if line.is_empty() {
        return Err(bad("its first line is empty: it is the password"));
    }
    Ok(line.to_owned())
}

/// The certificates in a file, as PEM. `key` is the setting that names the file.
///
/// # Errors
/// When the file cannot be read or holds no certificate.
pub fn certificates(key: &'static str, file: &Path) -> Result<Vec<u8>, BadSetting> {
    let pem = read(key, file)?;
    if is_trustworthy(&pem) {
        return Ok(pem);
    }
    let text = format!("{key} {}: holds no certificate in PEM that can be read", file.display());
    Err(BadSetting::new(&[key], text))
}

#[cfg(feature = "tls")]
fn is_trustworthy(pem: &[u8]) -> bool {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject as _;
    let mut trusted = rustls::RootCertStore::empty();
    let mut certificates = CertificateDer::pem_slice_iter(pem);
    let all = certificates
        .all(|certificate| certificate.is_ok_and(|certificate| trusted.add(certificate).is_ok()));
    all && !trusted.is_empty()
}

/// Without TLS no setting takes a file of certificates.
#[cfg(not(feature = "tls"))]
fn is_trustworthy(_: &[u8]) -> bool {
    false
}

fn read(key: &'static str, file: &Path) -> Result<Vec<u8>, BadSetting> {
    let bad = |error| BadSetting::new(&[key], format!("{key} {}: {error}", file.display()));
    fs::read(file).map_err(bad)
}
