//! The store on a real `MariaDB`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use forebay_loadtest::mariadb::MariaDb;

use super::{Config, MySql, migrate};
use crate::store::suite::{self, change, order, order_of};
use crate::store::{Found, LaterCause, Placement, SharedStore, Store as _, StoreRows as _};

/// A server, and databases on it with the tables.
struct Shop {
    server: MariaDb,
    databases: AtomicU32,
}

impl Shop {
    async fn start(arguments: &[&str]) -> Self {
        let server = MariaDb::start(arguments).await.unwrap();
        Self { server, databases: AtomicU32::new(0) }
    }

    /// A database without tables.
    async fn empty(&self) -> Config {
        let name = format!("shop_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        // A default that would make two names one, were the tables to go by it.
        let make = format!("CREATE DATABASE {name} CHARACTER SET latin1 COLLATE latin1_german2_ci");
        self.server.tell(None, &make).await.unwrap();
        Config { url: self.server.url(&name), ..Config::default() }
    }

    async fn config(&self) -> Config {
        let config = self.empty().await;
        migrate(&config).await.unwrap();
        config
    }

    async fn tell(&self, config: &Config, statements: &str) {
        let database = config.url.rsplit('/').next().unwrap();
        self.server.tell(Some(database), statements).await.unwrap();
    }
}

#[tokio::test]
async fn it_passes_the_shared_suite() {
    let shop = Shop::start(&["--max-allowed-packet=1M"]).await;
    let mut fresh = Vec::new();
    for _ in 0..suite::CASES {
        fresh.push(Arc::new(MySql::new(shop.config().await)) as SharedStore);
    }
    suite::exercise(|| fresh.pop().unwrap()).await;
}

/// What the server holds of a database.
async fn ask<T: mysql_async::prelude::FromRow + Send + 'static>(
    shop: &Shop,
    config: &Config,
    question: &str,
) -> Vec<T> {
    let database = config.url.rsplit('/').next().unwrap();
    shop.server.ask(Some(database), question).await.unwrap()
}

#[tokio::test]
async fn tables_that_are_not_as_they_must_be_are_refused_with_what_to_do() {
    let shop = Shop::start(&[]).await;
    let config = shop.empty().await;
    let told = async |config: &Config| {
        let error = MySql::new(config.clone()).look().await.unwrap_err();
        assert_eq!(error.cause, LaterCause::Misconfigured, "{error}");
        error.reason
    };
    assert!(told(&config).await.contains("no table forebay_orders"));
    migrate(&config).await.unwrap();
    migrate(&config).await.unwrap();
    assert_eq!(MySql::new(config.clone()).look().await.unwrap(), [""; 0]);
    for (spoil, mend, word) in [
        (
            "ALTER TABLE forebay_orders DROP PRIMARY KEY",
            "ALTER TABLE forebay_orders ADD PRIMARY KEY (ticket_id, line)",
            "primary key of forebay_orders must be (ticket_id,line) and is none",
        ),
        (
            "ALTER TABLE forebay_stock_ops DROP PRIMARY KEY, ADD PRIMARY KEY (operation)",
            "ALTER TABLE forebay_stock_ops DROP PRIMARY KEY, ADD PRIMARY KEY (sale_no, operation)",
            "must be (sale_no,operation) and is (operation)",
        ),
        (
            "ALTER TABLE forebay_orders ENGINE = Aria",
            "ALTER TABLE forebay_orders ENGINE = InnoDB",
            "has no transactions",
        ),
        (
            "ALTER TABLE forebay_orders RENAME COLUMN payload TO load_",
            "ALTER TABLE forebay_orders RENAME COLUMN load_ TO payload",
            "no column payload",
        ),
        (
            "ALTER TABLE forebay_orders MODIFY sku VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci",
            "ALTER TABLE forebay_orders MODIFY sku VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin",
            "must compare bytewise",
        ),
        (
            "ALTER TABLE forebay_orders MODIFY buyer VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL",
            "ALTER TABLE forebay_orders MODIFY buyer VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL",
            "holds 20 characters",
        ),
    ] {
        shop.tell(&config, spoil).await;
        let reason = told(&config).await;
        assert!(reason.contains(word) && reason.contains("forebay migrate"), "{reason}");
        shop.tell(&config, mend).await;
        MySql::new(config.clone()).look().await.unwrap();
    }
    shop.tell(&config, "SET GLOBAL innodb_flush_log_at_trx_commit = 2").await;
    let doubts = MySql::new(config.clone()).look().await.unwrap();
    assert!(doubts[0].contains("innodb_flush_log_at_trx_commit is 2"), "{doubts:?}");
    let strict = Config { durability: super::Durability::Strict, ..config.clone() };
    assert!(told(&strict).await.contains("strict"));
    let nowhere = Config { url: config.url.replace("/shop_", "/no_"), ..config.clone() };
    assert!(told(&nowhere).await.contains("1049"), "a database that is not there");
    let stranger = Config { url: config.url.replace("root@", "nobody:x@"), ..config };
    assert!(told(&stranger).await.contains("1045"), "a password that is wrong");
}

#[tokio::test]
async fn a_user_with_the_least_rights_can_do_everything_and_without_them_nothing_is_refused() {
    let shop = Shop::start(&[]).await;
    let config = shop.config().await;
    let database = config.url.rsplit('/').next().unwrap().to_owned();
    shop.tell(&config, "CREATE USER shop IDENTIFIED BY 'it''s @ secret'").await;
    let grant = |rights: &str| format!("GRANT {rights} ON {database}.* TO shop");
    shop.tell(&config, &grant("SELECT, INSERT, UPDATE")).await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("password");
    std::fs::write(&file, "it's @ secret\n").unwrap();
    let url = config.url.replace("root@", "shop@");
    let shops = Config { url, password_file: Some(file), ..config.clone() };
    let store = MySql::new(shops.clone());
    store.stock(vec![change(1, "phone", true, 10)]).await.unwrap();
    assert!(matches!(store.place(vec![order(1, 1)]).await[0], Placement::Placed { .. }));
    assert_eq!(store.void(vec![order(2, 1)]).await, [Found::Voided]);
    shop.tell(&config, &format!("REVOKE UPDATE ON {database}.* FROM shop")).await;
    // A connection keeps the rights that it began with.
    let store = MySql::new(shops.clone());
    let denied = store.place(vec![order(3, 1), order(4, 1)]).await;
    for placement in denied {
        let Placement::Later(later) = placement else { panic!("{placement:?}") };
        assert_eq!(later.cause, LaterCause::Misconfigured, "{later:?}");
        assert!(later.reason.contains("1142"), "{later:?}");
    }
    shop.tell(&config, &grant("UPDATE")).await;
    let store = MySql::new(shops);
    assert!(matches!(store.place(vec![order(3, 1)]).await[0], Placement::Placed { .. }));
    assert_eq!(store.stock_rows().await.unwrap()[0].available, 8);
}

#[cfg(feature = "tls")]
#[tokio::test]
async fn by_tls_it_speaks_to_the_right_server_or_to_none() {
    let directory = tempfile::tempdir().unwrap();
    let certificate = |name| {
        forebay_loadtest::certificate::certificate(directory.path(), name, "IP:127.0.0.1").unwrap()
    };
    let (theirs, ours) = (certificate("theirs"), certificate("ours"));
    let argument = |name: &str, file: &std::path::Path| format!("--{name}={}", file.display());
    let (cert, key) = (argument("ssl-cert", &theirs.0), argument("ssl-key", &theirs.1));
    let shop = Shop::start(&[&cert, &key]).await;
    let clear = shop.config().await;
    shop.tell(&clear, "CREATE USER secure REQUIRE SSL").await;
    shop.tell(&clear, "GRANT SELECT, INSERT, UPDATE ON *.* TO secure").await;
    let url = clear.url.replace("root@", "secure@");
    let secure = Config { url, tls: true, ca_file: Some(theirs.0), ..clear.clone() };
    assert_eq!(MySql::new(secure.clone()).look().await.unwrap(), [""; 0]);
    let told = async |config: Config| {
        let error = MySql::new(config).look().await.unwrap_err();
        assert_eq!(error.cause, LaterCause::Misconfigured, "{error}");
        error.reason
    };
    assert!(told(Config { tls: false, ca_file: None, ..secure.clone() }).await.contains("1045"));
    assert!(told(Config { ca_file: Some(ours.0), ..secure.clone() }).await.contains("TLS"));
    assert!(told(Config { ca_file: None, ..secure.clone() }).await.contains("TLS"));
    let url = secure.url.replace("127.0.0.1", "localhost");
    assert!(told(Config { url, ..secure.clone() }).await.contains("TLS"), "a wrong name");
    let plain = Shop::start(&["--skip-ssl"]).await;
    let config = Config { tls: true, ca_file: secure.ca_file, ..plain.config().await };
    assert!(told(config).await.contains("speaks no TLS"));
}

#[tokio::test]
async fn what_buyers_write_comes_back_byte_by_byte_and_times_are_utc() {
    let shop = Shop::start(&[
        "--character-set-server=latin1",
        "--skip-character-set-client-handshake",
        "--completion-type=CHAIN",
        "--default-time-zone=+08:00",
        "--sql-mode=ANSI_QUOTES,NO_BACKSLASH_ESCAPES",
    ])
    .await;
    let config = shop.config().await;
    let store = MySql::new(config.clone());
    store.stock(vec![change(1, "phone", true, 10)]).await.unwrap();
    let odd = [
        "it's",
        "\\",
        "\\'; DROP TABLE forebay_orders; -- ",
        "中文 😀",
        "\"q\" %s ? :a",
        "trailing ",
        "x\u{301}",
    ];
    let mut orders = Vec::new();
    for (sequence, buyer) in (1..).zip(odd) {
        let mut order = order(sequence, 1);
        order.buyer = crate::order::Buyer::new(buyer.as_bytes()).unwrap();
        order.payload = serde_json::to_vec(buyer).unwrap().into();
        order.accepted_at = "2026-11-27T02:00:00.000001Z".parse().unwrap();
        order.attempted_at = "2026-11-27T02:00:01.250000Z".parse().unwrap();
        orders.push(order);
    }
    let placed = store.place(orders.clone()).await;
    assert!(placed.iter().all(|one| matches!(one, Placement::Placed { .. })), "{placed:?}");
    let rows = store.order_rows(None).await.unwrap().rows;
    let buyers: Vec<&str> = rows.iter().map(|row| row.buyer.as_str()).collect();
    assert_eq!(buyers, odd);
    assert!(rows.iter().all(|row| row.attempted_at == orders[0].attempted_at), "{rows:?}");
    let read: Vec<(Vec<u8>, String, String)> = ask(&shop, &config, "SELECT CAST(payload AS BINARY), CAST(accepted_at AS CHAR), IF(ABS(TIMESTAMPDIFF(SECOND, created_at, UTC_TIMESTAMP())) < 600, 'now', 'else') FROM forebay_orders ORDER BY ticket_id").await;
    for (order, (payload, accepted, created)) in orders.iter().zip(read) {
        assert_eq!(payload, order.payload);
        assert_eq!((accepted.as_str(), created.as_str()), ("2026-11-27 02:00:00.000001", "now"));
    }
}

#[tokio::test]
async fn a_row_that_the_tables_do_not_take_falls_out_alone() {
    let shop = Shop::start(&[]).await;
    let config = shop.config().await;
    // Rules of the shop's own: one that refuses for good, and one that may be another's fault.
    shop.tell(&config, "ALTER TABLE forebay_orders ADD CONSTRAINT few CHECK (quantity < 50)").await;
    shop.tell(&config, "CREATE TRIGGER picky BEFORE INSERT ON forebay_orders FOR EACH ROW IF NEW.buyer = 'buyer-7' THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'not today'; END IF").await;
    let store = MySql::new(config);
    store.stock(vec![change(1, "phone", true, 1_000), change(2, "case", true, 1)]).await.unwrap();
    let mut orders: Vec<_> = (1..=30).map(|sequence| order(sequence, 1)).collect();
    orders[10] = order(11, 60);
    orders[20] = order_of(21, &[("phone", 1), ("ghost", 1)]);
    orders[29] = order_of(30, &[("phone", 1), ("case", 2)]);
    let placed = store.place(orders.clone()).await;
    for (at, one) in placed.iter().enumerate() {
        match (at, one) {
            (10, Placement::Refused { reason }) => assert!(reason.contains("4025"), "{reason}"),
            (20 | 29, Placement::Refused { reason }) => assert_eq!(reason, "sold_out_at_store"),
            (6, Placement::Later(later)) => {
                assert_eq!(later.cause, LaterCause::ThisOrder);
                assert!(later.reason.contains("not today"), "{later:?}");
            }
            (at, Placement::Placed { .. }) => assert!(![6, 10, 20, 29].contains(&at)),
            other => panic!("S3: {other:?}"),
        }
    }
    let again = store.place(orders).await;
    assert_eq!(again, placed, "S1");
    let left: Vec<_> = store.stock_rows().await.unwrap().iter().map(|row| row.available).collect();
    assert_eq!(left, [1, 1_000 - 26], "a case, and all phones that were not placed");
}

#[tokio::test]
async fn rows_that_others_took_away_or_spoilt_are_told_and_nothing_is_half_done() {
    let shop = Shop::start(&[]).await;
    let config = shop.config().await;
    let store = MySql::new(config.clone());
    store.stock(vec![change(1, "phone", true, 10)]).await.unwrap();
    assert!(matches!(store.place(vec![order(1, 1)]).await[0], Placement::Placed { .. }));
    shop.tell(&config, "DELETE FROM forebay_stock").await;
    let error = store.stock(vec![change(2, "phone", false, 5)]).await.unwrap_err();
    assert_eq!(error.cause, LaterCause::Misconfigured);
    assert!(error.reason.contains("has no row of sale"), "{error}");
    let noted = "SELECT MAX(operation) FROM forebay_stock_ops";
    assert_eq!(ask::<u64>(&shop, &config, noted).await, [1], "it is not noted as done");
    shop.tell(&config, "ALTER TABLE forebay_orders MODIFY attempted_at DATETIME(6)").await;
    shop.tell(&config, "UPDATE forebay_orders SET attempted_at = NULL").await;
    let error = store.order_rows(None).await.unwrap_err();
    assert_eq!(error.cause, LaterCause::Misconfigured, "{error}");
}

#[tokio::test]
async fn connections_are_few_and_a_dead_one_is_no_failure() {
    let mut shop = Shop::start(&[]).await;
    let config = Config {
        connections: 2,
        timeout: crate::units::Span(std::time::Duration::from_millis(300)),
        ..shop.config().await
    };
    let store = Arc::new(MySql::new(config.clone()));
    store.stock(vec![change(1, "phone", true, 1_000)]).await.unwrap();
    let calls = (1..=8).map(|sequence| {
        let store = Arc::clone(&store);
        async move { store.place(vec![order(sequence, 1)]).await.remove(0) }
    });
    let placed = futures_util::future::join_all(calls).await;
    assert!(placed.iter().all(|one| matches!(one, Placement::Placed { .. })), "{placed:?}");
    let others = "SELECT COUNT(*) FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID()";
    assert_eq!(ask::<u64>(&shop, &config, others).await, [2]);
    // All that lay idle are ended by the server.
    let ids: Vec<u64> = ask(&shop, &config, "SELECT id FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID()").await;
    for id in ids {
        shop.tell(&config, &format!("KILL CONNECTION {id}")).await;
    }
    assert!(matches!(store.place(vec![order(20, 1)]).await[0], Placement::Placed { .. }));
    // Also where there is place for one only.
    let alone = MySql::new(Config { connections: 1, ..config.clone() });
    assert!(matches!(alone.place(vec![order(21, 1)]).await[0], Placement::Placed { .. }));
    let all = "SELECT id FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID()";
    for id in ask::<u64>(&shop, &config, all).await {
        shop.tell(&config, &format!("KILL CONNECTION {id}")).await;
    }
    let found = alone.void(vec![order(21, 1), order(22, 1)]).await;
    assert!(matches!(found[..], [Found::Placed { .. }, Found::Voided]), "{found:?}");
    shop.server.kill().await.unwrap();
    shop.server.start_again().await.unwrap();
    let found = store.find(vec![order(20, 1).ticket, order(23, 1).ticket]).await;
    assert!(matches!(found[..], [Found::Placed { .. }, Found::NotThere]), "{found:?}");
    // Nobody waits for ever for one that is not given back.
    let mut holder = shop.server.connect(config.url.rsplit('/').next()).await.unwrap();
    mysql_async::prelude::Queryable::query_drop(&mut holder, "LOCK TABLES forebay_orders WRITE")
        .await
        .unwrap();
    let waits = (30..=31).map(|sequence| {
        let store = Arc::clone(&store);
        tokio::spawn(async move { store.place(vec![order(sequence, 1)]).await.remove(0) })
    });
    let waits: Vec<_> = waits.collect();
    let waiting = "SELECT COUNT(*) FROM information_schema.processlist WHERE db = DATABASE() AND state LIKE 'Waiting for table%'";
    while ask::<u64>(&shop, &config, waiting).await != [2] {}
    let Found::Unknown { reason: refused } = store.find(vec![order(40, 1).ticket]).await.remove(0)
    else {
        panic!("a connection was free")
    };
    assert!(refused.contains("all 2 connections"), "{refused}");
    mysql_async::prelude::Queryable::query_drop(&mut holder, "UNLOCK TABLES").await.unwrap();
    for wait in waits {
        assert!(matches!(wait.await.unwrap(), Placement::Placed { .. }));
    }
}

#[tokio::test]
async fn a_server_that_is_away_takes_nothing_and_loses_nothing() {
    let mut shop = Shop::start(&[]).await;
    let config = shop.config().await;
    let store = MySql::new(config.clone());
    store.stock(vec![change(1, "phone", true, 10)]).await.unwrap();
    for make_full in ["SET GLOBAL read_only = 1", "SET GLOBAL max_connections = 10"] {
        shop.tell(&config, make_full).await;
    }
    // A user that read_only binds.
    shop.tell(&config, "CREATE USER plain").await;
    let database = config.url.rsplit('/').next().unwrap();
    shop.tell(&config, &format!("GRANT SELECT, INSERT, UPDATE ON {database}.* TO plain")).await;
    let plain = MySql::new(Config { url: config.url.replace("root@", "plain@"), ..config.clone() });
    let answer = plain.place(vec![order(1, 1)]).await.remove(0);
    let Placement::Later(later) = answer else { panic!("{answer:?}") };
    assert!(later.cause == LaterCause::Misconfigured && later.reason.contains("1290"), "{later:?}");
    shop.tell(&config, "SET GLOBAL read_only = 0").await;
    assert!(matches!(plain.place(vec![order(1, 1)]).await[0], Placement::Placed { .. }));
    shop.server.kill().await.unwrap();
    let answer = store.place(vec![order(2, 1)]).await.remove(0);
    let Placement::Later(later) = answer else { panic!("{answer:?}") };
    assert_eq!(later.cause, LaterCause::StoreAway, "{later:?}");
    shop.server.start_again().await.unwrap();
    assert!(matches!(store.place(vec![order(1, 1)]).await[0], Placement::Placed { .. }));
    assert_eq!(store.stock_rows().await.unwrap()[0].available, 9, "placed once");
}
