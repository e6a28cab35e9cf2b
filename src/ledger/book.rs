//! The semantics of the ledger as a pure state machine.

/// Attempts that an order's timeline keeps.
pub const NOTES_MAX: usize = 32;

/// Paces that the ledger keeps for `verify`.
pub const ERAS_MAX: usize = 256;
