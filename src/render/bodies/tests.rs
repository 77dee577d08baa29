use std::fmt::Write as _;

use serde_json::Value;

use super::super::tests::{everything, facts, folder, link, now, renderer, shape, tame};
use super::super::{InDigest, Recording, notice};
use super::*;
use crate::body::Recipe;
use crate::event::Closed;
use crate::message::{ChannelType, Message};

fn body_of(recipe: Recipe) -> Body {
    let format = BodyFormat::of(recipe.content_type()).unwrap();
    Body { template: BodyTemplate::Recipe(recipe), format }
}

fn look(body: &Body, locale: Locale) -> Look {
    Look { body: Some(body.clone()), ..Look::new(ChannelType::Webhook, locale) }
}

fn text(message: Message) -> String {
    let Message::Webhook(message) = message else { panic!("not a webhook's") };
    String::from_utf8(message.body.to_vec()).unwrap()
}

fn made(renderer: &Renderer, look: &Look, facts: &Facts<'_>) -> String {
    let made = renderer.render(look, facts);
    assert_eq!(made.failure, None);
    text(made.message)
}

fn samples_of_a_digest() -> Vec<crate::event::Event> {
    EventType::ALL.into_iter().flat_map(|kind| samples::all(kind, now())).map(|(_, event)| event).collect()
}

fn digest(renderer: &Renderer, look: &Look, events: &[crate::event::Event]) -> (String, usize) {
    let rows: Vec<InDigest<'_>> = events
        .iter()
        .map(|event| InDigest { event, event_type: event.kind.first_event(), settled: Some(Closed::Returned) })
        .collect();
    let made = renderer.digest(look, &rows);
    assert_eq!(made.failure, None);
    (text(made.message), made.rows)
}

/// What every recipe makes of `facts`, in both languages.
fn recipes(facts: &Facts<'_>, mut each: impl FnMut(Recipe, &str)) {
    let renderer = renderer();
    for recipe in Recipe::ALL {
        for locale in Locale::ALL {
            each(recipe, &made(&renderer, &look(&body_of(recipe), locale), facts));
        }
    }
}

#[test]
fn every_recipe_reads_as_reviewed() {
    let renderer = renderer();
    for recipe in Recipe::ALL {
        let mut seen = String::new();
        for locale in Locale::ALL {
            let look = look(&body_of(recipe), locale);
            for event_type in EventType::ALL {
                let full = samples::event(event_type, now());
                let mut hostile = full.clone();
                samples::fill(&mut hostile, samples::HOSTILE_NAMES[1], samples::HOSTILE_NAMES[2]);
                writeln!(seen, "{}\n", made(&renderer, &look, &facts(&full, event_type, link()))).unwrap();
                let test = Facts { test: true, ..facts(&hostile, event_type, Recording::Elsewhere) };
                writeln!(seen, "{}\n", made(&renderer, &look, &test)).unwrap();
            }
            let events: Vec<_> = EventType::ALL.map(|event_type| samples::event(event_type, now())).into();
            writeln!(seen, "{}\n", digest(&renderer, &look, &events).0).unwrap();
            for sample in notice::samples(now()) {
                let made = renderer.notice(&look, &sample);
                assert_eq!(made.failure, None);
                writeln!(seen, "{}\n", text(made.message)).unwrap();
            }
        }
        insta::assert_snapshot!(format!("recipe_{}", recipe.as_str()), seen);
    }
}

#[test]
fn no_name_can_shape_what_a_recipe_makes() {
    for event_type in EventType::ALL {
        for name in samples::HOSTILE_NAMES {
            let mut event = samples::event(event_type, now());
            samples::fill(&mut event, name, name);
            let tame = tame(&event, name);
            let mut shapes = Vec::new();
            for event in [&event, &tame] {
                recipes(&facts(event, event_type, link()), |recipe, text| {
                    if recipe != Recipe::Ntfy {
                        shapes.push(shape(&serde_json::from_str::<Value>(text).unwrap()));
                    }
                });
            }
            let (hostile, tame) = shapes.split_at(shapes.len() / 2);
            assert_eq!(hostile, tame, "{name:?}");
        }
    }
}

#[test]
fn no_name_can_mention_anybody_or_become_markup_in_a_recipe() {
    let url = |text: &str| text.replace("https://api.bulutsantralim.com", "");
    everything(|name, facts| {
        recipes(facts, |recipe, text| {
            let json: Value = serde_json::from_str(text).unwrap_or_default();
            match recipe {
                Recipe::Discord => {
                    assert_eq!(json["allowed_mentions"], json!({"parse": []}));
                    let embed = &json["embeds"][0];
                    for field in [&json["content"], &embed["title"], &embed["description"]] {
                        let marks = ['@', '<', '*', '_', '`', '[', '~', '|', '#'];
                        assert!(!field.as_str().unwrap_or_default().contains(marks), "{name}: {field}");
                    }
                }
                Recipe::Mattermost => {
                    let text = json["text"].as_str().unwrap();
                    let links = usize::from(text.contains("](https://api.bulutsantralim.com/"));
                    assert!(!text.contains('@') && !url(text).contains("://"), "{name}: {text}");
                    assert_eq!((text.matches('[').count(), text.matches("**").count()), (links, 2), "{name}: {text}");
                }
                Recipe::GoogleChat => {
                    let text = json["text"].as_str().unwrap();
                    assert!(!text.contains(['<', '>', '@', '~', '`']) && !url(text).contains("://"), "{name}: {text}");
                }
                Recipe::Telegram => {
                    let text = json["text"].as_str().unwrap();
                    assert!(!text.contains('@') && !url(text).contains("://"), "{name}: {text}");
                    assert_eq!(json.get("parse_mode"), None);
                }
                // Text runs and plain text have no markup; a mention in Teams is an entity of its own.
                Recipe::Teams => assert!(!text.contains("\"TextBlock\"") && !text.contains("msteams"), "{name}"),
                Recipe::Ntfy => assert!(json.is_null(), "{name}"),
            }
        });
    });
}

#[test]
fn what_a_recipe_makes_is_within_the_limits_of_its_service() {
    let limits = |name: &str, recipe: Recipe, text: &str| {
        let json: Value = serde_json::from_str(text).unwrap_or_default();
        let within = |field: &Value, least: usize, most: usize| {
            let length = field.as_str().map_or(0, |text| text.chars().map(char::len_utf16).sum());
            assert!((least..=most).contains(&length), "{name} {recipe:?}: {length}: {field}");
        };
        match recipe {
            // learn.microsoft.com, "Create incoming webhooks": 28 KB.
            Recipe::Teams => assert!(text.len() < 28_000, "{name}: {}", text.len()),
            // discord.com/developers, "Execute webhook" and "Embed limits".
            Recipe::Discord => {
                within(&json["content"], 1, 2000);
                within(&json["embeds"][0]["title"], 0, 256);
                within(&json["embeds"][0]["description"], 1, 4096);
            }
            // Of old servers; 16383 today.
            Recipe::Mattermost => within(&json["text"], 1, 4000),
            Recipe::GoogleChat | Recipe::Telegram => within(&json["text"], 1, 4096),
            // docs.ntfy.sh, "Limitations": longer ones become attachments.
            Recipe::Ntfy => assert!((1..=4096).contains(&text.len()), "{name}: {}", text.len()),
        }
    };
    everything(|name, facts| recipes(facts, |recipe, text| limits(name, recipe, text)));
    let long = Recording::Link {
        url: crate::private::Secret::new(format!("https://x/{}", "a".repeat(980))),
        expires_at: now(),
    };
    let (_, event) = samples::all(EventType::CallMissed, now()).into_iter().find(|(name, _)| name == "long").unwrap();
    recipes(&facts(&event, EventType::CallMissed, long), |recipe, text| {
        assert!(text.contains("aaaa"), "{recipe:?}");
        limits("a long URL", recipe, text);
    });
    let (renderer, events) = (renderer(), samples_of_a_digest());
    for recipe in Recipe::ALL {
        for locale in Locale::ALL {
            let (mut rest, mut rounds) = (&events[..], 0);
            while !rest.is_empty() {
                let (text, rows) = digest(&renderer, &look(&body_of(recipe), locale), rest);
                limits("digest", recipe, &text);
                let told = text.matches("geri arandı").count() + text.matches("called back").count();
                assert_eq!(told, rows, "every event has its line: {text}");
                rest = &rest[rows..];
                rounds += 1;
            }
            assert!(rounds < events.len(), "several fit");
        }
    }
}

fn own(files: &[(&str, &str)], format: BodyFormat) -> (tempfile::TempDir, Body, Result<Renderer, Vec<String>>) {
    let folder = folder(files);
    let body = Body { template: BodyTemplate::File(folder.path().join(files[0].0)), format };
    let renderer = renderer().with_bodies(vec![body.clone()]);
    (folder, body, renderer)
}

#[test]
fn values_are_escaped_for_the_content_type() {
    let mut event = samples::event(EventType::CallMissed, now());
    let name = "Ö\"z & <b>\\ 'x'=1";
    samples::fill(&mut event, name, "x");
    let facts = facts(&event, EventType::CallMissed, Recording::None);
    for (format, template, wanted) in [
        (BodyFormat::Json, "{\"a\": \"{{caller.name}}\"}", "{\"a\": \"Ö\\\"z & <b>\\\\ 'x'=1\"}"),
        (BodyFormat::Json, "[{{json caller.name}}, {{json link}}]", "[\"Ö\\\"z & <b>\\\\ 'x'=1\", null]"),
        (BodyFormat::Text, "{{caller.name}}, {{type}}\n", &format!("{name}, call.missed")),
        (BodyFormat::Form, "a={{caller.name}}&b={{type}}", "a=%C3%96%22z+%26+%3Cb%3E%5C+%27x%27%3D1&b=call.missed"),
        (BodyFormat::Markup, "<a>{{caller.name}}</a>", "<a>Ö&quot;z &amp; &lt;b&gt;\\ &#x27;x&#x27;&#x3D;1</a>"),
    ] {
        let (_folder, body, renderer) = own(&[("b.hbs", template)], format);
        let renderer = renderer.unwrap();
        assert_eq!(made(&renderer, &look(&body, Locale::Tr), &facts), wanted);
        assert_eq!(renderer.check(), Vec::<String>::new(), "{template}");
    }
}

#[test]
fn one_template_without_a_branch_serves_every_kind_of_message() {
    let template = r#"{"kind": "{{type}}", "lang": "{{locale}}", "at": {{json timestamp}}, "title": "{{title}}",
        "text": "{{text}}", "lines": {{json lines}}, "link": {{json link}}, "words": "{{link_text}}", "test": {{json test}},
        "account": "{{account}}", "who": "{{caller.display}}", "e164": {{json caller.e164}}, "rows": {{json rows}},
        "count": {{json calls}}, "whole": {{json body}}, "data": {{json body.data}}}"#;
    let (_folder, body, renderer) = own(&[("b.hbs", template)], BodyFormat::Json);
    let renderer = renderer.unwrap();
    assert_eq!(renderer.check(), Vec::<String>::new());
    let look = look(&body, Locale::Tr);
    let event = samples::event(EventType::VoicemailNew, now());
    let parse = |text: String| serde_json::from_str::<Value>(&text).unwrap();

    let one = parse(made(&renderer, &look, &facts(&event, EventType::VoicemailNew, link())));
    assert_eq!(one["title"], "Yeni sesli mesaj: Mehmet Yılmaz 0312 123 45 67 (08:07)");
    assert_eq!(one["text"], "Ne zaman: 22.11.2026 08:07\nDahili: 1002 (Dahili 1)");
    assert_eq!(one["link"], super::super::tests::URL);
    assert_eq!(one["words"], "Ses kaydını dinle (saat 09:08 olana kadar)");
    assert_eq!((&one["e164"], &one["rows"]), (&json!("+903121234567"), &json!([])));
    assert_eq!(
        one["count"],
        json!(["2026-11-22T05:07:24Z"]),
        "of an event they are the times, of a digest their number"
    );
    assert_eq!(one["whole"]["data"], one["data"]);

    let (many, rows) = digest(&renderer, &look, &[event.clone(), event]);
    let many = parse(many);
    assert_eq!((many["kind"].as_str(), rows, many["rows"].as_array().unwrap().len()), (Some("digest"), 2, 2));
    assert_eq!((&many["who"], &many["e164"], &many["account"]), (&json!(""), &Value::Null, &json!("main")));
    assert!(many["title"].as_str().unwrap().starts_with("2 sesli mesaj (22.11.2026"), "{many}");
    assert_eq!(many["data"]["events"].as_array().unwrap().len(), 2);

    let notice = parse(text(renderer.notice(&look, &notice::samples(now())[0]).message));
    assert_eq!((&notice["kind"], &notice["data"]["condition"]), (&json!("health.failing"), &json!("channel_failing")));
    assert_eq!(notice["title"], "ringback: kanal iletemiyor (ofis)");
    assert!(notice["text"].as_str().unwrap().contains("Alıcı zamanında yanıt vermiyor."), "{notice}");
}

#[test]
fn what_is_wrong_with_a_body_template_is_found_with_file_line_and_column() {
    for (format, template, wanted) in [
        (BodyFormat::Json, "{\n  \"a\": \"{{titel}}\"}", "FOLDER/b.hbs:2:9: there is no variable `titel`"),
        (BodyFormat::Json, "{\n{{#if title}", "FOLDER/b.hbs:2:12: a `{{…}}` is not understood or not closed"),
        (BodyFormat::Json, "{\"a\": \"{{{caller.name}}}\"}", "FOLDER/b.hbs: gives no valid JSON"),
        (BodyFormat::Json, "{\"a\": {{caller.display}}}", "FOLDER/b.hbs: gives no valid JSON"),
        (BodyFormat::Json, "{\"a\": {{upper title}}}", "FOLDER/b.hbs:1:7: there is no helper `upper`"),
        (BodyFormat::Text, "{{#if withheld}}x{{/if}}", "FOLDER/b.hbs: gives an empty body"),
        (BodyFormat::Form, "a={{{title}}}", "FOLDER/b.hbs: gives spaces"),
    ] {
        let (folder, _, renderer) = own(&[("b.hbs", template)], format);
        let problems = renderer.map_or_else(|problems| problems, |renderer| renderer.check());
        let problem = problems.first().unwrap().replace(&folder.path().display().to_string(), "FOLDER");
        assert!(problem.starts_with(wanted), "{problem}");
    }
    let missing = Body { template: BodyTemplate::File("/nowhere/b.hbs".into()), format: BodyFormat::Json };
    let problems = renderer().with_bodies(vec![missing]).err().unwrap();
    assert!(problems[0].starts_with("/nowhere/b.hbs: cannot be read: "), "{problems:?}");
    assert!(!problems[0].contains("hint"), "{problems:?}");
}

#[test]
fn a_recipe_that_is_named_like_a_file_is_recognised() {
    let misnamed = Body { template: BodyTemplate::File("/nowhere/teams".into()), format: BodyFormat::Json };
    let problems = renderer().with_bodies(vec![misnamed]).err().unwrap();
    assert!(problems[0].ends_with("`body_template: recipe:teams`"), "{problems:?}");
}

#[test]
fn a_body_template_that_fails_is_replaced_in_the_format_that_was_promised() {
    let mut event = samples::event(EventType::CallMissed, now());
    event.caller.name = Some(crate::private::PersonName::new("A & <b>"));
    let facts = facts(&event, EventType::CallMissed, link());
    for (format, part) in [
        (BodyFormat::Json, r#"{"type":"call.missed","timestamp":"#),
        (BodyFormat::Text, "Cevapsız çağrı: A & <b> 0312 123 45 67 (08:07)\n\nNe zaman: "),
        (BodyFormat::Form, "title=Cevaps%C4%B1z+%C3%A7a%C4%9Fr%C4%B1%3A+A+%26+%3Cb%3E"),
        (BodyFormat::Markup, "<pre>Cevapsız çağrı: A &amp; &lt;b&gt; 0312"),
    ] {
        let (_folder, body, renderer) = own(&[("b.hbs", "{{caller.nmae}}")], format);
        let renderer = renderer.unwrap();
        let made = renderer.render(&look(&body, Locale::Tr), &facts);
        let failure = made.failure.unwrap();
        assert!(failure.ends_with("b.hbs:1:1: there is no variable `caller.nmae`"), "{failure}");
        assert!(text(made.message).starts_with(part));
        assert!(renderer.is_news(&failure) && !renderer.is_news(&failure), "it is reported once");
    }
}

#[test]
fn a_body_of_more_than_64_kib_is_not_sent() {
    let large = "x".repeat(70_000);
    let (_folder, _, renderer) = own(&[("b.hbs", &large)], BodyFormat::Text);
    let problems = renderer.unwrap().check();
    assert!(problems[0].contains("gives 70000 bytes, which is more than 64 KiB"), "{problems:?}");
}

#[test]
fn the_names_in_a_body_of_any_shape_are_known_to_its_channel() {
    let event = samples::event(EventType::CallMissed, now());
    let facts = facts(&event, EventType::CallMissed, Recording::None);
    let made = renderer().render(&look(&body_of(Recipe::Teams), Locale::Tr), &facts);
    let Message::Webhook(message) = made.message else { panic!() };
    assert_eq!(message.names, ["Mehmet Yılmaz", "Dahili 1"]);
}
