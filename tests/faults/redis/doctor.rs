//! `forebay doctor` before a server that would lose orders in the sale, or refuse them: what is wrong is named, with
//! what to do, and the exit code says that it is a dependency's fault.

use forebay_loadtest::redis::{Aof, Options, Redis};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::super::doctor::Seen;
use super::super::rig::until;
use super::plant_at;

/// What the doctor says of a server at this address, with these settings besides.
async fn asked(url: &str, settings: &[&str]) -> Seen {
    let plant = settings.iter().fold(plant_at(url), |plant, setting| plant.set(setting));
    Seen::of(&plant).await
}

/// That it is a server's fault, and what is said of it.
fn fails(seen: &Seen, words: &[&str]) {
    assert_eq!(seen.code, Some(4), "{:#?}", seen.checks);
    words.iter().for_each(|word| seen.is("ledger", "fail", word));
}

fn passes(seen: &Seen, grade: &str, word: &str) {
    assert_eq!(seen.code, Some(0), "{:#?}", seen.checks);
    seen.is("ledger", grade, word);
}

const MEMORY: u64 = 64 << 20;

fn well() -> Options {
    Options { maxmemory: Some(MEMORY), ..Options::default().aof(Aof::EverySecond) }
}

#[tokio::test]
async fn a_server_that_would_throw_orders_away_or_is_a_copy_fails() {
    let redis = Redis::start(&well()).await.unwrap();
    let seen = asked(&redis.url(), &[]).await;
    passes(&seen, "ok", "accepted orders survive the death of Redis");
    let graded = |grade: &str| seen.checks.iter().filter(|check| check["grade"] == grade).count();
    assert_eq!(graded("fail"), 0, "{:#?}", seen.checks);
    seen.is("ledger", "ok", "not loaded yet: the first gateway loads it");

    redis.ask(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]).await.unwrap();
    let words = ["maxmemory-policy allkeys-lru", "Set maxmemory-policy noeviction"];
    fails(&asked(&redis.url(), &[]).await, &words);
    redis.ask(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]).await.unwrap();
    redis.ask(&["CONFIG", "SET", "maxmemory", "0"]).await.unwrap();
    passes(&asked(&redis.url(), &[]).await, "warn", "set maxmemory");

    let copies = Options { replica_of: Some(redis.address()), ..well() };
    let replica = Redis::start(&copies).await.unwrap();
    fails(&asked(&replica.url(), &[]).await, &["url must name the primary"]);
}

#[tokio::test]
async fn a_level_that_the_server_does_not_give_fails() {
    let disk = "ledger.redis.durability=disk";
    let redis = Redis::start(&Options { aof: Aof::Off, ..well() }).await.unwrap();
    passes(&asked(&redis.url(), &[]).await, "warn", "a restart loses what waits");
    fails(&asked(&redis.url(), &[disk]).await, &["no append-only file", "set appendonly yes"]);
    redis.ask(&["CONFIG", "SET", "appendonly", "yes"]).await.unwrap();
    redis.ask(&["CONFIG", "SET", "appendfsync", "always"]).await.unwrap();
    passes(&asked(&redis.url(), &[disk]).await, "ok", "accepted orders survive a power cut");

    let replicated = "ledger.redis.durability=replicated";
    let alone = asked(&redis.url(), &[replicated]).await;
    fails(&alone, &["0 replicas", "1 replica must follow it"]);
    let copies = Options { replica_of: Some(redis.address()), ..Options::default() };
    let _replica = Redis::start(&copies).await.unwrap();
    until("the replica follows", async || {
        let info = redis.ask(&["INFO", "replication"]).await.unwrap().text();
        info.contains("state=online").then_some(())
    })
    .await;
    passes(&asked(&redis.url(), &[replicated]).await, "ok", "1 replica");
    let two = asked(&redis.url(), &[replicated, "ledger.redis.replicas=2"]).await;
    fails(&two, &["1 replica:", "2 replicas must follow it"]);
}

/// The rights of the shipped user, with some taken away.
fn user(name: &str, but: &str) -> String {
    format!(
        "user {name} on nopass resetchannels -@all ~{{forebay}}:* ~{{forebay:*}}:* +@hash +@set +@sortedset +@list \
         +@stream -@blocking +@connection -@dangerous +exists +type +del +unlink +time +info +role +config|get +fcall \
         +fcall_ro +function|list +function|load {but}\n"
    )
}

#[tokio::test]
async fn a_user_who_may_not_what_every_gateway_must_fails_by_the_command() {
    let lacking = [
        ("no-functions", "-fcall", "FCALL forebay_doctor"),
        ("no-streams", "-@stream", "XADD {forebay}:doctor"),
        ("no-time", "-time", "TIME"),
        ("no-lists", "-@list", "LTRIM {forebay:00000000}:doctor"),
        ("no-sales", "resetkeys ~{forebay}:*", "HGET {forebay:00000000}:doctor"),
        ("no-library", "-function|load", "this user may not load it"),
    ];
    let mut users: String = lacking.iter().map(|(name, but, _)| user(name, but)).collect();
    users += &(user("all", "") + &user("curious", "-config|get") + "user default off\n");
    let redis = Redis::start(&Options { users: Some(users), ..well() }).await.unwrap();
    let at = |user: &str| format!("redis://{user}:any@{}", redis.address());
    for (name, _, word) in lacking {
        let seen = asked(&at(name), &[]).await;
        fails(&seen, &[word]);
        let advice =
            if name == "no-library" { "start one gateway" } else { "config/redis-acl.conf" };
        seen.is("ledger", "fail", advice);
    }
    let seen = asked(&at("all"), &["ledger.redis.durability=replicated"]).await;
    assert!(!seen.checks.iter().any(|check| check["found"].to_string().contains("may not")));
    passes(&asked(&at("curious"), &[]).await, "warn", "may not ask: CONFIG GET appendfsync");
    let keys = redis.ask(&["DBSIZE"]).await.unwrap();
    assert_eq!(keys.number(), Some(0), "it looks and leaves nothing");
}

#[tokio::test]
async fn a_password_that_is_wrong_or_missing_fails_and_is_not_shown() {
    let redis = Redis::start(&well().line("requirepass hunter2")).await.unwrap();
    let plant = plant_at(&redis.url());
    let file = plant.path().join("password");
    std::fs::write(&file, "hunter3\n").unwrap();
    let wrong = plant.clone().set(&format!("ledger.redis.password_file={}", file.display()));
    for plant in [wrong, plant] {
        let seen = Seen::of(&plant).await;
        fails(&seen, &[&redis.address().to_string(), "password_file"]);
        assert!(!format!("{:?}", seen.checks).contains("hunter"), "{:#?}", seen.checks);
    }
}

/// Accepts connections, and answers whatever it is asked with these bytes, or with silence.
async fn stranger(says: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut asked = [0; 1_024];
                while matches!(stream.read(&mut asked).await, Ok(read) if read > 0) {
                    let _ = stream.write_all(says).await;
                }
            });
        }
    });
    address.to_string()
}

#[tokio::test]
async fn what_is_not_redis_fails_and_is_not_waited_for() {
    let web = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    for says in [&web[..], b"", b"SSH-2.0-OpenSSH_9.2\r\n"] {
        let address = stranger(says).await;
        let seen = asked(&format!("redis://{address}"), &[]).await;
        fails(&seen, &[&address, "[ledger.redis] url", "Redis"]);
    }
}
