//! A gateway of its own for each test, asked over bare sockets.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

const SOON: Duration = Duration::from_secs(30);

/// A running `forebay`; killed when it is dropped.
pub(super) struct Gateway {
    child: Child,
    pub(super) public: SocketAddr,
    pub(super) admin: SocketAddr,
    _directory: TempDir,
}

impl Gateway {
    /// Starts with `settings` besides what every test needs: an open sale `demo` with a phone.
    pub(super) fn start(settings: &str, files: &[(&str, &[u8])]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        for (name, bytes) in files {
            std::fs::write(directory.path().join(name), bytes).unwrap();
        }
        let text = format!(
            "[admin]\nlisten = \"127.0.0.1:0\"\n[drain]\nrate = \"1/h\"\n[queue]\nmax_wait = \"90000h\"\n\
             [[sale]]\nname = \"demo\"\nitems = [{{ sku = \"phone\", stock = 1000000 }}]\n{settings}"
        );
        std::fs::write(directory.path().join("forebay.toml"), text).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_forebay"));
        command.args(["--config", "forebay.toml", "--set", "public.listen=127.0.0.1:0"]);
        let child = command.current_dir(&directory).stdout(Stdio::piped()).stdin(Stdio::null());
        let mut child = child.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut address = |name: &str| {
            let line = lines.next().expect("the gateway starts").unwrap();
            let address = line.strip_prefix(name).unwrap().trim().strip_prefix("http://").unwrap();
            address.parse().unwrap()
        };
        let (public, admin) = (address("orders"), address("admin"));
        Self { child, public, admin, _directory: directory }
    }

    /// The largest memory that the process had so far, in KiB.
    pub(super) fn peak_memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().strip_suffix(" kB").unwrap().trim().parse().unwrap()
    }

    pub(super) fn connect(&self) -> Wire {
        Wire::to(self.public)
    }

    /// A document of the admin listener.
    pub(super) fn told(&self, path: &str) -> String {
        Wire::to(self.admin).ask("GET", path, &[], "").body
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One connection.
pub(super) struct Wire(BufReader<TcpStream>);

/// What came back.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: String,
}

impl Reply {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let line = |line: &'_ str| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then_some((found.len() + 1, value.len()))
        };
        let at = self.head.lines().find_map(|text| line(text).map(|found| (text, found)));
        at.map(|(text, (from, _))| text[from..].trim())
    }

    pub(super) fn field(&self, name: &str) -> String {
        let document: serde_json::Value = serde_json::from_str(&self.body).unwrap();
        document[name].as_str().unwrap_or_default().to_owned()
    }
}

impl Wire {
    pub(super) fn to(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        Self(BufReader::new(stream))
    }

    /// Sends a request with header lines as they are, and reads the answer.
    pub(super) fn ask(&mut self, method: &str, path: &str, lines: &[&[u8]], body: &str) -> Reply {
        let mut request = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n");
        if method == "POST" {
            let length = body.len();
            write!(request, "Content-Type: application/json\r\nContent-Length: {length}\r\n")
                .unwrap();
        }
        let mut request = request.into_bytes();
        for line in lines {
            request.extend_from_slice(line);
            request.extend_from_slice(b"\r\n");
        }
        request.extend_from_slice(b"\r\n");
        request.extend_from_slice(body.as_bytes());
        self.0.get_mut().write_all(&request).unwrap();
        self.reply()
    }

    /// Orders one phone.
    pub(super) fn order(&mut self, lines: &[&[u8]]) -> Reply {
        let body = "{\"lines\":[{\"sku\":\"phone\",\"quantity\":1}]}";
        self.ask("POST", "/v1/sales/demo/orders", lines, body)
    }

    fn reply(&mut self) -> Reply {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(self.0.read_line(&mut head).unwrap() > 0, "the connection ended: {head}");
        }
        let status = head[9..12].parse().unwrap();
        let mut reply = Reply { status, head, body: String::new() };
        let length = reply.header("content-length").map_or(0, |length| length.parse().unwrap());
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).unwrap();
        reply.body = String::from_utf8(body).unwrap();
        reply
    }
}

/// Nobody, told with what to bring.
pub(super) fn assert_unknown(reply: &Reply, challenge: &str, case: &str) {
    assert_eq!((reply.status, reply.field("code").as_str()), (401, "unknown_buyer"), "{case}");
    assert_eq!(reply.header("www-authenticate"), Some(challenge), "{case}");
    assert_eq!(reply.header("cache-control"), Some("no-store"), "{case}");
}
