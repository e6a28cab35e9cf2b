//! How a connection to the server is opened: address, user, password, TLS.

use redis::io::tcp::TcpSettings;
use redis::{Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo as _, RedisConnectionInfo};

use super::config::{CA_FILE, PASSWORD_FILE};
use super::{Address, BadAddress, Config};
use crate::setting::{self, BadSetting};

/// A client cannot be made of the settings, or of the files that they name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadClient {
    /// The URL.
    #[error("`ledger.redis.url` {0}")]
    Address(#[from] BadAddress),
    /// A file that the settings name cannot be used.
    #[error("{0}")]
    File(#[from] BadSetting),
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
pub(super) fn password(config: &Config, address: &Address) -> Result<Option<String>, BadSetting> {
    match &config.password_file {
        Some(file) => setting::password(PASSWORD_FILE, file).map(Some),
        None => Ok(address.password.clone()),
    }
}

/// The certificates of `ca_file`.
pub(super) fn authority(config: &Config) -> Result<Option<Vec<u8>>, BadSetting> {
    config.ca_file.as_ref().map(|file| setting::certificates(CA_FILE, file)).transpose()
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
