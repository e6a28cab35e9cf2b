//! nginx and HAProxy as they refuse by themselves, and how a server of files in a directory is started.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;

use super::peer::first_line;
use crate::gateway::{Process, found, free_address};
use crate::target::Target;

const NGINX: &str = include_str!("../../bench/peers/nginx-limit-req/nginx.conf");
const HAPROXY: &str = include_str!("../../bench/peers/haproxy/haproxy.cfg");
/// A server that was just installed reads much from the disk.
pub(super) const LISTENS_WITHIN: Duration = Duration::from_secs(30);

#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Nginx,
    Haproxy,
}

/// A running one.
#[derive(Debug)]
pub(super) struct Proxy {
    pub(super) process: Process,
    pub(super) public: Target,
    pub(super) versions: Vec<String>,
    _directory: TempDir,
}

impl Proxy {
    pub(super) async fn start(kind: Kind, workers: usize) -> anyhow::Result<Self> {
        let (directory, listens) = (directory()?, free_address()?);
        let workers = [("@WORKERS@", workers.to_string())];
        let (process, version) = match kind {
            Kind::Nginx => {
                write(&directory, "nginx.conf", NGINX, listens, &workers)?;
                (nginx(&directory)?, first_line(found("nginx")?, &["-v"]).await?)
            }
            Kind::Haproxy => {
                write(&directory, "haproxy.cfg", HAPROXY, listens, &workers)?;
                let binary = found("haproxy")?;
                let arguments = ["-db", "-f", "haproxy.cfg"];
                let process = Process::start(&binary, &arguments, directory.path(), &[])?;
                (process, first_line(binary, &["-v"]).await?)
            }
        };
        let mut proxy = Self {
            process,
            public: Target::from(listens),
            versions: vec![version],
            _directory: directory,
        };
        proxy.process.listens(listens, LISTENS_WITHIN).await?;
        Ok(proxy)
    }
}

/// nginx with the `nginx.conf` of a directory.
pub(super) fn nginx(directory: &TempDir) -> anyhow::Result<Process> {
    let at = directory.path().display().to_string();
    let arguments = ["-e", "stderr", "-p", &at, "-c", &format!("{at}/nginx.conf")];
    Process::start(&found("nginx")?, &arguments, directory.path(), &[])
}

/// A directory that workers with other rights can read.
pub(super) fn directory() -> anyhow::Result<TempDir> {
    let directory = TempDir::with_prefix("forebay-bench-")?;
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755))?;
    Ok(directory)
}

/// Writes a settings file, with the values in place of their names.
pub(super) fn write(
    directory: &TempDir,
    name: &str,
    template: &str,
    listens: SocketAddr,
    values: &[(&str, String)],
) -> anyhow::Result<()> {
    let path: &Path = directory.path();
    let mut text = template
        .replace("@DIR@", &path.display().to_string())
        .replace("@LISTEN@", &listens.to_string())
        .replace("@PORT@", &listens.port().to_string());
    for (name, value) in values {
        text = text.replace(name, value);
    }
    Ok(std::fs::write(path.join(name), text)?)
}
