//! Waiting for an instant, to a few microseconds. The runtime's own timer wakes once a millisecond, which
//! would show as a millisecond of latency that no gateway caused.

#[cfg(not(target_os = "linux"))]
use std::time::Instant;

use crate::clock;

#[cfg(target_os = "linux")]
pub(crate) use timerfd::Alarm;

#[cfg(target_os = "linux")]
mod timerfd {
    use std::os::fd::OwnedFd;
    use std::time::{Duration, Instant};

    use rustix::time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
        timerfd_settime,
    };
    use tokio::io::unix::AsyncFd;

    use super::clock;

    /// A kernel timer that the runtime polls like a socket.
    #[derive(Debug, Default)]
    pub(crate) struct Alarm {
        timer: Option<AsyncFd<OwnedFd>>,
    }

    impl Alarm {
        /// Returns at the instant, or at once if it is past.
        pub(crate) async fn until(&mut self, instant: Instant) {
            let left = instant.saturating_duration_since(clock::now());
            // Without a kernel timer (no descriptor left) the run is a millisecond coarser, and not lost.
            if !left.is_zero() && self.ring_after(left).await.is_err() {
                tokio::time::sleep(left).await;
            }
        }

        async fn ring_after(&mut self, left: Duration) -> std::io::Result<()> {
            let timer = match self.timer.take() {
                Some(timer) => timer,
                None => kernel_timer()?,
            };
            let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
            let it_value = Timespec {
                tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: left.subsec_nanos().into(),
            };
            let once = Itimerspec { it_interval: zero, it_value };
            timerfd_settime(&timer, TimerfdTimerFlags::empty(), &once)?;
            let mut rings = [0; 8];
            loop {
                let mut ready = timer.readable().await?;
                let read = |timer: &AsyncFd<OwnedFd>| Ok(rustix::io::read(timer, &mut rings)?);
                if let Ok(read) = ready.try_io(read) {
                    read?;
                    self.timer = Some(timer);
                    return Ok(());
                }
            }
        }
    }

    #[expect(
        deprecated,
        reason = "its successor is unsafe for types that may change their descriptor; an OwnedFd cannot"
    )]
    fn kernel_timer() -> std::io::Result<AsyncFd<OwnedFd>> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        AsyncFd::new(timerfd_create(TimerfdClockId::Monotonic, flags)?)
    }
}

/// Where there is no such timer, the runtime's has to do.
#[cfg(not(target_os = "linux"))]
#[derive(Debug, Default)]
pub(crate) struct Alarm;

#[cfg(not(target_os = "linux"))]
impl Alarm {
    /// Returns at the instant, or at once if it is past.
    pub(crate) async fn until(&mut self, instant: Instant) {
        if instant > clock::now() {
            tokio::time::sleep_until(instant.into()).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Alarm;
    use crate::clock;

    #[tokio::test]
    async fn it_rings_at_its_time_and_can_be_set_again() {
        let mut alarm = Alarm::default();
        for wait in [Duration::from_millis(3), Duration::ZERO, Duration::from_micros(300)] {
            let due = clock::now() + wait;
            alarm.until(due).await;
            assert!(clock::now() >= due);
        }
    }
}
