//! What is told when the store is broken; the rest is told in tests/it/health.rs.

use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value;

use super::*;
use crate::channel::webhook;
use crate::clock::Moment;
use crate::cursor::Cursor;
use crate::event::{DeliveryId, Event, EventId};
use crate::heartbeat::{self, Heartbeat};
use crate::outbox::{Claim, Delivery, Settled};
use crate::sim::receiver::{HttpReceiver, Kind, Mode, Received};
use crate::store::sled::SledStore;
use crate::store::{Backlog, Batch, Source, StoreError};

/// A store whose disk is full when told so.
struct Full {
    inner: SledStore,
    full: AtomicBool,
}

#[async_trait]
impl Store for Full {
    async fn commit(&self, batch: Batch, now: Moment) -> Result<(), StoreError> {
        self.inner.commit(batch, now).await
    }

    async fn events(&self, ids: &[EventId]) -> Result<Vec<Option<Event>>, StoreError> {
        self.inner.events(ids).await
    }

    async fn open_events(&self, source: &Source) -> Result<Vec<Event>, StoreError> {
        self.inner.open_events(source).await
    }

    async fn cursor(&self, source: &Source) -> Result<Option<Cursor>, StoreError> {
        self.inner.cursor(source).await
    }

    async fn claim_due(
        &self,
        channel: &str,
        limit: usize,
        lease: Duration,
        now: Moment,
    ) -> Result<Vec<Claim>, StoreError> {
        self.inner.claim_due(channel, limit, lease, now).await
    }

    async fn next_due(&self, channel: &str) -> Result<Option<Duration>, StoreError> {
        self.inner.next_due(channel).await
    }

    async fn changed(&self, channel: &str) {
        self.inner.changed(channel).await;
    }

    async fn settle(&self, settled: &[Settled], now: Moment) -> Result<(), StoreError> {
        self.inner.settle(settled, now).await
    }

    async fn release(&self, claims: &[(DeliveryId, u64)], now: Moment) -> Result<(), StoreError> {
        self.inner.release(claims, now).await
    }

    async fn list(&self, wanted: &(dyn for<'d> Fn(&'d Delivery) -> bool + Sync)) -> Result<Vec<Delivery>, StoreError> {
        self.inner.list(wanted).await
    }

    async fn revive(&self, ids: &[DeliveryId], now: Moment) -> Result<usize, StoreError> {
        self.inner.revive(ids, now).await
    }

    async fn backlog(&self, now: Moment) -> Result<Vec<Backlog>, StoreError> {
        self.inner.backlog(now).await
    }

    async fn prune(&self, before: Timestamp) -> Result<usize, StoreError> {
        self.inner.prune(before).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        if self.full.load(Ordering::Relaxed) {
            let (path, cause) = ("/var/lib/ringback".to_owned(), "No space left on device (os error 28)".to_owned());
            return Err(StoreError::Failed { path, action: "be written", cause });
        }
        self.inner.ping().await
    }
}

struct Scene {
    clock: Clock,
    store: Arc<Full>,
    health: Arc<Health>,
    receiver: HttpReceiver,
    watchdog: Watchdog,
    _folder: tempfile::TempDir,
}

impl Scene {
    fn new() -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let clock = Clock::manual("2026-11-22T05:00:00Z".parse().unwrap());
        let folder = tempfile::tempdir().unwrap();
        let inner = SledStore::open(&folder.path().join("store"), clock.moment()).unwrap();
        let store = Arc::new(Full { inner, full: AtomicBool::new(false) });
        let receiver = HttpReceiver::start(clock.clone(), Kind::Plain).unwrap();
        let config = serde_json::json!({"url": receiver.url(), "secret": []});
        let config: webhook::Config = serde_json::from_value(config).unwrap();
        let channel = webhook::Webhook::new(&config, crate::http::client(1).unwrap(), Duration::from_secs(5)).unwrap();
        let health = Arc::new(Health::default());
        let context = Context {
            health: Arc::clone(&health),
            store: store.clone(),
            renderer: Arc::new(Renderer::new(None, TimeZone::UTC).unwrap()),
            clock: clock.clone(),
        };
        let recipient = Recipient::new("crm".to_owned(), Locale::Tr, Arc::new(channel));
        let watchdog = Watchdog::new(Duration::from_secs(600), vec![recipient], context);
        Self { clock, store, health, receiver, watchdog, _folder: folder }
    }

    fn fill(&self, full: bool) {
        self.store.full.store(full, Ordering::Relaxed);
    }

    async fn minutes(&mut self, minutes: usize) {
        for _ in 0..minutes {
            self.clock.advance(Duration::from_secs(60));
            self.watchdog.round().await;
        }
    }

    fn told(&self) -> Vec<(String, Value)> {
        let told = |received: Received| {
            let json = received.json().unwrap();
            (json["type"].as_str().unwrap().to_owned(), json["data"]["condition"].clone())
        };
        self.receiver.received().into_iter().map(told).collect()
    }
}

#[tokio::test]
async fn a_store_that_cannot_be_written_is_told_past_the_store_once_and_once_when_it_can() {
    let mut scene = Scene::new();
    scene.fill(true);
    assert_eq!(
        scene.health.audit(scene.store.as_ref(), scene.clock.moment()).await.reasons(),
        ["store not writable: the store /var/lib/ringback cannot be written: No space left on device (os error 28)"]
    );
    scene.minutes(10).await;
    assert_eq!(scene.told(), []);
    scene.minutes(20).await;
    let failing = ("health.failing".to_owned(), Value::from("store_unwritable"));
    assert_eq!(scene.told(), std::slice::from_ref(&failing));
    scene.fill(false);
    scene.minutes(20).await;
    assert_eq!(scene.told(), [failing, ("health.recovered".to_owned(), Value::from("store_unwritable"))]);
}

#[tokio::test]
async fn a_notice_that_is_not_taken_is_tried_again_under_its_id_and_not_before_the_receiver_allows() {
    let mut scene = Scene::new();
    let busy = vec![("Retry-After".to_owned(), "300".to_owned())];
    scene.receiver.push_mode(Mode::StatusWith(429, busy, String::new()), 1);
    scene.receiver.push_mode(Mode::Status(500), 2);
    scene.fill(true);
    scene.minutes(30).await;
    let tries = scene.receiver.received();
    let at: Vec<u64> = tries.iter().map(|received| received.at.tick.as_secs() / 60).collect();
    assert_eq!(at, [11, 16, 17, 18]);
    for received in &tries {
        assert_eq!(received.header("webhook-id"), tries[0].header("webhook-id"));
        assert_eq!(received.body, tries[0].body);
    }
}

#[tokio::test]
async fn a_notice_that_is_refused_for_good_is_not_repeated() {
    let mut scene = Scene::new();
    scene.receiver.set_mode(Mode::Status(404));
    scene.fill(true);
    scene.minutes(40).await;
    assert_eq!(scene.receiver.total(), 1);
}

#[tokio::test]
async fn the_heart_does_not_beat_while_the_store_cannot_be_written() {
    let scene = Scene::new();
    let (health, store, clock) = (Arc::clone(&scene.health), scene.store.clone(), scene.clock.clone());
    let context = heartbeat::Context { health, store, clock };
    let url = scene.receiver.url().parse().unwrap();
    let mut heartbeat = Heartbeat::new(url, crate::http::client(1).unwrap(), context);
    for (full, beats) in [(false, 1), (true, 1), (true, 1), (false, 2)] {
        scene.fill(full);
        heartbeat.beat().await;
        assert_eq!(scene.receiver.total(), beats);
    }
    assert!(scene.receiver.received().iter().all(|received| received.method == "GET"));
}
