//! How a connection ends that the client did not end: with an answer that he can read.
//!
//! A socket that is closed while bytes of its client lie unread is reset, and the reset overtakes the answer. So
//! after the last answer the client's bytes are read and thrown away for a moment, up to a bound.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::http::body::DRAIN_MAX;

/// How long a client may take to read the last answer and to close.
const LINGER: Duration = Duration::from_secs(2);

/// Says why, if it was not said already, and closes.
pub(super) async fn close(mut stream: TcpStream, why: Option<Vec<u8>>) {
    let all = async {
        if let Some(answer) = why {
            stream.write_all(&answer).await?;
        }
        stream.shutdown().await?;
        let (mut piece, mut left) = ([0; 2_048], DRAIN_MAX);
        while left > 0 {
            let room = piece.len().min(left);
            match stream.read(&mut piece[..room]).await? {
                0 => break,
                read => left -= read,
            }
        }
        std::io::Result::Ok(())
    };
    // Whether it was read or not, the connection ends here.
    let _ = tokio::time::timeout(LINGER, all).await;
}
