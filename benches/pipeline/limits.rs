//! The two limits that the pipeline is held against: the same messages by plain POSTs, the same rows by flushed appends.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use jiff::Timestamp;
use ringback::channel::webhook::{Config, Webhook};
use ringback::channel::{Channel as _, Parcel};
use ringback::clock::Clock;
use ringback::event::{DeliveryId, EventType};
use ringback::message::Message;
use ringback::outbox::{Delivery, Outcome, State};
use ringback::private::Secret;
use ringback::render::samples;
use ringback::store::codec;
use serde::{Deserialize, Serialize};

use crate::process;

/// What the child process is to post.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Posts {
    pub(crate) url: String,
    pub(crate) secret: String,
    pub(crate) body: String,
    pub(crate) count: usize,
    pub(crate) concurrency: usize,
    /// On two threads, instead of on what ringback runs on.
    pub(crate) two_threads: bool,
}

/// What it took the child.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Posted {
    pub(crate) cpu_seconds: f64,
}

/// The child process: the same channel with the same client on the same kind of runtime, and nothing around it.
pub(crate) fn post() -> Result<()> {
    let posts: Posts = serde_json::from_reader(std::io::stdin().lock())?;
    let runtime = if posts.two_threads {
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?
    } else {
        ringback::app::runtime()?
    };
    let before = process::cpu_seconds(std::process::id())?;
    runtime.block_on(post_all(posts))?;
    let posted = Posted { cpu_seconds: process::cpu_seconds(std::process::id())? - before };
    serde_json::to_writer(std::io::stdout().lock(), &posted).context("cannot answer the driver")
}

async fn post_all(posts: Posts) -> Result<()> {
    let config = Config {
        body_template: None,
        content_type: None,
        url: Secret::new(posts.url),
        method: ringback::channel::webhook::Method::Post,
        headers: std::collections::BTreeMap::new(),
        secret: vec![Secret::new(posts.secret)],
    };
    let client = ringback::http::client(posts.concurrency)?;
    let webhook = Webhook::new(&config, client, Duration::from_secs(15)).map_err(anyhow::Error::msg)?;
    let (webhook, clock, next) = (Arc::new(webhook), Clock::system(), Arc::new(AtomicUsize::new(0)));
    let message = Arc::new(Message::Webhook(Bytes::from(posts.body).into()));
    let mut hands = tokio::task::JoinSet::new();
    for _ in 0..posts.concurrency {
        let (webhook, clock, next) = (Arc::clone(&webhook), clock.clone(), Arc::clone(&next));
        let message = Arc::clone(&message);
        hands.spawn(async move {
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                if n >= posts.count {
                    return Ok(());
                }
                let id = DeliveryId::derive("main", EventType::VoicemailNew, &n.to_string(), "crm");
                let outcome =
                    webhook.send(Parcel { id, message: &message, now: clock.now(), earlier: None }, &mut None).await;
                ensure!(outcome == Outcome::Delivered, "a plain POST failed: {outcome:?}");
            }
        });
    }
    while let Some(ended) = hands.join_next().await {
        ended??;
    }
    Ok(())
}

/// Appends a second, each record or each group of records synced before the next.
pub(crate) fn appends(folder: &Path, count: usize, group: usize) -> Result<f64> {
    let record = record()?;
    let path = folder.join("appends");
    let mut file = OpenOptions::new().create(true).append(true).open(&path)?;
    let clock = Clock::system();
    let chunk = record.repeat(group);
    for _ in 0..count / group {
        file.write_all(&chunk)?;
        file.sync_data()?;
    }
    let rate = (count / group * group) as f64 / clock.tick().as_secs_f64();
    std::fs::remove_file(path)?;
    Ok(rate)
}

/// The rows that one delivery takes: its event and itself.
fn record() -> Result<Vec<u8>> {
    let (now, event_type) = (Timestamp::UNIX_EPOCH, EventType::VoicemailNew);
    let event = samples::event(event_type, now);
    let delivery = Delivery {
        id: DeliveryId::derive("main", event_type, &event.uuid, "crm"),
        event_id: event.id,
        event: event_type,
        channel: "crm".to_owned(),
        rule: 0,
        happened_at: now,
        seen_at: now,
        created_at: now,
        due_at: now,
        attempts: 0,
        shared: None,
        digest_only: false,
        state: State::Pending,
        insisted: false,
        last_failure: None,
        memo: None,
        waits_since: None,
        paused_until: None,
        held_until: None,
        group: None,
    };
    let mut record = codec::encode(&event)?;
    record.extend(codec::encode(&delivery)?);
    Ok(record)
}
