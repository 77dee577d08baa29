//! Calling back: rings an extension and then the caller, once for each press, and only while somebody has to.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::OnceCell;

use crate::clock::Clock;
use crate::event::{Closed, Event, EventId, Kind};
use crate::number::is_extension;
use crate::pbx::{Call, Pbx, PbxError, budget, destination};
use crate::store::{Store, StoreError};
use crate::track;

/// A press without a key of its own is taken for the one before it when that is not older: somebody pressed twice.
const SAME_PRESS: Duration = Duration::from_secs(30);

/// What a look at the PBX may take before it rings: whoever pressed waits for it.
const LOOK: Duration = Duration::from_secs(5);

/// Presses of one event within a minute; more is not a person.
const MOST_A_MINUTE: usize = 6;

/// Presses that are remembered, of all events.
const REMEMBERED: usize = 1000;

/// The longest idempotency key, in characters.
const MOST_KEY: usize = 128;

/// Why nobody is called.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallbackError {
    /// There is no such event, or not any more.
    #[error("there is no such call any more")]
    Unknown,
    /// Nobody knows the number.
    #[error("the caller withheld the number, or it cannot be called")]
    NoNumber,
    /// It is over.
    #[error("it has been settled meanwhile: {}", settled(*.0))]
    Settled(Closed),
    /// Nobody said whose telephone is to ring.
    #[error("which extension is to be rung? hint: name one, or set `callback.extension`")]
    NoExtension,
    /// It is none.
    #[error("an extension has 1 to 10 digits")]
    BadExtension,
    /// Too many presses.
    #[error("too many callbacks of this call within a minute")]
    TooMany,
    /// The PBX will not.
    #[error("{0}")]
    Pbx(String),
    /// Nobody knows whether it rings.
    #[error("the PBX gave no answer, so the extension may ring all the same: {0}")]
    Unsure(String),
    /// The store; the reason is for the log.
    #[error("the calls cannot be read at the moment")]
    Store,
}

fn settled(by: Closed) -> &'static str {
    match by {
        Closed::Returned => "the call was returned",
        Closed::CallerReached => "the caller was reached",
        Closed::Answered => "the call was answered",
        Closed::Heard => "the message was heard",
        Closed::Voicemail => "the voicemail speaks for it",
        Closed::Expired => "it is not watched any more",
        Closed::ByHand => "somebody has closed it",
    }
}

/// A press of the button.
#[derive(Debug, Clone, Default)]
pub struct Order {
    /// Whose telephone is to ring.
    pub extension: Option<String>,
    /// The same under which nothing is done twice.
    pub key: Option<String>,
}

/// What came of a press.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// The extension that rings.
    pub extension: String,
    /// The PBX's id of the call.
    pub call_uuid: String,
    /// When it was asked for.
    pub at: Timestamp,
}

/// A press, for whoever watches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// The extension.
    pub extension: String,
    /// When it was pressed.
    pub at: Timestamp,
    /// `None` while the PBX has not answered.
    pub result: Option<Result<(), CallbackError>>,
}

/// Of which configuration the next press is.
pub struct Line<'a> {
    /// The PBX of the event's account.
    pub pbx: &'a Arc<Pbx>,
    /// What may be asked of it about single calls.
    pub details: &'a budget::Shared,
    /// Rung when the order names none.
    pub extension: Option<&'a str>,
    /// The number that is shown.
    pub caller_id: Option<&'a str>,
}

/// Makes the calls, and remembers the presses of this process. Clones share it.
#[derive(Clone)]
pub struct Callbacks {
    store: Arc<dyn Store>,
    clock: Clock,
    presses: Arc<Mutex<Presses>>,
    /// Counts what [`Callbacks::progress`] tells.
    revision: Arc<AtomicU64>,
}

type Outcome = Result<Done, CallbackError>;

#[derive(Default)]
struct Presses {
    of: HashMap<EventId, Vec<Press>>,
    order: VecDeque<EventId>,
}

#[derive(Clone)]
struct Press {
    key: Option<String>,
    extension: String,
    at: Timestamp,
    outcome: Arc<OnceCell<Outcome>>,
}

impl Callbacks {
    /// Nobody has pressed yet.
    pub fn new(store: Arc<dyn Store>, clock: Clock) -> Self {
        Self { store, clock, presses: Arc::default(), revision: Arc::default() }
    }

    /// Rings the extension and then the caller of `event`, unless this press has done so already: then its outcome is
    /// given again. It goes on when whoever pressed goes away.
    ///
    /// # Errors
    /// [`CallbackError`], in words for whoever pressed.
    pub async fn press(&self, event: EventId, order: Order, line: Line<'_>) -> Outcome {
        let now = self.clock.now();
        let extension = order.extension.as_deref().or(line.extension).ok_or(CallbackError::NoExtension)?.to_owned();
        if !is_extension(&extension) {
            return Err(CallbackError::BadExtension);
        }
        let key = order.key.map(|key| key.chars().take(MOST_KEY).collect::<String>());
        let press = self.presses.lock().unwrap_or_else(PoisonError::into_inner).take(event, key, extension, now)?;
        self.revision.fetch_add(1, Ordering::Relaxed);
        let (this, pbx, details) = (self.clone(), Arc::clone(line.pbx), line.details.clone());
        let caller_id = line.caller_id.map(str::to_owned);
        // A task of its own: dropped half-way, a second press would not know that the first has rung.
        let ringing = tokio::spawn(async move {
            let ring = this.ring(event, &press, (&pbx, &details), caller_id.as_deref());
            let outcome = press.outcome.get_or_init(|| ring).await.clone();
            this.revision.fetch_add(1, Ordering::Relaxed);
            outcome
        });
        ringing.await.unwrap_or_else(|_| Err(CallbackError::Unsure("an error of ringback's own".to_owned())))
    }

    /// Another number whenever there is something new about presses.
    pub fn revision(&self) -> u64 {
        self.revision.load(Ordering::Relaxed)
    }

    /// What became of the presses of `event`, oldest first.
    pub fn progress(&self, event: EventId) -> Vec<Progress> {
        let presses = self.presses.lock().unwrap_or_else(PoisonError::into_inner);
        let presses = presses.of.get(&event).into_iter().flatten();
        let result = |outcome: &Outcome| outcome.as_ref().map(|_| ()).map_err(Clone::clone);
        presses
            .map(|press| Progress {
                extension: press.extension.clone(),
                at: press.at,
                result: press.outcome.get().map(result),
            })
            .collect()
    }

    async fn ring(
        &self,
        id: EventId,
        press: &Press,
        (pbx, details): (&Pbx, &budget::Shared),
        caller_id: Option<&str>,
    ) -> Outcome {
        let event = self.event(id).await?.ok_or(CallbackError::Unknown)?;
        let number = event.caller.number.as_ref().filter(|number| destination(number).is_some());
        let number = number.ok_or(CallbackError::NoNumber)?;
        if let Some(by) = self.settled(&event).await? {
            return Err(CallbackError::Settled(by));
        }
        if let Some(by) = self.settled_since(&event, pbx, details).await {
            return Err(CallbackError::Settled(by));
        }
        let call = Call { extension: &press.extension, number, caller_id };
        match pbx.originate(&call).await {
            Ok(call_uuid) => {
                tracing::info!(event = %id, account = event.account, extension = press.extension, "the caller is called back");
                Ok(Done { extension: press.extension.clone(), call_uuid, at: press.at })
            }
            Err(error) => {
                tracing::warn!(event = %id, account = event.account, %error, "the caller could not be called back");
                Err(match error {
                    PbxError::Unreachable(_) | PbxError::Trouble { .. } | PbxError::Garbled { .. } => {
                        CallbackError::Unsure(error.to_string())
                    }
                    PbxError::Refused { text, .. } => CallbackError::Pbx(text),
                    other => CallbackError::Pbx(other.to_string()),
                })
            }
        }
    }

    /// By what an event is over, so that nobody need call any more. That a voicemail was heard does not mean so, nor that
    /// nobody watches it any more.
    async fn settled(&self, event: &Event) -> Result<Option<Closed>, CallbackError> {
        let over = |event: &Event| {
            event.closed_by().filter(|by| !matches!(by, Closed::Heard | Closed::Expired | Closed::Voicemail))
        };
        if let Some(by) = over(event) {
            return Ok(Some(by));
        }
        // A voicemail's own call tells whether its caller was reached.
        let call = self.event(track::call_of(event)).await?;
        Ok(call.as_deref().and_then(over))
    }

    /// What the PBX says now, when it may be asked and answers in time: the last read may be minutes old.
    async fn settled_since(&self, event: &Event, pbx: &Pbx, details: &budget::Shared) -> Option<Closed> {
        let now = self.clock.moment();
        if !details.lock().take(now.tick) {
            return None;
        }
        let asked = tokio::time::timeout(LOOK, pbx.call(&event.uuid)).await;
        match asked {
            Ok(Ok(Some(call))) if call.return_uuid.is_some() => Some(Closed::Returned),
            Ok(Ok(Some(call))) if event.kind == Kind::Call && call.answered() => Some(Closed::Answered),
            _ => None,
        }
    }

    async fn event(&self, id: EventId) -> Result<Option<Arc<Event>>, CallbackError> {
        let found = self.store.events(&[id]).await.map_err(|error: StoreError| {
            tracing::error!(event = %id, %error, "the caller cannot be called back: the store cannot be read");
            CallbackError::Store
        })?;
        Ok(found.into_iter().flatten().next())
    }
}

impl Presses {
    /// The press that this is: a new one, or one that was made before.
    fn take(
        &mut self,
        event: EventId,
        key: Option<String>,
        extension: String,
        now: Timestamp,
    ) -> Result<Press, CallbackError> {
        let presses = self.of.entry(event).or_default();
        let recent = |press: &&Press, span: Duration| crate::cursor::ahead(press.at, span) > now;
        let known = presses.iter().rev().find(|press| {
            if key.is_some() {
                return press.key == key;
            }
            // What was refused may be tried again.
            let refused = press.outcome.get().is_some_and(Result::is_err);
            press.key.is_none() && press.extension == extension && !refused && recent(press, SAME_PRESS)
        });
        if let Some(known) = known {
            return Ok(known.clone());
        }
        if presses.iter().filter(|press| recent(press, Duration::from_secs(60))).count() >= MOST_A_MINUTE {
            return Err(CallbackError::TooMany);
        }
        let press = Press { key, extension, at: now, outcome: Arc::default() };
        presses.push(press.clone());
        self.order.push_back(event);
        while self.order.len() > REMEMBERED {
            let Some(oldest) = self.order.pop_front() else { break };
            if let Some(presses) = self.of.get_mut(&oldest) {
                presses.remove(0);
                if presses.is_empty() {
                    self.of.remove(&oldest);
                }
            }
        }
        Ok(press)
    }
}
