//! `ringback render` and `ringback send-test`: what a channel's messages look like, and whether they arrive.

use std::str::FromStr;

use jiff::Timestamp;

use crate::app;
use crate::channel::{Parcel, email};
use crate::clock::Clock;
use crate::config::{Channel, ChannelKind, Config, RecordingMode};
use crate::cursor::ahead;
use crate::dispatch;
use crate::event::{DeliveryId, Event, EventType};
use crate::http;
use crate::message::{Message, SlackMessage, WebhookMessage};
use crate::outbox::Outcome;
use crate::private::Secret;
use crate::render::{Digest, Facts, File, InDigest, Recording, Rendered, samples};
use crate::summary;

use super::{Failure, say};

/// A recording of no length.
const SILENCE: &[u8] = b"RIFF\x24\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x40\x1f\0\0\x80\x3e\0\0\x02\0\x10\0data\0\0\0\0";

/// What can be shown: besides events, whatever else a channel is sent.
#[derive(Debug, Clone)]
pub(super) enum Sample {
    /// One event.
    Event(EventType),
    /// A call and a voicemail, told together.
    Digest,
    /// The summary of a day.
    Summary,
    /// A notice of `health`, by its `type`.
    Notice(String),
}

impl FromStr for Sample {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "digest" => Ok(Self::Digest),
            "summary" => Ok(Self::Summary),
            "health.failing" | "health.recovered" => Ok(Self::Notice(text.to_owned())),
            text => text
                .parse()
                .map(Self::Event)
                .map_err(|error| format!("{error}, digest, summary, health.failing, health.recovered")),
        }
    }
}

/// Prints what would be sent.
pub(super) fn render(config: &Config, channel: &str, what: &Sample) -> Result<(), Failure> {
    let channel = find(config, channel)?;
    let now = Clock::system().now();
    let settings = app::lane_settings(config, channel);
    let renderer = app::renderer(config)?;
    let look = &settings.look;
    let (rendered, id) = match what {
        Sample::Event(event_type) => {
            let event = sample(config, *event_type, now);
            let facts = Facts {
                event: &event,
                event_type: *event_type,
                recording: recording(channel, &event, now),
                test: false,
                repeated: None,
                waited: samples::waited(*event_type),
                page: page(config),
            };
            let mut rendered = renderer.render(look, &facts);
            if channel.common.recording == RecordingMode::Attach && event.recording {
                let (content_type, bytes) = ("audio/wav".to_owned(), bytes::Bytes::from_static(SILENCE));
                rendered =
                    renderer.attach(rendered, look, &facts, File { stem: None, extension: "wav", content_type, bytes });
            }
            (rendered, delivery_id(&event, *event_type, channel))
        }
        Sample::Digest => {
            let events = EventType::FIRST.map(|event_type| (sample(config, event_type, now), event_type));
            let rows =
                events.each_ref().map(|(event, event_type)| InDigest { event, event_type: *event_type, settled: None });
            let ids = events.each_ref().map(|(event, event_type)| delivery_id(event, *event_type, channel));
            let Digest { message, failure, .. } = renderer.digest(look, &rows);
            (Rendered { message, failure }, DeliveryId::together(&ids))
        }
        Sample::Summary => {
            let tally = samples::summary(now);
            (renderer.summary(look, &tally), summary::delivery_id(tally.period, &channel.common.name))
        }
        Sample::Notice(name) => {
            let [failing, recovered] = samples::notices(now);
            let notice = if *name == failing.event_type() { failing } else { recovered };
            (renderer.notice(look, &notice), notice.id(&channel.common.name))
        }
    };
    if let Some(failure) = rendered.failure {
        return Err(Failure::Usage(failure));
    }
    print(channel, &settings, &rendered.message, id, now)
}

/// As the channel wants it.
fn recording(channel: &Channel, event: &Event, now: Timestamp) -> Recording {
    match channel.common.recording {
        RecordingMode::Link | RecordingMode::Attach if event.recording => Recording::Link {
            url: Secret::new("https://api.bulutsantralim.com/recording/R00000000-0000-4000-8000-000000000000"),
            expires_at: ahead(now, std::time::Duration::from_secs(3600)),
        },
        _ => Recording::None,
    }
}

fn print(
    channel: &Channel,
    settings: &dispatch::Settings,
    message: &Message,
    id: DeliveryId,
    now: Timestamp,
) -> Result<(), Failure> {
    match message {
        Message::Email(mail) => {
            let ChannelKind::Email(keys) = &channel.kind else { return Err(mismatch(channel)) };
            let built = email::Email::new(&settings.name, keys, 1, settings.timeout).map_err(Failure::Usage)?;
            let letter = built.letter(Parcel { id, message, now, earlier: None }, mail).map_err(Failure::Run)?;
            let bytes: Vec<u8> = letter.chunks().flat_map(std::borrow::Cow::into_owned).collect();
            say(&String::from_utf8_lossy(&bytes));
        }
        // In a shape that somebody else has chosen, every byte may matter.
        Message::Webhook(message) if settings.look.body.is_some() => say(&String::from_utf8_lossy(&message.body)),
        Message::Slack(SlackMessage { post, .. }) => {
            let ChannelKind::Slack(keys) = &channel.kind else { return Err(mismatch(channel)) };
            let json = keys.payload(post).map_err(|failure| Failure::Run(failure.text))?;
            say(&format!("{json:#}"));
        }
        Message::Webhook(WebhookMessage { body, .. }) => {
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
        let waited = samples::waited(event_type);
        let recording = Recording::None;
        let facts = Facts { event: &event, event_type, recording, test: true, waited, repeated: None, page: None };
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

fn sample(config: &Config, event_type: EventType, now: Timestamp) -> Event {
    let mut event = samples::event(event_type, now);
    if let Some(account) = config.accounts.first() {
        event.account.clone_from(&account.name);
    }
    event
}

fn delivery_id(event: &Event, event_type: EventType, channel: &Channel) -> DeliveryId {
    DeliveryId::derive(&event.account, event_type, &event.uuid, &channel.common.name)
}

/// Where the links of a sample lead: nowhere, but they look as real ones do.
fn page(config: &Config) -> Option<String> {
    let base = config.http.public_url.as_deref()?.trim_end_matches('/');
    Some(format!("{base}/l/{}", "A".repeat(55)))
}

fn mismatch(channel: &Channel) -> Failure {
    Failure::Run(format!("channel `{}`: the message is of another type", channel.common.name))
}
