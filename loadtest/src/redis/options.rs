//! How a Redis of our own is set.

use std::net::SocketAddr;

/// Whether it keeps a log of what was written, and when that is on the disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Aof {
    /// No log: what it held is gone with the process.
    #[default]
    Off,
    /// `appendfsync everysec`.
    EverySecond,
    /// `appendfsync always`.
    Always,
}

/// What differs from the defaults: no snapshots, `noeviction`, no log, no bound of memory.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The log.
    pub aof: Aof,
    /// `maxmemory`, in bytes.
    pub maxmemory: Option<u64>,
    /// `user …` lines, as settings that the server includes: comments may stand between them. Who names no user
    /// may do everything, unless they say otherwise.
    pub users: Option<String>,
    /// The same as lines of a file that `aclfile` names, which takes no comments.
    pub acl_file: Option<String>,
    /// The primary that it copies.
    pub replica_of: Option<SocketAddr>,
    /// Further lines of its settings file; of two lines about one thing the later counts.
    pub lines: Vec<String>,
}

/// The user by whom the launcher asks, whatever others may do.
pub(super) const OPERATOR: &str = "operator";
pub(super) const PASSWORD: &str = "of-the-test";

/// What `aclfile` names, beside the settings.
pub(super) const ACL_FILE: &str = "users.acl";

/// The line that makes the operator.
fn operator() -> String {
    format!("user {OPERATOR} on >{PASSWORD} ~* &* +@all\n")
}

impl Options {
    /// The same with another log.
    #[must_use]
    pub fn aof(self, aof: Aof) -> Self {
        Self { aof, ..self }
    }

    /// For a server that is timed. Its log is not rewritten meanwhile, so that no turn pays for another one's.
    pub(crate) fn timed(aof: bool) -> Self {
        let options = Self::default().aof(if aof { Aof::EverySecond } else { Aof::Off });
        let lines = ["auto-aof-rewrite-percentage 0", "tcp-backlog 2048", "maxclients 4000"];
        lines.into_iter().fold(options, Self::line)
    }

    /// The same with a further line of settings.
    #[must_use]
    pub fn line(mut self, line: impl Into<String>) -> Self {
        self.lines.push(line.into());
        self
    }

    /// The text of the file that `aclfile` names, if one is.
    pub(super) fn acl(&self) -> Option<String> {
        self.acl_file.as_ref().map(|users| format!("{}{}\n", operator(), users.trim_end()))
    }

    /// The text of `redis.conf`, for a server whose working directory is its own.
    pub(super) fn settings(&self, listens: SocketAddr) -> String {
        let appends = match self.aof {
            Aof::Off => "appendonly no",
            Aof::EverySecond => "appendonly yes\nappendfsync everysec",
            Aof::Always => "appendonly yes\nappendfsync always",
        };
        // Users are in one place or in the other.
        let operator = match self.acl_file {
            Some(_) => format!("aclfile {ACL_FILE}\n"),
            None => operator(),
        };
        let mut text = format!(
            "bind {}\nport {}\nsave \"\"\n{appends}\nmaxmemory-policy noeviction\n\
             {operator}enable-debug-command local\n\
             repl-diskless-sync-delay 0\nlogfile \"\"\ndaemonize no\n",
            listens.ip(),
            listens.port(),
        );
        if let Some(bytes) = self.maxmemory {
            text += &format!("maxmemory {bytes}\n");
        }
        if let Some(primary) = self.replica_of {
            text += &format!(
                "replicaof {} {}\nmasteruser {OPERATOR}\nmasterauth {PASSWORD}\n",
                primary.ip(),
                primary.port()
            );
        }
        let users = self.users.as_deref().unwrap_or_default();
        self.lines.iter().fold(text + users + "\n", |text, line| text + line + "\n")
    }
}
