//! An axis: where its ticks lie and what stands beside them.

/// What an axis counts in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Things.
    Count,
    /// Seconds; shown as µs, ms, s or min.
    Seconds,
    /// Things a second.
    PerSecond,
    /// Bytes; shown as KiB, MiB, GiB.
    Bytes,
    /// A share of one; shown in percent.
    Share,
}

/// How an axis is divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// Evenly, from 0.
    Linear,
    /// By powers of ten; values of 0 and below lie on its lower end.
    Log,
}

/// One axis of a chart.
#[derive(Debug, Clone)]
pub struct Axis {
    /// What it shows, in a word or two.
    pub title: String,
    /// What it counts in.
    pub unit: Unit,
    /// How it is divided.
    pub scale: Scale,
}

/// A span of values on an axis, with its ticks.
#[derive(Debug, Clone)]
pub(super) struct Range {
    low: f64,
    high: f64,
    scale: Scale,
    pub(super) ticks: Vec<f64>,
}

impl Axis {
    /// An evenly divided axis.
    #[must_use]
    pub fn new(title: impl Into<String>, unit: Unit) -> Self {
        Self { title: title.into(), unit, scale: Scale::Linear }
    }

    /// The same axis by powers of ten.
    #[must_use]
    pub fn by_powers(mut self) -> Self {
        self.scale = Scale::Log;
        self
    }

    /// What stands at a tick.
    pub(super) fn label(&self, value: f64) -> String {
        match self.unit {
            Unit::Count => count(value),
            Unit::PerSecond => format!("{}/s", count(value)),
            Unit::Seconds => seconds(value),
            Unit::Bytes => bytes(value),
            Unit::Share => format!("{} %", short(value * 100.0)),
        }
    }

    /// The span that holds all these values, on even ticks.
    pub(super) fn range(
        &self,
        values: impl Iterator<Item = f64>,
        from_zero: bool,
        wish: usize,
    ) -> Range {
        let finite = values.filter(|value| value.is_finite());
        match self.scale {
            Scale::Linear => linear(finite, from_zero, wish, self.unit),
            Scale::Log => by_powers(finite.filter(|value| *value > 0.0), wish),
        }
    }
}

impl Range {
    /// Where a value lies: 0 at the lower end, 1 at the upper.
    pub(super) fn place(&self, value: f64) -> f64 {
        let place = match self.scale {
            Scale::Linear => (value - self.low) / (self.high - self.low),
            Scale::Log if value <= 0.0 => 0.0,
            Scale::Log => (value / self.low).log10() / (self.high / self.low).log10(),
        };
        place.clamp(0.0, 1.0)
    }
}

fn ends(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    values.fold(None, |ends, value| match ends {
        None => Some((value, value)),
        Some((low, high)) => Some((low.min(value), high.max(value))),
    })
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a few ticks"
)]
fn linear(values: impl Iterator<Item = f64>, from_zero: bool, wish: usize, unit: Unit) -> Range {
    let (mut low, mut high) = ends(values).unwrap_or((0.0, 1.0));
    if from_zero {
        (low, high) = (low.min(0.0), high.max(0.0));
    }
    if high - low < f64::EPSILON * high.abs().max(1.0) {
        high = low + 1.0;
    }
    let step = even((high - low) / wish.max(1) as f64, unit);
    let (first, last) = ((low / step).floor(), (high / step - 1e-9).ceil());
    let ticks = (0..=(last - first) as usize).map(|n| (first + n as f64) * step).collect();
    Range { low: first * step, high: last * step, scale: Scale::Linear, ticks }
}

/// The next step that people count in: 1, 2 or 5 times a power of ten, or parts of a minute.
fn even(rough: f64, unit: Unit) -> f64 {
    const CLOCK: [f64; 6] = [10.0, 15.0, 30.0, 60.0, 120.0, 300.0];
    let by_clock = CLOCK.into_iter().find(|step| *step >= rough);
    if let (Unit::Seconds, Some(step), true) = (unit, by_clock, rough > 5.0) {
        return step;
    }
    if unit == Unit::Bytes && rough >= 1.0 {
        return 2_f64.powf(rough.log2().ceil());
    }
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().find(|step| step * power >= rough * (1.0 - 1e-9));
    step.unwrap_or(10.0) * power
}

#[expect(clippy::cast_possible_truncation, reason = "powers of ten of a double are few")]
fn by_powers(values: impl Iterator<Item = f64>, wish: usize) -> Range {
    let (low, high) = ends(values).unwrap_or((1.0, 10.0));
    let first = (low.log10() + 1e-9).floor() as i32;
    let last = ((high.log10() - 1e-9).ceil() as i32).max(first + 1);
    let every = usize::try_from(last - first).unwrap_or(1).div_ceil(wish.max(1)).max(1);
    let ticks = (first..=last).step_by(every).map(|power| 10_f64.powi(power)).collect();
    Range { low: 10_f64.powi(first), high: 10_f64.powi(last), scale: Scale::Log, ticks }
}

fn short(value: f64) -> String {
    let text = if value.abs() >= 100.0 { format!("{value:.0}") } else { format!("{value:.3}") };
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

fn count(value: f64) -> String {
    match value.abs() {
        million if million >= 1e6 => format!("{}M", short(value / 1e6)),
        thousand if thousand >= 1e4 => format!("{}k", short(value / 1e3)),
        _ => short(value),
    }
}

fn seconds(value: f64) -> String {
    match value.abs() {
        zero if zero < 1e-9 => "0".to_owned(),
        small if small < 1e-3 => format!("{} µs", short(value * 1e6)),
        small if small < 1.0 => format!("{} ms", short(value * 1e3)),
        long if long >= 120.0 => format!("{} min", short(value / 60.0)),
        _ => format!("{} s", short(value)),
    }
}

fn bytes(value: f64) -> String {
    match value.abs() {
        giga if giga >= 1024.0 * 1024.0 * 1024.0 => {
            format!("{} GiB", short(value / 1024_f64.powi(3)))
        }
        mega if mega >= 1024.0 * 1024.0 => format!("{} MiB", short(value / 1024_f64.powi(2))),
        kilo if kilo >= 1024.0 => format!("{} KiB", short(value / 1024.0)),
        _ => format!("{} B", short(value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis, values: &[f64], wish: usize) -> Vec<String> {
        let range = axis.range(values.iter().copied(), true, wish);
        range.ticks.iter().map(|tick| axis.label(*tick)).collect()
    }

    #[test]
    fn ticks_are_numbers_that_people_count_in() {
        let buyers = Axis::new("buyers", Unit::Count);
        assert_eq!(labels(&buyers, &[3.0, 17_300.0], 4), ["0", "5000", "10k", "15k", "20k"]);
        let time = Axis::new("time", Unit::Seconds);
        assert_eq!(labels(&time, &[0.0, 55.0], 4), ["0", "15 s", "30 s", "45 s", "60 s"]);
        assert_eq!(labels(&time, &[0.000_9], 3), ["0", "500 µs", "1 ms"]);
        let memory = Axis::new("memory", Unit::Bytes);
        assert_eq!(labels(&memory, &[3e6], 3), ["0 B", "1 MiB", "2 MiB", "3 MiB"]);
        assert_eq!(labels(&Axis::new("share", Unit::Share), &[1.0], 2), ["0 %", "50 %", "100 %"]);
    }

    #[test]
    fn powers_of_ten_hold_all_values_and_nothing_is_too_small_to_place() {
        let axis = Axis::new("latency", Unit::Seconds).by_powers();
        let range = axis.range([0.0, 0.000_4, 0.3].into_iter(), true, 8);
        let labels: Vec<String> = range.ticks.iter().map(|tick| axis.label(*tick)).collect();
        assert_eq!(labels, ["100 µs", "1 ms", "10 ms", "100 ms", "1 s"]);
        assert!(range.place(0.0) < 1e-9 && (range.place(1.0) - 1.0).abs() < 1e-9);
        assert!((range.place(0.01) - 0.5).abs() < 1e-9);
    }

    #[test]
    fn no_values_and_equal_values_still_make_an_axis() {
        let axis = Axis::new("x", Unit::Count);
        for values in [&[][..], &[0.0], &[7.0, 7.0], &[f64::NAN, f64::INFINITY]] {
            for axis in [axis.clone(), axis.clone().by_powers()] {
                let range = axis.range(values.iter().copied(), false, 5);
                assert!(range.high > range.low && range.ticks.len() >= 2, "{values:?} {range:?}");
                assert!(range.place(7.0).is_finite());
            }
        }
    }
}
