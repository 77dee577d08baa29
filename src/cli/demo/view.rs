//! What the page of the demo shows: everything as the receivers have it.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;

use super::hall::Hall;
use super::ledger::Place;
use super::stage::outcome;
use super::world::{Trouble, WEBHOOK_SECRET, World};
use super::{mail, signature, slack};
use crate::sim::receiver::Received;

/// The newest so many of each kind.
const MOST: usize = 30;

/// The page.
#[derive(Serialize)]
pub(super) struct View {
    /// Of the board.
    login: String,
    token: String,
    print: String,
    receivers: Vec<Receiver>,
    story: Vec<Line>,
    mails: Vec<Mail>,
    posts: Vec<Post>,
    requests: Vec<Request>,
}

#[derive(Serialize)]
struct Receiver {
    name: &'static str,
    /// The last part of the address of its form.
    id: &'static str,
    broken: bool,
    state: &'static str,
    /// What it answers when it is broken so.
    failure: &'static str,
    messages: usize,
}

#[derive(Serialize)]
struct Line {
    time: String,
    who: &'static str,
    text: String,
}

#[derive(Serialize)]
struct Mail {
    number: usize,
    time: String,
    subject: String,
    from: String,
}

#[derive(Serialize)]
struct Post {
    time: String,
    blocks: Vec<slack::Block>,
    changed: bool,
    replies: Vec<Post>,
}

#[derive(Serialize)]
struct Request {
    time: String,
    event: String,
    id: String,
    accepted: bool,
    outcome: String,
    signed: bool,
    body: String,
}

impl View {
    /// As it is now.
    pub(super) fn of(hall: &Hall) -> Self {
        let mails = hall.world.mail.accepted();
        let newest = hall.world.mail.since(mails.saturating_sub(MOST));
        let mails = newest.iter().rev().enumerate().map(|(n, mail)| {
            let letter = mail::read(&mail.data);
            let (time, number) = (time(mail.at.at, &hall.zone), mails - n);
            Mail { number, time, subject: letter.subject, from: letter.from }
        });
        let requests = hall.world.webhook.since(hall.world.webhook.total().saturating_sub(MOST));
        let lines = hall.lines().into_iter();
        Self {
            login: format!("{}/login", hall.door.url),
            token: hall.door.token.clone(),
            print: hall.print(),
            receivers: Place::ALL.map(|place| receiver(hall, place)).into(),
            story: lines
                .map(|line| Line { time: time(line.at, &hall.zone), who: line.who.name(), text: line.text })
                .collect(),
            mails: mails.collect(),
            posts: posts(hall),
            requests: requests.iter().rev().map(|received| request(received, &hall.zone)).collect(),
        }
    }
}

fn receiver(hall: &Hall, place: Place) -> Receiver {
    let World { mail, slack, webhook, .. } = &hall.world;
    let (id, failure, messages) = match place {
        Place::Mail => ("mail", "answer 451", mail.accepted()),
        Place::Slack => ("slack", "answer 500", slack.accepted()),
        Place::Webhook => ("webhook", "answer 500", webhook.accepted()),
    };
    let (broken, state) = match (hall.trouble(place), place) {
        (Trouble::None, _) => (false, "works"),
        (Trouble::Fails, Place::Mail) => (true, "broken: it answers 451"),
        (Trouble::Fails, _) => (true, "broken: it answers 500"),
        (Trouble::Hangs, _) => (true, "broken: it does not answer"),
    };
    Receiver { name: place.title(), id, broken, state, failure, messages }
}

/// The newest first; what was answered in its thread stands below a message.
fn posts(hall: &Hall) -> Vec<Post> {
    let all = hall.world.slack.newest_posts(2 * MOST);
    let show = |post: &crate::sim::receiver::Post| Post {
        time: post.ts.split('.').next().and_then(|seconds| seconds.parse().ok()).map_or_else(String::new, |seconds| {
            Timestamp::from_second(seconds).map(|at| time(at, &hall.zone)).unwrap_or_default()
        }),
        blocks: slack::blocks(&post.message),
        changed: post.changes > 0,
        replies: Vec::new(),
    };
    let first = all.iter().rev().filter(|post| post.thread.is_none()).take(MOST);
    first
        .map(|post| {
            let replies = all.iter().filter(|reply| reply.thread.as_deref() == Some(&*post.ts));
            Post { replies: replies.map(show).collect(), ..show(post) }
        })
        .collect()
}

fn request(received: &Received, zone: &TimeZone) -> Request {
    let json = received.json().unwrap_or_default();
    Request {
        time: time(received.at.at, zone),
        event: json["type"].as_str().unwrap_or("unknown").to_owned(),
        id: received.header("webhook-id").unwrap_or("none").to_owned(),
        accepted: (200..300).contains(&received.answered),
        outcome: outcome(received),
        signed: signature::holds(received, WEBHOOK_SECRET),
        body: serde_json::to_string_pretty(&json).unwrap_or_default(),
    }
}

fn time(at: Timestamp, zone: &TimeZone) -> String {
    at.to_zoned(zone.clone()).strftime("%H:%M:%S").to_string()
}
