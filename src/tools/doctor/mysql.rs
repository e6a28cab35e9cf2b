//! A MySQL or MariaDB where orders shall end: what would keep them from it, or lose them.

use std::time::Duration;

use super::Cause;
use super::Examined;
use crate::store::LaterCause;
use crate::store::mysql::Address;
use crate::store::mysql::Config;
use crate::store::mysql::MySql;

/// How long the server may take.
const PATIENCE: Duration = Duration::from_secs(5);

const NAME: &str = "store";

/// Everything about the server.
pub(super) fn server(config: &Config) -> Vec<Examined> {
    let place = Address::parse(&config.url).map_or_else(|bad| bad.to_string(), |at| at.to_string());
    let fail = |found: String, advice: &str| {
        vec![Examined::fail(NAME, found, advice).because(Cause::Dependency)]
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let Ok(runtime) = runtime else { return fail("no runtime".to_owned(), "see the machine") };
    let looking = async { tokio::time::timeout(PATIENCE, MySql::new(config.clone()).look()).await };
    let away = "see [store.mysql] url: a gateway starts without its store, and orders wait until it is there";
    match runtime.block_on(looking) {
        Err(_) => fail(format!("MySQL at {place} does not answer"), away),
        Ok(Err(error)) if error.cause == LaterCause::Misconfigured => {
            fail(error.reason, "no order is placed there as it is: a drain would not start")
        }
        Ok(Err(error)) => fail(error.reason, away),
        Ok(Ok(doubts)) => {
            let fine = Examined::ok(
                NAME,
                format!("MySQL answers at {place}, and its tables are as they must be"),
            );
            let doubt = |doubt| {
                Examined::warn(
                    NAME,
                    doubt,
                    "set store.mysql.durability to \"strict\" to refuse such a server",
                )
            };
            std::iter::once(fine).chain(doubts.into_iter().map(doubt)).collect()
        }
    }
}
