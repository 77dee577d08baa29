//! Plain messages made without templates, for when a template fails: a template can fail, a message cannot.

use std::fmt::Write as _;

use bytes::Bytes;
use jiff::tz::TimeZone;
use serde_json::json;

use super::facts::{Context, Stamp};
use super::helpers::{date, duration, mrkdwn, slack_url, time, times};
use crate::event::{Closed, EventType};
use crate::message::{Locale, Mail};

/// The essential facts as a mail.
pub(super) fn mail(context: &Context<'_>, timezone: &TimeZone, thread: String) -> Mail {
    let subject = title(context, timezone);
    let mut lines = vec![subject.clone(), String::new()];
    lines.extend(facts(context, timezone));
    if let Some(recording) = &context.data.recording {
        lines.push(recording.url.to_owned());
    }
    lines.extend(context.attachment.clone());
    let text = lines.join("\n") + "\n";
    let html = format!(
        "<!doctype html>\n<html><head><meta charset=\"utf-8\"><meta name=\"color-scheme\" content=\"light dark\"></head><body><pre style=\"white-space:pre-wrap;\">{}</pre></body></html>\n",
        handlebars::html_escape(&text)
    );
    Mail { subject, text, html, thread, attachment: None }
}

/// The essential facts as a Slack message.
pub(super) fn slack(context: &Context<'_>, timezone: &TimeZone) -> Bytes {
    let mut text = mrkdwn(&title(context, timezone));
    for line in facts(context, timezone) {
        text.push('\n');
        text.push_str(&mrkdwn(&line));
    }
    if let Some(recording) = &context.data.recording {
        let _ = write!(text, "\n<{}>", slack_url(recording.url));
    }
    json!({"text": text, "unfurl_links": false, "unfurl_media": false}).to_string().into()
}

/// One line: what, who, when.
pub(super) fn title(context: &Context<'_>, timezone: &TimeZone) -> String {
    let what = match (context.locale, context.event_type) {
        (Locale::Tr, EventType::CallReturned) => match context.data.settled_by {
            Some(Closed::CallerReached) => "Arayanla görüşüldü",
            Some(Closed::Answered) => "Yanıtlandı",
            _ => "Geri arandı",
        },
        (Locale::Tr, EventType::VoicemailHeard) => "Sesli mesaj dinlendi",
        (Locale::En, EventType::CallReturned) => match context.data.settled_by {
            Some(Closed::CallerReached) => "Caller reached",
            Some(Closed::Answered) => "Answered",
            _ => "Called back",
        },
        (Locale::En, EventType::VoicemailHeard) => "Voicemail heard",
        (Locale::Tr, EventType::CallMissed) => "Cevapsız çağrı",
        (Locale::Tr, EventType::CallUnreturned) => "Hâlâ dönülmedi",
        (Locale::Tr, EventType::VoicemailNew) => "Yeni sesli mesaj",
        (Locale::Tr, EventType::VoicemailUnheard) => "Hâlâ dinlenmedi",
        (Locale::En, EventType::CallMissed) => "Missed call",
        (Locale::En, EventType::CallUnreturned) => "Still not called back",
        (Locale::En, EventType::VoicemailNew) => "New voicemail",
        (Locale::En, EventType::VoicemailUnheard) => "Still not heard",
    };
    let test = match (context.data.test, context.locale) {
        (false, _) => "",
        (true, Locale::Tr) => "DENEME: ",
        (true, Locale::En) => "TEST: ",
    };
    let settled_at = context.data.returned_at.or(context.data.heard_at).filter(|_| context.event_type.is_follow_up());
    let Stamp(at) = settled_at.unwrap_or(context.data.started_at);
    let often = match (context.event_type, context.locale, context.data.attempts) {
        (EventType::CallMissed, Locale::Tr, often @ 2..) => format!(" ({often} kez)"),
        (EventType::CallMissed, Locale::En, often @ 2..) => format!(" ({often} times)"),
        _ => String::new(),
    };
    format!("{test}{what}{often}: {} ({})", context.who, time(at, timezone))
}

/// The rest, one fact a line, without links.
pub(super) fn facts(context: &Context<'_>, timezone: &TimeZone) -> Vec<String> {
    let (when, waited, called, extension, queue, elsewhere) = match context.locale {
        Locale::Tr => (
            "Ne zaman",
            "Geçen süre",
            "Aranan numara",
            "Dahili",
            "Kuyruk",
            "Kaydı Online İşlem Merkezi üzerinden dinleyebilirsiniz.",
        ),
        Locale::En => (
            "When",
            "Time passed",
            "Number called",
            "Extension",
            "Queue",
            "You can listen to the recording in the Online İşlem Merkezi.",
        ),
    };
    let Stamp(at) = context.data.started_at;
    let mut lines = vec![format!("{when}: {}", date(at, timezone, context.locale))];
    if let Some(repeated) = &context.repeated {
        let calls: Vec<_> = context.data.calls.iter().map(|Stamp(at)| *at).collect();
        lines.push(format!("{repeated}: {}", times(&calls, timezone, context.locale)));
    }
    lines.extend(context.data.waited_seconds.map(|waiting| format!("{waited}: {}", duration(waiting, context.locale))));
    let rows = [
        (called, context.data.called.display.as_deref()),
        (extension, context.extension.as_deref()),
        (queue, context.queue.as_deref()),
    ];
    lines.extend(rows.into_iter().filter_map(|(label, value)| Some(format!("{label}: {}", value?))));
    if context.listen_elsewhere {
        lines.push(elsewhere.to_owned());
    }
    lines
}
