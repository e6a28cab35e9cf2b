//! An endpoint of the shop where orders shall end: whether it can be reached.

use std::sync::Arc;
use std::time::Duration;

use super::Cause;
use super::Examined;
use crate::clock::SystemClock;
use crate::store::LaterCause;
use crate::store::StoreError;
use crate::store::http::Config;
use crate::store::http::Http;

/// How long the shop may take.
const PATIENCE: Duration = Duration::from_secs(5);

const NAME: &str = "store";

/// Connects to the shop; orders are not posted.
pub(super) fn shop(config: &Config) -> Examined {
    let fail = |found: String, advice: &str| {
        Examined::fail(NAME, found, advice).because(Cause::Dependency)
    };
    let http = match Http::new(config.clone(), Arc::new(SystemClock::new())) {
        Ok(http) => http,
        Err(bad) => {
            return Examined::fail(NAME, bad.text, "see [store.http]").because(Cause::Settings);
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let Ok(runtime) = runtime else { return fail("no runtime".to_owned(), "see the machine") };
    let looking = async { tokio::time::timeout(PATIENCE, http.look()).await };
    let at = http.address();
    match runtime.block_on(looking) {
        Ok(Ok(())) => Examined::ok(NAME, format!("the shop can be reached at {at}")),
        Ok(Err(StoreError { cause: LaterCause::Misconfigured, reason })) => {
            fail(reason, "see [store.http] url and ca_file: no order is posted there as it is")
        }
        Ok(Err(error)) => fail(error.reason, AWAY),
        Err(_) => fail(format!("{at} does not answer"), AWAY),
    }
}

const AWAY: &str =
    "see [store.http] url: a gateway starts without its store, and orders wait until it is there";
