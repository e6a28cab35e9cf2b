//! Why a process does not start, or ends: three kinds, each with its own exit code.

use crate::store::simulated::OpenError;

/// What kind of failure it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartKind {
    /// The machine: a port in use, a directory locked, read-only or damaged.
    Runtime,
    /// Settings that only show as wrong when they are used.
    Config,
    /// A dependency is there and cannot be used.
    Dependency,
}

/// The process cannot do its job.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct StartError {
    /// Its kind.
    pub kind: StartKind,
    /// What was seen and what the operator can do.
    pub message: String,
}

impl StartError {
    /// The machine is in the way.
    #[must_use]
    pub fn runtime(message: impl Into<String>) -> Self {
        Self { kind: StartKind::Runtime, message: message.into() }
    }

    /// The settings are.
    #[must_use]
    pub fn config(message: impl Into<String>) -> Self {
        Self { kind: StartKind::Config, message: message.into() }
    }

    /// A dependency is.
    #[must_use]
    pub fn dependency(message: impl Into<String>) -> Self {
        Self { kind: StartKind::Dependency, message: message.into() }
    }
}

impl From<OpenError> for StartError {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Runtime { .. } => Self::runtime(error.to_string()),
            OpenError::Unusable { .. } => Self::dependency(error.to_string()),
        }
    }
}

impl From<crate::ledger::Fault> for StartError {
    fn from(fault: crate::ledger::Fault) -> Self {
        Self::runtime(format!("ledger: {fault}"))
    }
}
