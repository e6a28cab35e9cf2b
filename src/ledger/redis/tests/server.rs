//! A server of our own for a test, on a socket in its own directory.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::ledger::redis::link::Opening;

/// Ends with its handle.
pub(super) struct Server {
    child: Child,
    directory: TempDir,
}

impl Server {
    /// Starts one; `more` are further words of its command line.
    pub(super) fn start(more: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("redis.sock");
        let mut child = Command::new("redis-server")
            .args(["--port", "0", "--save", "", "--daemonize", "no", "--unixsocket"])
            .arg(&socket)
            .arg("--dir")
            .arg(directory.path())
            .args(more)
            .stdout(Stdio::piped())
            .spawn()
            .expect("redis-server must be installed for the tests");
        let out = BufReader::new(child.stdout.take().unwrap());
        let mut lines = out.lines();
        let ready = lines.any(|line| line.is_ok_and(|line| line.contains("ready to accept")));
        assert!(ready, "redis-server did not start");
        Self { child, directory }
    }

    /// How connections to it are made.
    pub(super) fn opening(&self) -> Opening {
        let url = format!("redis+unix://{}", self.directory.path().join("redis.sock").display());
        Opening(Box::new(move || Ok(redis::Client::open(url.as_str()).unwrap())))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
