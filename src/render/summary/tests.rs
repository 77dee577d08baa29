//! What summaries look like.

use std::time::Duration;

use super::*;
use crate::body::{Body, BodyFormat, BodyTemplate, Recipe};
use crate::event::{Called, Caller, Closed};
use crate::private::PersonName;

fn renderer() -> Renderer {
    Renderer::new(None, TimeZone::get("Europe/Istanbul").unwrap()).unwrap()
}

fn at(text: &str) -> Timestamp {
    format!("2026-11-23T{text}:00Z").parse().unwrap()
}

fn call(number: Option<&str>, name: Option<&str>, began: &str) -> Event {
    let ended_at = at(began) + Duration::from_secs(65);
    let call = samples::event(EventType::CallMissed, ended_at);
    let number = number.and_then(|number| crate::number::parse(number).number);
    let caller = Caller { number, name: name.map(PersonName::new) };
    Event { id: EventId::derive("main", EventType::CallMissed, began), uuid: began.to_owned(), caller, ..call }
}

fn returned(event: Event, minutes: u64) -> Event {
    let at = event.ended_at + Duration::from_secs(60 * minutes);
    Event { standing: Standing::Closed { at, by: Closed::Returned }, ..event }
}

/// A Monday.
fn day() -> Tally {
    let period = Period { from: "2026-11-20T15:00:00Z".parse().unwrap(), until: at("15:00") };
    let mut voicemail = samples::event(EventType::VoicemailNew, at("11:00"));
    voicemail.called = Called { extension: Some("1001".to_owned()), ..Called::default() };
    let support = Called { queue: Some("202".to_owned()), ..Called::default() };
    let events = [
        returned(call(Some("0532 111 22 33"), Some("Ayşe Demir"), "06:10"), 12),
        returned(call(Some("0212 555 66 77"), None, "07:40"), 14),
        returned(Event { called: support, ..call(Some("0533 444 55 66"), None, "08:00") }, 95),
        call(Some("0542 333 44 55"), Some("Kaya <b>& Oğulları"), "09:30"),
        call(Some("+90 542 333 44 55"), None, "12:05"),
        call(None, None, "14:20"),
        voicemail,
    ];
    Tally::new(period, &events)
}

fn empty() -> Tally {
    Tally::new(day().period, &[])
}

fn mail(look: &Look, tally: &Tally) -> Mail {
    let Message::Email(mail) = renderer().summary(look, tally).message else { panic!("no mail") };
    mail
}

fn text(locale: Locale, tally: &Tally) -> String {
    let mail = mail(&Look::new(ChannelType::Email, locale), tally);
    format!("Subject: {}\n\n{}", mail.subject, mail.text)
}

fn webhook(look: &Look, tally: &Tally) -> Bytes {
    let Rendered { message, failure } = renderer().summary(look, tally);
    assert_eq!(failure, None);
    let Message::Webhook(message) = message else { panic!("no body") };
    message.body
}

#[test]
fn a_day_reads_so_in_both_languages() {
    insta::assert_snapshot!("tr_summary_mail", text(Locale::Tr, &day()));
    insta::assert_snapshot!("en_summary_mail", text(Locale::En, &day()));
}

#[test]
fn a_day_of_nothing_says_so() {
    insta::assert_snapshot!(text(Locale::Tr, &empty()));
}

#[test]
fn a_mail_calls_back_and_no_name_is_markup() {
    let html = mail(&Look::new(ChannelType::Email, Locale::Tr), &day()).html;
    insta::assert_snapshot!("tr_summary_html", html);
    assert!(!html.contains("<b>&") && html.contains("tel:+905423334455"), "{html}");
}

#[test]
fn slack_is_sent_blocks() {
    let look = Look::new(ChannelType::Slack, Locale::Tr);
    let Message::Slack(message) = renderer().summary(&look, &day()).message else { panic!("no message") };
    let json: Value = serde_json::from_slice(&message.post).unwrap();
    insta::assert_json_snapshot!("tr_summary_slack", json);
}

#[test]
fn a_webhook_is_sent_figures_and_rows() {
    let body = webhook(&Look::new(ChannelType::Webhook, Locale::Tr), &day());
    insta::assert_json_snapshot!("tr_summary_webhook", serde_json::from_slice::<Value>(&body).unwrap());
}

#[test]
fn a_summary_of_one_day_of_the_week_is_a_weekly_one() {
    let period = Period { from: "2026-11-16T15:00:00Z".parse().unwrap(), until: at("15:00") };
    assert!(text(Locale::Tr, &Tally::new(period, &[])).starts_with("Subject: Haftalık özet · 23.11.2026"));
}

/// More of everything than any message holds, with the longest texts.
fn flood() -> Tally {
    let until = at("15:00");
    let period = Period { from: at("00:00"), until };
    let events = (0..1000).map(|n| {
        let mut event = samples::event(EventType::CallMissed, at("10:00"));
        samples_fill(&mut event, n);
        event
    });
    Tally::new(period, &events.collect::<Vec<_>>())
}

fn samples_fill(event: &mut Event, n: usize) {
    samples::fill(event, &"\"\\😀".repeat(100), &format!("{n} {}", "<&\"\\".repeat(200)));
    event.id = EventId::derive("main", EventType::CallMissed, &n.to_string());
}

#[test]
fn however_much_there_is_every_channel_can_take_it() {
    let flood = flood();
    assert_eq!((flood.missed, flood.open.len(), flood.queues.len()), (1000, 1000, 1000));
    let body = webhook(&Look::new(ChannelType::Webhook, Locale::En), &flood);
    assert!(body.len() < MAX_BODY, "{}", body.len());
    let json: Value = serde_json::from_slice(&body).unwrap();
    for list in ["open", "queues", "extensions"] {
        let shown = json["data"][list].as_array().unwrap().len();
        assert_eq!(json["data"]["left_out"][list], 1000 - shown, "{list}");
        assert!(shown > 3, "{list}: {shown}");
    }
    let look = Look::new(ChannelType::Slack, Locale::En);
    let Message::Slack(message) = renderer().summary(&look, &flood).message else { panic!("no message") };
    let json: Value = serde_json::from_slice(&message.post).unwrap();
    let blocks = json["blocks"].as_array().unwrap();
    assert!(blocks.len() <= 50);
    for text in blocks.iter().map(|block| block["text"]["text"].as_str().unwrap()) {
        assert!((1..=3000).contains(&text.chars().map(char::len_utf16).sum::<usize>()), "{text}");
    }
    let mail = mail(&Look::new(ChannelType::Email, Locale::En), &flood);
    assert!(mail.text.contains("… and 900 more"), "{}", mail.text);
}

#[test]
fn a_channel_that_masks_numbers_is_shown_none() {
    let mut day = day();
    day.extensions[0].name = Some(PersonName::new("Cep 0532 987 65 43"));
    for channel in ChannelType::ALL {
        let look = Look { mask_numbers: true, ..Look::new(channel, Locale::Tr) };
        let text = match renderer().summary(&look, &day).message {
            Message::Email(mail) => format!("{}{}{}", mail.subject, mail.text, mail.html),
            Message::Slack(message) => String::from_utf8_lossy(&message.post).into_owned(),
            Message::Webhook(message) => String::from_utf8_lossy(&message.body).into_owned(),
        };
        // In Slack a star stands in its fullwidth form, since a plain one is markup.
        assert!(text.contains("0542 *** ** 55") || text.contains("0542 ＊＊＊ ＊＊ 55"), "{text}");
        for number in ["5423334455", "542 333 44 55", "987 65 43"] {
            assert!(!text.contains(number), "{channel:?} shows {number}: {text}");
        }
    }
}

#[test]
fn a_recipe_is_given_title_and_text() {
    let template = BodyTemplate::Recipe(Recipe::Ntfy);
    let body = Body { template, format: BodyFormat::Text };
    let renderer = renderer().with_bodies(vec![body.clone()]).unwrap();
    let look = Look { body: Some(body), ..Look::new(ChannelType::Webhook, Locale::Tr) };
    let Rendered { message: Message::Webhook(message), failure: None } = renderer.summary(&look, &day()) else {
        panic!("no body")
    };
    let text = String::from_utf8_lossy(&message.body).into_owned();
    assert!(text.contains("Günlük özet · 23.11.2026") && text.contains("Dönülen: 3"), "{text}");
}
