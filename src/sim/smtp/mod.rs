//! A simulated mail server: RFC 5321 without TLS, strict about what it is given, and rude on request.

mod command;
mod session;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::keep;
use super::script::Script;
use super::server::{Port, Server};
use super::signal::Signal;
use crate::clock::{Clock, Moment};

/// What the server offers.
#[derive(Debug, Clone)]
pub struct SmtpOptions {
    /// User and password; with them, nothing is taken before AUTH PLAIN or LOGIN.
    pub auth: Option<(String, String)>,
    /// The longest message in bytes, announced as SIZE (RFC 1870).
    pub max_size: usize,
    /// Whether 8BITMIME (RFC 6152) is offered; without it and `BODY=8BITMIME`, bytes above 127 are refused.
    pub eight_bit: bool,
    /// Whether SMTPUTF8 (RFC 6531) is offered; without it, addresses are ASCII.
    pub utf8: bool,
}

impl Default for SmtpOptions {
    fn default() -> Self {
        Self { auth: None, max_size: 25 * 1024 * 1024, eight_bit: true, utf8: true }
    }
}

/// A point of the dialogue at which something may go wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stage {
    /// Instead of the greeting.
    Connect,
    /// AUTH.
    Auth,
    /// MAIL FROM.
    Mail,
    /// RCPT TO, whoever it is.
    Rcpt,
    /// RCPT TO this address.
    RcptTo(String),
    /// DATA.
    Data,
    /// After the message, which is not kept.
    EndOfData,
    /// After the message, which is kept: its acknowledgement is lost.
    Accepted,
}

/// What goes wrong.
#[derive(Debug, Clone)]
pub enum SmtpFault {
    /// This code and text: 4yz to try again, 5yz for good. After 421 the connection is closed.
    Reply(u16, String),
    /// Silence until the client leaves.
    Hang,
    /// A TCP reset.
    Reset,
    /// So much real time, and then all is well.
    Slow(Duration),
}

/// A message that was accepted.
#[derive(Debug, Clone)]
pub struct Mail {
    /// The sender of the envelope; empty for `<>`.
    pub from: String,
    /// The recipients of the envelope that were accepted.
    pub to: Vec<String>,
    /// Header and body, with CRLF line ends, dots unstuffed.
    pub data: Vec<u8>,
    /// When its last line had come.
    pub at: Moment,
}

impl Mail {
    /// The first header of this name, in any case: unfolded, otherwise as it was sent.
    pub fn header(&self, name: &str) -> Option<String> {
        let text = String::from_utf8_lossy(&self.data);
        let head = text.split("\r\n\r\n").next().unwrap_or_default();
        let unfolded = head.replace("\r\n ", " ").replace("\r\n\t", " ");
        unfolded.split("\r\n").find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        })
    }
}

/// A running mail server on a loopback port. Dropping it stops it.
pub struct SmtpReceiver {
    _server: Server,
    shared: Arc<Shared>,
    address: SocketAddr,
}

struct Shared {
    clock: Clock,
    options: SmtpOptions,
    state: Mutex<State>,
    signal: Signal,
}

#[derive(Default)]
struct State {
    faults: Vec<(Stage, Script<SmtpFault>)>,
    received: VecDeque<Mail>,
    accepted: usize,
    connections: usize,
    /// Messages of which the beginning may have come and the end has not.
    arriving: usize,
}

/// Counts a message as arriving while it lives.
struct Arriving(Arc<Shared>);

impl Arriving {
    fn of(shared: &Arc<Shared>) -> Self {
        shared.state().arriving += 1;
        Self(Arc::clone(shared))
    }
}

impl Drop for Arriving {
    fn drop(&mut self) {
        self.0.state().arriving -= 1;
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn connected(&self) {
        self.state().connections += 1;
        self.signal.raise();
    }

    fn fault(&self, stage: &Stage) -> Option<SmtpFault> {
        self.state().faults.iter_mut().find(|(at, _)| at == stage)?.1.next()
    }

    fn accept(&self, from: String, to: Vec<String>, data: Vec<u8>) {
        let mail = Mail { from, to, data, at: self.clock.moment() };
        let mut state = self.state();
        state.accepted += 1;
        keep(&mut state.received, mail);
        drop(state);
        self.signal.raise();
    }
}

impl SmtpReceiver {
    /// Starts a server that accepts every sender and recipient; inside a tokio runtime.
    ///
    /// # Errors
    /// When no loopback port can be had.
    pub fn start(clock: Clock, options: SmtpOptions) -> io::Result<Self> {
        let port = Port::open()?;
        let address = port.address();
        let shared = Arc::new(Shared { clock, options, state: Mutex::default(), signal: Signal::new() });
        let inner = Arc::clone(&shared);
        let server = port.serve(move |stream| session::serve(stream, Arc::clone(&inner)));
        Ok(Self { _server: server, shared, address })
    }

    /// Where it listens: an address of this machine, and a port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Lets the dialogue go wrong at `stage` the next `times` times, after the faults that were asked for before;
    /// `usize::MAX` stands for ever.
    pub fn fault(&self, stage: Stage, fault: SmtpFault, times: usize) {
        let faults = &mut self.shared.state().faults;
        if let Some((_, script)) = faults.iter_mut().find(|(at, _)| *at == stage) {
            script.push(fault, times);
        } else {
            let mut script = Script::default();
            script.push(fault, times);
            faults.push((stage, script));
        }
    }

    /// Takes back every fault.
    pub fn clear_faults(&self) {
        self.shared.state().faults.clear();
    }

    /// The messages so far, oldest first; at most the last 10,000.
    pub fn received(&self) -> Vec<Mail> {
        self.shared.state().received.iter().cloned().collect()
    }

    /// The messages after the first `seen`, oldest first; of more than 10,000 the last.
    pub fn since(&self, seen: usize) -> Vec<Mail> {
        let state = self.shared.state();
        let kept = state.received.len();
        let news = state.accepted.saturating_sub(seen).min(kept);
        state.received.iter().skip(kept - news).cloned().collect()
    }

    /// How many messages were accepted.
    pub fn accepted(&self) -> usize {
        self.shared.state().accepted
    }

    /// Whether a client may be sending a message at this moment. The kernel may hold back the end of one for a delayed
    /// acknowledgement (RFC 1122 section 4.2.3.2): forty milliseconds in which nothing else moves.
    pub fn is_receiving(&self) -> bool {
        self.shared.state().arriving > 0
    }

    /// How many connections there have been.
    pub fn connections(&self) -> usize {
        self.shared.state().connections
    }

    /// Returns once `n` messages were accepted since the start, with those that are kept, oldest first.
    pub async fn wait_for(&self, n: usize) -> Vec<Mail> {
        self.shared
            .signal
            .until(|| {
                let state = self.shared.state();
                (state.accepted >= n).then(|| state.received.iter().cloned().collect())
            })
            .await
    }

    /// Returns once there have been `n` connections since the start.
    pub async fn wait_for_connections(&self, n: usize) {
        self.shared.signal.until(|| (self.shared.state().connections >= n).then_some(())).await;
    }
}
