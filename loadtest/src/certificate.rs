//! Certificates for servers of our own, as `openssl` makes them.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::ensure;

use crate::gateway::found;

/// The files of a new certificate, which signs itself, and of its key: `NAME.pem` and `NAME.key` in the directory.
/// `names` is what it is for, such as `DNS:localhost`.
///
/// # Errors
/// When `openssl` is not installed, or refuses.
pub fn certificate(
    directory: &Path,
    name: &str,
    names: &str,
) -> anyhow::Result<(PathBuf, PathBuf)> {
    made_by(Command::new(found("openssl")?), directory, name, names)
}

/// The same, and its time is long over.
///
/// # Errors
/// When `openssl` or `faketime` is not installed, or refuses.
pub fn expired(directory: &Path, name: &str, names: &str) -> anyhow::Result<(PathBuf, PathBuf)> {
    let mut then = Command::new(found("faketime")?);
    then.args([OsStr::new("2020-01-01 00:00:00"), found("openssl")?.as_os_str()]);
    made_by(then, directory, name, names)
}

fn made_by(
    mut openssl: Command,
    directory: &Path,
    name: &str,
    names: &str,
) -> anyhow::Result<(PathBuf, PathBuf)> {
    let (certificate, key) =
        (directory.join(format!("{name}.pem")), directory.join(format!("{name}.key")));
    let made = openssl
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"])
        .args(["-nodes", "-days", "2", "-subj", "/CN=forebay-test"])
        .args(["-addext", &format!("subjectAltName={names}")])
        // A server's certificate that may sign others is none to rustls.
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .args([Path::new("-out"), &certificate, Path::new("-keyout"), &key])
        .output()?;
    ensure!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    Ok((certificate, key))
}
