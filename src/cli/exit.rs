//! Exit codes (DESIGN section 5), and the failure that carries one.

use std::fmt;

/// What a process tells its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// All went well.
    Ok = 0,
    /// It failed at run time: a port in use, a directory locked, a request refused.
    Failed = 1,
    /// The command line is wrong, or names what is not built yet.
    Usage = 2,
    /// The configuration is wrong.
    Config = 3,
    /// A dependency is unusable, or cannot be reached.
    Dependency = 4,
    /// An invariant is broken.
    Broken = 5,
    /// A threshold of a load test was missed, or its generator could not keep up.
    Threshold = 99,
}

/// Why a command ends early: the code and a sentence for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What the caller is told.
    pub exit: Exit,
    /// What went wrong and what to do. Empty when all was said already.
    pub message: String,
}

impl Failure {
    /// A failure with a sentence.
    #[must_use]
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<std::io::Error> for Failure {
    /// Data could not be written.
    fn from(error: std::io::Error) -> Self {
        Self::new(Exit::Failed, format!("cannot write: {error}"))
    }
}

/// The outcome of a command.
pub type Outcome = Result<Exit, Failure>;
