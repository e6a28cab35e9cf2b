//! Every metric's name, unit, help and buckets, each in one place; call sites keep cached handles.
//!
//! Label sets are closed: never a buyer, a ticket or a raw path.

mod registry;
#[cfg(test)]
mod tests;

pub use registry::Registry;

/// What a metric is, for the exposition and for the tests that hold dashboards and docs to this list.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// Only goes up.
    Counter,
    /// Goes both ways.
    Gauge,
    /// Observations in buckets.
    Histogram(&'static [f64]),
}

/// One metric.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Full name, with prefix and unit.
    pub name: &'static str,
    /// Counter, gauge or histogram.
    pub kind: Kind,
    /// Its labels.
    pub labels: &'static [&'static str],
    /// One sentence.
    pub help: &'static str,
}

impl Metric {
    /// What its values are measured in, as its name says: `seconds`, `bytes`, or empty for counts and states.
    #[must_use]
    pub fn unit(&self) -> &'static str {
        let name = self.name.strip_suffix("_total").unwrap_or(self.name);
        ["seconds", "bytes"].into_iter().find(|unit| name.ends_with(unit)).unwrap_or("")
    }
}

/// Buckets for one call: 0.25 ms (a refusal from memory takes less) to 30 s (the longest that an answer is held).
/// Edges where something is promised: 1, 2 and 5 ms for an order, 50 ms for news of an outcome, 2 s for
/// `order_deadline`, 5 s for `attempt_timeout`, 10 s for the command line's patience.
const CALL: &[f64] = &[
    0.000_25, 0.000_5, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0,
    30.0,
];
/// Buckets for what waits in the queue: 1 ms (an idle drain claims at once) to 10 min (ten times
/// `max_wait`); finest where most sales end, below `max_wait`.
const QUEUE: &[f64] = &[
    0.001, 0.005, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 45.0, 60.0,
    120.0, 300.0, 600.0,
];
/// Buckets for one fdatasync: 50 µs (a cache) to 1 s (a sick disk). What is above 5 ms is seen in an order's p99.
const SYNC: &[f64] =
    &[0.000_05, 0.000_1, 0.000_2, 0.000_5, 0.001, 0.002, 0.005, 0.01, 0.025, 0.1, 0.5, 1.0];
/// Buckets for how many orders share a commit: powers of two up to the largest batch.
const BATCH: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 4096.0];

macro_rules! metrics_table {
    ($($(#[$doc:meta])* $id:ident = $name:literal, $kind:expr, [$($label:literal),*], $help:literal;)*) => {
        $($(#[$doc])* #[doc = $help] pub const $id: &str = $name;)*

        /// Every metric that there is.
        pub const ALL: &[Metric] = &[
            $(Metric { name: $name, kind: $kind, labels: &[$($label),*], help: $help },)*
        ];
    };
}

metrics_table! {
    BUILD_INFO = "forebay_build_info", Kind::Gauge, ["version"], "Always 1; its labels tell the build.";
    HTTP_REQUEST_DURATION = "forebay_http_request_duration_seconds", Kind::Histogram(CALL), ["route", "method", "code"], "From the head of a request to the last byte of its answer handed to the kernel.";
    EDGE_REFUSALS = "forebay_edge_refusals_total", Kind::Counter, ["listener", "reason"], "Connections and heads refused before there was a request to route.";
    HTTP_PANICS = "forebay_http_panics_total", Kind::Counter, [], "Requests at which the gateway's own code panicked; each was answered 500.";
    ADMISSIONS = "forebay_admissions_total", Kind::Counter, ["sale", "outcome"], "Order calls by what became of them.";
    STOCK_UNITS = "forebay_stock_units", Kind::Gauge, ["sale", "sku", "state"], "Units by state: available, held, sold. Skus beyond the first hundred of a sale are summed as sku=(other).";
    QUEUE_DEPTH = "forebay_queue_depth", Kind::Gauge, ["sale"], "Orders accepted and not settled.";
    QUEUE_OLDEST_AGE = "forebay_queue_oldest_age_seconds", Kind::Gauge, ["sale"], "Age of the oldest queued order.";
    QUEUE_WAIT = "forebay_queue_wait_seconds", Kind::Histogram(QUEUE), ["sale"], "From acceptance to the first claim.";
    ORDER_COMPLETION = "forebay_order_completion_seconds", Kind::Histogram(QUEUE), ["sale"], "From acceptance to the terminal state.";
    ORDERS = "forebay_orders_total", Kind::Counter, ["sale", "outcome"], "Orders by their terminal state, as the ledger counts them, and deaths (dead), as this process saw them.";
    DRAIN_RATE_LIMIT = "forebay_drain_rate_limit", Kind::Gauge, [], "Attempts a second that the drain may start; +Inf when unlimited.";
    DRAIN_ADAPTIVE_RATE = "forebay_drain_adaptive_rate_limit", Kind::Gauge, [], "Attempts a second that this process's drain asks for at most: the rate, or less while `[drain] adaptive` backs off; +Inf when unlimited.";
    DRAIN_ADAPTIVE_CONCURRENCY = "forebay_drain_adaptive_concurrency_limit", Kind::Gauge, [], "Calls of the store that this process's drain may have in flight: its workers, or fewer while `[drain] adaptive` backs off.";
    DRAIN_ATTEMPTS = "forebay_drain_attempts_total", Kind::Counter, [], "Attempts started at the store.";
    WORKERS = "forebay_workers", Kind::Gauge, ["state"], "Drain workers: busy, idle.";
    STORE_REQUEST_DURATION = "forebay_store_request_duration_seconds", Kind::Histogram(CALL), ["op", "outcome"], "Calls to the store.";
    STORE_RETRIES = "forebay_store_retries_total", Kind::Counter, ["reason"], "Orders that went back to the queue, by reason.";
    BREAKER_STATE = "forebay_breaker_state", Kind::Gauge, ["target", "state"], "1 for the state that the breaker is in.";
    DEAD_ORDERS = "forebay_dead_orders", Kind::Gauge, ["sale"], "Orders that wait for an operator.";
    LEDGER_REQUEST_DURATION = "forebay_ledger_request_duration_seconds", Kind::Histogram(CALL), ["engine", "op", "outcome"], "Calls to the ledger, a batch each.";
    LEDGER_BATCH_SIZE = "forebay_ledger_batch_size", Kind::Histogram(BATCH), [], "Orders in one reserve call.";
    LEDGER_FSYNC_DURATION = "forebay_ledger_fsync_duration_seconds", Kind::Histogram(SYNC), [], "One commit's fdatasync.";
    LEDGER_BOOK_BYTES = "forebay_ledger_book_bytes", Kind::Gauge, [], "Memory of the embedded ledger's orders, buyers and keys, as it reckons; payloads are on the disk.";
    LEDGER_DISK_FREE = "forebay_ledger_disk_free_bytes", Kind::Gauge, [], "What is free for us on the disk of the ledger's directory.";
    REDIS_RECONNECTS = "forebay_redis_reconnects_total", Kind::Counter, [], "Connections to Redis that were made again; 0 with the embedded ledger.";
    TICKET_POLLS = "forebay_ticket_polls_total", Kind::Counter, [], "Reads of tickets.";
    TICKET_STREAMS = "forebay_ticket_streams", Kind::Gauge, [], "Open ticket streams.";
    IDENTITY_TOKENS = "forebay_identity_tokens_total", Kind::Counter, ["outcome"], "Tokens by what was found; mode jwt.";
    IDENTITY_LOOKUPS = "forebay_identity_lookups_total", Kind::Counter, ["outcome"], "Credentials by where their answer came from: remembered, joined (somebody asked already), asked, refused (too many questions); mode forward.";
    IDENTITY_REQUEST_DURATION = "forebay_identity_request_duration_seconds", Kind::Histogram(CALL), ["outcome"], "Questions to the shop who a buyer is, their turn included; mode forward.";
    LIMITER_KEYS = "forebay_limiter_keys", Kind::Gauge, [], "Keys that the rate limits remember.";
    INVARIANT_VIOLATIONS = "forebay_invariant_violations_total", Kind::Counter, ["law"], "Findings of the verifier; anything above 0 is an incident.";
    CONFIG_RELOAD_TIME = "forebay_config_last_reload_success_timestamp_seconds", Kind::Gauge, [], "When the settings in force were read, in seconds since 1970.";
    CONFIG_RELOAD_OK = "forebay_config_last_reload_successful", Kind::Gauge, [], "1 when the last reload was taken over, and after a start; 0 when it was refused.";
    PROCESS_CPU = "process_cpu_seconds_total", Kind::Counter, [], "CPU time of the process, user and system.";
    PROCESS_RESIDENT = "process_resident_memory_bytes", Kind::Gauge, [], "Memory of the process that is in RAM.";
    PROCESS_VIRTUAL = "process_virtual_memory_bytes", Kind::Gauge, [], "Address space of the process.";
    PROCESS_OPEN_FDS = "process_open_fds", Kind::Gauge, [], "Open file descriptors.";
    PROCESS_MAX_FDS = "process_max_fds", Kind::Gauge, [], "As many file descriptors may be open.";
    PROCESS_START = "process_start_time_seconds", Kind::Gauge, [], "When the process was started, in seconds since 1970.";
    PROCESS_THREADS = "process_threads", Kind::Gauge, [], "Threads of the process.";
}
