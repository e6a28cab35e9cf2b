//! How much memory the settings let a gateway take.

use super::meant::Settings;
use super::said::Engine;

/// What a waiting order takes, its payload apart: measured, whole process.
const ORDER: u64 = 300;
/// What a gateway remembers of an order that lies in Redis: its buyer's hash and its state.
const REMEMBERED: u64 = 32;
/// What a connection takes: the engine's buffers and a head that is as long as it may be.
const CONNECTION: u64 = 24 << 10;
/// What an open stream takes beside its connection.
const STREAM: u64 = 4 << 10;
/// Keys of rate limits are forgotten beyond two million of one kind, of 40 bytes each.
const LIMITER: u64 = 80 << 20;
/// Code, threads, what is remembered of outcomes, and the pieces of the journal that are read and written.
const BASE: u64 = 128 << 20;

impl Settings {
    /// Bytes that a gateway with a full queue and all its connections takes at most. With the embedded ledger the
    /// queue is there twice while a snapshot is made; with Redis it is elsewhere.
    #[must_use]
    pub fn memory_max(&self) -> u64 {
        let capacity = self.queue.capacity;
        let queue = match self.ledger.engine {
            Engine::Embedded => {
                capacity.saturating_mul(ORDER).min(self.queue.memory.0).saturating_mul(2)
            }
            Engine::Redis => {
                capacity.saturating_mul(REMEMBERED).saturating_add(self.ledger.redis.remember.0)
            }
        };
        let limits = &self.public.limits;
        let connections = (limits.connections as u64).saturating_mul(CONNECTION);
        let streams = (limits.streams as u64).saturating_mul(STREAM);
        let all = [queue, connections, streams, LIMITER, BASE];
        all.into_iter().fold(0, u64::saturating_add)
    }

    /// The same in words, in whole MiB rounded up.
    #[must_use]
    pub fn memory_told(&self) -> String {
        let most = self.memory_max().div_ceil(1 << 20);
        format!(
            "at most {most} MiB, with a full [queue] and all connections and streams of [public.limits]"
        )
    }
}
