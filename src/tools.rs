//! Commands that need more than one part: the demo, the doctor, and the load test.

pub mod demo;
pub mod doctor;
pub mod load;
