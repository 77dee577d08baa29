//! What contract.md promises, seen from the outside: one file for each promise.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails, and says where")]

mod binary;
mod cli;
mod demo;
mod example;
mod harness;
mod health;
mod interop;
mod layering;
mod life;
mod recordings;
mod secrets;
mod told;
mod traps_paging;
mod traps_settled;
mod traps_start;
mod traps_time;
mod traps_trouble;
