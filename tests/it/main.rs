//! What contract.md promises, seen from the outside: one file for each promise.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails, and says where")]

mod binary;
mod broken;
mod check_online;
mod cli;
mod demo;
mod example;
mod harness;
mod interop;
mod lanes;
mod layering;
mod life;
mod outbox_commands;
mod recordings;
mod secrets;
mod tls;
mod told;
mod traps_paging;
mod traps_settled;
mod traps_start;
mod traps_time;
mod traps_trouble;
