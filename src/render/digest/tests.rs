//! What a digest says, how much it holds, and that no name can harm it.

use jiff::SignedDuration;
use serde_json::Value;

use super::*;
use crate::event::{Caller, EventId, Kind, Standing};
use crate::message::{SlackMessage, WebhookMessage};
use crate::render::samples;
use crate::render::tests::{shape, tags, text_objects};

fn now() -> Timestamp {
    "2026-11-22T08:42:00Z".parse().unwrap()
}

fn renderer() -> Renderer {
    Renderer::new(None, TimeZone::get("Europe/Istanbul").unwrap()).unwrap()
}

/// Calls of one morning, a minute apart, as the samples have them.
fn morning(count: usize) -> Vec<(Event, EventType, Option<Closed>)> {
    let start = now().checked_sub(SignedDuration::from_mins(300)).unwrap();
    (0..count)
        .map(|n| {
            let event_type = if n % 4 == 3 { EventType::VoicemailNew } else { EventType::CallMissed };
            let at = start.checked_add(SignedDuration::from_mins(i64::try_from(n).unwrap())).unwrap();
            let mut event = samples::event(event_type, at);
            event.uuid = format!("u{n}");
            event.id = EventId::derive("main", event_type, &event.uuid);
            let settled = match n % 5 {
                1 if event.kind == Kind::Call => Some(Closed::Returned),
                2 if event.kind == Kind::Voicemail => Some(Closed::Heard),
                _ => None,
            };
            if let Some(by) = settled {
                event.standing = Standing::Closed { at: now(), by };
            }
            (event, event_type, settled)
        })
        .collect()
}

fn rows(events: &[(Event, EventType, Option<Closed>)]) -> Vec<InDigest<'_>> {
    events
        .iter()
        .map(|(event, event_type, settled)| InDigest { event, event_type: *event_type, settled: *settled })
        .collect()
}

fn mail(renderer: &Renderer, locale: Locale, rows: &[InDigest<'_>]) -> (Mail, usize) {
    let made = renderer.digest(&Look::new(ChannelType::Email, locale), rows);
    assert_eq!(made.failure, None);
    let Message::Email(mail) = made.message else { panic!("not a mail") };
    (mail, made.rows)
}

fn json(renderer: &Renderer, channel: ChannelType, rows: &[InDigest<'_>]) -> (Value, usize) {
    let made = renderer.digest(&Look::new(channel, Locale::Tr), rows);
    assert_eq!(made.failure, None);
    let (Message::Slack(SlackMessage { post: json, .. }) | Message::Webhook(WebhookMessage { body: json, .. })) =
        made.message
    else {
        panic!("not JSON")
    };
    assert!(channel == ChannelType::Slack || json.len() < 20_000, "{}", json.len());
    (serde_json::from_slice(&json).unwrap(), made.rows)
}

#[test]
fn every_digest_reads_as_reviewed() {
    let renderer = renderer();
    let mut events = morning(5);
    events[0].0.caller = Caller::default();
    events[2].0.caller.name = None;
    let rows = rows(&events);
    for locale in Locale::ALL {
        let name = |what: &str| format!("{}_digest_{what}", locale.as_str());
        let (mail, told) = mail(&renderer, locale, &rows);
        assert_eq!(told, 5);
        insta::assert_snapshot!(name("mail"), format!("Subject: {}\n\n{}", mail.subject, mail.text));
        insta::assert_snapshot!(name("html"), mail.html);
        let Message::Slack(slack) = renderer.digest(&Look::new(ChannelType::Slack, locale), &rows).message else {
            panic!()
        };
        insta::assert_json_snapshot!(name("slack"), serde_json::from_slice::<Value>(&slack.post).unwrap());
    }
    insta::assert_json_snapshot!("digest_webhook", json(&renderer, ChannelType::Webhook, &rows[..2]).0);
}

#[test]
fn a_subject_counts_and_dates_what_the_digest_tells() {
    let subject =
        |locale, events: &[(Event, EventType, Option<Closed>)]| mail(&renderer(), locale, &rows(events)).0.subject;
    let mut events = morning(40);
    assert_eq!(subject(Locale::Tr, &events), "30 cevapsız çağrı ve 10 sesli mesaj (22.11.2026 06:40 – 07:19)");
    assert_eq!(subject(Locale::En, &events[..5]), "4 missed calls and 1 voicemail (22 Nov 2026, 06:40 – 06:44)");
    assert_eq!(subject(Locale::En, &events[..1]), "1 missed call (22 Nov 2026, 06:40)");
    assert_eq!(subject(Locale::Tr, &events[3..4]), "1 sesli mesaj (22.11.2026 06:43)");
    events[0].0.started_at = "2026-11-20T14:50:00Z".parse().unwrap();
    assert!(subject(Locale::Tr, &events).ends_with("(20.11.2026 17:50 – 22.11.2026 07:19)"));
}

#[test]
fn a_digest_tells_as_many_as_one_message_holds_and_every_one_of_them_whole() {
    let renderer = renderer();
    let events = morning(600);
    let rows = rows(&events);
    let (mail, told) = mail(&renderer, Locale::Tr, &rows);
    assert_eq!((told, mail.html.matches("<tr>\n<td class=\"muted line\"").count()), (500, 500));
    assert_eq!(mail.text.matches("Dahili: 1002").count(), 500);

    let (slack, told) = json(&renderer, ChannelType::Slack, &rows);
    assert!((60..=80).contains(&told), "{told}");
    assert_eq!(slack.to_string().matches("tel:+903121234567").count(), told);

    let (webhook, told) = json(&renderer, ChannelType::Webhook, &rows);
    assert!((15..=100).contains(&told), "{told}");
    assert_eq!(webhook["data"]["events"].as_array().unwrap().len(), told);
}

#[test]
fn the_longest_names_make_a_digest_shorter_and_never_too_long() {
    let renderer = renderer();
    for text in ["&".repeat(300), "😀".repeat(300), "\"\\".repeat(300)] {
        let mut events = morning(100);
        for (event, ..) in &mut events {
            samples::fill(event, &text, &text);
        }
        let rows = rows(&events);
        let (slack, told) = json(&renderer, ChannelType::Slack, &rows);
        let lines = slack["blocks"].as_array().unwrap().iter();
        let lines: usize = lines
            .filter(|block| block["text"]["type"] == "mrkdwn")
            .map(|block| block["text"]["text"].as_str().unwrap().lines().count())
            .sum();
        assert!(told >= 5 && lines == told, "{told} {lines}");
        assert!(slack::share_that_fits(&slack.to_string()).unwrap() >= slack::WHOLE);
        let (webhook, told) = json(&renderer, ChannelType::Webhook, &rows);
        assert!(told >= 1 && webhook["data"]["events"].as_array().unwrap().len() == told);
    }
}

#[test]
fn a_digest_for_programs_tells_the_type_and_the_end_of_each() {
    let events = morning(5);
    let (body, _) = json(&renderer(), ChannelType::Webhook, &rows(&events));
    assert_eq!((&body["type"], &body["timestamp"]), (&Value::from("digest"), &Value::from("2026-11-22T03:46:00Z")));
    let [first, second] = [0, 1].map(|n| &body["data"]["events"][n]);
    assert_eq!((&first["type"], &first["settled"]), (&Value::from("call.missed"), &Value::Null));
    assert_eq!((&second["settled"], &second["returned_at"]), (&"returned".into(), &"2026-11-22T08:42:00Z".into()));
    assert_eq!(body["data"]["events"][3]["type"], "voicemail.new");
    assert_eq!(first["recording"], Value::Null);
}

#[test]
fn no_name_in_a_digest_can_add_a_header_markup_a_ping_or_a_line() {
    let renderer = renderer();
    for name in samples::HOSTILE_NAMES {
        let mut events = morning(12);
        let mut tame = events.clone();
        let visible = !name.trim_matches(|c: char| c.is_whitespace() || "\u{200b}\u{feff}".contains(c)).is_empty();
        for ((hostile, ..), (tame, ..)) in events.iter_mut().zip(&mut tame) {
            samples::fill(hostile, name, name);
            samples::fill(tame, if visible { "x" } else { "" }, if visible { "x" } else { "" });
        }
        let (rows, tame) = (rows(&events), rows(&tame));
        let ((mail, _), (wanted, _)) = (mail(&renderer, Locale::Tr, &rows), mail(&renderer, Locale::Tr, &tame));
        assert!(!mail.subject.contains(char::is_control));
        assert_eq!(tags(&mail.html), tags(&wanted.html), "{name:?}");
        assert_eq!(mail.text.lines().count(), wanted.text.lines().count(), "{name:?}");

        let ((message, _), (wanted, _)) =
            (json(&renderer, ChannelType::Slack, &rows), json(&renderer, ChannelType::Slack, &tame));
        let mut objects = Vec::new();
        text_objects(&message, &mut objects);
        for object in objects {
            let text = object["text"].as_str().unwrap();
            if object["type"] == "plain_text" {
                assert_eq!(object["emoji"], false);
            } else {
                assert!(!text.contains(['<', '`', '~']), "{text}");
            }
        }
        let blocks = |message: &Value| message["blocks"].as_array().unwrap().len();
        let lines = |message: &Value| {
            let blocks = message["blocks"].as_array().unwrap().iter();
            blocks.filter_map(|block| block["text"]["text"].as_str()).map(|text| text.lines().count()).sum::<usize>()
        };
        assert_eq!(lines(&message), lines(&wanted), "{name:?}");
        // Long names make sections of fewer rows.
        assert!(blocks(&message) > blocks(&wanted) || shape(&message) == shape(&wanted), "{name:?}");
    }
}

#[test]
fn a_digest_whose_template_fails_is_told_in_plain_words_and_check_says_so() {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [("email/digest.txt", "{{x}}"), ("slack/digest.json", "{")] {
        let path = folder.path().join(format!("tr/{name}.hbs"));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let renderer = Renderer::new(Some(folder.path()), TimeZone::get("Europe/Istanbul").unwrap()).unwrap();
    let mut events = morning(3);
    samples::fill(&mut events[0].0, samples::HOSTILE_NAMES[1], samples::HOSTILE_NAMES[1]);
    let rows = rows(&events);
    let made =
        [ChannelType::Email, ChannelType::Slack].map(|channel| renderer.digest(&Look::new(channel, Locale::Tr), &rows));
    for digest in &made {
        assert!(digest.failure.as_ref().is_some_and(|failure| failure.contains("digest")) && digest.rows == 3);
    }
    let [Message::Email(mail), Message::Slack(slack)] = made.map(|digest| digest.message) else { panic!() };
    let slack: Value = serde_json::from_slice(&slack.post).unwrap();
    insta::assert_snapshot!(mail.text, @"
    3 cevapsız çağrı (22.11.2026 06:40 – 06:42)

    22.11.2026 06:40  Cevapsız çağrı: <!channel> <!here> <@U012AB3CD> <https://evil.example|Banka… <!channel> <!here> <@U012AB3CD… · <!channel> <!here> <@U012AB3CD> <https:… · <!channel> <!here> <@U012AB3CD> <https:…
    22.11.2026 06:41  Cevapsız çağrı: Mehmet Yılmaz 0312 123 45 67 · 201 · 1002 (Dahili 1) · ✓ geri arandı
    22.11.2026 06:42  Cevapsız çağrı: Mehmet Yılmaz 0312 123 45 67 · 201 · 1002 (Dahili 1)
    ");
    assert_eq!(tags(&mail.html).len(), 10, "{}", mail.html);
    assert!(!slack["text"].as_str().unwrap().contains(['<', '*', '`']), "{slack}");
    assert_eq!(renderer.check().len(), 2);
}
