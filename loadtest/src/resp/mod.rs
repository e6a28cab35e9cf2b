//! The protocol of Redis, as far as tests need it: where frames end, what a reply says, and a plain client.
//! Own code, so that what judges a gateway shares no client library with it.

mod client;
mod scan;
mod value;

pub use self::client::{Client, request};
pub use self::scan::{Ended, Scanner, Unreadable};
pub use self::value::Value;
