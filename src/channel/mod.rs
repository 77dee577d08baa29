//! The ways out: one file per type of channel.

pub mod email;
pub mod slack;
pub mod webhook;
