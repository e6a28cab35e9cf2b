//! `load`: a scenario's buyers at a gateway, and the verdict. The load test speaks HTTP only, so that what it says of
//! a gateway does not rest on that gateway's code; this is its door to the command line.

pub use forebay_loadtest::cli::load as run;
pub use forebay_loadtest::load::Ended;
pub use forebay_loadtest::load::Mistake;
pub use forebay_loadtest::load::Options;
