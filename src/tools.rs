//! Commands that need more than one part: the demo, the doctor, the load test, and the store's tables.

pub mod demo;
pub mod doctor;
pub mod load;
pub mod migrate;
