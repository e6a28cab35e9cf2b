//! Connections: never more than the settings allow, and nobody waits for one for ever.
//!
//! The client library's own pool gives a connection back only after it has read what is still to come on it, so a
//! server that stands still takes every place of that pool. Here a call that was given up closes its connection.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder, SslOpts};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::address::Address;
use super::codes;
use super::config::Config;
use super::schema;
use crate::store::{LaterCause, StoreError};

/// How long saying good-bye to a server may take.
const CLOSE_WITHIN: Duration = Duration::from_secs(1);

/// What every connection goes by, whatever the server's defaults are: wrong values are errors and not changed, times are
/// UTC, text is UTF-8, a commit ends a transaction and begins no other, and a row or table that is not free is told before
/// an attempt's time is over.
const SETUP: &str = "SET NAMES utf8mb4; SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION', \
                     time_zone = '+00:00', autocommit = 1, completion_type = 0, sql_select_limit = DEFAULT, \
                     innodb_lock_wait_timeout = 3, lock_wait_timeout = 3";

/// The connections of a process to its store.
pub(super) struct Pool {
    config: Config,
    permits: Arc<Semaphore>,
    idle: Mutex<Vec<Conn>>,
    /// What is doubtful about the server, as of the last connection. Each was logged once.
    doubts: Mutex<Vec<String>>,
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("config", &self.config).finish_non_exhaustive()
    }
}

/// A connection for one call. Closed when it is dropped, unless it was given back.
pub(super) struct Session {
    conn: Option<Conn>,
    permit: Option<OwnedSemaphorePermit>,
    /// It was used before, and may have died since.
    pub(super) used: bool,
}

fn away(reason: impl Into<String>) -> StoreError {
    StoreError { cause: LaterCause::StoreAway, reason: reason.into() }
}

impl Pool {
    pub(super) fn new(config: Config) -> Self {
        let permits = Arc::new(Semaphore::new(config.connections as usize));
        Self { config, permits, idle: Mutex::default(), doubts: Mutex::default() }
    }

    pub(super) fn connections(&self) -> usize {
        self.config.connections as usize
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Conn>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection to tables that are as they must be.
    pub(super) async fn take(&self) -> Result<Session, StoreError> {
        let wait = self.config.timeout.0;
        let permit = timeout(wait, Arc::clone(&self.permits).acquire_owned()).await;
        let Ok(Ok(permit)) = permit else {
            let all = self.config.connections;
            return Err(away(format!("all {all} connections of [store.mysql] are in use")));
        };
        let idle = self.idle().pop();
        if let Some(conn) = idle {
            return Ok(Session { conn: Some(conn), permit: Some(permit), used: true });
        }
        let conn = timeout(wait, connect(&self.config)).await;
        let conn =
            conn.map_err(|_| away(format!("no connection within {}", self.config.timeout)))??;
        let mut session = Session { conn: Some(conn), permit: Some(permit), used: false };
        let looked = timeout(wait, schema::inspect(session.conn(), self.config.durability)).await;
        self.doubt(looked.map_err(|_| away(format!("no answer within {}", self.config.timeout)))??);
        Ok(session)
    }

    fn doubt(&self, now: Vec<String>) {
        let mut doubts = self.doubts.lock().unwrap_or_else(PoisonError::into_inner);
        for doubt in now.iter().filter(|doubt| !doubts.contains(doubt)) {
            tracing::warn!("store: {doubt}");
        }
        *doubts = now;
    }

    /// What is doubtful about the server, as of the last connection.
    pub(super) fn doubts(&self) -> Vec<String> {
        self.doubts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A connection that lay idle turned out to be dead: the others have lain as long.
    pub(super) fn forget(&self) {
        let dead = std::mem::take(&mut *self.idle());
        drop(dead);
    }

    /// Asks on a connection, and once more on a new one when one that lay idle turns out to be dead: only for what may
    /// be asked twice.
    pub(super) async fn ask<T, F>(&self, question: impl Fn(Session) -> F) -> Result<T, StoreError>
    where
        F: Future<Output = (Session, Result<T, StoreError>)>,
    {
        let (mut session, mut answer) = question(self.take().await?).await;
        let is_away = |error: &StoreError| error.cause == LaterCause::StoreAway;
        if session.used && answer.as_ref().is_err_and(is_away) {
            self.forget();
            // Its place may be the only one.
            drop(session);
            (session, answer) = question(self.take().await?).await;
        }
        if answer.is_ok() {
            self.give_back(session);
        }
        answer
    }

    /// Gives back a connection on which nothing is open.
    pub(super) fn give_back(&self, mut session: Session) {
        if let Some(conn) = session.conn.take() {
            self.idle().push(conn);
        }
    }
}

impl Session {
    /// The connection.
    #[expect(clippy::expect_used, reason = "taken only by what ends the session")]
    pub(super) fn conn(&mut self) -> &mut Conn {
        self.conn.as_mut().expect("a session has its connection")
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let (Some(conn), permit) = (self.conn.take(), self.permit.take()) else { return };
        // Its place is free only when the server was told, or could not be.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                let _ = timeout(CLOSE_WITHIN, conn.disconnect()).await;
                drop(permit);
            });
        }
    }
}

/// Opens a connection, without a look at the tables.
pub(super) async fn connect(config: &Config) -> Result<Conn, StoreError> {
    let misconfigured = |reason: String| StoreError { cause: LaterCause::Misconfigured, reason };
    let address = Address::parse(&config.url).map_err(|error| misconfigured(error.to_string()))?;
    let password = config.password().map_err(|bad| misconfigured(bad.text))?;
    let mut options = OptsBuilder::default()
        .ip_or_hostname(address.host.clone())
        .tcp_port(address.port)
        .prefer_socket(false)
        .user(Some(address.user.clone()))
        .pass(password.or_else(|| address.password.clone()))
        .db_name(Some(address.database.clone()))
        .tcp_keepalive(Some(Duration::from_secs(30)));
    if config.tls {
        options = options.ssl_opts(tls(config).map_err(|bad| misconfigured(bad.text))?);
    }
    let failed = |error: mysql_async::Error| {
        let StoreError { cause, reason } = codes::failed(&error);
        StoreError { cause, reason: format!("MySQL at {address}: {reason}") }
    };
    let mut conn = Conn::new(options).await.map_err(failed)?;
    conn.query_drop(SETUP).await.map_err(failed)?;
    Ok(conn)
}

#[cfg(feature = "tls")]
fn tls(config: &Config) -> Result<SslOpts, crate::setting::BadSetting> {
    // The first one of a process stays, and there is one only.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Ok(match config.authority()? {
        Some(pem) => {
            SslOpts::default().with_root_certs(vec![pem.into()]).with_disable_built_in_roots(true)
        }
        None => SslOpts::default(),
    })
}

#[cfg(not(feature = "tls"))]
fn tls(_: &Config) -> Result<SslOpts, crate::setting::BadSetting> {
    let text = "this Forebay was built without the cargo feature `tls`";
    Err(crate::setting::BadSetting::new(&["store.mysql.tls"], text))
}
