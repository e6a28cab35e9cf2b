//! Serves the admin listener on the control runtime, away from the threads that take orders.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::rt::TokioTimer;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use crate::http::admin::Admin;
use crate::tasks::Stop;

/// Operators and scrapers are few.
const CONNECTIONS_MAX: usize = 64;

/// How long a request's head may take.
const HEAD_MAX: Duration = Duration::from_secs(5);

/// How long to wait when the system has no descriptor for a new connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves until the stop; what is answered then is finished.
pub(super) async fn serve(listener: TcpListener, admin: Arc<Admin>, stop: Stop) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { break };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.pulled() => break,
        };
        while connections.try_join_next().is_some() {}
        match accepted {
            Ok((stream, peer)) => {
                let (admin, stop) = (Arc::clone(&admin), stop.clone());
                connections.spawn(async move {
                    connection(stream, peer, &admin, &stop).await;
                    drop(slot);
                });
            }
            Err(error) => {
                tracing::debug!(%error, "admin: accept failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn connection(stream: TcpStream, peer: SocketAddr, admin: &Admin, stop: &Stop) {
    let answer = |request| async move { Ok::<_, Infallible>(admin.handle(request, peer).await) };
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_MAX)
        .serve_connection(TokioIo::new(stream), service_fn(answer));
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.pulled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, %error, "admin: a connection broke off");
    }
}
