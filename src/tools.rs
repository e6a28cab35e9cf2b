//! Commands that need more than one part and serve nobody: the doctor.

pub mod doctor;
