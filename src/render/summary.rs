//! Summaries of a period, in the form of each channel. Made without templates: they cannot fail.

use std::borrow::Cow;
use std::fmt::Write as _;

use bytes::Bytes;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::{Value, json};

use self::words::{Words, as_of, in_short, more, words};
use super::bodies::Story;
use super::digest::{InDigest, Row, short};
use super::facts::{CallerData, Facts, Stamp};
use super::helpers::{date, duration, mrkdwn};
use super::notice::{INK, MUTED, page};
use super::text::clean;
use super::{Look, Rendered, Renderer, mask, samples, slack};
use crate::event::{Event, EventId, EventType, Kind, Standing};
use crate::message::{ChannelType, Locale, Mail, Message};
use crate::tally::{Open, Period, Place, Tally};

mod words;

/// A webhook's body is smaller than this.
const MAX_BODY: usize = 20_000;

/// At most so many rows of each list; what is left out is counted.
const MAIL_ROWS: usize = 100;
const SLACK_ROWS: usize = 20;
const BODY_ROWS: usize = 50;
const STORY_ROWS: usize = 10;

/// What a section of Slack holds of a list.
const SECTION_ROWS: usize = 10;

/// The longest name of a place, in characters.
const MAX_PLACE: usize = 40;

/// A tally as a channel may know it.
struct Shown<'t> {
    tally: &'t Tally,
    open: Vec<OpenRow<'t>>,
    queues: Vec<PlaceRow<'t>>,
    extensions: Vec<PlaceRow<'t>>,
    /// Whose accounts there are several of: places are told with theirs.
    several: bool,
    locale: Locale,
    timezone: &'t TimeZone,
}

/// What somebody must act on.
#[derive(Serialize)]
struct OpenRow<'t> {
    #[serde(rename = "type")]
    event_type: EventType,
    event_id: EventId,
    account: Cow<'t, str>,
    caller: CallerData<'t>,
    extension: Option<Cow<'t, str>>,
    queue: Option<Cow<'t, str>>,
    /// The same with its name, for people.
    #[serde(skip)]
    queue_shown: Option<Cow<'t, str>>,
    /// When the first of the calls began.
    started_at: Stamp,
    /// When the last one did.
    last_at: Stamp,
    calls: usize,
    watched: bool,
    #[serde(skip)]
    who: String,
}

#[derive(Serialize)]
struct PlaceRow<'t> {
    account: &'t str,
    number: Cow<'t, str>,
    name: Option<Cow<'t, str>>,
    missed: usize,
    returned: usize,
    open: usize,
}

impl Renderer {
    /// A summary, in the form of a channel. Only a webhook's body may fail, and never the message; see
    /// [`Rendered::failure`].
    pub fn summary(&self, look: &Look, tally: &Tally) -> Rendered {
        let told = |open: &'_ Open| open.event.kind.first_event();
        let facts: Vec<Facts<'_>> =
            tally.open.iter().take(MAIL_ROWS).map(|open| Facts::new(&open.event, told(open))).collect();
        let shown = Shown::new(look, tally, &facts, &self.timezone);
        let message = match look.channel {
            ChannelType::Email => Message::Email(shown.mail()),
            ChannelType::Slack => Message::Slack(shown.slack().into()),
            ChannelType::Webhook => {
                let names = shown.open.iter().filter_map(|row| row.caller.name.clone());
                let names = names.chain(shown.extensions.iter().filter_map(|place| place.name.clone()));
                let names = names.map(Cow::into_owned).collect();
                let story = || Story { title: shown.subject(), lines: shown.lines(STORY_ROWS), link: None };
                let made = self.dress(look, shown.body(), names, None::<&()>, story);
                return Rendered { message: Message::Webhook(made.message), failure: made.failure };
            }
        };
        Rendered { message, failure: None }
    }
}

impl<'t> Shown<'t> {
    /// `facts` are those of the open ones, in their order.
    fn new(look: &Look, tally: &'t Tally, facts: &'t [Facts<'t>], timezone: &'t TimeZone) -> Self {
        let open = tally.open.iter().zip(facts).map(|(open, facts)| OpenRow::new(look, open, facts)).collect();
        let places =
            |places: &'t [Place]| places.iter().take(MAIL_ROWS).map(|place| PlaceRow::new(look, place)).collect();
        let mut accounts = tally.queues.iter().chain(&tally.extensions).map(|place| &place.account);
        let first = accounts.next();
        Self {
            tally,
            open,
            queues: places(&tally.queues),
            extensions: places(&tally.extensions),
            several: accounts.any(|other| Some(other) != first),
            locale: look.locale,
            timezone,
        }
    }

    fn words(&self) -> &'static Words {
        words(self.locale)
    }

    fn date(&self, at: Timestamp) -> String {
        date(at, self.timezone, self.locale)
    }

    /// `Günlük özet · 23.11.2026`.
    fn title(&self) -> String {
        let period = self.tally.period;
        let weekly = period.until.duration_since(period.from) > SignedDuration::from_hours(5 * 24);
        let name = if weekly { self.words().weekly } else { self.words().daily };
        let format = match self.locale {
            Locale::Tr => "%d.%m.%Y",
            Locale::En => "%-d %b %Y",
        };
        format!("{name} · {}", period.until.to_zoned(self.timezone.clone()).strftime(format))
    }

    fn subject(&self) -> String {
        let Tally { missed, voicemails, open, .. } = self.tally;
        format!("{}: {}", self.title(), in_short(*missed, *voicemails, open.len(), self.locale))
    }

    /// From when to when.
    fn span(&self) -> String {
        format!("{} – {}", self.date(self.tally.period.from), self.date(self.tally.period.until))
    }

    /// The counts with their labels; those that are rarely anything only when they are.
    fn counts(&self) -> Vec<(&'static str, String)> {
        let (tally, words) = (self.tally, self.words());
        let mut counts = vec![(words.missed, tally.missed.to_string()), (words.returned, tally.returned.to_string())];
        if let Some(median) = tally.median_return {
            counts.push((words.median, length(median.as_secs(), self.locale)));
        }
        if tally.voicemails > 0 {
            counts.push((words.voicemails, tally.voicemails.to_string()));
            counts.push((words.heard, tally.heard.to_string()));
        }
        let rare = [
            (words.earlier_returned, tally.earlier_returned),
            (words.earlier_heard, tally.earlier_heard),
            (words.closed_by_hand, tally.closed_by_hand),
        ];
        counts
            .extend(rare.into_iter().filter(|(_, count)| *count > 0).map(|(label, count)| (label, count.to_string())));
        counts
    }

    /// `Açık kalanlar (2), 23.11.2026 18:00 itibarıyla`.
    fn open_heading(&self) -> String {
        let when = as_of(&self.date(self.tally.period.until), self.locale);
        format!("{} ({}), {when}", self.words().open, self.tally.open.len())
    }

    /// What stands behind the caller: the kind, how often, where.
    fn aside(&self, row: &OpenRow<'_>) -> Vec<String> {
        let words = self.words();
        let voicemail = row.event_type.kind() == Kind::Voicemail;
        let mut aside = vec![if voicemail { words.voicemail } else { words.call }.to_owned()];
        if row.calls > 1 {
            aside.push(words::calls(row.calls, &self.date(row.last_at.0), self.locale));
        }
        aside.extend(row.queue_shown.as_ref().map(|queue| format!("{}: {queue}", words.queue)));
        aside.extend(row.extension.as_ref().map(|extension| format!("{}: {extension}", words.extension)));
        if !row.watched {
            aside.push(words.unwatched.to_owned());
        }
        aside
    }

    fn place(&self, place: &PlaceRow<'_>) -> String {
        let account = if self.several { format!(" · {}", place.account) } else { String::new() };
        match &place.name {
            Some(name) if *name != place.number => format!("{} ({name}){account}", place.number),
            _ => format!("{}{account}", place.number),
        }
    }

    /// Queues and extensions, with their headings and how many there are of them; without those that only repeat the
    /// counts of all.
    fn tables(&self) -> impl Iterator<Item = (&'static str, &[PlaceRow<'t>], usize)> {
        let words = self.words();
        let tables: [(_, &[PlaceRow<'t>], _); 2] = [
            (words.queues, &self.queues, self.tally.queues.len()),
            (words.extensions, &self.extensions, self.tally.extensions.len()),
        ];
        tables.into_iter().filter(|(_, places, _)| places.iter().any(|place| place.missed < self.tally.missed))
    }

    /// All of it as lines of plain text, with at most `most` of each list.
    fn lines(&self, most: usize) -> Vec<String> {
        let mut lines = vec![self.span(), String::new()];
        lines.extend(self.counts().into_iter().map(|(label, count)| format!("{label}: {count}")));
        lines.push(String::new());
        if self.open.is_empty() {
            lines.push(self.words().nothing_open.to_owned());
        } else {
            lines.push(format!("{}:", self.open_heading()));
            let open = self.open.iter().take(most);
            lines.extend(
                open.map(|row| {
                    format!("{}  {} · {}", self.date(row.started_at.0), row.who, self.aside(row).join(" · "))
                }),
            );
            lines.extend(self.rest(self.tally.open.len(), most));
        }
        for (heading, places, all) in self.tables() {
            lines.extend([String::new(), format!("{heading} ({}):", self.words().columns.join(" / "))]);
            let places = places.iter().take(most);
            lines.extend(
                places.map(|place| {
                    format!("{}: {} / {} / {}", self.place(place), place.missed, place.returned, place.open)
                }),
            );
            lines.extend(self.rest(all, most));
        }
        lines
    }

    fn rest(&self, all: usize, most: usize) -> Option<String> {
        (all > most).then(|| more(all - most, self.locale))
    }

    fn mail(&self) -> Mail {
        let title = self.title();
        let text = format!("{title}\n{}\n\n-- \nringback\n", self.lines(MAIL_ROWS).join("\n"));
        let accent = if self.tally.open.is_empty() { "#1f883d" } else { "#1d5fbf" };
        let html = page(&title, accent, self.locale, &self.html());
        let thread = format!("summary-{}", self.tally.period.until.as_second());
        Mail { subject: self.subject(), text, html, thread, attachment: None }
    }

    /// What stands under the title.
    fn html(&self) -> String {
        let mut html = String::new();
        // Writing into a String cannot fail.
        let _ = writeln!(html, "<p class=\"muted\" style=\"margin:0 0 14px;{MUTED}\">{}</p>{TABLE}", self.span());
        for (label, count) in self.counts() {
            let _ = writeln!(html, "<tr>{}{}</tr>", cell("muted", label), cell("ink", &format!("<b>{count}</b>")));
        }
        html.push_str("</table>\n");
        if self.open.is_empty() {
            let _ =
                writeln!(html, "<p class=\"ink\" style=\"margin:0 0 14px;{INK}\">{}</p>", self.words().nothing_open);
        } else {
            let _ = writeln!(html, "{}{TABLE}", heading(&self.open_heading()));
            for row in &self.open {
                let aside = escape(&self.aside(row).join(" · "));
                let who = format!("{}<br><span class=\"muted\" style=\"color:#57606a;\">{aside}</span>", row.html());
                let when = self.date(row.started_at.0);
                let _ = writeln!(html, "<tr>{}{}</tr>", cell("muted", &when), cell("ink", &who));
            }
            html.push_str("</table>\n");
            self.rest_html(self.tally.open.len(), &mut html);
        }
        for (title, places, all) in self.tables() {
            let _ = write!(html, "{}{TABLE}<tr>{}", heading(title), cell("muted", ""));
            self.words().columns.iter().for_each(|column| html.push_str(&cell("muted", column)));
            html.push_str("</tr>\n");
            for place in places {
                let _ = write!(html, "<tr>{}", cell("ink", &escape(&self.place(place))));
                for count in [place.missed, place.returned, place.open] {
                    html.push_str(&cell("ink", &count.to_string()));
                }
                html.push_str("</tr>\n");
            }
            html.push_str("</table>\n");
            self.rest_html(all, &mut html);
        }
        html
    }

    fn rest_html(&self, all: usize, html: &mut String) {
        if let Some(rest) = self.rest(all, MAIL_ROWS) {
            let _ = writeln!(html, "<p class=\"muted\" style=\"margin:0 0 14px;{MUTED}\">{rest}</p>");
        }
    }

    /// Numbers are links that call; everything else is text.
    fn slack(&self) -> Bytes {
        let plain = |text: &str| json!({"type": "plain_text", "text": text, "emoji": false});
        let section = |text: Value| json!({"type": "section", "text": text});
        let counts: Vec<String> = self.counts().into_iter().map(|(label, count)| format!("{label}: {count}")).collect();
        let mut blocks = vec![
            json!({"type": "header", "text": plain(&self.title())}),
            section(plain(&format!("{}\n{}", self.span(), counts.join("\n")))),
        ];
        if self.open.is_empty() {
            blocks.push(section(plain(self.words().nothing_open)));
        } else {
            let mut heading = Some(format!("*{}*\n", self.open_heading()));
            for rows in self.open[..self.open.len().min(SLACK_ROWS)].chunks(SECTION_ROWS) {
                let rows: Vec<String> = rows
                    .iter()
                    .map(|row| {
                        let aside = mrkdwn(&self.aside(row).join(" · "));
                        format!("{}  {} · {aside}", self.date(row.started_at.0), row.mrkdwn())
                    })
                    .collect();
                let text = heading.take().unwrap_or_default() + &rows.join("\n");
                blocks.push(section(json!({"type": "mrkdwn", "text": text})));
            }
            blocks.extend(self.rest(self.tally.open.len(), SLACK_ROWS).map(|rest| section(plain(&rest))));
        }
        for (heading, places, all) in self.tables() {
            let mut lines = vec![format!("{heading} ({})", self.words().columns.join(" / "))];
            lines.extend(
                places.iter().take(SLACK_ROWS).map(|place| {
                    format!("{}: {} / {} / {}", self.place(place), place.missed, place.returned, place.open)
                }),
            );
            lines.extend(self.rest(all, SLACK_ROWS));
            blocks.push(section(plain(&lines.join("\n"))));
        }
        let text = mrkdwn(&self.subject());
        let body = json!({"text": text, "unfurl_links": false, "unfurl_media": false, "blocks": blocks}).to_string();
        // It is JSON, and so it fits once it is cut.
        slack::fit(&body).unwrap_or_else(|_| body.into())
    }

    /// As many rows as fit into a body; those of the longest lists are left out first.
    fn body(&self) -> Bytes {
        let mut most = [BODY_ROWS; 3];
        loop {
            let body = self.body_with(most);
            let lengths = [self.open.len(), self.queues.len(), self.extensions.len()];
            let shown = [0, 1, 2].map(|list| most[list].min(lengths[list]));
            let longest = (0..3).max_by_key(|list| shown[*list]).filter(|list| shown[*list] > 0);
            match longest.filter(|_| body.len() >= MAX_BODY) {
                Some(list) => most[list] = shown[list] * 3 / 4,
                None => return body,
            }
        }
    }

    fn body_with(&self, most: [usize; 3]) -> Bytes {
        let tally = self.tally;
        let [open, queues, extensions] = most;
        let left = |all: usize, most: usize| all.saturating_sub(most);
        let body = Body {
            event_type: "summary",
            timestamp: Stamp(tally.period.until),
            data: Data {
                from: Stamp(tally.period.from),
                until: Stamp(tally.period.until),
                missed: tally.missed,
                returned: tally.returned,
                median_return_seconds: tally.median_return.map(|median| median.as_secs()),
                voicemails: tally.voicemails,
                heard: tally.heard,
                earlier_returned: tally.earlier_returned,
                earlier_heard: tally.earlier_heard,
                closed_by_hand: tally.closed_by_hand,
                open: &self.open[..open.min(self.open.len())],
                queues: &self.queues[..queues.min(self.queues.len())],
                extensions: &self.extensions[..extensions.min(self.extensions.len())],
                left_out: LeftOut {
                    open: left(tally.open.len(), open),
                    queues: left(tally.queues.len(), queues),
                    extensions: left(tally.extensions.len(), extensions),
                },
                text: self.subject(),
            },
        };
        // Cannot fail: string keys, no foreign `Serialize`, and memory as the writer.
        serde_json::to_vec(&body).unwrap_or_default().into()
    }
}

#[derive(Serialize)]
struct Body<'s> {
    #[serde(rename = "type")]
    event_type: &'static str,
    timestamp: Stamp,
    data: Data<'s>,
}

/// Every key is always there.
#[derive(Serialize)]
struct Data<'s> {
    from: Stamp,
    until: Stamp,
    missed: usize,
    returned: usize,
    median_return_seconds: Option<u64>,
    voicemails: usize,
    heard: usize,
    earlier_returned: usize,
    earlier_heard: usize,
    closed_by_hand: usize,
    open: &'s [OpenRow<'s>],
    queues: &'s [PlaceRow<'s>],
    extensions: &'s [PlaceRow<'s>],
    left_out: LeftOut,
    text: String,
}

/// How many of each list did not fit.
#[derive(Serialize)]
struct LeftOut {
    open: usize,
    queues: usize,
    extensions: usize,
}

impl<'t> OpenRow<'t> {
    fn new(look: &Look, open: &'t Open, facts: &'t Facts<'t>) -> Self {
        let event = InDigest { event: facts.event, event_type: facts.event_type, settled: None };
        let data = super::data(look, facts, 0);
        let queue = data.called.queue.clone().map(|queue| short(queue, MAX_PLACE));
        let row = Row::new(data, &event, look.locale);
        Self {
            event_type: row.event_type,
            event_id: open.event.id,
            account: row.account,
            caller: row.caller,
            extension: row.extension,
            queue,
            queue_shown: row.queue,
            started_at: Stamp(open.since),
            last_at: Stamp(open.event.started_at),
            calls: open.calls,
            watched: open.watched,
            who: row.who,
        }
    }

    /// The caller, with a number that calls.
    fn html(&self) -> String {
        let Some((e164, display)) = self.caller.e164.zip(self.caller.display.as_ref()) else {
            return format!("<b><bdi>{}</bdi></b>", escape(&self.who));
        };
        let name = self.caller.name.as_ref().map(|name| format!("<b><bdi>{}</bdi></b> ", escape(name)));
        let number = escape(display);
        format!(
            "{}<a class=\"tel\" href=\"tel:{e164}\" style=\"color:#1d5fbf;white-space:nowrap;\">{number}</a>",
            name.unwrap_or_default()
        )
    }

    /// The same for Slack.
    fn mrkdwn(&self) -> String {
        let Some((e164, display)) = self.caller.e164.zip(self.caller.display.as_ref()) else {
            return mrkdwn(&self.who);
        };
        let name = self.caller.name.as_ref().map(|name| format!("*{}* ", mrkdwn(name)));
        format!("{}<tel:{e164}|{}>", name.unwrap_or_default(), mrkdwn(display))
    }
}

impl<'t> PlaceRow<'t> {
    fn new(look: &Look, place: &'t Place) -> Self {
        let shown = |text: &'t str| {
            let text = short(clean(text, MAX_PLACE), MAX_PLACE);
            if look.mask_numbers { mask::text(text) } else { text }
        };
        Self {
            account: &place.account,
            number: shown(&place.number),
            name: place.name.as_ref().map(|name| shown(name.expose())).filter(|name| !name.is_empty()),
            missed: place.missed,
            returned: place.returned,
            open: place.open,
        }
    }
}

/// Seconds mean nothing beside minutes here.
fn length(seconds: u64, locale: Locale) -> String {
    duration(if seconds < 60 { seconds } else { seconds / 60 * 60 }, locale)
}

const TABLE: &str = "<table role=\"presentation\" width=\"100%\" cellpadding=\"0\" cellspacing=\"0\" border=\"0\" style=\"margin:0 0 14px;\">\n";

fn heading(text: &str) -> String {
    format!(
        "<h2 class=\"ink\" style=\"margin:18px 0 6px;color:#1b1f24;font-size:16px;line-height:22px;\">{text}</h2>\n"
    )
}

/// `content` is HTML.
fn cell(class: &str, content: &str) -> String {
    let style = if class == "ink" { INK } else { MUTED };
    format!(
        "<td class=\"{class} line\" valign=\"top\" style=\"padding:7px 12px 7px 0;border-top:1px solid #e4e7eb;{style}\">{content}</td>"
    )
}

fn escape(text: &str) -> String {
    handlebars::html_escape(text)
}

/// One with everything in it, for `ringback render` and `check`.
pub fn sample(now: Timestamp) -> Tally {
    let day = SignedDuration::from_hours(24);
    let until = now.checked_add(SignedDuration::from_mins(1)).unwrap_or(now);
    let period = Period { from: until.checked_sub(day).unwrap_or(now), until };
    let settled = |hours: i64| now.checked_sub(SignedDuration::from_hours(hours)).unwrap_or(now);
    let mut events: Vec<Event> = EventType::ALL.into_iter().map(|event_type| samples::event(event_type, now)).collect();
    for (number, event) in events.iter_mut().enumerate() {
        event.uuid = format!("{}-{number}", event.uuid);
        event.id = EventId::derive(&event.account, event.kind.first_event(), &event.uuid);
        event.ended_at = settled(3);
        if let Standing::Closed { at, .. } = &mut event.standing {
            *at = settled(2);
        }
        if let Some(ending) = &mut event.ending {
            ending.at = settled(2);
        }
    }
    Tally::new(period, &events)
}

#[cfg(test)]
mod tests;
