//! A drain in front of the simulated store's server, in virtual time: the ledger's pacer, calls, and their ends.

use std::time::Duration;

use crate::drain::adaptive::{Adaptive, Call, Said};
use crate::drain::backoff::Jitter;
use crate::sale::Rate;
use crate::store::simulated::server::{Capacity, Constants, Server, Transaction};

const WORKERS: u32 = 16;
const STEP: Duration = Duration::from_micros(250);
const TIMEOUT: Duration = Duration::from_secs(5);
const NOISE_SEED: u64 = 7;

pub(super) fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// What is wrong with the store from second 20 on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fault {
    pub(super) until: Duration,
    /// The share of its capacity that is gone.
    pub(super) gone: f64,
    /// Added to every call.
    pub(super) late: Duration,
    /// The share of calls that fail.
    pub(super) errors: f64,
}

impl Default for Fault {
    fn default() -> Self {
        Self { until: seconds(40), gone: 0.0, late: Duration::ZERO, errors: 0.0 }
    }
}

impl Fault {
    const FROM: Duration = Duration::from_secs(20);
}

/// What is the same in runs that are compared.
#[derive(Debug)]
pub(super) struct Plant {
    rate: Rate,
    store: Constants,
    /// The mean of what is added to each call, exponentially; one call of a hundred has 10 ms more.
    noise_micros: u64,
}

/// A call under way.
#[derive(Debug)]
struct Open {
    ends: Duration,
    begun: Duration,
    orders: u32,
    fails: bool,
    call: Call,
}

/// What was seen.
#[derive(Debug)]
pub(super) struct Run {
    full: f64,
    /// End, latency, orders decided.
    ended: Vec<(Duration, Duration, u32)>,
    /// The rate that is asked for at most, by time.
    pub(super) limits: Vec<(Duration, f64)>,
}

impl Plant {
    pub(super) fn new(rate: &str, store: Constants, noise_micros: u64) -> Self {
        Self { rate: rate.parse().expect("a rate"), store, noise_micros }
    }

    /// Drains for so many seconds.
    pub(super) fn run(&self, adaptive: bool, fault: Option<Fault>, for_seconds: u64) -> Run {
        let full = self.rate.as_per_second();
        let burst = self.rate.burst_auto().unwrap_or(500).min(500);
        let worth = if full.is_finite() { burst.div_ceil(3) } else { 1 };
        let mut limits = Adaptive::new(WORKERS, None, Duration::ZERO);
        limits.set(self.rate, Duration::ZERO);
        let mut server = Server::new(self.store.clone(), WORKERS);
        let mut draws = Jitter::seeded(NOISE_SEED);
        let mut run = Run { full, ended: Vec::new(), limits: Vec::new() };
        let (mut permits, mut open, mut now) = (0.0, Vec::<Open>::new(), Duration::ZERO);
        while now < seconds(for_seconds) {
            now += STEP;
            permits = (permits + full.min(1e9) * STEP.as_secs_f64()).min(f64::from(burst));
            open.sort_by_key(|one| one.ends);
            while open.first().is_some_and(|one| one.ends <= now) {
                let one = open.remove(0);
                server.disconnect();
                let decided = if one.fails { 0 } else { one.orders };
                run.ended.push((one.ends, one.ends - one.begun, decided));
                limits.ended(one.call, Said { decided, failed: one.orders - decided }, one.ends);
            }
            let most = if adaptive { limits.concurrency() as usize } else { WORKERS as usize };
            while open.len() < most && permits >= f64::from(worth) {
                if adaptive && limits.at(worth, now) > now {
                    break;
                }
                let want = if adaptive { limits.take(burst, now) } else { burst };
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "a burst"
                )]
                let orders = want.min(permits as u32);
                limits.give_back(want - orders);
                permits -= f64::from(orders);
                let call = limits.begins(orders, now);
                open.push(self.call(&mut server, now, (orders, call), fault, &mut draws));
            }
            let (rate, concurrency) = (limits.rate(), limits.concurrency());
            assert!(rate <= full && (1..=WORKERS).contains(&concurrency));
            run.limits.push((now, rate));
        }
        run
    }

    fn call(
        &self,
        server: &mut Server,
        now: Duration,
        (orders, call): (u32, Call),
        fault: Option<Fault>,
        draws: &mut Jitter,
    ) -> Open {
        let fault = fault.filter(|fault| now >= Fault::FROM && now < fault.until);
        let mut share = || draws.up_to(Duration::from_secs(1)).as_secs_f64().min(0.999_999);
        let (noise, spike, error) = (-(1.0 - share()).ln(), share(), share());
        let mut late = Duration::from_micros(self.noise_micros).mul_f64(noise);
        if self.noise_micros > 0 && spike < 0.01 {
            late += Duration::from_millis(10);
        }
        let gone = fault.map_or(0.0, |fault| fault.gone);
        server.connect(Capacity::WHOLE).expect("there is one for each worker");
        let transaction = Transaction { rows: orders, stock: vec![1], writes: true };
        let fate = server.transact(now, &transaction, Capacity { shared_by: 1, gone });
        let ends = fate.ends + late + fault.map_or(Duration::ZERO, |fault| fault.late);
        let fails = ends > now + TIMEOUT || fault.is_some_and(|fault| error < fault.errors);
        Open { ends: ends.min(now + TIMEOUT), begun: now, orders, fails, call }
    }
}

impl Run {
    /// Orders decided a second.
    pub(super) fn rate(&self, from: Duration, to: Duration) -> f64 {
        let within = self.ended.iter().filter(|(at, ..)| *at >= from && *at < to);
        let orders: u32 = within.map(|(.., orders)| orders).sum();
        f64::from(orders) / (to - from).as_secs_f64()
    }

    /// Latency of a call, 95th percentile.
    pub(super) fn latency(&self, from: Duration, to: Duration) -> Duration {
        let within = self.ended.iter().filter(|(at, ..)| *at >= from && *at < to);
        let mut all: Vec<Duration> = within.map(|(_, took, _)| *took).collect();
        all.sort_unstable();
        all[all.len() * 95 / 100]
    }

    /// How long after `from` the rate that is asked for was below nine tenths.
    pub(super) fn backs_off(&self, from: Duration) -> Option<Duration> {
        let off = |(at, rate): &&(Duration, f64)| *at >= from && *rate < 0.9 * self.full;
        self.limits.iter().find(off).map(|(at, _)| *at - from)
    }

    /// How long after `from` a second began in which 95 % of the rate were drained.
    pub(super) fn back(&self, from: Duration) -> Option<Duration> {
        let after = (0..200).map(|tenths| Duration::from_millis(100 * tenths));
        let full = |after: &Duration| {
            self.rate(from + *after, from + *after + seconds(1)) >= 0.95 * self.full
        };
        after.take_while(|after| from + *after + seconds(1) <= seconds(60)).find(full)
    }
}
