//! The public listener over real sockets: the book behind it, a clock that a test moves, and a follower that
//! reads the tail when a test says so.

mod client;
mod counted;
mod edge;
mod overload;
mod retry;
mod rig;
mod streams;
mod takeover;
mod unread;
mod waits;
