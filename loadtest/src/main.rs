//! Load test.
fn main() {}
