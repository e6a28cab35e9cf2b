//! Commands that need more than one part: the demo, and the doctor.

pub mod demo;
pub mod doctor;
