//! What the peers need, put in place where it is missing: by apt and by npm, said before it is done.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, bail, ensure};
use serde_json::Value;
use tokio::process::Command;

use super::drain::workers::{APALIS, BULLMQ};
use super::{Name, drain};
use crate::gateway::found;
use crate::output;

/// A Debian package, and how it is seen that it is there.
struct Package {
    name: &'static str,
    seen: Seen,
}

enum Seen {
    /// Whichever package it came from.
    Program(&'static str),
    /// Its files have no fixed place.
    ByDpkg,
}

const fn program(name: &'static str) -> Package {
    Package { name, seen: Seen::Program(name) }
}

const fn library(name: &'static str) -> Package {
    Package { name, seen: Seen::ByDpkg }
}

const NODE: Package = Package { name: "nodejs", seen: Seen::Program("node") };

fn for_taking(name: Name) -> Vec<Package> {
    let redis = program("redis-server");
    match name {
        Name::Bare | Name::Floor | Name::Forebay => Vec::new(),
        Name::ForebayRedis => vec![redis],
        Name::NginxLimitReq => vec![program("nginx")],
        Name::Haproxy => vec![program("haproxy")],
        Name::NginxLua => {
            let lua = ["libnginx-mod-http-lua", "lua-nginx-redis", "lua-cjson"].map(library);
            std::iter::once(program("nginx")).chain(lua).chain([redis]).collect()
        }
        Name::FastifyIoredis | Name::FastifyBullmq => {
            vec![NODE, program("npm"), redis]
        }
    }
}

fn for_carrying(name: drain::Name) -> Vec<Package> {
    let redis = program("redis-server");
    match name {
        drain::Name::PlainInserts | drain::Name::PlainBatches | drain::Name::Forebay => vec![],
        drain::Name::ForebayRedis | drain::Name::ApalisRedis => vec![redis],
        drain::Name::Bullmq => vec![NODE, program("npm"), redis],
    }
}

/// Puts in place what the peers need that take orders.
pub(super) async fn taking(names: &[Name], fastify: &Path) -> anyhow::Result<()> {
    debian(names.iter().copied().flat_map(for_taking).collect()).await?;
    if names.iter().any(|name| matches!(name, Name::FastifyIoredis | Name::FastifyBullmq)) {
        by_npm(fastify).await?;
    }
    Ok(())
}

/// Puts in place what the peers need that carry them into a database.
pub(super) async fn carrying(names: &[drain::Name], peers: &Path) -> anyhow::Result<()> {
    let database = Package { name: "mariadb-server", seen: Seen::Program("mariadbd") };
    let packages = names.iter().copied().flat_map(for_carrying);
    debian(packages.chain([database]).collect()).await?;
    if names.contains(&drain::Name::Bullmq) {
        by_npm(&peers.join(BULLMQ)).await?;
    }
    if names.contains(&drain::Name::ApalisRedis) {
        by_cargo(&peers.join(APALIS)).await?;
    }
    Ok(())
}

async fn debian(packages: Vec<Package>) -> anyhow::Result<()> {
    let mut missing = missing(&packages).await;
    if !missing.is_empty() {
        by_apt(&missing).await?;
        missing = self::missing(&packages).await;
        ensure!(missing.is_empty(), "still missing after the installation: {}", missing.join(" "));
    }
    Ok(())
}

async fn missing(packages: &[Package]) -> Vec<&'static str> {
    let mut missing = Vec::new();
    for &Package { name, ref seen } in packages {
        let there = match seen {
            Seen::Program(program) => found(program).is_ok(),
            Seen::ByDpkg => installed(name).await,
        };
        if !there && !missing.contains(&name) {
            missing.push(name);
        }
    }
    missing
}

async fn installed(package: &str) -> bool {
    let asked = Command::new("dpkg-query").args(["-W", "-f", "${Status}", package]).output().await;
    asked.is_ok_and(|asked| asked.stdout == b"install ok installed")
}

async fn by_apt(missing: &[&str]) -> anyhow::Result<()> {
    let hand =
        format!("install {} by hand, or leave out who needs them with --only", missing.join(" "));
    let Ok(apt) = found("apt-get") else {
        bail!("the peers are built from Debian's packages, and there is no apt-get: {hand}");
    };
    let apt = apt.display().to_string();
    let mut command = if rustix::process::geteuid().is_root() { vec![] } else { vec!["sudo"] };
    command.push(&apt);
    let mut update = command.clone();
    update.push("update");
    // A list of packages that is a little old may still do.
    if let Err(error) = run(&update, Path::new(".")).await {
        output::note(format_args!("{error:#}: going on with the list of packages that is there"));
    }
    command.extend(["install", "-y", "--no-install-recommends"]);
    command.extend(missing);
    run(&command, Path::new(".")).await.context(hand)
}

/// Exactly what the lock file says. Scripts of packages are not run: none of these needs them.
async fn by_npm(directory: &Path) -> anyhow::Result<()> {
    if locked(directory, "package-lock.json")? == locked(directory, INSTALLED).unwrap_or_default() {
        return Ok(());
    }
    let npm = found("npm")?.display().to_string();
    run(&[&npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"], directory)
        .await
        .context("the Node peers need their packages: leave them out with --only")
}

/// Exactly what the lock file says, into a directory of its own: it shares nothing with the workspace.
async fn by_cargo(directory: &Path) -> anyhow::Result<()> {
    let cargo = found("cargo")?.display().to_string();
    run(&[&cargo, "build", "--release", "--locked", "--target-dir", "target"], directory)
        .await
        .context("the apalis workers must be built: leave them out with --only")
}

/// Where npm notes what it has installed.
const INSTALLED: &str = "node_modules/.package-lock.json";

/// Names and versions of the packages that are always installed.
fn locked(directory: &Path, file: &str) -> anyhow::Result<Vec<(String, String)>> {
    let path = directory.join(file);
    let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let lock: Value = serde_json::from_str(&text).with_context(|| path.display().to_string())?;
    let packages = lock.get("packages").and_then(Value::as_object);
    let packages = packages.with_context(|| format!("{} names no packages", path.display()))?;
    let each = packages
        .iter()
        .filter(|(name, package)| !name.is_empty() && package.get("optional").is_none());
    let version =
        |package: &Value| package.get("version").and_then(Value::as_str).map(str::to_owned);
    Ok(each.map(|(name, package)| (name.clone(), version(package).unwrap_or_default())).collect())
}

async fn run(command: &[&str], directory: &Path) -> anyhow::Result<()> {
    let said = command.join(" ");
    output::note(format_args!("==> {said}"));
    let (program, arguments) = command.split_first().context("a command has a name")?;
    let status = Command::new(program)
        .args(arguments)
        .current_dir(directory)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null())
        // The result alone is for stdout.
        .stdout(std::io::stderr())
        .kill_on_drop(true)
        .status()
        .await
        .with_context(|| format!("{said}: cannot be started"))?;
    ensure!(status.success(), "{said}: {status}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_npm_has_installed_is_held_to_the_lock_file() {
        let directory = tempfile::tempdir().unwrap();
        let write = |file: &str, bullmq: &str| {
            let text = format!(
                r#"{{"packages":{{"":{{}},"node_modules/bullmq":{{"version":"{bullmq}"}},
                   "node_modules/for-another-system":{{"version":"1","optional":true}}}}}}"#
            );
            std::fs::write(directory.path().join(file), text).unwrap();
        };
        std::fs::create_dir(directory.path().join("node_modules")).unwrap();
        write("package-lock.json", "2");
        write(INSTALLED, "1");
        let of = |file: &str| locked(directory.path(), file).unwrap();
        assert_eq!(of("package-lock.json"), [("node_modules/bullmq".to_owned(), "2".to_owned())]);
        assert_ne!(of("package-lock.json"), of(INSTALLED));
        write(INSTALLED, "2");
        assert_eq!(of("package-lock.json"), of(INSTALLED));
        assert!(locked(directory.path(), "nothing.json").is_err());
    }
}
