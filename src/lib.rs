//! ringback

pub mod channel;
pub mod clock;
pub mod config;
pub mod event;
pub mod http;
pub mod message;
pub mod outbox;
pub mod private;
pub mod render;
pub mod retry;
pub mod units;
