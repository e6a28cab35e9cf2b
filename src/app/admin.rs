//! Serves the admin listener on the control runtime, away from the threads that take orders.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use hyper::Request;
use hyper::body::Incoming;
use tokio::net::TcpListener;

use crate::clock::SharedClock;
use crate::http;
use crate::http::Arrival;
use crate::http::Bounds;
use crate::http::admin::Admin;
use crate::http::config::Timeouts;
use crate::tasks::Stop;

/// Serves until the stop, at most `connections` at once; what is under way then is finished.
pub(super) async fn serve(
    listener: TcpListener,
    connections: usize,
    admin: Arc<Admin>,
    clock: SharedClock,
    stop: Stop,
) {
    let answer = |peer: SocketAddr| {
        let admin = Arc::clone(&admin);
        move |request: Request<Incoming>, arrival: Arrival| {
            let admin = Arc::clone(&admin);
            async move { Ok::<_, Infallible>(admin.arrived(request, &arrival, peer).await) }
        }
    };
    let bounds = Bounds::new("admin", connections, &Timeouts::default(), clock);
    http::serve(listener, bounds, stop, answer).await;
}
