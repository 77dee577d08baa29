//! A digest: one message that tells many events together, as many as fit.
//!
//! # Variables of its templates
//! The fields of [`Context`] at the top, those of [`Row`] inside of `{{#each rows}}` (or of `{{#each groups}}` and in it
//! `{{#each this}}`).

use std::borrow::Cow;
use std::fmt::Write as _;

use bytes::Bytes;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;
use serde_json::json;

use super::bodies::{MAX_TEXT, Story};
use super::facts::{CallerData, Data, Facts, Stamp, extension, queue, who};
use super::helpers::{date, mrkdwn, time};
use super::text::clean;
use super::{Look, Renderer, payload, slack, tidy, wrap};
use crate::event::{Closed, Event, EventType, Kind};
use crate::message::{ChannelType, Locale, Mail, Message};

/// One event of a digest.
#[derive(Debug, Clone, Copy)]
pub struct InDigest<'a> {
    /// The call or voicemail.
    pub event: &'a Event,
    /// As which event it is told.
    pub event_type: EventType,
    /// What has settled it since it was decided to tell it.
    pub settled: Option<Closed>,
}

/// A digest of the first of its events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Digest {
    /// Always one that can be sent.
    pub message: Message,
    /// How many events it tells: at least one, and the others are for the next.
    pub rows: usize,
    /// File, line and reason when a template failed and a built-in plain text took its place. Holds no values.
    pub failure: Option<String>,
}

/// How many events a digest of this type can tell at most. The mail is one that people still scroll through; the others
/// have limits in characters and bytes too, which see [`Renderer::digest`].
pub fn most_in_digest(channel: ChannelType) -> usize {
    match channel {
        ChannelType::Email => 500,
        ChannelType::Slack => 80,
        ChannelType::Webhook => 100,
    }
}

/// Limits in characters: a row is one line on a screen.
const MAX_NAME: usize = 60;
const MAX_NUMBER: usize = 32;
const MAX_PLACE: usize = 40;

/// A section of Slack holds so many rows, and about so many characters of the 3000 that it may have.
const GROUP_ROWS: usize = 10;
const GROUP_TEXT: usize = 2400;
/// What a row has besides its facts: time, words, marks of a link.
const ROW_TEXT: usize = 80;

/// What the templates of a digest see.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Context<'a> {
    /// `digest`.
    #[serde(rename = "type")]
    pub event_type: &'static str,
    /// `tr` or `en`.
    pub locale: Locale,
    /// False: there are no samples of digests that are sent.
    pub test: bool,
    /// `37 cevapsız çağrı, 2 sesli mesaj ve 1 sonuçlanan bildirim`.
    pub what: String,
    /// From the first call to the last: `22.11.2026 08:07 – 11:42`.
    pub span: String,
    /// How many are missed calls.
    pub calls: usize,
    /// How many are voicemails.
    pub voicemails: usize,
    /// How many tell the end of what was told before.
    pub follow_ups: usize,
    /// How many of all are settled since.
    pub settled: usize,
    /// The accounts' names: `main`, `main, branch`.
    pub account: String,
    /// True when there is something to listen to: a digest has no links, it says where to listen.
    pub listen_elsewhere: bool,
    /// The events, earliest first.
    pub rows: &'a [Row<'a>],
    /// The same in groups, each of which fits into one section of Slack.
    pub groups: Vec<&'a [Row<'a>]>,
}

/// One event as a line.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Row<'a> {
    /// `call.missed`, `call.returned`, `call.unreturned`, `voicemail.new`, `voicemail.heard` or `voicemail.unheard`.
    #[serde(rename = "type")]
    pub event_type: EventType,
    /// Whether it was told before, and nobody has acted since.
    pub still_open: bool,
    /// Whether it is about a voicemail.
    pub voicemail: bool,
    /// The account's name in the configuration.
    pub account: Cow<'a, str>,
    /// Who called.
    pub caller: CallerData<'a>,
    /// Caller in one line, never empty.
    pub who: String,
    /// When the call began.
    pub started_at: Stamp,
    /// Whole length in seconds.
    pub duration_seconds: Option<u32>,
    /// The extension with its name. May be null.
    pub extension: Option<Cow<'a, str>>,
    /// The queue with its name. May be null.
    pub queue: Option<Cow<'a, str>>,
    /// What has become of it since, in words: `geri arandı`. Null while somebody must act.
    pub settled: Option<&'static str>,
}

impl Renderer {
    /// One message that tells as many of `events` as it can hold, from the first on. Never fails; see
    /// [`Digest::failure`].
    pub fn digest(&self, look: &Look, events: &[InDigest<'_>]) -> Digest {
        let (channel, locale) = (look.channel, look.locale);
        let facts: Vec<Facts<'_>> =
            events.iter().take(most_in_digest(channel)).map(|one| Facts::new(one.event, one.event_type)).collect();
        let data: Vec<Data<'_>> = facts.iter().map(|facts| super::data(look, facts, 0)).collect();
        let rows: Vec<Row<'_>> =
            data.iter().zip(events).map(|(data, event)| Row::new(data.clone(), event, locale)).collect();
        let audio = |one: &InDigest<'_>| one.event.recording && !one.event_type.is_follow_up();
        let audio: Vec<bool> = events.iter().map(audio).collect();
        let mut fitting = rows.len();
        loop {
            let listen = audio[..fitting].contains(&true);
            let context = Context::new(&rows[..fitting], listen, locale, &self.timezone);
            let (message, failure) = match channel {
                ChannelType::Webhook => {
                    let (body, told) = payload::digest(&events[..fitting], data[..fitting].to_vec());
                    // A program reads the rows themselves.
                    let lines = match look.body {
                        Some(_) => plain_lines(&context, &self.timezone, str::to_owned),
                        None => String::new(),
                    };
                    if look.body.is_some() && (told < fitting || lines.len() > MAX_TEXT) && fitting > 1 {
                        fitting = told.min(fitting * MAX_TEXT / lines.len().max(1)).clamp(1, fitting - 1);
                        continue;
                    }
                    let names = payload::names(&data[..told]);
                    let story = || Story {
                        title: format!("{} ({})", context.what, context.span),
                        lines: lines.lines().map(str::to_owned).collect(),
                        link: None,
                    };
                    let made = self.dress(look, body, names, Some(&context), story);
                    return Digest { message: Message::Webhook(made.message), rows: told, failure: made.failure };
                }
                ChannelType::Email => self.mail_digest(&context),
                ChannelType::Slack => match self.slack_digest(&context) {
                    Ok(Fit::Whole(json)) => (Message::Slack(json.into()), None),
                    // Of one row, what is too long is cut.
                    Ok(Fit::Cut { json, .. }) if fitting == 1 => (Message::Slack(json.into()), None),
                    Ok(Fit::Cut { share, .. }) => {
                        fitting = (fitting * share / slack::WHOLE).clamp(1, fitting - 1);
                        continue;
                    }
                    Err(failure) => (Message::Slack(plain_slack(&context, &self.timezone).into()), Some(failure)),
                },
            };
            return Digest { message, rows: fitting, failure };
        }
    }

    fn mail_digest(&self, context: &Context<'_>) -> (Message, Option<String>) {
        // Digests of one day are one conversation.
        let day = context.rows.first().map_or(Timestamp::UNIX_EPOCH, |row| row.started_at.0);
        let thread = format!("digest-{}", day.to_zoned(self.timezone.clone()).date());
        let folder = format!("{}/email/digest", context.locale.as_str());
        let made = wrap(context).and_then(|values| {
            let part = |ending: &str| self.templates.render(&format!("{folder}.{ending}"), &values);
            Ok(Mail {
                subject: self.subject(&folder, &values)?,
                text: tidy(&part("txt")?),
                html: part("html")?,
                thread: thread.clone(),
                attachment: None,
            })
        });
        match made {
            Ok(mail) => (Message::Email(mail), None),
            Err(failure) => (Message::Email(plain_mail(context, &self.timezone, thread)), Some(failure)),
        }
    }

    fn slack_digest(&self, context: &Context<'_>) -> Result<Fit, String> {
        let name = format!("{}/slack/digest.json", context.locale.as_str());
        let json = self.templates.render(&name, &wrap(context)?)?;
        let place = |problem| format!("{}: {problem}", self.templates.place(&name));
        let share = slack::share_that_fits(&json).map_err(place)?;
        let fitted = slack::fit(&json).map_err(place)?;
        Ok(if share >= slack::WHOLE { Fit::Whole(fitted) } else { Fit::Cut { json: fitted, share } })
    }
}

enum Fit {
    Whole(Bytes),
    /// Something had to be cut; about so many of [`slack::WHOLE`] parts of it would fit.
    Cut {
        json: Bytes,
        share: usize,
    },
}

impl<'a> Row<'a> {
    pub(super) fn new(data: Data<'a>, event: &InDigest<'a>, locale: Locale) -> Self {
        let place = |text: Option<String>| text.map(|text| short(text.into(), MAX_PLACE));
        let (extension, queue) = (place(extension(&data.called)), place(queue(&data.called)));
        let caller = CallerData {
            name: data.caller.name.map(|name| short(name, MAX_NAME)),
            display: data.caller.display.map(|display| short(display, MAX_NUMBER)),
            number: data.caller.number.map(|number| short(number, MAX_NUMBER)),
            ..data.caller
        };
        Self {
            event_type: event.event_type,
            still_open: event.event_type.is_escalation(),
            voicemail: event.event_type.kind() == Kind::Voicemail,
            account: data.account,
            who: who(&caller, locale),
            caller,
            started_at: data.started_at,
            duration_seconds: data.duration_seconds,
            extension,
            queue,
            settled: event.settled.and_then(|by| settled_in_words(by, locale)),
        }
    }

    /// About as many characters as its line has in Slack, where five stand for an ampersand.
    fn length(&self) -> usize {
        let length = |text: &str| mrkdwn(text).chars().map(char::len_utf16).sum::<usize>();
        let places = self.extension.iter().chain(&self.queue).map(|text| length(text)).sum::<usize>();
        ROW_TEXT + length(&self.who) + places
    }
}

pub(super) fn short(text: Cow<'_, str>, max: usize) -> Cow<'_, str> {
    if text.chars().count() <= max { text } else { Cow::Owned(clean(&text, max).into_owned()) }
}

fn settled_in_words(by: Closed, locale: Locale) -> Option<&'static str> {
    match (by, locale) {
        (Closed::Returned, Locale::Tr) => Some("geri arandı"),
        (Closed::Returned, Locale::En) => Some("called back"),
        (Closed::CallerReached, Locale::Tr) => Some("arayanla görüşüldü"),
        (Closed::CallerReached, Locale::En) => Some("caller reached"),
        (Closed::Answered, Locale::Tr) => Some("yanıtlandı"),
        (Closed::Answered, Locale::En) => Some("answered"),
        (Closed::Heard, Locale::Tr) => Some("dinlendi"),
        (Closed::Heard, Locale::En) => Some("heard"),
        (Closed::ByHand, Locale::Tr) => Some("elle kapatıldı"),
        (Closed::ByHand, Locale::En) => Some("closed by hand"),
        (Closed::Voicemail | Closed::Expired, _) => None,
    }
}

impl<'a> Context<'a> {
    fn new(rows: &'a [Row<'a>], listen_elsewhere: bool, locale: Locale, timezone: &TimeZone) -> Self {
        let follow_ups = rows.iter().filter(|row| row.event_type.is_follow_up()).count();
        let voicemails = rows.iter().filter(|row| row.voicemail && !row.event_type.is_follow_up()).count();
        let calls = rows.len() - voicemails - follow_ups;
        let mut accounts: Vec<&str> = rows.iter().map(|row| &*row.account).collect();
        accounts.sort_unstable();
        accounts.dedup();
        Self {
            event_type: "digest",
            locale,
            test: false,
            what: what(calls, voicemails, follow_ups, locale),
            span: span(rows.iter().map(|row| row.started_at.0), locale, timezone),
            calls,
            voicemails,
            follow_ups,
            settled: rows.iter().filter(|row| row.settled.is_some()).count(),
            account: accounts.join(", "),
            listen_elsewhere,
            rows,
            groups: groups(rows),
        }
    }
}

/// Turkish counts things without a plural.
fn what(calls: usize, voicemails: usize, follow_ups: usize, locale: Locale) -> String {
    let (things, and) = match locale {
        Locale::Tr => ([("cevapsız çağrı", ""), ("sesli mesaj", ""), ("sonuçlanan bildirim", "")], "ve"),
        Locale::En => ([("missed call", "s"), ("voicemail", "s"), ("follow-up", "s")], "and"),
    };
    let counted = [calls, voicemails, follow_ups].into_iter().zip(things).filter(|(count, _)| *count > 0);
    let mut parts: Vec<String> = counted
        .map(|(count, (thing, plural))| format!("{count} {thing}{}", if count == 1 { "" } else { plural }))
        .collect();
    match parts.pop() {
        Some(last) if !parts.is_empty() => format!("{} {and} {last}", parts.join(", ")),
        last => last.unwrap_or_default(),
    }
}

fn span(times: impl Iterator<Item = Timestamp> + Clone, locale: Locale, timezone: &TimeZone) -> String {
    let (first, last) = (times.clone().min().unwrap_or_default(), times.max().unwrap_or_default());
    let (from, to) = (date(first, timezone, locale), date(last, timezone, locale));
    let day = |at: Timestamp| at.to_zoned(timezone.clone()).date();
    if from == to {
        from
    } else if day(first) == day(last) {
        format!("{from} – {}", time(last, timezone))
    } else {
        format!("{from} – {to}")
    }
}

fn groups<'a>(rows: &'a [Row<'a>]) -> Vec<&'a [Row<'a>]> {
    let mut groups = Vec::new();
    let (mut start, mut length) = (0, 0);
    for (position, row) in rows.iter().enumerate() {
        let more = row.length();
        if position > start && (position - start == GROUP_ROWS || length + more > GROUP_TEXT) {
            groups.push(&rows[start..position]);
            (start, length) = (position, 0);
        }
        length += more;
    }
    groups.push(&rows[start..]);
    groups
}

/// The essential facts as a mail, without a template.
fn plain_mail(context: &Context<'_>, timezone: &TimeZone, thread: String) -> Mail {
    let subject = format!("{} ({})", context.what, context.span);
    let text = format!("{subject}\n\n{}", plain_lines(context, timezone, str::to_owned));
    let html = format!(
        "<!doctype html>\n<html><head><meta charset=\"utf-8\"></head><body><pre style=\"white-space:pre-wrap;\">{}</pre></body></html>\n",
        handlebars::html_escape(&text)
    );
    Mail { subject, text, html, thread, attachment: None }
}

/// The same for Slack.
fn plain_slack(context: &Context<'_>, timezone: &TimeZone) -> Bytes {
    let lines = plain_lines(context, timezone, mrkdwn);
    let text = format!("{} ({})\n{lines}", context.what, context.span);
    json!({"text": text, "unfurl_links": false, "unfurl_media": false}).to_string().into()
}

fn plain_lines(context: &Context<'_>, timezone: &TimeZone, escape: impl Fn(&str) -> String) -> String {
    let ([call, voicemail], [unreturned, unheard], elsewhere) = match context.locale {
        Locale::Tr => (
            ["Cevapsız çağrı", "Sesli mesaj"],
            ["Hâlâ dönülmedi", "Hâlâ dinlenmedi"],
            "Kayıtları Online İşlem Merkezi üzerinden dinleyebilirsiniz.",
        ),
        Locale::En => (
            ["Missed call", "Voicemail"],
            ["Still not called back", "Still not heard"],
            "You can listen to the recordings in the Online İşlem Merkezi.",
        ),
    };
    let mut lines = String::new();
    for row in context.rows {
        let kind = match (row.voicemail, row.still_open) {
            (false, false) => call,
            (true, false) => voicemail,
            (false, true) => unreturned,
            (true, true) => unheard,
        };
        let _ = write!(lines, "{}  {kind}: {}", date(row.started_at.0, timezone, context.locale), escape(&row.who));
        for place in row.queue.iter().chain(&row.extension) {
            let _ = write!(lines, " · {}", escape(place));
        }
        let _ = row.settled.map(|settled| write!(lines, " · ✓ {settled}"));
        lines.push('\n');
    }
    if context.listen_elsewhere {
        let _ = writeln!(lines, "{elsewhere}");
    }
    lines
}

/// What the templates see of a digest of nothing: the names.
pub(super) fn nothing(timezone: &TimeZone) -> serde_json::Value {
    serde_json::to_value(Context::new(&[], false, Locale::Tr, timezone)).unwrap_or_default()
}

#[cfg(test)]
mod tests;
