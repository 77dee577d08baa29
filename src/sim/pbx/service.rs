//! What a simulated PBX does with a request: hooks, faults, key, limit, answer, in this order.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;

use super::data::{Data, Recorded};
use super::lists::{self, Params};
use super::options::{BadKey, MarksRead, PbxOptions, UrlForm};
use super::{Endpoint, Fault, Request, rows};
use crate::clock::Moment;
use crate::sim::http1::{self, Act, Answer, Reply};
use crate::sim::keep;
use crate::sim::script::Script;

/// The limits are on any span of this length.
const MINUTE: Duration = Duration::from_secs(60);

pub(super) type Change = Box<dyn FnOnce(&mut Data) + Send>;

pub(super) struct State {
    pub(super) options: PbxOptions,
    pub(super) data: Data,
    pub(super) faults: BTreeMap<Endpoint, Script<Fault>>,
    pub(super) hooks: Vec<(Endpoint, usize, Change)>,
    pub(super) requests: VecDeque<Request>,
    pub(super) counts: BTreeMap<Endpoint, usize>,
    /// Statuses of the answers to what it has posted.
    pub(super) posted: Vec<u16>,
    /// Ticks of the requests that were let in, by the endpoint whose limit they count towards.
    admitted: BTreeMap<Endpoint, VecDeque<Duration>>,
    minted: BTreeMap<String, Minted>,
    base_url: String,
}

/// A recording's URL that was given out.
struct Minted {
    /// Set when fetching it makes a voicemail heard.
    voicemail: Option<String>,
    /// Tick at which it dies.
    until: Duration,
}

impl State {
    pub(super) fn new(options: PbxOptions, base_url: String) -> Self {
        Self {
            options,
            data: Data::default(),
            faults: BTreeMap::new(),
            hooks: Vec::new(),
            requests: VecDeque::new(),
            counts: BTreeMap::new(),
            posted: Vec::new(),
            admitted: BTreeMap::new(),
            minted: BTreeMap::new(),
            base_url,
        }
    }

    pub(super) fn handle(&mut self, request: &http1::Request, moment: Moment) -> Reply {
        let (endpoint, id) = Endpoint::of(&request.method, request.path());
        let params = params(request);
        let count = self.counts.entry(endpoint).or_default();
        *count += 1;
        let nth = *count;
        for (_, _, change) in self.hooks.extract_if(.., |(at, n, _)| *at == endpoint && *n == nth).collect::<Vec<_>>() {
            change(&mut self.data);
        }
        let fault = self.faults.get_mut(&endpoint).and_then(Script::next);
        let reply = self.reply(endpoint, id, request, &params, moment, fault);
        keep(
            &mut self.requests,
            Request {
                endpoint,
                method: request.method.clone(),
                target: request.target.clone(),
                params,
                at: moment,
                answered: reply.status(),
            },
        );
        reply
    }

    fn reply(
        &mut self,
        endpoint: Endpoint,
        id: &str,
        request: &http1::Request,
        params: &Params,
        moment: Moment,
        fault: Option<Fault>,
    ) -> Reply {
        let mut wait = self.options.latency;
        let key = params.get("key").map_or("", |key| &**key);
        let mut real = || {
            let answer = self.answer(endpoint, id, request, params, moment);
            match jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&moment.at) {
                Ok(date) => answer.with("Date", date),
                Err(_) => answer,
            }
        };
        let act = match fault {
            None => Act::Answer(real()),
            Some(Fault::Slow(longer)) => {
                wait += longer;
                Act::Answer(real())
            }
            Some(Fault::Drip { bytes, every }) => Act::Drip { answer: real(), bytes, every },
            Some(Fault::Truncate) => Act::Cut(real()),
            Some(Fault::Status(status, body, headers)) => {
                let answer = Answer::text(status, body);
                Act::Answer(headers.iter().fold(answer, |answer, (name, value)| answer.with(name, value)))
            }
            Some(Fault::Html500) => {
                let page = "<html><head><title>500 Internal Server Error</title></head><body><hr>nginx</body></html>";
                Act::Answer(Answer::new(500, "text/html", page))
            }
            Some(Fault::Garbage) => {
                Act::Answer(Answer::new(200, "application/json", "{\"cdrs\":[{\"start_stamp\":\"2017-08-0"))
            }
            Some(Fault::BadKeyEcho) => Act::Answer(bad_key(key, self.options.bad_key)),
            Some(Fault::Hang) => Act::Hang,
            Some(Fault::Reset) => Act::Reset,
        };
        Reply { wait, act }
    }

    fn answer(
        &mut self,
        endpoint: Endpoint,
        id: &str,
        request: &http1::Request,
        params: &Params,
        moment: Moment,
    ) -> Answer {
        if endpoint == Endpoint::Other {
            return Answer::text(404, "Not Found");
        }
        if endpoint == Endpoint::Recording {
            return self.recording(id, request.method == "GET", moment);
        }
        let key = params.get("key").map_or("", |key| &**key);
        if key != self.options.key {
            return bad_key(key, self.options.bad_key);
        }
        if !self.admit(endpoint, moment.tick) {
            let answer = Answer::text(429, "Istek limiti asildi");
            return match self.options.retry_after {
                Some(seconds) => answer.with("Retry-After", seconds.to_string()),
                None => answer,
            };
        }
        match endpoint {
            Endpoint::Cdrs => list(lists::cdrs(&self.data, params, &self.options, moment.at)),
            Endpoint::Voicemails => list(lists::voicemails(&self.data, params, &self.options, moment.at)),
            Endpoint::CdrDetail => self.cdr_detail(id, moment.at),
            Endpoint::Contacts => list(lists::contacts(&self.data, params, &self.options)),
            // No pages: the vendor shows bare lists.
            Endpoint::Extensions => Answer::json(200, &json!(self.data.extensions)),
            Endpoint::Queues => Answer::json(200, &json!(self.data.queues)),
            Endpoint::Crm => self.options.crm.show(),
            Endpoint::SetCrm => self.options.crm.set(params),
            Endpoint::Originate => self.originate(params),
            _ => self.mint(endpoint, params, moment),
        }
    }

    /// Refused requests do not count towards the limit.
    fn admit(&mut self, endpoint: Endpoint, tick: Duration) -> bool {
        let endpoint = endpoint.limited_as();
        let limits = self.options.limits;
        let limit = match endpoint {
            Endpoint::Cdrs => limits.cdrs,
            Endpoint::CdrDetail => limits.cdr_detail,
            Endpoint::Originate => limits.originate,
            Endpoint::Voicemails => limits.voicemails,
            Endpoint::Contacts | Endpoint::Extensions | Endpoint::Queues => limits.names,
            Endpoint::Crm | Endpoint::SetCrm => None,
            _ => limits.recordings,
        };
        let recent = self.admitted.entry(endpoint).or_default();
        while recent.front().is_some_and(|at| tick.saturating_sub(*at) >= MINUTE) {
            recent.pop_front();
        }
        let free = limit.is_none_or(|limit| recent.len() < limit);
        if free {
            recent.push_back(tick);
        }
        free
    }

    fn cdr_detail(&self, uuid: &str, now: Timestamp) -> Answer {
        if let Some(row) = self.data.raw_cdrs.iter().find(|row| row["call_uuid"] == uuid) {
            return Answer::json(200, &json!({"cdr": row, "call_flow": []}));
        }
        match self.data.calls.iter().find(|call| call.uuid == uuid && call.visible(now)) {
            Some(call) => Answer::json(200, &rows::cdr_detail(call, &self.options)),
            None => self.unknown("call", "call_uuid", uuid),
        }
    }

    /// As the vendor's page "Çağrı Başlatma" says. Nobody answers: the calls that come of it are the test's to add.
    fn originate(&self, params: &Params) -> Answer {
        let of = |key: &str| params.get(key).map_or("", |value| &**value);
        let (extension, destination) = (of("extension"), of("destination"));
        if !self.options.extensions.iter().any(|known| known == extension) {
            return Answer::text(400, format!("extension {extension} not found"));
        }
        let digits = destination.len() >= 10 && destination.bytes().all(|b| b.is_ascii_digit());
        if !digits || !(destination.starts_with("90") || destination.starts_with("00")) {
            return Answer::text(400, "invalid destination");
        }
        Answer::text(200, recording_id().split_off(1))
    }

    fn mint(&mut self, endpoint: Endpoint, params: &Params, moment: Moment) -> Answer {
        let uuid = params.get("uuid").or_else(|| params.get("call_uuid")).map_or("", |uuid| &**uuid);
        let of_voicemail = endpoint == Endpoint::VoicemailRecordingUrl;
        if of_voicemail {
            if !self.data.voicemails.iter().any(|voicemail| voicemail.uuid == uuid && voicemail.visible(moment.at))
                && !self.data.raw_voicemails.iter().any(|row| row["uuid"] == uuid)
            {
                return self.unknown("voicemail", "uuid", uuid);
            }
            if self.options.marks_read == MarksRead::OnMint {
                self.data.mark_read(uuid, moment.at);
            }
        } else if !self
            .data
            .calls
            .iter()
            .any(|call| call.uuid == uuid && call.visible(moment.at) && call.recording_present == Recorded::Yes)
        {
            return self.unknown("call", "call_uuid", uuid);
        }
        // Long dead ones are forgotten, so that a demo may run for days: then they are unknown rather than expired.
        let forgotten = Duration::from_secs(86_400);
        self.minted.retain(|_, minted| minted.until.saturating_add(forgotten) > moment.tick);
        let id = recording_id();
        let url = format!("{}/recording/{id}", self.base_url);
        let until = moment.tick.saturating_add(self.options.url_life);
        self.minted.insert(id, Minted { voicemail: of_voicemail.then(|| uuid.to_owned()), until });
        match self.options.url_form {
            UrlForm::Text => Answer::text(200, url),
            UrlForm::Quoted => Answer::text(200, format!("\"{url}\"\n")),
            UrlForm::Json => {
                let expires_at = moment.at.saturating_add(self.options.url_life).unwrap_or(Timestamp::MAX);
                Answer::json(200, &json!({"url": url, "expires_at": expires_at.to_string()}))
            }
        }
    }

    fn recording(&mut self, id: &str, listens: bool, moment: Moment) -> Answer {
        let Some(minted) = self.minted.get(id) else { return Answer::text(404, "Not Found") };
        if moment.tick >= minted.until {
            return Answer::text(410, "Gone");
        }
        if let Some(uuid) = &minted.voicemail
            && listens
            && self.options.marks_read == MarksRead::OnFetch
        {
            self.data.mark_read(uuid, moment.at);
        }
        Answer::new(200, &self.options.audio_type, self.options.audio.clone())
    }

    fn unknown(&self, what: &str, key: &str, uuid: &str) -> Answer {
        Answer::text(self.options.unknown_uuid, format!("cannot find {what} with {key} {uuid}"))
    }
}

fn list(answer: Result<serde_json::Value, Answer>) -> Answer {
    answer.map_or_else(|refusal| refusal, |body| Answer::json(200, &body))
}

fn bad_key(key: &str, status: BadKey) -> Answer {
    let status = match status {
        BadKey::Status400 => 400,
        BadKey::Status401 => 401,
        BadKey::Status200 => 200,
    };
    Answer::text(status, format!("Gecersiz anahtar: {key}"))
}

/// `R` and a random uuid.
fn recording_id() -> String {
    let hex = format!("{:032x}", fastrand::u128(..));
    format!("R{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

/// Query and form as one; the real PBX takes both, and JSON, as its clients show.
fn params(request: &http1::Request) -> Params {
    let query = url::form_urlencoded::parse(request.query().as_bytes());
    let mut params: Params = query.into_owned().collect();
    match request.header("content-type") {
        Some(kind) if kind.starts_with("application/json") => {
            params.extend(serde_json::from_slice::<Params>(&request.body).unwrap_or_default());
        }
        _ => params.extend(url::form_urlencoded::parse(&request.body).into_owned()),
    }
    params
}
