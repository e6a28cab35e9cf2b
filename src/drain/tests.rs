//! The whole drain in paused time, on the book and on a store in memory.

mod adaptive;
mod book;
mod faults;
mod pace;
mod plant;
mod shop;
mod turns;
