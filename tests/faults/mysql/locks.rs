//! Others use the same server: they hold rows, kill connections, take all places, and fill the disk.

use mysql_async::prelude::Queryable;

use super::super::crowded::Crowded;
use super::super::rig::{Engine, pass, until};
use super::{DATABASE, SHORT, Stand, all_placed, placed, told};

const ORDERS: u64 = 800;

#[tokio::test]
async fn a_stock_row_that_somebody_else_holds_kills_no_order() {
    let stand = Stand::new().await.set("drain.attempt_timeout=5s").set("drain.lease=10s");
    let gateway = stand.open(10_000).await;
    let crowd = Crowded::of("one");
    crowd.order(&gateway, 0..10).await;
    placed(&gateway, 10).await;
    let mut holder = stand.server.connect(Some(DATABASE)).await.unwrap();
    holder.query_drop("START TRANSACTION").await.unwrap();
    holder.query_drop("UPDATE forebay_stock SET available = available").await.unwrap();
    holder.query_drop("SELECT * FROM forebay_stock FOR UPDATE").await.unwrap();
    crowd.order(&gateway, 10..ORDERS).await;
    told(&gateway, "1205").await;
    holder.query_drop("ROLLBACK").await.unwrap();
    all_placed(gateway, &crowd, ORDERS).await;
}

#[tokio::test]
async fn deadlocks_are_tried_again_at_once() {
    let stand = Stand::new().await;
    let gateway = stand.open(10_000).await;
    gateway.admin().create_sale("two", "case", 10_000, None).await.unwrap();
    let crowd = Crowded::of("one");
    let sending = crowd.ordering(&gateway, 0..ORDERS);
    placed(&gateway, 1).await;
    // A transaction that takes newest orders first and the stock row then, as no drain does.
    let mut other = stand.server.connect(Some(DATABASE)).await.unwrap();
    let mut deadlocks = 0;
    while !sending.is_finished() {
        let crossing = async {
            other.query_drop("START TRANSACTION").await?;
            other.query_drop("SELECT * FROM forebay_stock LOCK IN SHARE MODE").await?;
            other.query_drop("UPDATE forebay_stock SET initial = initial + 0, sale = sale").await?;
            other.query_drop("SELECT COUNT(*) FROM forebay_orders LOCK IN SHARE MODE").await?;
            other.query_drop("COMMIT").await
        };
        let crossed: Result<(), mysql_async::Error> = crossing.await;
        deadlocks += u64::from(crossed.is_err());
    }
    sending.await.unwrap();
    let server: Vec<(String, u64)> = stand.ask("SHOW GLOBAL STATUS LIKE 'Innodb_deadlocks'").await;
    assert!(server[0].1 > 0, "there was one: {server:?}, {deadlocks} of them ours");
    all_placed(gateway, &crowd, ORDERS).await;
}

#[tokio::test]
async fn connections_that_an_administrator_kills_in_the_middle_lose_nothing() {
    let stand = Stand::new().await;
    let gateway = stand.open(10_000).await;
    let crowd = Crowded::of("one");
    let sending = crowd.ordering(&gateway, 0..ORDERS);
    placed(&gateway, 1).await;
    let mut killed = 0;
    while !sending.is_finished() {
        let ids: Vec<u64> =
            stand.ask("SELECT id FROM information_schema.processlist WHERE user = 'forebay'").await;
        for id in ids {
            let done = stand.server.tell(None, &format!("KILL CONNECTION {id}")).await;
            killed += u64::from(done.is_ok());
        }
    }
    sending.await.unwrap();
    assert!(killed > 0);
    all_placed(gateway, &crowd, ORDERS).await;
}

#[tokio::test]
async fn a_server_without_a_connection_left_is_waited_for_and_never_asked_for_more_than_is_allowed()
{
    let stand = Stand::of(Engine::Embedded, &["--max-connections=10"])
        .await
        .set("store.mysql.connections=3");
    let gateway = stand.open(10_000).await;
    let crowd = Crowded::of("one");
    crowd.order(&gateway, 0..200).await;
    placed(&gateway, 200).await;
    let most = "SELECT COUNT(*) FROM information_schema.processlist WHERE user = 'forebay'";
    assert!(stand.ask::<u64>(most).await[0] <= 3);
    stand.proxy.reset();
    until("its connections are gone", async || (stand.ask::<u64>(most).await == [0]).then_some(()))
        .await;
    let mut held = Vec::new();
    while let Ok(connection) = stand.server.connect(None).await {
        held.push(connection);
    }
    crowd.order(&gateway, 200..400).await;
    told(&gateway, "1040").await;
    pass(SHORT).await;
    for connection in held {
        connection.disconnect().await.unwrap();
    }
    all_placed(gateway, &crowd, 400).await;
}

#[tokio::test]
async fn a_server_that_is_full_is_waited_for() {
    // All tables in one file that grows no further.
    let file = |most: &str| format!("--innodb-data-file-path=ibdata1:12M:autoextend:max:{most}");
    let mut stand =
        Stand::of(Engine::Embedded, &["--skip-innodb-file-per-table", &file("20M")]).await;
    stand.tell("CREATE TABLE ballast (id INT AUTO_INCREMENT PRIMARY KEY, fill BLOB)").await;
    let gateway = stand.open(10_000).await;
    let crowd = Crowded::of("one");
    crowd.order(&gateway, 0..10).await;
    placed(&gateway, 10).await;
    let fill = "INSERT INTO ballast (fill) VALUES (REPEAT('x', 60000))";
    while stand.server.tell(Some(DATABASE), fill).await.is_ok() {}
    crowd.order(&gateway, 10..ORDERS).await;
    told(&gateway, "1114").await;
    let census = gateway.admin().census("one").await.unwrap();
    assert_eq!((census.dead, census.refused), (0, 0), "{census:?}");
    stand.server.kill().await.unwrap();
    let more_room = ["--skip-innodb-file-per-table", &file("200M")];
    stand.server.start_again_with(&more_room).await.unwrap();
    all_placed(gateway, &crowd, ORDERS).await;
}
