//! Rendering: what an event looks like as a mail, a Slack message or a webhook body.
//!
//! A template can fail, a message cannot: what a template could not make is made without one, and [`Rendered::failure`]
//! says why.

mod attach;
mod bodies;
mod digest;
pub mod facts;
mod fallback;
pub mod helpers;
mod look;
mod mask;
mod notice;
mod payload;
pub mod samples;
mod slack;
mod summary;
mod templates;
mod text;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

pub use self::attach::File;
use self::bodies::Story;
pub use self::digest::{Digest, InDigest, most_in_digest};
use self::facts::{Context, Data};
pub use self::facts::{Facts, Recording, Repeated};
pub use self::facts::{extension, queue};
pub use self::look::Look;
pub use self::notice::in_words;
use self::templates::Templates;
use crate::body::Body;
use crate::event::{Closed, Event, EventType};
use crate::message::{ChannelType, Locale, Mail, Message, SlackMessage};
use crate::private::Secret;

/// Of samples.
const PAGE: &str = "https://calls.example/l/A";

/// The longest subject, in characters; what phones and servers show of it is less.
const MAX_SUBJECT: usize = 250;

/// Makes messages. Shared by all workers.
pub struct Renderer {
    templates: Templates,
    timezone: TimeZone,
    /// The bodies of webhooks that are not the default one.
    bodies: Vec<Body>,
    /// Places of templates that have failed, and that was reported.
    reported: Mutex<BTreeSet<String>>,
}

/// A message, and why it is not the one that the template should have made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// Always one that can be sent.
    pub message: Message,
    /// File, line and reason when a template failed and a built-in plain text took its place. Holds no values.
    pub failure: Option<String>,
}

impl Renderer {
    /// Compiles the built-in templates, replaced by the files of the same names in `folder`; times are shown in
    /// `timezone`.
    ///
    /// # Errors
    /// Everything that is wrong, each with file and line: what cannot be read or compiled, and files that replace
    /// nothing.
    pub fn new(folder: Option<&Path>, timezone: TimeZone) -> Result<Self, Vec<String>> {
        let templates = Templates::load(folder, &timezone)?;
        Ok(Self { templates, timezone, bodies: Vec::new(), reported: Mutex::default() })
    }

    /// Reads the templates of webhooks' bodies, which looks may then name.
    ///
    /// # Errors
    /// Everything that is wrong with them, each with file and line.
    pub fn with_bodies(mut self, bodies: Vec<Body>) -> Result<Self, Vec<String>> {
        self.templates.add_bodies(&bodies)?;
        self.bodies = bodies;
        Ok(self)
    }

    /// Whether a failure is the first at its place in its template: the others say the same once more.
    pub fn is_news(&self, failure: &str) -> bool {
        let place = failure.split_once(": ").map_or(failure, |(place, _)| place);
        self.reported.lock().unwrap_or_else(PoisonError::into_inner).insert(place.to_owned())
    }

    /// The message for one channel. Never fails; see [`Rendered::failure`].
    pub fn render(&self, look: &Look, facts: &Facts<'_>) -> Rendered {
        let data = data(look, facts, max_url(look));
        let locale = look.locale;
        let context = || Context::new(&data, facts, locale);
        let (message, failure) = match look.channel {
            ChannelType::Email => {
                let context = context();
                let thread = self.thread(facts.event);
                let (mail, failure) = match self.mail(&context, &thread) {
                    Ok(mail) => (mail, None),
                    Err(failure) => (fallback::mail(&context, &self.timezone, thread), Some(failure)),
                };
                (Message::Email(mail), failure)
            }
            ChannelType::Slack => {
                let context = context();
                let (post, failure) = match self.slack(&context, "json") {
                    Ok(json) => (json, None),
                    Err(failure) => (fallback::slack(&context, &self.timezone), Some(failure)),
                };
                // Without it the earlier message stays as it is, and this one says all there is to say.
                let again = facts.repeated.as_ref().is_some_and(|repeated| repeated.follows);
                let made = match facts.event_type {
                    event if event.is_follow_up() => {
                        self.slack(&context, "update.json").map(|update| (Some(update), None))
                    }
                    EventType::CallMissed if again && failure.is_none() => {
                        self.slack(&context, "again.json").map(|reply| (Some(post.clone()), Some(reply)))
                    }
                    _ => Ok((None, None)),
                };
                let ((update, reply), failure) = match made {
                    Ok(made) => (made, failure),
                    Err(other) => ((None, None), failure.or(Some(other))),
                };
                (Message::Slack(SlackMessage { post, update, reply }), failure)
            }
            ChannelType::Webhook => {
                let context = context();
                let (body, names) = (payload::body(facts.event_type, &data), payload::names([&data]));
                let made = self.dress(look, body, names, Some(&context), || Story::of(&context, &self.timezone));
                (Message::Webhook(made.message), made.failure)
            }
        };
        Rendered { message, failure }
    }

    /// Renders every template with every sample, and says what fails: each mistake once, with the first sample that
    /// shows it.
    pub fn check(&self) -> Vec<String> {
        let looks =
            ChannelType::ALL.into_iter().flat_map(|channel| Locale::ALL.map(|locale| Look::new(channel, locale)));
        let mut problems = self.check_looks(looks);
        problems.extend(self.bodies.iter().flat_map(|body| self.check_body(body)));
        problems
    }

    /// Reads the template of a webhook's body, and says what is wrong with it as [`Renderer::check`] does.
    pub fn try_body(&mut self, body: &Body) -> Vec<String> {
        match self.templates.add_bodies(std::slice::from_ref(body)) {
            Ok(()) => self.check_body(body),
            Err(problems) => problems,
        }
    }

    fn check_body(&self, body: &Body) -> Vec<String> {
        let look = |locale| Look { body: Some(body.clone()), ..Look::new(ChannelType::Webhook, locale) };
        self.check_looks(Locale::ALL.into_iter().map(look))
    }

    fn check_looks(&self, looks: impl Iterator<Item = Look>) -> Vec<String> {
        // The samples' time; any will do.
        let now = Timestamp::UNIX_EPOCH;
        let mut told = BTreeSet::new();
        let problems = looks.flat_map(|look| self.check_look(&look, now));
        let new = problems.filter(|(problem, _)| told.insert(mistake(problem).to_owned()));
        new.map(|(problem, sample)| format!("{problem} (with the sample `{sample}`)")).collect()
    }

    /// What fails first of each kind of message, with the sample that shows it.
    fn check_look(&self, look: &Look, now: Timestamp) -> Vec<(String, String)> {
        let url = Secret::new("https://recordings.example/R1?signature=a_b*c&expires=1");
        let instead = Recording::LinkInstead { url: url.clone(), expires_at: now };
        let link = Recording::Link { url, expires_at: now };
        let attached = Recording::Attached { name: "mesaj.wav".to_owned() };
        let ways = [
            (Recording::None, false),
            (link, true),
            (Recording::Elsewhere, false),
            (attached, false),
            (instead, false),
        ];
        let mut problems: Vec<(String, String)> = Vec::new();
        problems.extend(self.check_digest(look, now).map(|problem| (problem, "digest".to_owned())));
        for event_type in EventType::ALL {
            let (samples, waited) = (samples::all(event_type, now), samples::waited(event_type));
            let failure = samples.iter().enumerate().find_map(|(index, (sample, event))| {
                // Only mails attach; that their words are there shows with one sample, and a reload waits for all this.
                let attaches = look.channel == ChannelType::Email && index == 0;
                ways[..if attaches { 5 } else { 3 }].iter().find_map(|(recording, test)| {
                    let repeated = (*recording == Recording::Elsewhere).then(|| samples::repeated(event));
                    let recording = recording.clone();
                    let facts = Facts {
                        event,
                        event_type,
                        recording,
                        test: *test,
                        waited,
                        repeated,
                        page: Some(PAGE.to_owned()),
                    };
                    let failure = self.render(look, &facts).failure?;
                    Some((failure, sample.clone()))
                })
            });
            problems.extend(failure);
        }
        let failure = self.summary(look, &samples::summary(now)).failure;
        problems.extend(failure.map(|failure| (failure, "summary".to_owned())));
        problems.extend(samples::notices(now).into_iter().find_map(|sample| {
            let failure = self.notice(look, &sample).failure?;
            Some((failure, sample.event_type().to_owned()))
        }));
        problems
    }

    /// Of every sample alone and of all together, settled and not: what fails first.
    fn check_digest(&self, look: &Look, now: Timestamp) -> Option<String> {
        let samples: Vec<_> = EventType::ALL
            .into_iter()
            .flat_map(|event_type| samples::all(event_type, now).into_iter().map(move |(_, event)| (event, event_type)))
            .collect();
        let by = [None, Some(Closed::Returned)].into_iter().cycle();
        let rows = samples.iter().zip(by).map(|((event, event_type), settled)| InDigest {
            event,
            event_type: *event_type,
            settled: event.settled_by().or(settled),
        });
        let rows: Vec<InDigest<'_>> = rows.collect();
        let alone = rows.chunks(1);
        std::iter::once(rows.as_slice()).chain(alone).find_map(|rows| self.digest(look, rows).failure)
    }

    fn mail(&self, context: &Context<'_>, thread: &str) -> Result<Mail, String> {
        let folder = format!("{}/email/{}", context.locale.as_str(), context.event_type);
        let values = wrap(context)?;
        let part = |ending: &str| self.templates.render(&format!("{folder}.{ending}"), &values);
        let subject = self.subject(&folder, &values)?;
        let (text, html) = (tidy(&part("txt")?), part("html")?);
        Ok(Mail { subject, text, html, thread: thread.to_owned(), attachment: None })
    }

    fn subject(&self, folder: &str, values: &handlebars::Context) -> Result<String, String> {
        let name = format!("{folder}.subject.txt");
        let subject = text::clean(&self.templates.render(&name, values)?, MAX_SUBJECT).into_owned();
        if subject.is_empty() {
            return Err(format!("{}: gives an empty subject", self.templates.place(&name)));
        }
        Ok(subject)
    }

    fn slack(&self, context: &Context<'_>, ending: &str) -> Result<bytes::Bytes, String> {
        let name = format!("{}/slack/{}.{ending}", context.locale.as_str(), context.event_type);
        let json = self.templates.render(&name, &wrap(context)?)?;
        slack::fit(&json).map_err(|problem| format!("{}: {problem}", self.templates.place(&name)))
    }

    /// One conversation per account, caller and day of the call. Hashed, since it ends up in headers that mail servers
    /// log. Withheld callers are strangers to each other: each event is a conversation of its own.
    fn thread(&self, event: &Event) -> String {
        let Some(number) = &event.caller.number else { return event.id.to_string() };
        let digits = number.expose();
        let day = event.started_at.to_zoned(self.timezone.clone()).date().to_string();
        let mut hash = Sha256::new();
        for part in [event.account.as_str(), digits.e164.as_deref().unwrap_or(&digits.raw), &day] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
        let mut half = [0; 16];
        half.copy_from_slice(&hash.finalize()[..16]);
        format!("{:032x}", u128::from_be_bytes(half))
    }
}

/// The place in a template, and the words for what is wrong there: what may follow is of one message only.
fn mistake(failure: &str) -> &str {
    failure.match_indices(": ").nth(1).map_or(failure, |(end, _)| &failure[..end])
}

fn wrap(context: &impl Serialize) -> Result<handlebars::Context, String> {
    handlebars::Context::wraps(context).map_err(|error| format!("cannot give the facts to a template: {error}"))
}

/// The facts as a page shows them, with numbers in full or starred.
pub fn for_page<'a>(facts: &'a Facts<'_>, mask_numbers: bool) -> Data<'a> {
    let data = Data::new(facts, 0);
    if mask_numbers { mask::data(data) } else { data }
}

/// The facts as a channel may know them.
fn data<'a>(look: &Look, facts: &'a Facts<'_>, max_url: usize) -> Data<'a> {
    let data = Data::new(facts, max_url);
    if look.mask_numbers { mask::data(data) } else { data }
}

/// The longest recording URL that a channel takes, in bytes: Slack cuts a section at 3000 characters, escapes and words
/// included, other services a whole message at 4096; the others are kept far below the 20 kB of a webhook body.
fn max_url(look: &Look) -> usize {
    match look.channel {
        ChannelType::Slack => 2000,
        ChannelType::Webhook if look.body.is_some() => 1000,
        ChannelType::Email | ChannelType::Webhook => 4000,
    }
}

/// Rows that are absent leave no gaps: at most one empty line in a row, none at the ends.
fn tidy(text: &str) -> String {
    let mut tidy = String::with_capacity(text.len());
    let mut empty = 0;
    for line in text.trim().lines() {
        empty = if line.trim().is_empty() { empty + 1 } else { 0 };
        if empty < 2 {
            tidy.push_str(line);
            tidy.push('\n');
        }
    }
    tidy
}

#[cfg(test)]
mod tests;
