//! Orders through apalis with Redis into the shop's tables: `enqueue FILE` puts the orders of a file, one JSON document
//! a line, into the queue; `work` carries them, a transaction an order, as a shop would write it.

use std::env;
use std::io::Write as _;
use std::time::Duration;

use apalis::prelude::*;
use apalis_redis::{Config, RedisStorage};
use mysql_async::prelude::Queryable;
use mysql_async::{OptsBuilder, Pool, PoolConstraints, PoolOpts, TxOpts, params};
use serde::{Deserialize, Serialize};
use tokio::signal::unix::{SignalKind, signal};

/// Orders of one push, and of one fetch.
const CHUNK: usize = 100;
/// How soon an idle worker sees that there is work again.
const IDLE: Duration = Duration::from_millis(50);
/// MySQL and MariaDB: a key is there already.
const DUPLICATE: u16 = 1062;

const INSERT: &str = "INSERT INTO forebay_orders (ticket_id, line, sale, sale_no, order_no, sku, buyer, quantity, state, \
                      payload, epoch, sequence, attempt, accepted_at, attempted_at) VALUES (:ticket, 1, :sale, :sale_no, \
                      :order_no, :sku, :buyer, :quantity, 'placed', :payload, 1, :sequence, 1, :accepted_at, \
                      UTC_TIMESTAMP(6))";
const TAKE: &str = "UPDATE forebay_stock SET available = available - :quantity \
                    WHERE sale_no = :sale_no AND sku = :sku AND available >= :quantity";

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Order {
    ticket: String,
    sale: String,
    sale_no: u32,
    order_no: String,
    sku: String,
    buyer: String,
    quantity: u32,
    payload: String,
    sequence: u64,
    accepted_at: String,
}

#[tokio::main]
async fn main() -> Result<(), BoxDynError> {
    let mut arguments = env::args().skip(1);
    match (arguments.next().as_deref(), arguments.next()) {
        (Some("enqueue"), Some(file)) => enqueue(&file).await,
        (Some("work"), None) => work().await,
        _ => Err("enqueue FILE, or work".into()),
    }
}

async fn storage() -> Result<RedisStorage<Order>, BoxDynError> {
    let redis =
        apalis_redis::connect(format!("redis://127.0.0.1:{}", env::var("REDIS_PORT")?)).await?;
    // An order takes milliseconds, so that its lease would never be renewed, and nobody listens to events.
    let config =
        Config::default().queue("orders").batch_size(CHUNK).lock_tasks(false).emit_events(false);
    Ok(RedisStorage::new(redis).with_config(config))
}

async fn enqueue(file: &str) -> Result<(), BoxDynError> {
    let mut storage = storage().await?;
    let orders = std::fs::read_to_string(file)?;
    let orders: Vec<Order> = orders.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    for chunk in orders.chunks(CHUNK) {
        storage.push_bulk(chunk.to_vec()).await?;
    }
    Ok(())
}

async fn work() -> Result<(), BoxDynError> {
    let connections: usize = env::var("CONCURRENCY")?.parse()?;
    let held = PoolConstraints::new(connections, connections).ok_or("a pool has connections")?;
    // What a connection has prepared stays prepared: a transaction that is given up is rolled back anyway.
    let pool = PoolOpts::default().with_constraints(held).with_reset_connection(false);
    let options = OptsBuilder::default()
        .ip_or_hostname("127.0.0.1")
        .tcp_port(env::var("MYSQL_PORT")?.parse()?)
        .prefer_socket(false)
        .user(Some("root"))
        .db_name(Some(env::var("DATABASE")?))
        .pool_opts(pool);
    // Two workers of one name would be one.
    let worker = WorkerBuilder::new(format!("orders-{}", std::process::id()))
        .backend(storage().await?.poll_with_interval(IDLE))
        .data(Pool::new(options))
        .concurrency(connections)
        .build(place);
    let mut terminated = signal(SignalKind::terminate())?;
    std::io::stderr().write_all(b"ready\n")?;
    worker
        .run_until(async move {
            terminated.recv().await;
            Ok::<(), WorkerError>(())
        })
        .await?;
    Ok(())
}

async fn place(order: Order, pool: Data<Pool>) -> Result<(), BoxDynError> {
    match placed(&order, &pool).await {
        // The order is there: an earlier attempt placed it.
        Err(mysql_async::Error::Server(error)) if error.code == DUPLICATE => Ok(()),
        Ok(true) => Ok(()),
        Ok(false) => Err(format!("{} is sold out", order.sku).into()),
        Err(error) => Err(error.into()),
    }
}

/// Whether there was one left. A transaction that is dropped is rolled back.
async fn placed(order: &Order, pool: &Pool) -> Result<bool, mysql_async::Error> {
    let mut transaction = pool.start_transaction(TxOpts::default()).await?;
    let row = params! {
        "ticket" => &order.ticket,
        "sale" => &order.sale,
        "sale_no" => order.sale_no,
        "order_no" => &order.order_no,
        "sku" => &order.sku,
        "buyer" => &order.buyer,
        "quantity" => order.quantity,
        "payload" => &order.payload,
        "sequence" => order.sequence,
        "accepted_at" => &order.accepted_at,
    };
    transaction.exec_drop(INSERT, row).await?;
    let taken = params! {
        "quantity" => order.quantity,
        "sale_no" => order.sale_no,
        "sku" => &order.sku,
    };
    transaction.exec_drop(TAKE, taken).await?;
    if transaction.affected_rows() != 1 {
        transaction.rollback().await?;
        return Ok(false);
    }
    transaction.commit().await?;
    Ok(true)
}
