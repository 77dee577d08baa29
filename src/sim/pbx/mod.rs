//! A simulated Bulutsantralim: the endpoints that matter, with the vendor's rules and whatever can go wrong.
//!
//! Sources: the vendor's pages for calls, voicemails and recordings, and what other clients of the API have met.

mod data;
mod lists;
mod options;
mod push;
mod rows;
mod service;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub use data::{Data, Direction, Recorded, SimCall, SimVoicemail};
pub use options::{
    Absent, BadKey, Durations, Flag, Language, LimitRule, Limits, MarksRead, Pagination, PbxOptions, UrlForm,
};
pub use push::Crm;
use serde_json::Value;
use tokio::task::JoinSet;

use self::service::State;
use super::http1::{self, Reply};
use super::server::{Port, Server};
use super::signal::Signal;
use crate::clock::{Clock, Moment};

/// What can be asked of the PBX.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Endpoint {
    /// `GET /cdrs`.
    Cdrs,
    /// `GET /cdrs/UUID`.
    CdrDetail,
    /// `GET /voicemail_messages`.
    Voicemails,
    /// `POST /recording_url`.
    RecordingUrl,
    /// `POST /voicemail_recording_url`.
    VoicemailRecordingUrl,
    /// `GET /contacts`: the phone book.
    Contacts,
    /// `GET /extensions`.
    Extensions,
    /// `GET /queues`.
    Queues,
    /// `GET /crm_integrations`.
    Crm,
    /// `POST /crm_integrations`.
    SetCrm,
    /// `GET /recording/ID`: the audio.
    Recording,
    /// `GET /originate`: rings an extension and then a number.
    Originate,
    /// Anything else, which is answered with 404.
    Other,
}

impl Endpoint {
    /// The endpoint and the rest of the path. A slash at the end makes no difference.
    fn of<'a>(method: &str, path: &'a str) -> (Self, &'a str) {
        let path = path.strip_suffix('/').unwrap_or(path);
        match (method, path) {
            ("GET", "/cdrs") => (Self::Cdrs, ""),
            ("GET", "/voicemail_messages") => (Self::Voicemails, ""),
            ("GET", "/contacts") => (Self::Contacts, ""),
            ("GET", "/extensions") => (Self::Extensions, ""),
            ("GET", "/queues") => (Self::Queues, ""),
            ("GET" | "POST", "/originate") => (Self::Originate, ""),
            ("POST", "/recording_url") => (Self::RecordingUrl, ""),
            ("GET", "/crm_integrations") => (Self::Crm, ""),
            ("POST", "/crm_integrations") => (Self::SetCrm, ""),
            ("POST", "/voicemail_recording_url") => (Self::VoicemailRecordingUrl, ""),
            ("GET", _) if path.starts_with("/cdrs/") => (Self::CdrDetail, &path["/cdrs/".len()..]),
            ("GET" | "HEAD", _) if path.starts_with("/recording/") => (Self::Recording, &path["/recording/".len()..]),
            _ => (Self::Other, ""),
        }
    }

    /// Both kinds of recordings share one limit.
    fn limited_as(self) -> Self {
        if self == Self::VoicemailRecordingUrl { Self::RecordingUrl } else { self }
    }
}

/// What goes wrong with a request.
#[derive(Debug, Clone)]
pub enum Fault {
    /// This answer instead, as text: status, body, more headers.
    Status(u16, String, Vec<(String, String)>),
    /// No answer, and the request has no effect.
    Hang,
    /// The request has its effect, but the connection ends in the middle of the answer's body.
    Truncate,
    /// A TCP reset instead of an answer, and the request has no effect.
    Reset,
    /// The right answer, so many bytes at a time.
    Drip {
        /// At least 1.
        bytes: usize,
        /// Real time after each piece.
        every: Duration,
    },
    /// 200 with half of a JSON text.
    Garbage,
    /// 500 with a proxy's HTML page.
    Html500,
    /// The right answer after this much real time.
    Slow(Duration),
    /// The answer for a wrong key, with the key in it, though the key is right.
    BadKeyEcho,
}

/// A request that the PBX has seen.
#[derive(Debug, Clone)]
pub struct Request {
    /// What was asked.
    pub endpoint: Endpoint,
    /// The HTTP method.
    pub method: String,
    /// Path and query as they were sent.
    pub target: String,
    /// Query and body together, decoded.
    pub params: BTreeMap<String, String>,
    /// When it came.
    pub at: Moment,
    /// The status of the answer; 0 when there was none.
    pub answered: u16,
}

/// A running PBX on a loopback port. Dropping it stops it.
pub struct PbxSim {
    _server: Server,
    shared: Arc<Shared>,
    base_url: String,
    key: String,
}

struct Shared {
    clock: Clock,
    state: Mutex<State>,
    signal: Signal,
    /// Calls whose ends are to be posted; they end with the PBX.
    posting: Mutex<JoinSet<()>>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn handle(&self, request: &http1::Request) -> Reply {
        let reply = self.state().handle(request, self.clock.moment());
        self.signal.raise();
        reply
    }
}

impl PbxSim {
    /// Starts an empty PBX; inside a tokio runtime.
    ///
    /// # Errors
    /// When no loopback port can be had.
    pub fn start(clock: Clock, options: PbxOptions) -> io::Result<Self> {
        let port = Port::open()?;
        let base_url = format!("http://{}", port.address());
        let key = options.key.clone();
        let state = Mutex::new(State::new(options, base_url.clone()));
        let shared = Arc::new(Shared { clock, state, signal: Signal::new(), posting: Mutex::default() });
        let inner = Arc::clone(&shared);
        let server = port.serve(move |stream| {
            let shared = Arc::clone(&inner);
            http1::serve(stream, move |request| shared.handle(&request))
        });
        Ok(Self { _server: server, shared, base_url, key })
    }

    /// `http://127.0.0.1:PORT`.
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// The key that it was started with.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Changes how it behaves from the next request on.
    pub fn configure(&self, change: impl FnOnce(&mut PbxOptions)) {
        change(&mut self.shared.state().options);
    }

    /// Several changes of the data between two requests.
    pub fn change<R>(&self, change: impl FnOnce(&mut Data) -> R) -> R {
        change(&mut self.shared.state().data)
    }

    /// Adds a call, which is listed once the clock has reached its end. Its end is posted to where [`PbxOptions::crm`]
    /// says then, if it does; inside a tokio runtime.
    pub fn add_call(&self, call: SimCall) {
        if self.shared.state().options.crm.hangups().is_some() {
            // The tasks are dropped with the PBX: they hold nothing of it that would keep it alive.
            let shared = Arc::downgrade(&self.shared);
            let (call, clock) = (call.clone(), self.shared.clock.clone());
            let mut posting = self.shared.posting.lock().unwrap_or_else(PoisonError::into_inner);
            while posting.try_join_next().is_some() {}
            posting.spawn(async move {
                clock.sleep(Duration::try_from(call.end.duration_since(clock.now())).unwrap_or_default()).await;
                let post = shared.upgrade().and_then(|shared| {
                    let options = &shared.state().options;
                    Some((options.crm.hangups()?, push::hangup(&call, options.offset)))
                });
                let Some((url, form)) = post else { return };
                let answered = push::post(&url, &form).await;
                if let Some(shared) = shared.upgrade() {
                    shared.state().posted.push(answered);
                    shared.signal.raise();
                }
            });
        }
        self.change(|data| data.add_call(call));
    }

    /// How the posts were answered so far; 0 stands for not at all.
    pub fn posted(&self) -> Vec<u16> {
        self.shared.state().posted.clone()
    }

    /// Returns once `n` posts were answered, with how.
    pub async fn wait_for_posts(&self, n: usize) -> Vec<u16> {
        self.shared
            .signal
            .until(|| {
                let state = self.shared.state();
                (state.posted.len() >= n).then(|| state.posted.clone())
            })
            .await
    }

    /// Adds a voicemail, which is listed once the clock has reached its end.
    pub fn add_voicemail(&self, voicemail: SimVoicemail) {
        self.change(|data| data.add_voicemail(voicemail));
    }

    /// Adds a row to `/cdrs` as it stands. It passes every filter and is newer than every other row.
    pub fn add_raw_cdr(&self, row: Value) {
        self.change(|data| data.add_raw_cdr(row));
    }

    /// Adds a row to `/voicemail_messages` as it stands. It passes every filter and is newer than every other row.
    pub fn add_raw_voicemail(&self, row: Value) {
        self.change(|data| data.add_raw_voicemail(row));
    }

    /// Changes every row of a call and says how many there were.
    pub fn update(&self, uuid: &str, change: impl FnMut(&mut SimCall)) -> usize {
        self.change(|data| data.update(uuid, change))
    }

    /// Says that the call `uuid` was returned by the call `by_uuid`.
    pub fn set_returned(&self, uuid: &str, by_uuid: &str) -> usize {
        self.change(|data| data.set_returned(uuid, by_uuid))
    }

    /// Somebody listens to a voicemail now.
    pub fn mark_read(&self, uuid: &str) -> usize {
        let now = self.shared.clock.now();
        self.change(|data| data.mark_read(uuid, now))
    }

    /// Whether a voicemail has been listened to.
    pub fn is_read(&self, uuid: &str) -> bool {
        self.change(|data| data.voicemails.iter().any(|one| one.uuid == uuid && one.read_at.is_some()))
    }

    /// Forgets every row with this uuid.
    pub fn remove(&self, uuid: &str) {
        self.change(|data| data.remove(uuid));
    }

    /// Lets the next `times` requests to `endpoint` go wrong, after the faults that were asked for before;
    /// `usize::MAX` stands for ever.
    pub fn fault(&self, endpoint: Endpoint, fault: Fault, times: usize) {
        self.shared.state().faults.entry(endpoint).or_default().push(fault, times);
    }

    /// Takes back every fault.
    pub fn clear_faults(&self) {
        self.shared.state().faults.clear();
    }

    /// Changes the data just before the `nth` request to `endpoint` is answered; the first one since the start is 1.
    pub fn before_request(&self, endpoint: Endpoint, nth: usize, change: impl FnOnce(&mut Data) + Send + 'static) {
        self.shared.state().hooks.push((endpoint, nth, Box::new(change)));
    }

    /// The requests so far, oldest first; at most the last 10,000.
    pub fn requests(&self) -> Vec<Request> {
        self.shared.state().requests.iter().cloned().collect()
    }

    /// How often `endpoint` has been asked since the start.
    pub fn asked(&self, endpoint: Endpoint) -> usize {
        self.shared.state().counts.get(&endpoint).copied().unwrap_or_default()
    }

    /// The most requests that came within any span of this length, as the limits count them: the two endpoints that
    /// give out URLs are one.
    pub fn max_in_window(&self, endpoint: Endpoint, window: Duration) -> usize {
        let state = self.shared.state();
        let asked = |request: &&Request| request.endpoint.limited_as() == endpoint.limited_as();
        let ticks: Vec<Duration> = state.requests.iter().filter(asked).map(|request| request.at.tick).collect();
        // Ticks never fall, so the spans that matter begin at a request.
        (0..ticks.len())
            .map(|first| ticks[first..].partition_point(|tick| tick.saturating_sub(ticks[first]) < window))
            .max()
            .unwrap_or(0)
    }

    /// Returns once `endpoint` has been asked `n` times since the start, with those requests, oldest first.
    pub async fn wait_for_requests(&self, endpoint: Endpoint, n: usize) -> Vec<Request> {
        self.shared
            .signal
            .until(|| {
                let state = self.shared.state();
                let enough = state.counts.get(&endpoint).copied().unwrap_or_default() >= n;
                enough.then(|| state.requests.iter().filter(|request| request.endpoint == endpoint).cloned().collect())
            })
            .await
    }
}
