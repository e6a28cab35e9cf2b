//! What a real server says when it takes nothing: each refusal is provoked and its code is read.

use std::time::Duration;

use anyhow::{Context, bail};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error};
use tokio::time::timeout;

use super::server::{Measured, SALE_NO, sku};

/// A code that the client makes up when a connection breaks before the answer.
pub const LOST: u16 = 2013;
/// What a wait that has no end of its own may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);

/// Provokes each refusal once: what was done, and the code that the client got.
///
/// # Errors
/// When the server does not refuse.
pub async fn provoked(server: &Measured) -> anyhow::Result<Vec<(&'static str, u16)>> {
    server.empty(2).await?;
    Ok(vec![
        ("more connections than it takes", connections(server).await?),
        ("a ticket that is there", duplicate(server).await?),
        ("a row lock waited for too long", lock_wait(server).await?),
        ("two rows locked in opposite order", deadlock(server).await?),
        ("the connection broken before the answer", broken(server).await?),
    ])
}

fn code<T>(answer: Result<T, Error>) -> anyhow::Result<u16> {
    match answer {
        Ok(_) => bail!("the server does not refuse it"),
        Err(Error::Server(error)) => Ok(error.code),
        // Of a broken connection there is no answer: client libraries call that 2013.
        Err(Error::Io(_) | Error::Driver(_)) => Ok(LOST),
        Err(other) => Err(other.into()),
    }
}

async fn connections(server: &Measured) -> anyhow::Result<u16> {
    let mut operator = server.shop().await?;
    // The least that it can be set to.
    operator.query_drop("SET GLOBAL max_connections = 10").await?;
    let mut held = Vec::new();
    let refused = loop {
        match server.shop().await {
            Ok(connection) if held.len() < 20 => held.push(connection),
            answer => break code(answer)?,
        }
    };
    let back = format!("SET GLOBAL max_connections = {}", super::server::CONNECTIONS_MAX);
    operator.query_drop(back).await?;
    for connection in held.into_iter().chain([operator]) {
        connection.disconnect().await?;
    }
    Ok(refused)
}

async fn duplicate(server: &Measured) -> anyhow::Result<u16> {
    let mut connection = server.shop().await?;
    let insert = format!(
        "INSERT INTO forebay_orders (ticket_id, line, sale, sale_no, buyer, state, epoch, sequence, attempt, \
         accepted_at, attempted_at) VALUES ('ticket', 1, 'sale', {SALE_NO}, 'buyer', 'void', 1, 1, 1, NOW(6), NOW(6))"
    );
    connection.query_drop(&insert).await?;
    code(connection.query_drop(&insert).await)
}

fn decrement(row: u32) -> String {
    format!(
        "UPDATE forebay_stock SET available = available - 1 \
         WHERE sale_no = {SALE_NO} AND sku = '{}' AND available >= 1",
        sku(row)
    )
}

async fn holding(server: &Measured, row: u32) -> anyhow::Result<Conn> {
    let mut connection = server.shop().await?;
    connection.query_drop("START TRANSACTION").await?;
    connection.query_drop(decrement(row)).await?;
    Ok(connection)
}

async fn lock_wait(server: &Measured) -> anyhow::Result<u16> {
    let holder = holding(server, 0).await?;
    let mut waits = server.shop().await?;
    waits.query_drop("SET SESSION innodb_lock_wait_timeout = 1").await?;
    let refused = code(timeout(ANSWER_WITHIN, waits.query_drop(decrement(0))).await?)?;
    drop(holder);
    Ok(refused)
}

async fn deadlock(server: &Measured) -> anyhow::Result<u16> {
    let (mut one, mut other) = (holding(server, 0).await?, holding(server, 1).await?);
    let both = async { tokio::join!(one.query_drop(decrement(1)), other.query_drop(decrement(0))) };
    match timeout(ANSWER_WITHIN, both).await? {
        (Ok(()), Ok(())) => bail!("both transactions got the other's row"),
        (Err(error), _) | (_, Err(error)) => code::<()>(Err(error)),
    }
}

async fn broken(server: &Measured) -> anyhow::Result<u16> {
    let mut killed = server.shop().await?;
    let id = killed.id();
    let asleep = killed.query_drop("SELECT SLEEP(60)");
    let kill = async {
        let mut operator = server.shop().await?;
        let look = format!(
            "SELECT COUNT(*) FROM information_schema.processlist WHERE id = {id} AND state = 'User sleep'"
        );
        while operator.query_first::<u32, _>(&look).await?.context("a count")? == 0 {}
        operator.query_drop(format!("KILL CONNECTION {id}")).await?;
        anyhow::Ok(())
    };
    let (answer, done) = timeout(ANSWER_WITHIN, async { tokio::join!(asleep, kill) }).await?;
    done?;
    code(answer)
}
