//! Orders end in a MariaDB server, and it, the way to it, its tables or somebody else's transactions fail.
//! `docs/failures.md` lists what each test here shows.

mod away;
mod locks;
mod refuses;
mod rows;
mod workers;

use std::time::Duration;

use forebay_loadtest::mariadb::MariaDb;
use forebay_loadtest::proxy::Proxy;
use mysql_async::prelude::FromRow;

use super::crowded::Crowded;
use super::rig::{Engine, Gateway, Plant, until, with_both_ledgers};

/// A server, a proxy before it, and where processes live whose store it is.
struct Stand {
    server: MariaDb,
    proxy: Proxy,
    plant: Plant,
}

const DATABASE: &str = "shop";

impl Stand {
    async fn of(engine: Engine, arguments: &[&str]) -> Self {
        let server = MariaDb::start(arguments).await.unwrap();
        server.tell(None, "CREATE DATABASE shop").await.unwrap();
        // It may do less than an administrator: what binds other users binds it.
        for statement in [
            "CREATE USER forebay IDENTIFIED BY 'secret'",
            "GRANT SELECT, INSERT, UPDATE, CREATE ON shop.* TO forebay",
        ] {
            server.tell(None, statement).await.unwrap();
        }
        let proxy = Proxy::start_mysql(server.address()).unwrap();
        let url = format!("mysql://forebay:secret@{}/{DATABASE}", proxy.address());
        let plant = Plant::new()
            .ledger_of(engine)
            .await
            .database(&url, &server.url(DATABASE))
            .set("drain.attempt_timeout=1500ms")
            .set("drain.lease=3s")
            .set("drain.rate=1000/s")
            .set("retry.attempts=3")
            .set("retry.cap=1s");
        let made = plant.run(&["migrate", "--apply"]).await;
        assert!(made.status.success(), "{made:?}");
        Self { server, proxy, plant }
    }

    /// With this ledger.
    async fn on(engine: Engine) -> Self {
        Self::of(engine, &[]).await
    }

    /// With the embedded ledger.
    async fn new() -> Self {
        Self::on(Engine::Embedded).await
    }

    fn set(self, setting: &str) -> Self {
        Self { plant: self.plant.set(setting), ..self }
    }

    /// A gateway that drains too, with an open sale `one`.
    async fn open(&self, stock: u64) -> Gateway {
        let gateway = self.plant.open().await;
        gateway.sale("one", stock).await;
        gateway
    }

    /// Statements of an administrator.
    async fn tell(&self, statements: &str) {
        self.server.tell(Some(DATABASE), statements).await.unwrap();
    }

    async fn ask<T: FromRow + Send + 'static>(&self, question: &str) -> Vec<T> {
        self.server.ask(Some(DATABASE), question).await.unwrap()
    }
}

/// Waits until so many orders of the sale `one` are placed.
async fn placed(gateway: &Gateway, count: u64) {
    until(&format!("{count} orders are placed"), async || {
        (gateway.admin().census("one").await.ok()?.placed >= count).then_some(())
    })
    .await;
}

/// Waits until `/readyz` says of the store what an operator should read; buyers are served on.
async fn told(gateway: &Gateway, word: &str) {
    until(&format!("the operator reads: {word}"), async || {
        let (status, reason) = gateway.check("store").await;
        (status == "degraded" && reason.contains(word)).then_some(())
    })
    .await;
    assert_eq!(gateway.ready().await.0, 200, "traffic may come");
}

/// That all of the crowd's orders were taken and placed, each once, and nothing was given up.
async fn all_placed(gateway: Gateway, crowd: &Crowded, orders: u64) {
    let census = crowd.proves(&gateway).await.census.unwrap();
    assert_eq!((census.placed, census.dead, census.refused), (orders, 0, 0), "{census:?}");
    let (status, reason) = gateway.check("store").await;
    assert_eq!(status, "ready", "{reason}");
    gateway.stop().await.well();
}

/// A server that is busy, or a pause in which nothing must happen.
const SHORT: Duration = Duration::from_millis(300);
