//! Notices about ringback itself. Made without templates, which may be what is broken: they cannot fail.

use std::fmt::Write as _;

use bytes::Bytes;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;
use serde_json::json;

use super::bodies::Story;
use super::helpers::date;
use super::{Look, Rendered, Renderer};
use crate::condition::{Cause, Condition, News, Notice, Reason};
use crate::message::{ChannelType, Locale, Mail, Message};
use crate::outbox::FailureKind;

mod en;
mod tr;

pub(super) const INK: &str =
    "color:#1b1f24;font-size:15px;line-height:22px;overflow-wrap:anywhere;word-break:break-word;";
pub(super) const MUTED: &str = "color:#57606a;font-size:14px;line-height:20px;";
const FONT: &str = "font-family:-apple-system,'Segoe UI',Roboto,Helvetica,Arial,sans-serif;";

/// Whose trouble it is: a mail stands among others.
const FROM: &str = "ringback: ";

/// The dates of a notice, as people write them.
struct When {
    since: String,
    until: String,
}

/// What a notice says, in one language.
struct Words {
    /// One line: what it is, and with whom.
    title: String,
    /// Sentences: since when, and what it means.
    lead: String,
    /// Why, and what to do; empty when it is over.
    why: &'static str,
    action: String,
    /// Before the technical detail.
    detail: &'static str,
}

impl Words {
    fn new(notice: &Notice, locale: Locale, timezone: &TimeZone) -> Self {
        let when = When { since: date(notice.since, timezone, locale), until: date(notice.at, timezone, locale) };
        let words = match locale {
            Locale::Tr => tr::words(notice, &when),
            Locale::En => en::words(notice, &when),
        };
        Self { title: format!("{FROM}{}", words.title), ..words }
    }

    /// The lines under the title.
    fn lines<'w>(&'w self, notice: &'w Notice) -> Vec<String> {
        let mut lines = vec![self.lead.clone()];
        if let Some(reason) = notice.reason() {
            lines.push([self.why, &self.action].join(" ").trim().to_owned());
            lines.push(format!("{}: {}", self.detail, reason.detail));
        }
        lines
    }
}

/// What a notice says, for a page: the title, and the lines under it.
pub fn in_words(notice: &Notice, locale: Locale, timezone: &TimeZone) -> (String, Vec<String>) {
    let words = Words::new(notice, locale, timezone);
    let title = words.title.strip_prefix(FROM).unwrap_or(&words.title).to_owned();
    (title, words.lines(notice))
}

impl Renderer {
    /// A notice about ringback itself, in the form of a channel. Only a webhook's body may fail, and never the message;
    /// see [`Rendered::failure`]. There are no telephone numbers in it: [`crate::condition::Reason`] stars them.
    pub fn notice(&self, look: &Look, notice: &Notice) -> Rendered {
        let words = Words::new(notice, look.locale, &self.timezone);
        let lines = words.lines(notice);
        let message = match look.channel {
            ChannelType::Email => Message::Email(mail(&words.title, &lines, look.locale, notice)),
            ChannelType::Slack => Message::Slack(slack(&words.title, &lines).into()),
            ChannelType::Webhook => {
                let body = webhook(&words.title, &lines, notice);
                let story = || Story { title: words.title.clone(), lines: lines.clone(), link: None };
                let made = self.dress(look, body, Vec::new(), None::<&()>, story);
                return Rendered { message: Message::Webhook(made.message), failure: made.failure };
            }
        };
        Rendered { message, failure: None }
    }
}

/// As the other mails look at night and on a phone; without it the inline styles hold.
const STYLE: &str = "<style>
:root { color-scheme: light dark; }
@media (prefers-color-scheme: dark) {
  .page { background: #121417 !important; }
  .card { background: #1d2125 !important; border-right-color: #343a41 !important; border-bottom-color: #343a41 !important; border-left-color: #343a41 !important; }
  .ink { color: #f0f2f4 !important; }
  .muted { color: #a9b2bc !important; }
  .line { border-color: #343a41 !important; }
  .tel { color: #8ab8ff !important; }
}
@media (max-width: 480px) {
  .card { padding: 20px 18px !important; }
}
</style>
";

fn mail(title: &str, lines: &[String], locale: Locale, notice: &Notice) -> Mail {
    let accent = if notice.news == News::Recovered { "#1f883d" } else { "#c8401f" };
    let mut paragraphs = String::new();
    for (index, line) in lines.iter().enumerate() {
        let (class, style) = if index < 2 { ("ink", INK) } else { ("muted", MUTED) };
        // Writing into a String cannot fail.
        let _ = writeln!(
            paragraphs,
            "<p class=\"{class}\" style=\"margin:0 0 14px;overflow-wrap:anywhere;{style}\">{}</p>",
            handlebars::html_escape(line)
        );
    }
    let html = page(title, accent, locale, &paragraphs);
    let text = format!("{title}\n\n{}\n\n-- \nringback\n", lines.join("\n\n"));
    Mail { subject: title.to_owned(), text, html, thread: notice.thread(), attachment: None }
}

/// A document with one card; `inside` is HTML.
pub(super) fn page(title: &str, accent: &str, locale: Locale, inside: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"{locale}\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <meta name=\"supported-color-schemes\" content=\"light dark\">\n<title>{title}</title>\n{STYLE}</head>\n\
         <body class=\"page\" style=\"margin:0;padding:20px 10px;background:#f2f4f6;\">\n\
         <div class=\"card\" style=\"max-width:560px;margin:0 auto;padding:26px 30px;background:#ffffff;border:1px solid #dfe3e8;\
         border-top:4px solid {accent};border-radius:8px;{FONT}\">\n\
         <h1 class=\"ink\" style=\"margin:0 0 12px;overflow-wrap:anywhere;color:#1b1f24;font-size:20px;line-height:26px;\">{title}</h1>\n\
         {inside}</div>\n</body>\n</html>\n",
        locale = locale.as_str(),
        title = handlebars::html_escape(title),
    )
}

/// All in plain text: nothing in it can become markup.
fn slack(title: &str, lines: &[String]) -> Bytes {
    let plain = |text: &str| json!({"type": "plain_text", "text": text, "emoji": false});
    let body = json!({
        "text": super::helpers::mrkdwn(title),
        "unfurl_links": false,
        "unfurl_media": false,
        "blocks": [
            {"type": "header", "text": plain(title)},
            {"type": "section", "text": plain(&lines.join("\n\n"))},
        ],
    });
    body.to_string().into()
}

#[derive(Serialize)]
struct Body<'n> {
    r#type: &'static str,
    timestamp: Timestamp,
    data: Data<'n>,
}

/// Every key is always there; what is not known is `null`.
#[derive(Serialize)]
struct Data<'n> {
    condition: &'static str,
    account: Option<&'n str>,
    source: Option<&'static str>,
    channel: Option<&'n str>,
    since: Timestamp,
    until: Option<Timestamp>,
    count: Option<usize>,
    reason: Option<&'n str>,
    text: String,
}

fn webhook(title: &str, lines: &[String], notice: &Notice) -> Bytes {
    let condition = &notice.condition;
    let text = format!("{title}. {}", lines.join(" "));
    let data = Data {
        condition: condition.as_str(),
        account: condition.account(),
        source: condition.source().map(crate::event::Kind::as_str),
        channel: condition.channel(),
        since: notice.since,
        until: (notice.news == News::Recovered).then_some(notice.at),
        count: if let News::Dead { count, .. } = notice.news { Some(count) } else { None },
        reason: notice.reason().map(|reason| reason.detail.as_str()),
        text,
    };
    let mut bytes = Vec::with_capacity(1024);
    // Cannot fail: string keys, no foreign `Serialize`, and memory as the writer.
    let _ = serde_json::to_writer(&mut bytes, &Body { r#type: notice.event_type(), timestamp: notice.at, data });
    bytes.into()
}

/// One that something fails, one that it works again.
pub fn samples(now: Timestamp) -> [Notice; 2] {
    let channel = "ofis".to_owned();
    let condition = Condition::ChannelFailing { channel };
    let reason = Reason::new(Cause::Receiver(FailureKind::Timeout), "no complete answer within 15s");
    [News::Failing(reason), News::Recovered].map(|news| Notice {
        condition: condition.clone(),
        covers: vec![condition.clone()],
        since: now,
        at: now,
        news,
    })
}

#[cfg(test)]
mod tests;
