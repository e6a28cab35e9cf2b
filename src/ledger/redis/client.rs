//! How a connection to the server is opened: address, user, password, TLS.

use std::fs;
use std::path::Path;

use redis::io::tcp::TcpSettings;
use redis::{Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo as _, RedisConnectionInfo};

use super::{Address, BadAddress, Config};

/// A client cannot be made of the settings, or of the files that they name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadClient {
    /// The URL.
    #[error("`ledger.redis.url` {0}")]
    Address(#[from] BadAddress),
    /// `password_file` cannot be used. No message shows what is in it.
    #[error("{0}")]
    Password(String),
    /// `ca_file` cannot be used.
    #[error("{0}")]
    Authority(String),
    /// The client library refuses the whole.
    #[error("[ledger.redis] cannot be used: {0}")]
    Refused(String),
}

/// What opens connections, each with `TCP_NODELAY`; nothing is connected yet. The files are read at each call, so
/// that a password that was changed holds from the next connection on.
///
/// # Errors
/// When the settings or the files that they name cannot be used.
pub fn client(config: &Config) -> Result<Client, BadClient> {
    let address = Address::parse(&config.url)?;
    let password = password(config, &address)?;
    let authority = authority(config)?;
    let (host, port) = (address.host.clone(), address.port);
    let place = if address.tls {
        ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None }
    } else {
        ConnectionAddr::Tcp(host, port)
    };
    let mut about = RedisConnectionInfo::default()
        .set_db(address.database.into())
        .set_lib_name(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
    if let Some(user) = &address.user {
        about = about.set_username(user);
    }
    if let Some(password) = password {
        about = about.set_password(password);
    }
    let refused = |error: redis::RedisError| BadClient::Refused(error.to_string());
    let info = place.into_connection_info().map_err(refused)?;
    let info =
        info.set_redis_settings(about).set_tcp_settings(TcpSettings::default().set_nodelay(true));
    if address.tls { over_tls(info, authority) } else { Client::open(info).map_err(refused) }
}

#[cfg(feature = "tls")]
fn over_tls(info: ConnectionInfo, authority: Option<Vec<u8>>) -> Result<Client, BadClient> {
    // The first one of a process stays, and there is one only.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let certificates = redis::TlsCertificates { client_tls: None, root_cert: authority };
    let client = Client::build_with_tls(info, certificates);
    client.map_err(|error| BadClient::Refused(error.to_string()))
}

#[cfg(not(feature = "tls"))]
fn over_tls(_: ConnectionInfo, _: Option<Vec<u8>>) -> Result<Client, BadClient> {
    Err(BadClient::Refused("this Forebay was built without the cargo feature `tls`".to_owned()))
}

/// The password: the first line of the file, or what stands in the URL.
pub(super) fn password(config: &Config, address: &Address) -> Result<Option<String>, BadClient> {
    let Some(file) = &config.password_file else { return Ok(address.password.clone()) };
    let text = read("password_file", file).map_err(BadClient::Password)?;
    let bad = |what: &str| {
        BadClient::Password(format!("[ledger.redis] password_file {}: {what}", file.display()))
    };
    let text = String::from_utf8(text).map_err(|_| bad("is not UTF-8"))?;
    let line = text.lines().next().unwrap_or_default();
    if line.is_empty() {
        return Err(bad("its first line is empty: it is the password"));
    }
    Ok(Some(line.to_owned()))
}

/// The certificates of `ca_file`.
pub(super) fn authority(config: &Config) -> Result<Option<Vec<u8>>, BadClient> {
    let Some(file) = &config.ca_file else { return Ok(None) };
    let pem = read("ca_file", file).map_err(BadClient::Authority)?;
    if is_trustworthy(&pem) {
        return Ok(Some(pem));
    }
    Err(BadClient::Authority(format!(
        "[ledger.redis] ca_file {}: holds no certificate in PEM that can be read",
        file.display()
    )))
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

/// Without TLS no URL takes a `ca_file`.
#[cfg(not(feature = "tls"))]
fn is_trustworthy(_: &[u8]) -> bool {
    false
}

fn read(key: &str, file: &Path) -> Result<Vec<u8>, String> {
    fs::read(file).map_err(|error| format!("[ledger.redis] {key} {}: {error}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(url: &str) -> Config {
        Config { url: url.to_owned(), ..Config::default() }
    }

    #[test]
    fn the_password_is_read_again_for_each_client_and_never_told() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("password");
        let config =
            Config { password_file: Some(file.clone()), ..config("redis://shop@a:7000/3") };
        let told = client(&config).unwrap_err().to_string();
        assert!(told.contains("password_file") && told.contains("No such file"), "{told}");
        for password in ["hunter2", "hunter3"] {
            std::fs::write(&file, format!("{password}\nanother line\n")).unwrap();
            let client = client(&config).unwrap();
            let about = client.get_connection_info();
            let redis = about.redis_settings();
            assert_eq!(
                (redis.username(), redis.password(), redis.db()),
                (Some("shop"), Some(password), 3)
            );
            assert!(about.tcp_settings().nodelay());
            assert!(!format!("{client:?}").contains("hunter"), "{client:?}");
        }
        std::fs::write(&file, "\nhunter2\n").unwrap();
        let told = client(&config).unwrap_err().to_string();
        assert!(told.contains("first line is empty") && !told.contains("hunter2"), "{told}");
        std::fs::write(&file, b"\xffhunter2").unwrap();
        let told = client(&config).unwrap_err().to_string();
        assert!(told.contains("not UTF-8") && !told.contains("hunter2"), "{told}");
    }

    #[cfg(feature = "tls")]
    #[test]
    fn a_ca_file_holds_certificates() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("ca.pem");
        let config = Config { ca_file: Some(file.clone()), ..config("rediss://a") };
        assert!(client(&config).unwrap_err().to_string().contains("No such file"));
        let cut = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        for text in ["", "no certificate", cut] {
            std::fs::write(&file, text).unwrap();
            let told = client(&config).unwrap_err().to_string();
            assert!(told.contains("holds no certificate"), "{text}: {told}");
        }
        assert_eq!(config.check_files()[0].keys, ["ledger.redis.ca_file"]);
    }
}
