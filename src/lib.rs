//! ringback

pub mod app;
pub mod channel;
pub mod cli;
pub mod clock;
pub mod config;
pub mod cursor;
pub mod dispatch;
pub mod event;
pub mod health;
pub mod http;
pub mod message;
pub mod metrics;
pub mod number;
pub mod outbox;
pub mod pbx;
pub mod private;
pub mod recording;
pub mod render;
pub mod retry;
pub mod route;
pub mod server;
pub mod sim;
pub mod store;
pub mod track;
pub mod units;
pub mod watch;
