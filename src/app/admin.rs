//! Serves the admin listener on the control runtime, away from the threads that take orders.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use hyper::Request;
use hyper::body::Incoming;
use tokio::net::TcpListener;

use crate::http;
use crate::http::Arrival;
use crate::http::Bounds;
use crate::http::admin::Admin;
use crate::http::config::Timeouts;
use crate::tasks::Stop;
use crate::units::Span;

/// Operators and scrapers are few.
const CONNECTIONS_MAX: usize = 64;

/// Serves until the stop; what is under way then is finished.
pub(super) async fn serve(listener: TcpListener, admin: Arc<Admin>, stop: Stop) {
    let timeouts = Timeouts { lame_duck: Span::default(), ..Timeouts::default() };
    let answer = |peer: SocketAddr| {
        let admin = Arc::clone(&admin);
        move |request: Request<Incoming>, arrival: Arrival| {
            let admin = Arc::clone(&admin);
            async move { Ok::<_, Infallible>(admin.arrived(request, &arrival, peer).await) }
        }
    };
    http::serve(listener, Bounds::new("admin", CONNECTIONS_MAX, &timeouts), stop, answer).await;
}
