//! Looks at the gateway's metrics all the time, from outside.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

use crate::admin::Admin;
use crate::clock;
use crate::drive::{Shared, look, shared};
use crate::scrape::Scrape;

const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Counters and the limit at an instant, in seconds of the watch.
#[derive(Debug, Clone, Copy, Default)]
struct Sample {
    at: f64,
    offered: f64,
    drained: f64,
    calls: f64,
    seconds: f64,
    limit: f64,
}

impl Sample {
    fn of(at: f64, scrape: &Scrape) -> anyhow::Result<Self> {
        let store = |part: &str| {
            scrape.sum(
                &format!("forebay_store_request_duration_seconds_{part}"),
                &["op=\"place\"", "outcome=\"ok\""],
            )
        };
        let limit = "forebay_drain_adaptive_rate_limit";
        Ok(Self {
            at,
            offered: scrape.sum("forebay_admissions_total", &["outcome=\"accepted\""]),
            drained: scrape.sum("forebay_orders_total", &["outcome=\"placed\""]),
            calls: store("count"),
            seconds: store("sum"),
            limit: scrape.value(limit).with_context(|| format!("there is no metric {limit}"))?,
        })
    }
}

/// A watch that runs.
pub(super) struct Watch {
    began: Instant,
    samples: Shared<Vec<Sample>>,
    task: JoinHandle<anyhow::Result<()>>,
}

impl Watch {
    pub(super) fn start(admin: &Admin) -> Self {
        let (began, samples) = (clock::now(), shared(Vec::new()));
        let (admin, kept) = (admin.clone(), samples.clone());
        let task = tokio::spawn(async move {
            let mut ticks = interval(LOOK_EVERY);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                let scrape = admin.metrics().await?;
                let sample = Sample::of(began.elapsed().as_secs_f64(), &scrape)?;
                look(&kept).push(sample);
            }
        });
        Self { began, samples, task }
    }

    /// Seconds since it began.
    pub(super) fn now(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }

    pub(super) fn stop(self) -> anyhow::Result<Watched> {
        ensure!(!self.task.is_finished(), "the gateway's metrics could not be read");
        self.task.abort();
        Ok(Watched(std::mem::take(&mut *look(&self.samples))))
    }
}

/// All that was seen.
#[derive(Debug)]
pub(super) struct Watched(Vec<Sample>);

/// Growth over time of each stretch of at least this long.
const STRETCH: f64 = 0.5;

impl Watched {
    /// The samples next to these instants.
    fn ends(&self, from: f64, to: f64) -> (Sample, Sample) {
        let near = |at: f64| {
            let off = |sample: &&Sample| (sample.at - at).abs();
            self.0.iter().min_by(|one, other| off(one).total_cmp(&off(other))).copied()
        };
        (near(from).unwrap_or_default(), near(to).unwrap_or_default())
    }

    /// Orders that ended in the store, a second.
    pub(super) fn drained(&self, from: f64, to: f64) -> f64 {
        let (first, last) = self.ends(from, to);
        (last.drained - first.drained) / (last.at - first.at).max(f64::MIN_POSITIVE)
    }

    /// Mean latency of the store's calls that ended meanwhile, in seconds.
    pub(super) fn latency(&self, from: f64, to: f64) -> f64 {
        let (first, last) = self.ends(from, to);
        (last.seconds - first.seconds) / (last.calls - first.calls).max(1.0)
    }

    /// Seconds after `from` at which the limit was first below that.
    pub(super) fn limit_below(&self, from: f64, limit: f64) -> Option<f64> {
        let below = |sample: &&Sample| sample.at >= from && sample.limit < limit;
        self.0.iter().find(below).map(|sample| sample.at - from)
    }

    pub(super) fn limit_most(&self) -> f64 {
        // Infinite until the ledger was read.
        self.0
            .iter()
            .map(|sample| sample.limit)
            .filter(|limit| limit.is_finite())
            .fold(0.0, f64::max)
    }

    /// Seconds after `from` at which a second begins in which so many a second are drained.
    pub(super) fn drains(&self, from: f64, rate: f64) -> Option<f64> {
        let begins = self.0.iter().map(|sample| sample.at).filter(|at| *at >= from);
        let last = self.0.last().map_or(0.0, |sample| sample.at);
        let mut whole = begins.take_while(|at| at + 1.0 <= last);
        whole.find(|at| self.drained(*at, at + 1.0) >= rate).map(|at| at - from)
    }

    pub(super) fn limits(&self) -> Vec<(f64, f64)> {
        let finite = self.0.iter().filter(|sample| sample.limit.is_finite());
        finite.map(|sample| (sample.at, sample.limit)).collect()
    }

    pub(super) fn offered_by_time(&self) -> Vec<(f64, f64)> {
        self.by_time(|first, last| (last.offered - first.offered) / (last.at - first.at))
    }

    pub(super) fn drained_by_time(&self) -> Vec<(f64, f64)> {
        self.by_time(|first, last| (last.drained - first.drained) / (last.at - first.at))
    }

    pub(super) fn latency_by_time(&self) -> Vec<(f64, f64)> {
        let calls = self.by_time(|first, last| {
            let calls = last.calls - first.calls;
            if calls > 0.0 { (last.seconds - first.seconds) / calls } else { f64::NAN }
        });
        calls.into_iter().filter(|(_, latency)| latency.is_finite()).collect()
    }

    fn by_time(&self, value: impl Fn(&Sample, &Sample) -> f64) -> Vec<(f64, f64)> {
        let mut points = Vec::new();
        let Some(mut first) = self.0.first() else { return points };
        for last in &self.0 {
            if last.at - first.at >= STRETCH {
                points.push(((first.at + last.at) / 2.0, value(first, last)));
                first = last;
            }
        }
        points
    }
}
