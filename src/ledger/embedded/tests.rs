//! The journal as bytes, the engine under the shared suite, and what only an engine on disk can do.

mod damage;
mod desk;
mod directory;
mod engine;
mod journal;
mod life;
