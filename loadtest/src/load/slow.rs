//! Clients that send their order a few bytes at a time, on a connection each.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::engine::Engine;
use super::errand::Errand;
use crate::clock;
use crate::drive::Timing;
use crate::wire::Broken;
use crate::wire::socket::Socket;

/// Between two pieces.
const PIECE_EVERY: Duration = Duration::from_millis(100);

/// Sends an order at `speed` bytes a second and notes what becomes of it.
pub(super) async fn send(engine: Arc<Engine>, errand: Errand, speed: f64) {
    let mut request = Vec::new();
    engine.render(&errand, &mut request);
    if let Some(mut socket) = engine.connect().await {
        let sent = clock::now();
        let outcome = trickle(&engine, &mut socket, &request, speed).await;
        let timing = Timing { ask: errand.ask, intended: sent, sent, received: clock::now() };
        let answer = outcome.map(|()| socket.answer());
        engine.came_back(errand, timing, answer);
    }
    engine.errands.done();
}

async fn trickle(
    engine: &Engine,
    socket: &mut Socket,
    request: &[u8],
    speed: f64,
) -> Result<(), Broken> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a few bytes, never below 0"
    )]
    let piece = ((speed * PIECE_EVERY.as_secs_f64()).ceil() as usize).max(1);
    let mut pieces = request.chunks(piece).peekable();
    while let Some(bytes) = pieces.next() {
        // An answer before the end (408, 413) is read below; sending on would only cut it off.
        if engine.errands.is_over() || socket.has_answer() || socket.send(bytes).await.is_err() {
            break;
        }
        if pieces.peek().is_some() {
            sleep(PIECE_EVERY).await;
        }
    }
    timeout(engine.plan.patience, socket.receive()).await.unwrap_or(Err(Broken::Timeout))
}
