//! A server of our own for a test, on a socket in its own directory.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::ledger::redis::link::Opening;

/// Ends with its handle.
pub(super) struct Server {
    child: Child,
    directory: TempDir,
    more: Vec<String>,
}

fn start(directory: &Path, more: &[String]) -> Child {
    let mut child = Command::new("redis-server")
        .args(["--port", "0", "--save", "", "--daemonize", "no", "--unixsocket"])
        .arg(directory.join("redis.sock"))
        .arg("--dir")
        .arg(directory)
        .args(more)
        .stdout(Stdio::piped())
        .spawn()
        .expect("redis-server must be installed for the tests");
    let out = BufReader::new(child.stdout.take().unwrap());
    let ready = out.lines().any(|line| line.is_ok_and(|line| line.contains("ready to accept")));
    assert!(ready, "redis-server did not start");
    child
}

impl Server {
    /// Starts one; `more` are further words of its command line.
    pub(super) fn start(more: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let more: Vec<String> = more.iter().map(|word| (*word).to_owned()).collect();
        let child = start(directory.path(), &more);
        Self { child, directory, more }
    }

    fn socket(&self) -> PathBuf {
        self.directory.path().join("redis.sock")
    }

    /// How connections to it are made.
    pub(super) fn opening(&self) -> Opening {
        let url = format!("redis+unix://{}", self.socket().display());
        Opening(Box::new(move || Ok(redis::Client::open(url.as_str()).unwrap())))
    }

    /// A command by hand.
    pub(super) fn ask<T: redis::FromRedisValue>(&self, words: &[&str]) -> T {
        let client = redis::Client::open(format!("redis+unix://{}", self.socket().display()));
        let mut connection = client.unwrap().get_connection().unwrap();
        let mut command = redis::Cmd::new();
        for word in words {
            command.arg(*word);
        }
        command.query(&mut connection).unwrap()
    }

    /// Kills it and starts it again with what is on disk.
    pub(super) fn restart(&mut self) {
        self.end();
        self.child = start(self.directory.path(), &self.more);
    }

    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}
