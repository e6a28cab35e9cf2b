//! A ledger that is a server elsewhere: a process starts without it, says what it waits for, and stops in order; what
//! cannot be meant is refused by name.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use forebay_loadtest::call::{Reply, call};
use forebay_loadtest::certificate::certificate;
use forebay_loadtest::gateway::{Process, found, free_address};
use forebay_loadtest::target::Target;
use hyper::Method;
use rustix::process::Signal;
use rustix::process::{Pid, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use super::rig::{AT_LAST, Plant, until};
use super::wire::order;

/// An address where nobody listens while the answer lives: it is bound.
pub(crate) fn nobody() -> (socket2::Socket, SocketAddr) {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&"127.0.0.1:0".parse::<SocketAddr>().unwrap().into()).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    (socket, address)
}

/// A process of one role, whose ledger is a Redis server.
struct Part {
    process: Process,
    public: Option<SocketAddr>,
    admin: SocketAddr,
    directory: TempDir,
}

impl Part {
    async fn start(role: &str, redis: SocketAddr) -> Self {
        let directory = TempDir::with_prefix("forebay-ledger-").unwrap();
        let store = format!("store.simulated.directory={}/store", directory.path().display());
        let file = directory.path().join("forebay.toml");
        let text = format!(
            "[public]\nlisten = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"\n[ledger]\nengine = \"redis\"\n\
             [ledger.redis]\nurl = \"redis://:hunter2@{redis}\"\n[[sale]]\nname = \"one\"\n\
             items = [{{ sku = \"phone\", stock = 5 }}]\n"
        );
        std::fs::write(&file, text).unwrap();
        let arguments =
            ["serve", "--role", role, "--set", &store, "--config", file.to_str().unwrap()];
        let binary = Path::new(env!("CARGO_BIN_EXE_forebay"));
        let process = Process::start(binary, &arguments, directory.path(), &[]).unwrap();
        let printed = process.printed(AT_LAST, |text| {
            let named = |name: &str| {
                text.lines().find_map(|line| line.strip_prefix(name)?.parse::<SocketAddr>().ok())
            };
            // It is printed in one piece, the last line of it last.
            let whole = role == "all" || text.lines().any(|line| line.starts_with(role));
            Some((named("orders  http://"), named("admin   http://")?)).filter(|_| whole)
        });
        let (public, admin) = printed.await.unwrap();
        Self { process, public, admin, directory }
    }

    async fn get(&self, path: &str) -> Reply {
        call(&Target::from(self.admin), Method::GET, path, None, None).await.unwrap()
    }

    /// The status of a check of `/readyz`, and its reason.
    async fn check(&self, name: &str) -> (String, String) {
        let ready = self.get("/readyz").await;
        let document: Value = serde_json::from_slice(&ready.body).unwrap();
        let checks = document["checks"].as_array().unwrap();
        let check = checks.iter().find(|check| check["name"] == name);
        let text =
            |key: &str| check.and_then(|check| check[key].as_str()).unwrap_or("none").to_owned();
        (text("status"), text("reason"))
    }

    /// That it waits for its ledger at this address, and lives.
    async fn waits_for(&self, redis: SocketAddr) {
        assert_eq!((self.get("/livez").await.status, self.get("/readyz").await.status), (200, 503));
        let server = redis.to_string();
        for check in ["ledger", "start"] {
            until("its ledger was asked", async || {
                let (status, reason) = self.check(check).await;
                (status == "unready" && reason.contains(&server)).then_some(())
            })
            .await;
        }
        for path in
            ["/admin/v1/sales", "/admin/v1/sales/one", "/admin/v1/drain", "/admin/v1/verify"]
        {
            assert_eq!(self.get(path).await.status, 503, "{path}");
        }
        assert_eq!(self.get("/metrics").await.status, 200);
    }

    /// SIGTERM, its end, and what it said.
    async fn stop(mut self) -> String {
        let status = self.process.stop(AT_LAST).await.unwrap();
        let said = self.process.text().await;
        assert!(status.success(), "{status}\n{said}");
        for word in ["panicked", "background task ended", "hunter2"] {
            assert!(!said.contains(word), "{said}");
        }
        said
    }
}

#[tokio::test]
async fn without_its_ledger_a_gateway_starts_and_tells_nobody_that_there_is_nothing() {
    let (_bound, redis) = nobody();
    for role in ["all", "gateway"] {
        let part = Part::start(role, redis).await;
        let drains = role == "all";
        assert_eq!(part.directory.path().join("store").exists(), drains, "opened at need only");
        part.waits_for(redis).await;
        let (status, reason) = part.check("watch").await;
        assert_eq!(status, "unready", "{reason}");
        let public = part.public.expect("buyers come in");
        let refused = order(public, "one", "ann", "key").await;
        assert_eq!((refused.status, refused.code().as_str()), (503, "ledger_unavailable"));
        assert!(refused.header("retry-after").is_some(), "{refused:?}");
        for path in ["/v1/sales", "/v1/sales/one", "/v1/tickets/nonsense", "/readyz"] {
            let told = call(&Target::from(public), Method::GET, path, None, None).await.unwrap();
            assert_eq!(told.status, 503, "{path}");
        }
        assert_eq!(part.check("drain").await.0, if drains { "degraded" } else { "none" });
        let faults = part.get("/admin/v1/store/faults").await.status;
        assert_eq!(faults, if drains { 200 } else { 422 });
        part.stop().await;
    }
}

#[tokio::test]
async fn without_its_ledger_a_drain_starts_and_lets_no_buyer_in() {
    let (_bound, redis) = nobody();
    let part = Part::start("drain", redis).await;
    part.waits_for(redis).await;
    assert_eq!(part.public, None);
    assert_eq!(
        (part.check("watch").await.0, part.check("drain").await.0),
        ("none".into(), "degraded".into())
    );
    let said = part.stop().await;
    assert!(said.contains("drain   carries orders to the store"), "{said}");
}

#[tokio::test]
async fn another_ledger_takes_a_restart() {
    let (_bound, redis) = nobody();
    let part = Part::start("gateway", redis).await;
    let file = part.directory.path().join("forebay.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let other =
        text.replace("hunter2", "hunter2-new").replace("[[sale]]", "prefix = \"eu\"\n[[sale]]");
    std::fs::write(part.directory.path().join("next"), other).unwrap();
    std::fs::rename(part.directory.path().join("next"), &file).unwrap();
    let pid = Pid::from_raw(part.process.pid().cast_signed()).unwrap();
    kill_process(pid, Signal::HUP).unwrap();
    let told = "a restart is needed for ledger.redis.prefix, ledger.redis.url";
    let printed = part.process.printed(AT_LAST, |text| text.contains(told).then_some(()));
    printed.await.unwrap();
    // What could be taken over has to wait for the ledger.
    std::fs::write(&file, text.replace("stock = 5", "stock = 6")).unwrap();
    kill_process(pid, Signal::HUP).unwrap();
    let printed = part.process.printed(AT_LAST, |text| {
        (text.matches("the settings in force stay").count() == 2).then_some(())
    });
    printed.await.unwrap();
    part.stop().await;
}

/// A server that asks for a password, in clear text and by TLS with a certificate of its own.
struct Server {
    _process: Process,
    clear: u16,
    tls: u16,
    directory: TempDir,
}

impl Server {
    async fn start() -> Self {
        let directory = TempDir::with_prefix("forebay-redis-").unwrap();
        certificate(directory.path(), "cert", "DNS:localhost,IP:127.0.0.1").unwrap();
        std::fs::write(directory.path().join("password"), "hunter2\n").unwrap();
        let [clear, tls] = [(); 2].map(|()| free_address().unwrap().port());
        let (clear_port, tls_port) = (clear.to_string(), tls.to_string());
        let arguments = [
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--requirepass",
            "hunter2",
            "--port",
            &clear_port,
            "--tls-port",
            &tls_port,
            "--tls-cert-file",
            "cert.pem",
            "--tls-key-file",
            "cert.key",
            "--tls-ca-cert-file",
            "cert.pem",
            "--tls-auth-clients",
            "no",
        ];
        let binary = found("redis-server").unwrap();
        let process = Process::start(&binary, &arguments, directory.path(), &[]).unwrap();
        let ready = |text: &str| text.contains("Ready to accept connections").then_some(());
        process.printed(AT_LAST, ready).await.unwrap();
        Self { _process: process, clear, tls, directory }
    }

    fn file(&self, name: &str) -> String {
        self.directory.path().join(name).display().to_string()
    }
}

#[tokio::test]
async fn the_doctor_reaches_a_server_by_password_and_by_tls_or_says_why_not() {
    let server = Server::start().await;
    let (password, ca) = (server.file("password"), server.file("cert.pem"));
    let (clear, tls) = (server.clear, server.tls);
    let password_file = format!("ledger.redis.password_file={password}");
    let ca_file = format!("ledger.redis.ca_file={ca}");
    let answers = "ok    ledger";
    for (url, more, code, word) in [
        (format!("redis://:hunter2@127.0.0.1:{clear}/3"), &[][..], 0, answers),
        (format!("redis://localhost:{clear}"), &[password_file.as_str()], 0, answers),
        (format!("rediss://localhost:{tls}"), &[&password_file, &ca_file], 0, answers),
        (format!("rediss://127.0.0.1:{tls}"), &[&password_file, &ca_file], 0, answers),
        (format!("redis://127.0.0.1:{clear}"), &[], 4, "FAIL  ledger"),
        (format!("redis://:hunter3@127.0.0.1:{clear}"), &[], 4, "FAIL  ledger"),
        (format!("redis://shop:hunter2@127.0.0.1:{clear}"), &[], 4, "FAIL  ledger"),
        (format!("redis://127.0.0.1:{clear}/77"), &[&password_file], 4, "FAIL  ledger"),
        (format!("rediss://127.0.0.1:{tls}"), &[&password_file], 4, "invalid peer certificate"),
        (format!("rediss://127.0.0.2:{tls}"), &[&password_file, &ca_file], 4, "FAIL  ledger"),
        (format!("rediss://127.0.0.1:{clear}"), &[&password_file, &ca_file], 4, "FAIL  ledger"),
        (format!("redis://:hunter2@127.0.0.1:{tls}"), &[], 4, "FAIL  ledger"),
    ] {
        let mut plant = Plant::new().set("ledger.engine=redis");
        plant = plant.set(&format!("ledger.redis.url={url}"));
        for set in more {
            plant = plant.set(set);
        }
        let output = plant.run(&["doctor"]).await;
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.code() == Some(code) && said.contains(word),
            "{url} {more:?}: {said}"
        );
        assert!(!said.contains("hunter"), "{said}");
    }
}

#[tokio::test]
async fn commands_that_need_the_server_say_that_it_cannot_be_reached() {
    let (_bound, redis) = nobody();
    let plant = Plant::new()
        .set("ledger.engine=redis")
        .set(&format!("ledger.redis.url=redis://shop:hunter2@{redis}"));
    let server = redis.to_string();
    plant.start().await.stop().await.well();
    for (words, code, expected) in [
        (&["doctor"][..], 4, &["FAIL  ledger", server.as_str(), "Connection refused"][..]),
        (&["verify", "--offline"], 4, &["ledger: ", server.as_str()]),
        (&["config", "effective"], 0, &["redis://shop:***@"]),
        (&["check"], 0, &["[ledger.embedded] has no effect", "ok"]),
    ] {
        let output = plant.run(words).await;
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert_eq!(output.status.code(), Some(code), "{words:?}: {said}");
        for word in expected {
            assert!(said.contains(word), "{words:?}: `{word}` is not in: {said}");
        }
        assert!(!said.contains("hunter2"), "{words:?}: {said}");
    }
    let alone = Plant::new().run(&["serve", "--role", "drain"]).await;
    let said = String::from_utf8_lossy(&alone.stderr);
    assert!(alone.status.code() == Some(3) && said.contains("engine = \"redis\""), "{said}");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let public = format!("public.listen={}", taken.local_addr().unwrap());
    plant.set(&public).refused().await.is(1, &["[public] listen", "another process listens there"]);
}
