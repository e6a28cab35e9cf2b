//! The listener over the real book: every route, every gate, every stable code.

mod conflicts;
mod gates;
mod orders;
mod rig;
mod routes;
mod sales;
mod socket;
