//! The user that is shipped for Redis: what the ledger needs it may, and nothing else.

use std::path::PathBuf;

use forebay_loadtest::redis::{Options, Redis};
use forebay_loadtest::resp::{Client, Value};

/// Of `of-the-test`.
const SHA256: &str = "423c40dedf27b5b024a1a5f7c51777b4913ba395aa0e61b63898d96430988494";

const LIBRARY: &str = "#!lua name=forebay_test\n\
    redis.register_function('forebay_test_book', function(keys, args)\n\
      local key, now = keys[1], redis.call('TIME')[1]\n\
      redis.call('HSET', key .. ':h', 'a', now) redis.call('HINCRBY', key .. ':h', 'b', 1)\n\
      redis.call('HMGET', key .. ':h', 'a', 'b') redis.call('HSCAN', key .. ':h', 0)\n\
      redis.call('ZADD', key .. ':z', 1, 'a') redis.call('ZRANGEBYSCORE', key .. ':z', 0, 1)\n\
      redis.call('RPUSH', key .. ':l', 'a') redis.call('LTRIM', key .. ':l', 0, 1)\n\
      redis.call('XADD', key .. ':s', '1-1', 'a', 'b') redis.call('XTRIM', key .. ':s', 'MINID', '1')\n\
      redis.call('EXISTS', key .. ':h') redis.call('TYPE', key .. ':h')\n\
      redis.call('DEL', key .. ':z') return redis.call('UNLINK', key .. ':l') end)\n\
    redis.register_function('forebay_test_flush', function() return redis.call('FLUSHALL') end)\n\
    redis.register_function('forebay_test_stray', function(keys, args)\n\
      return redis.call('HSET', args[1], 'a', 'b') end)\n\
    redis.register_function{function_name='forebay_test_read', flags={'no-writes'},\n\
      callback=function(keys) return redis.call('HGET', keys[1] .. ':h', 'b') end}";

/// The shipped file, as it is.
fn shipped() -> String {
    let root = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo says where"));
    std::fs::read_to_string(root.join("../config/redis-acl.conf")).expect("it is shipped")
}

async fn start(users: &str) -> anyhow::Result<Redis> {
    Redis::start(&Options { users: Some(users.to_owned()), ..Options::default() }).await
}

async fn enter(redis: &Redis, user: &str) -> Client {
    let mut client = Client::connect(redis.address()).await.expect("a connection");
    client.ask(&["AUTH", user, "of-the-test"]).await.expect("the password of the test");
    client
}

async fn assert_refused(client: &mut Client, commands: &[&[&str]]) {
    for command in commands {
        let reply = client.call(command).await.expect("a reply");
        let Value::Error(error) = &reply else { panic!("{command:?} is answered {reply}") };
        // The last two: within a function, in the words of 7.0 and of later ones.
        let words = ["NOPERM", "The user executing the script can't", "ACL failure in script"];
        assert!(words.iter().any(|word| error.contains(word)), "{command:?}: {error}");
    }
}

async fn assert_allowed(client: &mut Client, commands: &[&[&str]]) {
    for command in commands {
        if let Value::Error(error) = client.call(command).await.expect("a reply") {
            panic!("{command:?}: {error}");
        }
    }
}

/// What every user of the ledger does beside loading.
const NEEDED: &[&[&str]] = &[
    &["HELLO", "3", "AUTH", "forebay", "of-the-test", "SETNAME", "forebay-1"],
    &["CLIENT", "SETNAME", "forebay-1"],
    &["PING"],
    &["SELECT", "0"],
    &["INFO"],
    &["ROLE"],
    &["TIME"],
    &["CONFIG", "GET", "appendfsync"],
    &["WAIT", "0", "1"],
    &["FUNCTION", "LIST", "LIBRARYNAME", "forebay_test"],
    &["FCALL", "forebay_test_book", "1", "{forebay}:settings"],
    &["FCALL", "forebay_test_book", "1", "{forebay:0000002a}:m"],
    &["FCALL_RO", "forebay_test_read", "1", "{forebay:0000002a}:m"],
    &["XRANGE", "{forebay:0000002a}:ev", "-", "+"],
    &["XREVRANGE", "{forebay}:ev", "+", "-", "COUNT", "1"],
];

const REFUSED: &[&[&str]] = &[
    &["FLUSHALL"],
    &["FLUSHDB"],
    &["SWAPDB", "0", "1"],
    &["KEYS", "*"],
    &["SCAN", "0"],
    &["RANDOMKEY"],
    &["CONFIG", "SET", "maxmemory", "1"],
    &["CONFIG", "REWRITE"],
    &["DEBUG", "SLEEP", "0"],
    &["SHUTDOWN", "NOSAVE"],
    &["REPLICAOF", "127.0.0.1", "1"],
    &["ACL", "LIST"],
    &["ACL", "SETUSER", "forebay", "+@all"],
    &["CLIENT", "LIST"],
    &["CLIENT", "KILL", "TYPE", "normal"],
    &["CLIENT", "PAUSE", "1"],
    &["MONITOR"],
    &["SUBSCRIBE", "a"],
    &["MODULE", "LIST"],
    &["SAVE"],
    &["EVAL", "return 1", "0"],
    &["SCRIPT", "FLUSH"],
    &["FUNCTION", "FLUSH"],
    &["FUNCTION", "DELETE", "forebay_test"],
    &["FUNCTION", "DUMP"],
    &["SORT", "{forebay}:l"],
    &["BLPOP", "{forebay}:l", "1"],
    // Keys of others, and such as only look like ours.
    &["HGETALL", "shop"],
    &["HSET", "forebay", "a", "b"],
    &["HSET", "{forebay2}:settings", "a", "b"],
    &["HSET", "{forebay}", "a", "b"],
    &["HSET", "x{forebay}:m", "a", "b"],
    &["FCALL", "forebay_test_book", "1", "{shop}:m"],
    &["FCALL", "forebay_test_stray", "0", "shop"],
    &["FCALL", "forebay_test_flush", "0"],
];

#[tokio::test]
async fn the_shipped_user_may_what_the_ledger_needs_and_nothing_else() {
    let redis = start(&shipped().replace("@PASSWORD-SHA256@", SHA256)).await.unwrap();
    let mut client = enter(&redis, "forebay").await;
    client.ask(&["FUNCTION", "LOAD", LIBRARY]).await.unwrap();
    assert_allowed(&mut client, NEEDED).await;
    // What came with 7.2.
    let info = client.ask(&["INFO", "server"]).await.unwrap().text();
    if !info.contains("redis_version:7.0") {
        let newer: [&[&str]; 2] =
            [&["CLIENT", "SETINFO", "LIB-NAME", "forebay"], &["WAITAOF", "0", "0", "1"]];
        assert_allowed(&mut client, &newer).await;
    }
    redis.ask(&["HSET", "shop", "a", "b"]).await.unwrap();
    assert_refused(&mut client, REFUSED).await;
    assert_eq!(redis.ask(&["HGETALL", "shop"]).await.unwrap().list().len(), 2);
}

#[tokio::test]
async fn where_an_operator_loads_the_library_the_gateways_cannot() {
    let text = shipped().replace("@PASSWORD-SHA256@", SHA256);
    let split: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("#user ")).collect();
    let users: String = split.iter().map(|user| format!("user {user}\n")).collect();
    let redis = start(&users).await.unwrap();
    let (mut gateway, mut operator) =
        (enter(&redis, "forebay").await, enter(&redis, "forebay-deploy").await);
    assert_refused(&mut gateway, &[&["FUNCTION", "LOAD", LIBRARY]]).await;
    operator.ask(&["FUNCTION", "LOAD", LIBRARY]).await.unwrap();
    assert_allowed(&mut gateway, NEEDED).await;
    assert_refused(&mut gateway, REFUSED).await;
    let others: [&[&str]; 3] = [
        &["FCALL", "forebay_test_book", "1", "{forebay}:settings"],
        &["HGETALL", "{forebay}:settings:h"],
        &["FUNCTION", "FLUSH"],
    ];
    assert_refused(&mut operator, &others).await;
    assert_refused(&mut operator, REFUSED).await;
}

#[tokio::test]
async fn without_a_password_the_server_does_not_start() {
    let error = start(&shipped()).await.unwrap_err().to_string();
    assert!(error.contains("user forebay on #@PASSWORD-SHA256@"), "{error}");
}
