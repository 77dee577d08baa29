//! `ringback render` and `ringback send-test`: what a channel's messages look like, and whether they arrive.

use crate::app;
use crate::channel::{Parcel, email};
use crate::clock::Clock;
use crate::config::{Channel, ChannelKind, Config, RecordingMode};
use crate::cursor::ahead;
use crate::event::{DeliveryId, Event, EventType};
use crate::http;
use crate::message::{Message, SlackMessage, WebhookMessage};
use crate::outbox::Outcome;
use crate::private::Secret;
use crate::render::{Facts, File, Recording, samples};

use super::{Failure, say};

/// A recording of no length.
const SILENCE: &[u8] = b"RIFF\x24\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x40\x1f\0\0\x80\x3e\0\0\x02\0\x10\0data\0\0\0\0";

/// Prints what would be sent.
pub(super) fn render(config: &Config, channel: &str, event_type: EventType) -> Result<(), Failure> {
    let channel = find(config, channel)?;
    let now = Clock::system().now();
    let event = sample(config, event_type, now);
    let settings = app::lane_settings(config, channel);
    let recording = match channel.common.recording {
        RecordingMode::Link | RecordingMode::Attach if event.recording => Recording::Link {
            url: Secret::new("https://api.bulutsantralim.com/recording/R00000000-0000-4000-8000-000000000000"),
            expires_at: ahead(now, std::time::Duration::from_secs(3600)),
        },
        _ => Recording::None,
    };
    let facts = Facts { event: &event, event_type, recording, test: false };
    let renderer = app::renderer(config)?;
    let mut rendered = renderer.render(&settings.look, &facts);
    if channel.common.recording == RecordingMode::Attach && event.recording {
        let (content_type, bytes) = ("audio/wav".to_owned(), bytes::Bytes::from_static(SILENCE));
        let file = File { stem: None, extension: "wav", content_type, bytes };
        rendered = renderer.attach(rendered, &settings.look, &facts, file);
    }
    if let Some(failure) = rendered.failure {
        return Err(Failure::Usage(failure));
    }
    match &rendered.message {
        Message::Email(mail) => {
            let ChannelKind::Email(keys) = &channel.kind else { return Err(mismatch(channel)) };
            let built = email::Email::new(&settings.name, keys, 1, settings.timeout).map_err(Failure::Usage)?;
            let id = delivery_id(&event, event_type, channel);
            let parcel = Parcel { id, message: &rendered.message, now, earlier: None };
            let letter = built.letter(parcel, mail).map_err(Failure::Run)?;
            let bytes: Vec<u8> = letter.chunks().flat_map(std::borrow::Cow::into_owned).collect();
            say(&String::from_utf8_lossy(&bytes));
        }
        // In a shape that somebody else has chosen, every byte may matter.
        Message::Webhook(message) if settings.look.body.is_some() => say(&String::from_utf8_lossy(&message.body)),
        Message::Slack(SlackMessage { post: body, .. }) | Message::Webhook(WebhookMessage { body, .. }) => {
            let json: serde_json::Value =
                serde_json::from_slice(body).map_err(|error| Failure::Run(format!("not JSON: {error}")))?;
            say(&format!("{json:#}"));
        }
    }
    Ok(())
}

/// Sends a sample, marked as a test, to the channels named, or to all that are enabled.
pub(super) async fn send_test(config: &Config, channels: &[String], event_type: EventType) -> Result<(), Failure> {
    let channels: Vec<&Channel> = if channels.is_empty() {
        config.channels.iter().filter(|channel| channel.common.enabled).collect()
    } else {
        channels.iter().map(|name| find(config, name)).collect::<Result<_, _>>()?
    };
    let renderer = app::renderer(config)?;
    let client = http::client(1).map_err(|error| Failure::Run(error.to_string()))?;
    let now = Clock::system().now();
    let mut failed = 0;
    for channel in channels {
        let settings = app::lane_settings(config, channel);
        let built = app::build_channel(channel, &settings, client.clone())?;
        let mut event = sample(config, event_type, now);
        // Another id each time: receivers that drop what they have seen must show every test.
        event.uuid = format!("test-{}", now.as_nanosecond());
        let facts = Facts { event: &event, event_type, recording: Recording::None, test: true };
        let rendered = renderer.render(&settings.look, &facts);
        let id = delivery_id(&event, event_type, channel);
        let outcome = built.send(Parcel { id, message: &rendered.message, now, earlier: None }, &mut None).await;
        let name = &channel.common.name;
        match outcome {
            Outcome::Delivered => say(&format!("{name}: delivered")),
            Outcome::RetryAfter { failure, .. } | Outcome::Permanent(failure) => {
                failed += 1;
                say(&format!("{name}: FAILED ({}): {}", failure.kind.as_str(), failure.text));
            }
        }
    }
    if failed > 0 { Err(Failure::Run(format!("{failed} of the channels did not take the test"))) } else { Ok(()) }
}

fn find<'c>(config: &'c Config, name: &str) -> Result<&'c Channel, Failure> {
    config.channels.iter().find(|channel| channel.common.name == name).ok_or_else(|| {
        let known: Vec<&str> = config.channels.iter().map(|channel| channel.common.name.as_str()).collect();
        Failure::Usage(format!("there is no channel `{name}`\nhint: the configuration has {}", known.join(", ")))
    })
}

fn sample(config: &Config, event_type: EventType, now: jiff::Timestamp) -> Event {
    let mut event = samples::event(event_type, now);
    if let Some(account) = config.accounts.first() {
        event.account.clone_from(&account.name);
    }
    event
}

fn delivery_id(event: &Event, event_type: EventType, channel: &Channel) -> DeliveryId {
    DeliveryId::derive(&event.account, event_type, &event.uuid, &channel.common.name)
}

fn mismatch(channel: &Channel) -> Failure {
    Failure::Run(format!("channel `{}`: the message is of another type", channel.common.name))
}
