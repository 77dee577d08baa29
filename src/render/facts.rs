//! What is told: the facts of one event, cleaned and bounded, as the webhook body and the templates name them.
//!
//! # Variables of the templates
//! The templates of email and Slack see every field of [`Data`] (the `data` of the webhook body, under the same names)
//! and every field of [`Context`] beside them, all at the top: `{{caller.name}}`, `{{started_at}}`, `{{who}}`.
//! Every name is always there; an absent fact is null, which prints nothing and is false in `{{#if}}`.
//! A name that is not there is an error. The helpers are listed in [`super::helpers`].

use std::borrow::Cow;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use super::text::clean;
use crate::event::{Called, Caller, Closed, Event, EventId, EventType, Kind};
use crate::message::Locale;
use crate::number::repeats_number;
use crate::private::{PersonName, PhoneNumber, Secret};

/// What a message is to be made of.
#[derive(Debug, Clone)]
pub struct Facts<'a> {
    /// The call or voicemail.
    pub event: &'a Event,
    /// As which event it is told.
    pub event_type: EventType,
    /// How its audio can be heard.
    pub recording: Recording,
    /// Whether it is a sample that must say so.
    pub test: bool,
    /// The calls of one caller that the message stands for, when they are several; `event` is the latest.
    pub repeated: Option<Repeated>,
    /// Of an escalation: how long nobody had acted when it was decided to tell it.
    pub waited: Option<Duration>,
    /// The URL of its page, for this channel.
    pub page: Option<String>,
}

impl<'a> Facts<'a> {
    /// `event` as `event_type`, and nothing besides.
    pub fn new(event: &'a Event, event_type: EventType) -> Self {
        Self { event, event_type, recording: Recording::None, test: false, repeated: None, waited: None, page: None }
    }
}

/// Several calls of one caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repeated {
    /// How many.
    pub count: u32,
    /// When they began, earliest first; of very many only the latest.
    pub times: Vec<Timestamp>,
    /// The channel was told of earlier ones before: the message belongs under that one.
    pub follows: bool,
}

/// How the audio of an event can be heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recording {
    /// There is nothing to listen to, or the channel wants no link.
    None,
    /// By this link.
    Link {
        /// Minted for this attempt.
        url: Secret,
        /// When it dies.
        expires_at: Timestamp,
    },
    /// By this link, since the mail could not bring the recording itself.
    LinkInstead {
        /// Minted for this attempt.
        url: Secret,
        /// When it dies.
        expires_at: Timestamp,
    },
    /// The mail brings it, as a file of this name.
    Attached {
        /// Without folders.
        name: String,
    },
    /// There is audio but no link could be had in time: the text says where to listen instead.
    Elsewhere,
}

/// Limits in characters. They keep the webhook body under 20 kB and a subject on one screen.
const MAX_NAME: usize = 100;
const MAX_NUMBER: usize = 64;
const BRIEF_NAME: usize = 24;
const MAX_TEXT: usize = 200;

/// The event in the words of the webhook body: its `data`, and variables of the templates.
///
/// Texts are without control characters, and so on one line; numbers of people are in clear.
#[derive(Debug, Clone, Serialize)]
pub struct Data<'a> {
    /// `evt_…`: the same for every channel, replica and attempt.
    pub event_id: EventId,
    /// The account's name in the configuration.
    pub account: Cow<'a, str>,
    /// The PBX's id of the call.
    pub uuid: Cow<'a, str>,
    /// True for samples: the message must say that it is a test.
    pub test: bool,
    /// Who called.
    pub caller: CallerData<'a>,
    /// What they called.
    pub called: CalledData<'a>,
    /// When the call began. RFC 3339, UTC, whole seconds.
    pub started_at: Stamp,
    /// When it ended. RFC 3339, UTC, whole seconds.
    pub ended_at: Stamp,
    /// Whole length in seconds: how long a caller waited, or how long a message is.
    pub duration_seconds: Option<u32>,
    /// Seconds in the queue.
    pub queue_wait_seconds: Option<u32>,
    /// The PBX's own Turkish text for how it ended: `Cevapsız`.
    pub result: Option<Cow<'a, str>>,
    /// The PBX's id of the call by which it was returned.
    pub return_uuid: Option<Cow<'a, str>>,
    /// When it was returned, or its caller reached; when that was noticed, if nothing better is known.
    pub returned_at: Option<Stamp>,
    /// How it ended: `returned` (called back), `caller_reached` (the same caller was answered later), `answered` (by
    /// somebody else within the same call) or `heard`. Null while somebody must act.
    pub settled_by: Option<Closed>,
    /// The extension that called back, or that the caller reached.
    pub returned_by: Option<Cow<'a, str>>,
    /// When the voicemail was heard.
    pub heard_at: Option<Stamp>,
    /// Of an escalation: how long nobody had acted, since the end of the call; whole minutes, in seconds.
    pub waited_seconds: Option<u64>,
    /// How many calls the message stands for.
    pub attempts: u32,
    /// When they began, earliest first, of very many only the latest. RFC 3339, UTC, whole seconds.
    pub calls: Vec<Stamp>,
    /// The link to the audio, when there is one.
    pub recording: Option<RecordingData<'a>>,
    /// Links to ringback's own pages.
    pub links: Links<'a>,
}

/// `caller`: who called.
#[derive(Debug, Clone, Serialize)]
pub struct CallerData<'a> {
    /// As the PBX wrote it: `03121234567`. Null when withheld.
    pub number: Option<Cow<'a, str>>,
    /// `+903121234567`, plus sign and digits only; null unless the number is surely a public one.
    pub e164: Option<&'a str>,
    /// For people: `0312 123 45 67`. Null when withheld.
    pub display: Option<Cow<'a, str>>,
    /// The caller's own words, never to be trusted. Null when it is empty or only repeats the number.
    pub name: Option<Cow<'a, str>>,
    /// Whether the caller hid the number.
    pub withheld: bool,
}

/// `called`: what they called.
#[derive(Debug, Clone, Serialize)]
pub struct CalledData<'a> {
    /// The public number that was dialled, as the PBX wrote it. Null for voicemails.
    pub number: Option<Cow<'a, str>>,
    /// The same in E.164.
    pub e164: Option<&'a str>,
    /// The same for people.
    pub display: Option<Cow<'a, str>>,
    /// Name of the extension: `Dahili 1`.
    pub name: Option<Cow<'a, str>>,
    /// The extension that rang, or whose mailbox it is.
    pub extension: Option<Cow<'a, str>>,
    /// Number or name of the queue or ring group.
    pub queue: Option<Cow<'a, str>>,
    /// Name of the queue, where `queue` is its number and `accounts[].names` is on.
    pub queue_name: Option<Cow<'a, str>>,
}

/// `recording`: the link to the audio.
#[derive(Debug, Clone, Serialize)]
pub struct RecordingData<'a> {
    /// Whoever has it can listen until it dies.
    pub url: &'a str,
    /// When it dies. RFC 3339, UTC, whole seconds.
    pub expires_at: Stamp,
}

/// `links`: to ringback's own pages, which work for `http.link_ttl`. Null without `http.public_url`, and when there is
/// nothing to do any more.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Links<'a> {
    /// The page of the event, where its recording can be heard. Null when there is none.
    pub listen: Option<&'a str>,
    /// The same page for whoever opens it; a POST to it rings an extension and then the caller. Null when the caller
    /// cannot be called.
    pub callback: Option<String>,
}

impl<'a> Links<'a> {
    fn new(facts: &'a Facts<'_>, callable: bool) -> Self {
        let Some(page) = facts.page.as_deref().filter(|_| !facts.event_type.is_follow_up()) else {
            return Self::default();
        };
        let callback = callable.then(|| format!("{page}/callback"));
        Self { listen: facts.event.recording.then_some(page), callback }
    }
}

/// A time as payloads and templates have it: RFC 3339, UTC, whole seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp(pub Timestamp);

impl Serialize for Stamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:.0}", self.0))
    }
}

impl<'a> Data<'a> {
    /// The facts, with a link only if its URL is at most `max_url` bytes of `http(s)`.
    pub fn new(facts: &'a Facts<'_>, max_url: usize) -> Self {
        let event = facts.event;
        let settled_at = event.settled_at().map(Stamp);
        let heard = event.kind == Kind::Voicemail;
        let extension = event.ending.as_ref().and_then(|ending| ending.extension.as_deref());
        let caller = caller(&event.caller);
        let called_back = caller.e164.is_some();
        Self {
            event_id: event.id,
            account: clean(&event.account, MAX_TEXT),
            uuid: clean(&event.uuid, MAX_TEXT),
            test: facts.test,
            caller,
            called: called(&event.called),
            started_at: Stamp(event.started_at),
            ended_at: Stamp(event.ended_at),
            duration_seconds: event.duration,
            queue_wait_seconds: event.queue_wait,
            result: present(event.result.as_deref(), MAX_TEXT),
            return_uuid: present(event.return_uuid.as_deref(), MAX_TEXT),
            returned_at: settled_at.filter(|_| !heard),
            settled_by: event.settled_by(),
            returned_by: present(extension.filter(|_| settled_at.is_some()), MAX_NUMBER),
            heard_at: settled_at.filter(|_| heard),
            attempts: facts.repeated.as_ref().map_or(1, |repeated| repeated.count),
            calls: match &facts.repeated {
                Some(repeated) => repeated.times.iter().copied().map(Stamp).collect(),
                None => vec![Stamp(event.started_at)],
            },
            waited_seconds: facts.waited.map(whole_minutes),
            recording: link(&facts.recording, max_url),
            links: Links::new(facts, called_back),
        }
    }
}

/// Who waits for a quarter of an hour does not count the seconds.
fn whole_minutes(waited: Duration) -> u64 {
    let seconds = waited.as_secs();
    if seconds < 60 { seconds } else { seconds - seconds % 60 }
}

fn caller(caller: &Caller) -> CallerData<'_> {
    let (number, e164, display) = number(caller.number.as_ref());
    let name = present(caller.name.as_ref().map(PersonName::expose), MAX_NAME)
        .filter(|name| !number.as_deref().is_some_and(|number| repeats_number(name, number)));
    CallerData { number, e164, display, name, withheld: caller.withheld() }
}

fn called(called: &Called) -> CalledData<'_> {
    let (number, e164, display) = number(called.number.as_ref());
    CalledData {
        number,
        e164,
        display,
        name: present(called.name.as_ref().map(PersonName::expose), MAX_NAME),
        extension: present(called.extension.as_deref(), MAX_NUMBER),
        queue: present(called.queue.as_deref(), MAX_NAME),
        queue_name: present(called.queue_name.as_ref().map(PersonName::expose), MAX_NAME),
    }
}

type Forms<'a> = (Option<Cow<'a, str>>, Option<&'a str>, Option<Cow<'a, str>>);

fn number(number: Option<&PhoneNumber>) -> Forms<'_> {
    let Some(digits) = number.map(PhoneNumber::expose) else { return (None, None, None) };
    // It goes into `tel:` links, so it is looked at once more.
    let e164 = digits.e164.as_deref().filter(|text| {
        text.strip_prefix('+')
            .is_some_and(|rest| (1..=15).contains(&rest.len()) && rest.bytes().all(|b| b.is_ascii_digit()))
    });
    let raw = clean(&digits.raw, MAX_NUMBER);
    let display = present(Some(&digits.display), MAX_NUMBER).unwrap_or_else(|| raw.clone());
    (Some(raw), e164, Some(display))
}

fn present(text: Option<&str>, max: usize) -> Option<Cow<'_, str>> {
    text.map(|text| clean(text, max)).filter(|text| !text.is_empty())
}

/// A URL that is cut is dead, and one of another scheme does not belong into a link.
fn link(recording: &Recording, max_url: usize) -> Option<RecordingData<'_>> {
    let (Recording::Link { url, expires_at } | Recording::LinkInstead { url, expires_at }) = recording else {
        return None;
    };
    let url = url.expose();
    let web = url.starts_with("https://") || url.starts_with("http://");
    let plain = !url.contains(|c: char| c.is_control() || c.is_whitespace());
    (web && plain && url.len() <= max_url).then_some(RecordingData { url, expires_at: Stamp(*expires_at) })
}

/// The variables that the templates of email and Slack see beside [`Data`].
#[derive(Debug, Serialize)]
pub struct Context<'a> {
    /// The fields of [`Data`].
    #[serde(flatten)]
    pub data: &'a Data<'a>,
    /// `call.missed`, `call.returned`, `call.unreturned`, `voicemail.new`, `voicemail.heard` or `voicemail.unheard`.
    #[serde(rename = "type")]
    pub event_type: EventType,
    /// `tr` or `en`: the language of the message. The helpers `date`, `time` and `duration` follow it.
    pub locale: Locale,
    /// The caller in a few words, never empty: `Mehmet Yılmaz 0312 123 45 67`, `0312 123 45 67`, `Gizli numara`.
    pub who: String,
    /// The same with a name of at most 24 characters, so that the number after it is seen in a list of mails.
    pub brief: String,
    /// `3 arama`, `3 calls`; null when the message stands for one.
    pub repeated: Option<String>,
    /// The extension with its name: `1002 (Dahili 1)`, or what is known of it. May be null.
    pub extension: Option<String>,
    /// The queue with its name: `201 (Satış)`, or what is known of it. May be null.
    pub queue: Option<String>,
    /// True when there is audio but no link to it: the message says where to listen.
    pub listen_elsewhere: bool,
    /// The name of the file that the mail brings the recording in. Null when it brings none.
    pub attachment: Option<String>,
    /// True when the mail should have brought the recording and could not: then there is a link in its place.
    pub not_attached: bool,
}

impl<'a> Context<'a> {
    /// What `data` looks like to a template.
    pub fn new(data: &'a Data<'a>, facts: &Facts<'_>, locale: Locale) -> Self {
        Self {
            data,
            event_type: facts.event_type,
            locale,
            who: who(&data.caller, locale),
            brief: brief(&data.caller, locale),
            repeated: (data.attempts > 1).then(|| match locale {
                Locale::Tr => format!("{} arama", data.attempts),
                Locale::En => format!("{} calls", data.attempts),
            }),
            extension: extension(&data.called),
            queue: queue(&data.called),
            listen_elsewhere: data.recording.is_none()
                && !matches!(facts.recording, Recording::None | Recording::Attached { .. }),
            attachment: match &facts.recording {
                Recording::Attached { name } => Some(name.clone()),
                _ => None,
            },
            not_attached: matches!(facts.recording, Recording::LinkInstead { .. }),
        }
    }
}

/// The extension with its name, or what is known of it.
pub fn extension(called: &CalledData<'_>) -> Option<String> {
    with_name(called.extension.as_deref(), called.name.as_deref())
}

/// The queue with its name, or what is known of it.
pub fn queue(called: &CalledData<'_>) -> Option<String> {
    with_name(called.queue.as_deref(), called.queue_name.as_deref())
}

fn with_name(number: Option<&str>, name: Option<&str>) -> Option<String> {
    match (number, name) {
        (Some(number), Some(name)) if number != name => Some(format!("{number} ({name})")),
        (one, other) => one.or(other).map(str::to_owned),
    }
}

/// As [`who`], with a name that leaves room for the number.
fn brief(caller: &CallerData<'_>, locale: Locale) -> String {
    let name = caller.name.as_deref().map(|name| Cow::Owned(clean(name, BRIEF_NAME).into_owned()));
    who(&CallerData { name, ..caller.clone() }, locale)
}

/// The caller in one line.
pub(super) fn who(caller: &CallerData<'_>, locale: Locale) -> String {
    let (title, aside) = match locale {
        Locale::Tr => ("Gizli numara", "gizli numara"),
        Locale::En => ("Withheld number", "withheld number"),
    };
    match (&caller.name, &caller.display) {
        (Some(name), Some(display)) => format!("{name} {display}"),
        (None, Some(display)) => display.clone().into_owned(),
        (Some(name), None) => format!("{name} ({aside})"),
        (None, None) => title.to_owned(),
    }
}
