//! What contract.md promises, seen from the outside: one file for each promise.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails, and says where")]
#![expect(clippy::unchecked_time_subtraction, reason = "a test that goes below zero fails")]

mod api;
mod attach;
mod binary;
mod board;
mod bodies;
mod bounds;
mod broken;
mod check_online;
mod cli;
mod crash;
mod demo;
mod disk;
mod escalation;
mod example;
mod follow_ups;
mod groups;
mod harness;
mod health;
mod holds;
mod hostile;
mod interop;
mod lanes;
mod layering;
mod life;
mod links;
mod mails;
mod outbox_commands;
mod power_cut;
mod push;
mod recordings;
mod routes;
mod secrets;
mod slack;
mod store_trouble;
mod summaries;
mod tls;
mod told;
mod traps_paging;
mod traps_settled;
mod traps_start;
mod traps_time;
mod traps_trouble;
mod web;
mod week;
