//! What a random sequence is made of. Small numbers on purpose: buyers, keys and items collide all the time.

use proptest::prelude::*;

/// One step.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// Time goes on, in milliseconds.
    Advance(u16),
    /// A batch of order calls: (buyer, key, body, item, quantity, second line).
    Reserve(Vec<Asked>),
    /// Cancel the n-th order ever accepted.
    Cancel(u8),
    /// A drain asks for permits, claims that many, and remembers what it got.
    Drain { drain: u8, want: u8, lease_ms: u16 },
    /// A drain settles its n-th claimed order, or settles it again.
    Settle { drain: u8, nth: u8, fate: Fated },
    /// Pause, resume or close the sale; a later `closes_at` reopens it.
    Switch(Switch),
    /// Add or cut stock under an operation id.
    Stock { item: u8, delta: i8, operation: u8 },
    /// The drain's rate a second; 0 goes back to the file.
    Rate(u8),
    /// Pause or resume the drain.
    PauseDrain(bool),
    /// All dead orders go back.
    RetryDead,
    /// The n-th order, if it is dead, is refused.
    RefuseDead(u8),
    /// The ledger is ended and opened again.
    Restart { lossy: bool },
}

/// One order call.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) buyer: u8,
    pub(crate) key: u8,
    pub(crate) body: u8,
    pub(crate) item: u16,
    pub(crate) quantity: u32,
    pub(crate) second: Option<u32>,
}

/// What the store said.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fated {
    Placed,
    Refused,
    Later { spends: bool, after_ms: u16 },
    Dead { seen: bool },
    Unstarted,
}

/// An operator's switch.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Switch {
    Pause,
    Resume,
    Close,
    Reopen,
}

fn asked() -> impl Strategy<Value = Asked> {
    let second = prop_oneof![4 => Just(None), 1 => (1u32..3).prop_map(Some)];
    (0u8..6, 0u8..5, 0u8..2, 0u16..2, 1u32..4, second).prop_map(
        |(buyer, key, body, item, quantity, second)| Asked {
            buyer,
            key,
            body,
            item,
            quantity,
            second,
        },
    )
}

/// Mostly shorter than what happens between two steps, else far beyond it.
fn short_or(short: u16, long: u16) -> impl Strategy<Value = u16> {
    prop_oneof![3 => 0..short, 2 => short..long]
}

fn fated() -> impl Strategy<Value = Fated> {
    prop_oneof![
        3 => Just(Fated::Placed),
        2 => Just(Fated::Refused),
        3 => (any::<bool>(), short_or(80, 1_000))
            .prop_map(|(spends, after_ms)| Fated::Later { spends, after_ms }),
        1 => any::<bool>().prop_map(|seen| Fated::Dead { seen }),
        1 => Just(Fated::Unstarted),
    ]
}

fn switch() -> impl Strategy<Value = Switch> {
    prop_oneof![
        2 => Just(Switch::Pause),
        4 => Just(Switch::Resume),
        1 => Just(Switch::Close),
        3 => Just(Switch::Reopen),
    ]
}

/// Sequences of up to `max` steps.
pub(crate) fn steps(max: usize) -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => (0u16..60).prop_map(Step::Advance),
        10 => proptest::collection::vec(asked(), 1..5).prop_map(Step::Reserve),
        3 => (0u8..40).prop_map(Step::Cancel),
        10 => (0u8..3, 1u8..8, short_or(90, 2_000))
            .prop_map(|(drain, want, lease_ms)| Step::Drain { drain, want, lease_ms: lease_ms + 1 }),
        14 => (0u8..3, prop_oneof![2 => 0u8..2, 1 => 0u8..12], fated())
            .prop_map(|(drain, nth, fate)| Step::Settle { drain, nth, fate }),
        2 => switch().prop_map(Step::Switch),
        2 => (0u8..2, -3i8..6, 0u8..6)
            .prop_map(|(item, delta, operation)| Step::Stock { item, delta, operation }),
        1 => (0u8..60).prop_map(Step::Rate),
        1 => any::<bool>().prop_map(Step::PauseDrain),
        1 => Just(Step::RetryDead),
        1 => (0u8..40).prop_map(Step::RefuseDead),
        1 => any::<bool>().prop_map(|lossy| Step::Restart { lossy }),
    ];
    proptest::collection::vec(step, 1..max)
}
