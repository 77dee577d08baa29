//! The world outside, on this machine: a PBX and the receivers of messages, over real sockets on loopback.
//!
//! The tests and `ringback demo` run on it; the daemon never reaches it. It is written from the vendor's pages and the
//! RFCs, not from our own clients, so that both are checked against each other: nothing here imports `pbx`, `channel`
//! or `config`. Limits and the life of URLs count on the [`Clock`](crate::clock::Clock) that a simulator is started
//! with; slowness ([`Fault::Slow`](pbx::Fault::Slow) and the like) takes real time, since the timeouts that it is to
//! meet do.

pub mod audio;
mod http1;
pub mod pbx;
pub mod receiver;
mod script;
mod server;
mod signal;
mod slack;
pub mod smtp;

/// How many requests, messages or mails a simulator remembers; older ones make room, so that a demo may run for days.
const KEPT: usize = 10_000;

/// Adds to a list that forgets its oldest entries.
fn keep<T>(list: &mut std::collections::VecDeque<T>, entry: T) {
    if list.len() == KEPT {
        list.pop_front();
    }
    list.push_back(entry);
}
