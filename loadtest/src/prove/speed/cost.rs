//! CPU time of the servers per order that they answered.

use std::time::Duration;

use crate::drive::{Arrivals, Drive};
use crate::form::{Crowd, OrderForm};
use crate::lap::{Expected, Lap, Length, Runner, Servers};
use crate::on_redis::OnRedis;
use crate::yardstick::Yardstick;

/// One in so many orders is sent beforehand, to warm caches and connections.
const WARM_UP: u64 = 20;

/// What was measured.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cost {
    /// CPU microseconds of the whole processes an order.
    pub(super) micros: f64,
    /// What of it was Redis.
    pub(super) redis: f64,
    /// CPU microseconds of the generator an order: what it took from the server on a shared machine.
    pub(super) generator: f64,
    /// Orders a second, generator and server sharing the machine.
    pub(super) orders_a_second: f64,
}

impl Cost {
    fn of(laps: &[Lap]) -> Self {
        let orders: u64 = laps.iter().map(|lap| lap.orders).sum();
        #[expect(clippy::cast_precision_loss, reason = "no race is 2^52 orders long")]
        let orders = orders as f64;
        let seconds =
            |part: fn(&Lap) -> Duration| laps.iter().map(part).sum::<Duration>().as_secs_f64();
        Self {
            micros: seconds(|lap| lap.gateway + lap.redis) * 1e6 / orders,
            redis: seconds(|lap| lap.redis) * 1e6 / orders,
            generator: seconds(|lap| lap.generator) * 1e6 / orders,
            orders_a_second: orders / seconds(|lap| lap.elapsed),
        }
    }
}

/// Lets all runners answer as many orders, in turns: what disturbs a shared machine for a second or two then
/// falls on all of them alike.
pub(super) async fn race<const N: usize>(
    mut runners: [Runner; N],
    orders: u64,
    turns: u64,
) -> anyhow::Result<[Cost; N]> {
    for runner in &mut runners {
        runner.run(Length::Orders(orders / WARM_UP)).await?;
    }
    let mut laps: [Vec<Lap>; N] = std::array::from_fn(|_| Vec::new());
    for _ in 0..turns {
        for (runner, laps) in runners.iter_mut().zip(&mut laps) {
            laps.push(runner.run(Length::Orders(orders / turns)).await?);
        }
    }
    Ok(laps.map(|laps| Cost::of(&laps)))
}

/// The side whose process answers every order of this drive with this status.
pub(super) fn runner(drive: Drive, pid: u32, status: u16) -> anyhow::Result<Runner> {
    Ok(Runner::new(drive, Servers::of(pid, None)?, Expected::Each(status)))
}

/// The side of a gateway and its Redis, which accept every order of this form.
pub(super) fn on_redis(
    both: &OnRedis,
    form: &OrderForm,
    connections: usize,
) -> anyhow::Result<Runner> {
    let drive = both.plant.drive(form, connections);
    Ok(Runner::new(drive, both.servers()?, Expected::Each(202)))
}

/// Bare hyper's side.
pub(super) fn bare(bare: &Yardstick, connections: usize) -> anyhow::Result<Runner> {
    let form = OrderForm::new("bare", "phone", Crowd::new("bare", 1));
    let drive = Drive {
        target: bare.public.clone(),
        form: form.with_payload_of_100_bytes(),
        connections,
        arrivals: Arrivals::WhenFree,
        patience: Duration::from_secs(10),
        late_after: Duration::from_millis(10),
    };
    runner(drive, bare.process.pid(), 202)
}
