//! What has arrived at the receivers, in their own words.

use std::collections::HashSet;
use std::time::Duration;

use ringback::event::{DeliveryId, EventType};
use ringback::sim::receiver::{HttpReceiver, Received};
use ringback::sim::smtp::{Mail, SmtpReceiver};
use serde_json::Value;

use super::town::{ACCOUNT, Place};

/// What the receiver said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// Yes; for the sender it may have been lost.
    Taken,
    /// Never again.
    Refused,
    /// Something else, or nothing.
    Later,
}

/// A message that has come.
#[derive(Debug, Clone)]
pub(super) struct Arrival {
    pub(super) place: Place,
    pub(super) at: Duration,
    pub(super) answer: Answer,
    /// Slack's messages have no id of their own; there it is that of the call which the text names.
    pub(super) id: Option<DeliveryId>,
    /// The JSON of a webhook, the text of the others.
    pub(super) body: String,
}

/// Everything that has come so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Ledger {
    pub(super) arrivals: Vec<Arrival>,
    seen: [usize; 3],
}

impl Ledger {
    /// Takes note of what has come since the last time.
    pub(super) fn collect(&mut self, slack: &HttpReceiver, crm: &HttpReceiver, mail: &SmtpReceiver) {
        let news = [slack.since(self.seen[0]), crm.since(self.seen[1])];
        let mails = mail.since(self.seen[2]);
        for (seen, count) in self.seen.iter_mut().zip([news[0].len(), news[1].len(), mails.len()]) {
            *seen += count;
        }
        let [slack, crm] = news;
        self.arrivals.extend(slack.iter().map(of_slack));
        self.arrivals.extend(crm.iter().map(of_webhook));
        self.arrivals.extend(mails.iter().map(of_mail));
    }

    /// What a receiver has taken or refused for good.
    pub(super) fn done(&self, place: Place) -> HashSet<DeliveryId> {
        let done = self.arrivals.iter().filter(|arrival| arrival.place == place && arrival.answer != Answer::Later);
        done.filter_map(|arrival| arrival.id).collect()
    }
}

fn of_webhook(received: &Received) -> Arrival {
    Arrival {
        place: Place::Crm,
        at: received.at.tick,
        answer: answer(received),
        id: received.header("webhook-id").and_then(|id| id.parse().ok()),
        body: String::from_utf8_lossy(&received.body).into_owned(),
    }
}

fn of_slack(received: &Received) -> Arrival {
    let payload: Value = received.json().unwrap_or_default();
    let text = payload["text"].as_str().unwrap_or_default();
    Arrival {
        place: Place::Slack,
        at: received.at.tick,
        answer: answer(received),
        id: id_by_text(text),
        body: payload.to_string(),
    }
}

fn of_mail(mail: &Mail) -> Arrival {
    let id = mail.header("Message-ID").unwrap_or_default();
    let id = id.strip_prefix('<').and_then(|id| id.strip_suffix("@example.com>"));
    Arrival {
        place: Place::Mail,
        at: mail.at.tick,
        answer: Answer::Taken,
        id: id.and_then(|id| id.parse().ok()),
        body: String::from_utf8_lossy(&mail.data).into_owned(),
    }
}

fn answer(received: &Received) -> Answer {
    match received.answered {
        200..300 => Answer::Taken,
        410 => Answer::Refused,
        _ => Answer::Later,
    }
}

/// `Missed call: Caller 17. (08:07)`
fn id_by_text(text: &str) -> Option<DeliveryId> {
    let (title, rest) = text.split_once(": Caller ")?;
    let n: usize = rest.split_once('.')?.0.parse().ok()?;
    let event = match title {
        "Missed call" => EventType::CallMissed,
        "Called back" => EventType::CallReturned,
        "New voicemail" => EventType::VoicemailNew,
        _ => return None,
    };
    Some(DeliveryId::derive(ACCOUNT, event, &super::story::uuid(n), Place::Slack.name()))
}
