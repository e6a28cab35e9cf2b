//! The server's password is another one: refused with the reason, taken from the file, and never shown.

use forebay_loadtest::redis::{Options, Redis};

use super::{Crowded, is_ready, is_unready, plant_at, taken, until_refused};

const FIRST: &str = "hunter2-first";
const SECOND: &str = "hunter2-second";

#[tokio::test]
async fn a_password_that_was_changed_is_read_from_its_file_again() {
    let users = Some(format!("user default on >{FIRST} ~* &* +@all"));
    let redis = Redis::start(&Options { users, ..Options::default() }).await.unwrap();
    let plant = plant_at(&redis.url());
    let file = plant.path().join("password");
    let write = |password: &str| {
        std::fs::write(file.with_extension("new"), password).unwrap();
        std::fs::rename(file.with_extension("new"), &file).unwrap();
    };
    write("hunter2-wrong");
    let plant = plant.set(&format!("ledger.redis.password_file={}", file.display()));
    let gateway = plant.start().await;
    is_unready(&gateway, "AuthenticationFailed").await;
    write(FIRST);
    is_ready(&gateway).await;
    gateway.sale("one", 100).await;
    gateway.sale("two", 100).await;
    let crowd = Crowded::of("one");
    crowd.order(&gateway, 0..20).await;

    redis.ask(&["ACL", "SETUSER", "default", "resetpass", &format!(">{SECOND}")]).await.unwrap();
    redis.ask(&["CLIENT", "KILL", "USER", "default"]).await.unwrap();
    is_unready(&gateway, "AuthenticationFailed").await;
    let answer = until_refused(&gateway, "AuthenticationFailed").await;
    assert!(!answer.body.contains("hunter2"), "{answer:?}");
    let (_, document) = gateway.ready().await;
    assert!(!document.to_string().contains("hunter2"), "{document}");
    write(SECOND);
    is_ready(&gateway).await;
    taken(&gateway, "two", "ann").await;
    crowd.order(&gateway, 20..40).await;
    assert_eq!(crowd.proves(&gateway).await.census.unwrap().placed, 40);
    let ended = gateway.stop().await;
    assert!(!ended.said.contains("hunter2"), "{}", ended.said);
    ended.well();
}
