//! What contract.md promises, seen from the outside: one file for each promise.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails, and says where")]

mod binary;
mod cli;
mod example;
mod harness;
mod interop;
mod layering;
mod secrets;
mod told;
