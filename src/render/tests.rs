use std::fmt::Write as _;
use std::fs;

use serde_json::Value;

use super::*;
use crate::event::Caller;

pub(super) const URL: &str = "https://api.bulutsantralim.com/recording/R651f8a68?signature=a_b*c&expires=1795324109";

pub(super) fn now() -> Timestamp {
    "2026-11-22T05:08:29Z".parse().unwrap()
}

pub(super) fn renderer() -> Renderer {
    Renderer::new(None, TimeZone::get("Europe/Istanbul").unwrap()).unwrap()
}

pub(super) fn link() -> Recording {
    Recording::Link { url: Secret::new(URL), expires_at: "2026-11-22T06:08:29Z".parse().unwrap() }
}

pub(super) fn facts(event: &Event, event_type: EventType, recording: Recording) -> Facts<'_> {
    Facts { event, event_type, recording, test: false, waited: samples::waited(event_type), repeated: None, page: None }
}

fn sample(event_type: EventType, name: &str) -> Event {
    samples::all(event_type, now()).into_iter().find(|(sample, _)| sample == name).unwrap().1
}

fn mail(renderer: &Renderer, locale: Locale, facts: &Facts<'_>) -> Mail {
    let made = renderer.render(&Look::new(ChannelType::Email, locale), facts);
    assert_eq!(made.failure, None);
    let Message::Email(mail) = made.message else { panic!("not a mail") };
    mail
}

fn slack(renderer: &Renderer, locale: Locale, facts: &Facts<'_>) -> Value {
    let made = renderer.render(&Look::new(ChannelType::Slack, locale), facts);
    assert_eq!(made.failure, None);
    let Message::Slack(json) = made.message else { panic!("not for Slack") };
    serde_json::from_slice(&json.post).unwrap()
}

fn webhook(facts: &Facts<'_>) -> Vec<u8> {
    let made = renderer().render(&Look::new(ChannelType::Webhook, Locale::Tr), facts);
    assert_eq!(made.failure, None);
    let Message::Webhook(message) = made.message else { panic!("not a body") };
    message.body.to_vec()
}

/// Calls `each` for every event type, sample and way to listen.
pub(super) fn everything(mut each: impl FnMut(&str, &Facts<'_>)) {
    for event_type in EventType::ALL {
        for (name, event) in samples::all(event_type, now()) {
            for recording in [Recording::None, link(), Recording::Elsewhere] {
                each(&name, &facts(&event, event_type, recording));
            }
        }
    }
}

#[test]
fn every_message_reads_as_reviewed() {
    let renderer = renderer();
    for locale in Locale::ALL {
        for event_type in EventType::ALL {
            let name = |what: &str| format!("{}_{}_{what}", locale.as_str(), event_type.as_str().replace('.', "_"));
            let (full, withheld) = (sample(event_type, "full"), sample(event_type, "withheld"));
            let sparse = sample(event_type, "sparse");
            let page = Some("https://calls.example/l/TOKEN".to_owned());
            let with_link = Facts { page, ..facts(&full, event_type, link()) };
            let test = Facts { test: true, ..facts(&withheld, event_type, Recording::Elsewhere) };
            let bare = facts(&sparse, event_type, Recording::None);

            let mut mails = String::new();
            for facts in [&with_link, &test, &bare] {
                let mail = mail(&renderer, locale, facts);
                write!(mails, "Subject: {}\n\n{}\n=====\n", mail.subject, mail.text).unwrap();
            }
            insta::assert_snapshot!(name("mail"), mails);
            insta::assert_snapshot!(name("html"), mail(&renderer, locale, &with_link).html);
            let messages = [&with_link, &test, &bare].map(|facts| slack(&renderer, locale, facts));
            insta::assert_json_snapshot!(name("slack"), messages);
        }
    }
}

#[test]
fn a_webhook_body_is_that_of_the_contract() {
    let mut event = samples::event(EventType::CallMissed, now());
    event.queue_wait = Some(10);
    let body = String::from_utf8(webhook(&facts(&event, EventType::CallMissed, link()))).unwrap();
    let wanted = format!(
        concat!(
            r#"{{"type":"call.missed","timestamp":"2026-11-22T05:08:29Z","data":{{"#,
            r#""event_id":"{id}","account":"main","uuid":"651f8a68-782e-11e7-a6b6-5bedc26e2ab3","test":false,"#,
            r#""caller":{{"number":"03121234567","e164":"+903121234567","display":"0312 123 45 67","name":"Mehmet Yılmaz","withheld":false}},"#,
            r#""called":{{"number":"902129876543","e164":"+902129876543","display":"0212 987 65 43","name":"Dahili 1","extension":"1002","queue":"201"}},"#,
            r#""started_at":"2026-11-22T05:07:24Z","ended_at":"2026-11-22T05:08:29Z","#,
            r#""duration_seconds":65,"queue_wait_seconds":10,"result":"Cevapsız","#,
            r#""return_uuid":null,"returned_at":null,"settled_by":null,"returned_by":null,"heard_at":null,"waited_seconds":null,"attempts":1,"calls":["2026-11-22T05:07:24Z"],"#,
            r#""recording":{{"url":"{url}","expires_at":"2026-11-22T06:08:29Z"}},"#,
            r#""links":{{"listen":null,"callback":null}}}}}}"#
        ),
        id = event.id,
        url = URL,
    );
    assert_eq!(body, wanted);
}

#[test]
fn a_webhook_body_keeps_its_keys_and_gives_null_for_what_is_absent() {
    let event = sample(EventType::CallMissed, "sparse");
    let withheld = sample(EventType::CallMissed, "withheld");
    let parse = |event| -> Value {
        serde_json::from_slice(&webhook(&facts(event, EventType::CallMissed, Recording::Elsewhere))).unwrap()
    };
    let (sparse, withheld) = (parse(&event), parse(&withheld));
    for key in ["/called/number", "/called/name", "/called/queue", "/duration_seconds", "/result", "/recording"] {
        assert_eq!(sparse.pointer(&format!("/data{key}")), Some(&Value::Null), "{key}");
    }
    assert_eq!(
        withheld["data"]["caller"],
        serde_json::json!({"number": null, "e164": null, "display": null, "name": null, "withheld": true})
    );
}

#[test]
fn a_webhook_body_has_whole_seconds_and_stays_under_20_kb() {
    let mut event = sample(EventType::CallMissed, "long");
    event.started_at = "2026-11-22T05:07:24.987654321Z".parse().unwrap();
    let url = Secret::new(format!("https://x/{}", "\"".repeat(3990)));
    let body = webhook(&facts(&event, EventType::CallMissed, Recording::Link { url, expires_at: now() }));
    let json: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(json["data"]["started_at"], "2026-11-22T05:07:24Z");
    assert!(json["data"]["recording"]["url"].is_string());
    assert!(body.len() < 20_000, "{}", body.len());
}

#[test]
fn no_built_in_template_fails_with_any_sample() {
    assert_eq!(renderer().check(), Vec::<String>::new());
}

#[test]
fn no_name_can_add_a_header() {
    let renderer = renderer();
    everything(|name, facts| {
        for locale in Locale::ALL {
            let subject = mail(&renderer, locale, facts).subject;
            assert!(
                !subject.contains(char::is_control) && subject.chars().count() <= MAX_SUBJECT,
                "{name}: {subject:?}"
            );
        }
    });
}

/// The names of the tags in the order in which a browser meets them.
pub(super) fn tags(html: &str) -> Vec<&str> {
    html.split('<').skip(1).map(|rest| rest.split(|c: char| c == '>' || c.is_whitespace()).next().unwrap()).collect()
}

/// The same facts, as tame as can be, present where those of `event` are.
pub(super) fn tame(event: &Event, name: &str) -> Event {
    let mut tame = event.clone();
    let visible = !name.trim_matches(|c: char| c.is_whitespace() || "\u{200b}\u{feff}".contains(c)).is_empty();
    let text = if visible { "x" } else { "" };
    samples::fill(&mut tame, text, text);
    tame
}

#[test]
fn no_name_can_add_markup_to_a_mail() {
    let renderer = renderer();
    for name in samples::HOSTILE_NAMES {
        let mut event = samples::event(EventType::VoicemailNew, now());
        samples::fill(&mut event, name, name);
        let tame = tame(&event, name);
        let html = mail(&renderer, Locale::Tr, &facts(&event, EventType::VoicemailNew, link())).html;
        let wanted = mail(&renderer, Locale::Tr, &facts(&tame, EventType::VoicemailNew, link())).html;
        assert_eq!(tags(&html), tags(&wanted), "{name:?}");
        assert_eq!(html.matches("href=").count(), wanted.matches("href=").count(), "{name:?}");
    }
}

/// The message with every text but the fixed words of Slack's own blanked.
pub(super) fn shape(value: &Value) -> Value {
    match value {
        Value::Object(map) => map
            .iter()
            .map(|(key, value)| (key.clone(), if key == "type" { value.clone() } else { shape(value) }))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        Value::Array(list) => list.iter().map(shape).collect::<Vec<_>>().into(),
        Value::String(_) => "".into(),
        other => other.clone(),
    }
}

pub(super) fn text_objects<'v>(value: &'v Value, found: &mut Vec<&'v Value>) {
    match value {
        Value::Object(map) => {
            if matches!(map.get("type").and_then(Value::as_str), Some("mrkdwn" | "plain_text")) {
                found.push(value);
            }
            map.values().for_each(|value| text_objects(value, found));
        }
        Value::Array(list) => list.iter().for_each(|value| text_objects(value, found)),
        _ => {}
    }
}

#[test]
fn no_name_can_ping_or_shape_a_slack_message() {
    let renderer = renderer();
    for name in samples::HOSTILE_NAMES {
        let mut event = samples::event(EventType::CallMissed, now());
        samples::fill(&mut event, name, name);
        let tame = tame(&event, name);
        let message = slack(&renderer, Locale::Tr, &facts(&event, EventType::CallMissed, link()));
        let wanted = slack(&renderer, Locale::Tr, &facts(&tame, EventType::CallMissed, link()));
        assert_eq!(shape(&message), shape(&wanted), "{name:?}");

        let mut objects = Vec::new();
        text_objects(&message, &mut objects);
        assert!(objects.len() > 3);
        for object in objects {
            let text = object["text"].as_str().unwrap();
            if object["type"] == "plain_text" {
                assert_eq!(object["emoji"], false, "{name:?}");
            } else {
                let links = text.matches("<https://api.bulutsantralim.com/").count();
                assert_eq!(text.matches('<').count(), links, "{text}");
            }
        }
        assert!(!message["text"].as_str().unwrap().contains(['<', '>', '*', '_', '`']), "{name:?}");
    }
}

#[test]
fn no_name_is_evaluated() {
    let mut event = samples::event(EventType::CallMissed, now());
    samples::fill(&mut event, "{{7*7}} {{{caller.e164}}} {{> shared/email.foot.html}}", "x");
    let facts = facts(&event, EventType::CallMissed, Recording::None);
    let mail = mail(&renderer(), Locale::En, &facts);
    assert!(mail.subject.contains("{{7*7}} {{{caller.e164}…"), "{}", mail.subject);
    assert!(mail.text.contains("{{7*7}} {{{caller.e164}}} {{> shared/email.foot.html}}"));
    assert_eq!(mail.html.matches("</html>").count(), 1);
}

#[test]
fn a_url_that_is_no_web_link_or_too_long_is_not_linked() {
    let event = samples::event(EventType::VoicemailNew, now());
    let long = format!("https://x/{}", "a".repeat(5000));
    for url in ["javascript:alert(1)", "https://x/\r\nBcc: y", &long] {
        let recording = Recording::Link { url: Secret::new(url), expires_at: now() };
        let mail = mail(&renderer(), Locale::En, &facts(&event, EventType::VoicemailNew, recording));
        assert!(!mail.html.contains(url) && !mail.text.contains(url));
        assert!(mail.text.contains("You can listen to the message in"), "{}", mail.text);
    }
}

#[test]
fn a_call_is_told_by_its_own_time_in_the_configured_zone() {
    let event = samples::event(EventType::CallMissed, now());
    let facts = facts(&event, EventType::CallMissed, Recording::None);
    assert!(mail(&renderer(), Locale::Tr, &facts).subject.ends_with("(08:07)"));
    let berlin = Renderer::new(None, TimeZone::get("Europe/Berlin").unwrap()).unwrap();
    assert!(mail(&berlin, Locale::Tr, &facts).subject.ends_with("(06:07)"));
}

#[test]
fn one_conversation_is_one_caller_on_one_day_and_nobody_who_withholds_the_number() {
    let renderer = renderer();
    let event = samples::event(EventType::CallMissed, now());
    let thread = renderer.thread(&event);
    let changed = |change: &dyn Fn(&mut Event)| {
        let mut other = event.clone();
        change(&mut other);
        renderer.thread(&other)
    };
    // 23:59 in Istanbul, and a minute later.
    let evening: Timestamp = "2026-11-22T20:59:00Z".parse().unwrap();
    let midnight: Timestamp = "2026-11-22T21:00:00Z".parse().unwrap();
    let voicemail = samples::event(EventType::VoicemailNew, now());
    assert_eq!(renderer.thread(&voicemail), thread);
    assert_eq!(changed(&|event| event.started_at = evening), thread);
    assert_ne!(changed(&|event| event.started_at = midnight), thread);
    assert_ne!(changed(&|event| event.account = "other".to_owned()), thread);
    assert_ne!(changed(&|event| event.caller = sample(EventType::CallMissed, "extension").caller), thread);
    assert!(!thread.contains("312123"));

    let one = changed(&|event| event.caller = Caller::default());
    let other = changed(&|event| {
        event.caller = Caller::default();
        event.id = voicemail.id;
    });
    assert_ne!(one, other);
}

pub(super) fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

#[test]
fn a_file_of_the_same_name_replaces_a_built_in_template() {
    let folder = folder(&[
        ("tr/email/call.missed.subject.txt.hbs", "\u{feff}{{default caller.name \"biri\"}}\r\naradı\r\n"),
        (".git/HEAD", "hidden files are nobody's business"),
    ]);
    let renderer = Renderer::new(Some(folder.path()), TimeZone::UTC).unwrap();
    let event = samples::event(EventType::CallMissed, now());
    let facts = facts(&event, EventType::CallMissed, Recording::None);
    assert_eq!(mail(&renderer, Locale::Tr, &facts).subject, "Mehmet Yılmaz aradı");
    assert!(mail(&renderer, Locale::En, &facts).subject.starts_with("Missed call"));
    assert_eq!(renderer.check(), Vec::<String>::new());
}

#[test]
fn the_built_in_files_are_a_folder_that_replaces_them_all() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("templates");
    assert!(Renderer::new(Some(&folder), TimeZone::UTC).is_ok());
}

#[test]
fn every_problem_of_the_folder_is_told_at_once_with_file_and_line() {
    let folder = folder(&[
        ("tr/email/call.missed.txt.hbs", "ok\n{{#if test}}\nnever closed"),
        ("en/slack/call.missed.json.hbs", "{{who"),
        ("en/slack/missed.json.hbs", "{}"),
        ("tr/email/call.missed.html", "no ending"),
    ]);
    fs::write(folder.path().join("tr/email/voicemail.new.txt.hbs"), b"\xff").unwrap();
    let problems = Renderer::new(Some(folder.path()), TimeZone::UTC).err().unwrap();
    let root = folder.path().display().to_string();
    insta::assert_snapshot!("folder", problems.join("\n").replace(&root, "FOLDER"));
    let missing = Renderer::new(Some(&folder.path().join("none")), TimeZone::UTC).err().unwrap();
    assert!(missing[0].starts_with("cannot read the templates' folder"), "{missing:?}");
}

#[test]
fn a_template_that_fails_is_replaced_by_plain_text_and_says_where() {
    let folder = folder(&[
        ("tr/email/call.missed.txt.hbs", "bir\n{{caller.nmae}}"),
        ("tr/slack/call.missed.json.hbs", "{\"text\": \"{{{who}}}\", }"),
        ("en/email/call.missed.subject.txt.hbs", "{{date who}}"),
        ("en/slack/call.missed.json.hbs", "{\"text\": \"{{dat started_at}}\"}"),
    ]);
    let renderer = Renderer::new(Some(folder.path()), TimeZone::get("Europe/Istanbul").unwrap()).unwrap();
    let event = samples::event(EventType::CallMissed, now());
    let facts = Facts { test: true, ..facts(&event, EventType::CallMissed, link()) };
    let root = folder.path().display().to_string();
    let mut seen = String::new();
    for locale in Locale::ALL {
        for channel in [ChannelType::Email, ChannelType::Slack] {
            let made = renderer.render(&Look::new(channel, locale), &facts);
            writeln!(seen, "! {}", made.failure.unwrap().replace(&root, "FOLDER")).unwrap();
            match made.message {
                Message::Email(mail) => writeln!(seen, "{}\n{}\n{}", mail.subject, mail.text, mail.html).unwrap(),
                Message::Slack(json) => writeln!(seen, "{}", str::from_utf8(&json.post).unwrap()).unwrap(),
                Message::Webhook(_) => panic!("webhooks have no template"),
            }
        }
    }
    insta::assert_snapshot!("fallback", seen);
    let problems = renderer.check();
    assert_eq!(problems.len(), 4, "{problems:#?}");
}

#[test]
fn a_hostile_name_in_the_fallback_is_as_harmless() {
    let folder = folder(&[("tr/email/call.missed.txt.hbs", "{{x}}"), ("tr/slack/call.missed.json.hbs", "{")]);
    let renderer = Renderer::new(Some(folder.path()), TimeZone::UTC).unwrap();
    for name in samples::HOSTILE_NAMES {
        let mut event = samples::event(EventType::CallMissed, now());
        samples::fill(&mut event, name, name);
        let facts = facts(&event, EventType::CallMissed, Recording::None);
        let Message::Email(mail) = renderer.render(&Look::new(ChannelType::Email, Locale::Tr), &facts).message else {
            panic!()
        };
        assert!(!mail.subject.contains(char::is_control));
        assert_eq!(tags(&mail.html).len(), 11, "{}", mail.html);
        let Message::Slack(json) = renderer.render(&Look::new(ChannelType::Slack, Locale::Tr), &facts).message else {
            panic!()
        };
        let json: Value = serde_json::from_slice(&json.post).unwrap();
        assert!(!json["text"].as_str().unwrap().contains(['<', '>', '*', '_', '`']));
    }
}

/// Everything of a message that leaves the process, but for a mail's addresses.
fn sent(message: Message) -> Vec<String> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    match message {
        Message::Email(mail) => vec![mail.subject, mail.text, mail.html],
        Message::Slack(slack) => {
            [Some(slack.post), slack.update].into_iter().flatten().map(|body| text(&body)).collect()
        }
        Message::Webhook(webhook) => vec![text(&webhook.body)],
    }
}

/// Events with a number in every field that could hold one, in every notation.
fn with_numbers_everywhere(event_type: EventType) -> Vec<Event> {
    let mut events: Vec<Event> = samples::all(event_type, now()).into_iter().map(|(_, event)| event).collect();
    let caller = crate::number::parse("0532 111 22 67").number;
    for number in
        ["05321112267", "+90 532 111 22 67", "(0532) 111-22-67", "0532.111.22.67", "٠٥٣٢١١١٢٢٦٧", "90 5321112267 ev"]
    {
        let mut event = samples::event(event_type, now());
        samples::fill(&mut event, &format!("Ahmet {number}"), number);
        event.caller.number.clone_from(&caller);
        event.result = Some(format!("Cevapsız {number}"));
        event.recording = true;
        events.push(event);
    }
    events
}

#[test]
fn a_masked_channel_is_sent_no_full_number_in_any_field_of_any_message() {
    let renderer = renderer();
    let ends = |number: &crate::private::PhoneNumber| -> Vec<String> {
        let digits = number.expose();
        let forms = [Some(&digits.raw), digits.e164.as_ref(), Some(&digits.display)].into_iter().flatten();
        let digits = forms.map(|form| form.chars().filter(char::is_ascii_digit).collect::<String>());
        digits
            .filter(|digits| digits.len() > 6)
            .map(|digits| digits[digits.len().saturating_sub(10)..].to_owned())
            .collect()
    };
    let shows = |number: &str, text: &str| {
        // Also when something stands between the digits, and in other scripts.
        let digit = |c: char| c.to_digit(10).or_else(|| u32::from(c).checked_sub(0x660).filter(|digit| *digit < 10));
        let digits: String = text.chars().filter_map(digit).map(|digit| digit.to_string()).collect();
        digits.contains(number)
    };
    let mut looks: Vec<Look> = ChannelType::ALL.into_iter().map(|channel| Look::new(channel, Locale::Tr)).collect();
    looks.extend(crate::body::Recipe::ALL.map(|recipe| Look {
        body: Some(Body {
            template: crate::body::BodyTemplate::Recipe(recipe),
            format: crate::body::BodyFormat::of(recipe.content_type()).unwrap(),
        }),
        ..Look::new(ChannelType::Webhook, Locale::En)
    }));
    let (mut checked, mut in_clear) = (0, 0);
    for look in looks {
        let masked = Look { mask_numbers: true, ..look.clone() };
        for event_type in EventType::ALL {
            let events = with_numbers_everywhere(event_type);
            let url = Secret::new("https://api.bulutsantralim.com/recording/20261122-905321112267.mp3");
            let numbered = Recording::Link { url, expires_at: now() };
            for event in &events {
                let numbers = [&event.caller.number, &event.called.number].into_iter().flatten();
                let numbers: Vec<String> = numbers.flat_map(ends).collect();
                for recording in [link(), numbered.clone(), Recording::None] {
                    let facts = facts(event, event_type, recording);
                    let made = renderer.render(&masked, &facts);
                    assert_eq!(made.failure, None);
                    for text in sent(made.message) {
                        for number in &numbers {
                            assert!(!shows(number, &text), "{look:?} shows {number}: {text}");
                            checked += 1;
                        }
                        assert!(!text.contains("tel:"), "{text}");
                    }
                    let clear = sent(renderer.render(&look, &facts).message);
                    in_clear += usize::from(numbers.iter().any(|number| clear.iter().any(|text| shows(number, text))));
                }
                let row = InDigest { event, event_type, settled: None };
                for text in sent(renderer.digest(&masked, &[row]).message) {
                    assert!(numbers.iter().all(|number| !shows(number, &text)) && !text.contains("tel:"), "{text}");
                }
            }
        }
    }
    assert!(checked > 1000 && in_clear > 200, "{checked}, {in_clear}");
}

#[test]
fn a_masked_message_still_says_who_and_keeps_extensions_ids_and_links() {
    let renderer = renderer();
    let event = samples::event(EventType::CallMissed, now());
    let facts = facts(&event, EventType::CallMissed, link());
    let look = Look { mask_numbers: true, ..Look::new(ChannelType::Webhook, Locale::Tr) };
    let body: Value = serde_json::from_str(&sent(renderer.render(&look, &facts).message)[0]).unwrap();
    let (caller, called) = (&body["data"]["caller"], &body["data"]["called"]);
    assert_eq!((&caller["number"], &caller["e164"]), (&"0312*****67".into(), &Value::Null));
    assert_eq!((&caller["display"], &caller["name"]), (&"0312 *** ** 67".into(), &"Mehmet Yılmaz".into()));
    assert_eq!((&called["display"], &called["extension"]), (&"0212 *** ** 43".into(), &"1002".into()));
    assert_eq!((&body["data"]["uuid"], &body["data"]["recording"]["url"]), (&event.uuid.as_str().into(), &URL.into()));

    let masked = Look { channel: ChannelType::Email, ..look };
    let Message::Email(mail) = renderer.render(&masked, &facts).message else { panic!() };
    assert_eq!(mail.subject, "Cevapsız çağrı: Mehmet Yılmaz 0312 *** ** 67 (08:07)");
    assert_eq!(mail.thread, renderer.thread(&event), "callers whose numbers look alike are not one conversation");
    let mut numbered = event.clone();
    numbered.caller.name = Some(crate::private::PersonName::new("0312 123 45 67"));
    let facts = Facts { event: &numbered, ..facts };
    let Message::Email(mail) = renderer.render(&masked, &facts).message else { panic!() };
    assert_eq!(mail.subject, "Cevapsız çağrı: 0312 *** ** 67 (08:07)", "a name that repeats the number is none");
}

/// The names in a value, of objects in it too.
fn names(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            for (name, value) in map {
                found.insert(name.clone());
                names(value, found);
            }
        }
        Value::Array(list) => list.iter().for_each(|value| names(value, found)),
        _ => {}
    }
}

#[test]
fn the_readme_names_every_variable_and_helper_of_the_templates() {
    let readme = include_str!("../../README.md");
    let event = samples::event(EventType::CallMissed, now());
    let (mut facts, row) = (
        facts(&event, EventType::CallMissed, link()),
        InDigest { event: &event, event_type: EventType::CallMissed, settled: None },
    );
    facts.test = true;
    let data = Data::new(&facts, 4000);
    let folder = folder(&[("b.hbs", "{{json this}}")]);
    let body = Body {
        template: crate::body::BodyTemplate::File(folder.path().join("b.hbs")),
        format: crate::body::BodyFormat::Json,
    };
    let renderer = renderer().with_bodies(vec![body.clone()]).unwrap();
    let look = Look { body: Some(body), ..Look::new(ChannelType::Webhook, Locale::Tr) };
    let everything = sent(renderer.render(&look, &facts).message).remove(0);
    let of_a_digest = sent(renderer.digest(&look, &[row]).message).remove(0);
    let mut found = BTreeSet::new();
    names(&serde_json::to_value(Context::new(&data, &facts, Locale::Tr)).unwrap(), &mut found);
    for text in [everything, of_a_digest] {
        names(&serde_json::from_str(&text).unwrap(), &mut found);
    }
    assert!(found.len() > 40 && found.contains("link_text") && found.contains("span"), "{found:?}");
    for name in found {
        let shown = [format!("`{name}`"), format!("\"{name}\""), format!("`{{{{{name}")];
        assert!(shown.iter().any(|form| readme.contains(form)), "README.md does not name the variable `{name}`");
    }
    for (helper, _) in helpers::all(&TimeZone::UTC, crate::body::BodyFormat::Text) {
        assert!(readme.contains(&format!("{{{{{helper} ")), "README.md does not name the helper `{helper}`");
    }
}

#[test]
fn an_end_says_how_and_what_the_first_message_becomes_is_struck_through() {
    let renderer = renderer();
    let mut told = String::new();
    for locale in Locale::ALL {
        for name in ["full", "reached", "answered"] {
            let event = sample(EventType::CallReturned, name);
            let facts = facts(&event, EventType::CallReturned, Recording::None);
            let made = renderer.render(&Look::new(ChannelType::Slack, locale), &facts);
            let Message::Slack(SlackMessage { update: Some(update), .. }) = made.message else { panic!("no update") };
            let update: Value = serde_json::from_slice(&update).unwrap();
            let subject = mail(&renderer, locale, &facts).subject;
            writeln!(told, "{subject}\n{}\n", update["blocks"][0]["text"]["text"].as_str().unwrap()).unwrap();
        }
    }
    insta::assert_snapshot!("ends", told);
    let event = sample(EventType::CallMissed, "full");
    let made = renderer
        .render(&Look::new(ChannelType::Slack, Locale::Tr), &facts(&event, EventType::CallMissed, Recording::None));
    assert!(
        matches!(made.message, Message::Slack(SlackMessage { update: None, .. })),
        "there is nothing to change yet"
    );
}
