//! ringback watches a Bulutsantralim cloud PBX for missed calls and unheard voicemails and tells people of them, once.
//!
//! The data goes one way. [`watch`] polls the PBX through [`pbx`], which makes [`event::Record`]s of the vendor's JSON.
//! [`track`] says what a record changes and [`route`] who is told; both are pure. Event, deliveries and cursor are one
//! commit in the [`store`]; nothing is sent that is not in it. [`dispatch`] has a lane for each channel, which claims
//! what is due, lets [`recording`] mint a link and [`render`] make the message, sends it by a [`channel`], and stores
//! what [`outbox::settle`] makes of the outcome. Nothing downstream calls upstream.
//!
//! Time and chance are arguments: [`clock`] is the only reader of time. Secrets and people are types that mask, in
//! [`private`]. [`sim`] stands in for the PBX and for receivers, over real sockets, for the tests and the demo; the
//! daemon never reaches it.

pub mod app;
pub mod body;
pub mod callback;
pub mod channel;
pub mod cli;
pub mod clock;
pub mod condition;
pub mod config;
pub mod cursor;
pub mod dispatch;
pub mod event;
pub mod health;
pub mod heartbeat;
pub mod http;
pub mod link;
pub mod message;
pub mod metrics;
pub mod number;
pub mod ops;
pub mod outbox;
pub mod pbx;
pub mod private;
pub mod recording;
pub mod render;
pub mod retry;
pub mod route;
pub mod schedule;
pub mod server;
pub mod sim;
pub mod store;
pub mod summary;
pub mod tally;
pub mod tls;
pub mod track;
pub mod units;
pub mod watch;
pub mod watchdog;
