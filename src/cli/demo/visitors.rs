//! What visitors do to the office: their calls, the receivers that they break, and whom they call back.

use std::time::Duration;

use super::hall::Press;
use super::ledger::Place;
use super::screen::Who;
use super::stage::Stage;
use super::story::{self, Deed, Person, Scene};
use super::world::{ACCOUNT, Trouble};
use crate::event::{Closed, EventId, EventType, Kind};
use crate::sim::pbx::Endpoint;

/// How long an extension rings before the office answers, and the caller is called.
const ANSWERS_AFTER: Duration = Duration::from_secs(3);

/// Calls that can still be returned; older ones are forgotten, so that a demo may run for days.
const CALLS: usize = 1000;

/// What they have begun.
#[derive(Default)]
pub(super) struct Visitors {
    calls: Vec<Call>,
    returns: Vec<Return>,
    /// How many calls and voicemails they have asked for.
    asked: u32,
    /// How many requests to ring an extension the PBX has had.
    rung: usize,
}

/// A call that nobody answered.
struct Call {
    uuid: String,
    caller: Person,
    /// Who is told of it; nobody of one that is muted.
    told: &'static [Place],
    kind: Kind,
}

/// Somebody is to be called back.
struct Return {
    uuid: String,
    /// By the clock's tick.
    due: Duration,
}

impl Visitors {
    /// Remembers what can be returned.
    pub(super) fn watch(&mut self, scene: &Scene) {
        let (uuid, caller, kind) = match &scene.deed {
            Deed::Missed { uuid, caller, .. } => (uuid, caller, Kind::Call),
            Deed::Voicemail { uuid, caller, .. } => (uuid, caller, Kind::Voicemail),
            Deed::Answered { .. } | Deed::Returned { .. } | Deed::Breakdown { .. } => return,
        };
        if self.calls.len() == CALLS {
            self.calls.remove(0);
        }
        self.calls.push(Call { uuid: uuid.clone(), caller: caller.clone(), told: scene.told(), kind });
    }

    /// Whether nobody is to be called back any more.
    pub(super) fn is_over(&self) -> bool {
        self.returns.is_empty()
    }

    /// When the next one is to be called back after `now`.
    pub(super) fn next(&self, now: Duration) -> Option<Duration> {
        self.returns.iter().map(|one| one.due).filter(|due| *due > now).min()
    }

    /// How many requests to ring an extension were seen.
    pub(super) fn rung(&self) -> usize {
        self.rung
    }
}

impl Stage {
    /// A visitor has pressed a button. Once the demo ends, nothing new begins.
    pub(super) fn pressed(&mut self, press: Press, open: bool) {
        let now = self.clock.now();
        if !open {
            self.tell(Who::Office, now, "the demo is ending: nothing new happens any more");
            return;
        }
        match press {
            Press::Miss | Press::Voicemail => {
                self.visitors.asked += 1;
                let scene = story::visit(&mut self.rng, self.visitors.asked, press == Press::Voicemail);
                self.play(scene);
            }
            Press::Return => self.return_last(),
            Press::Set(place, trouble) => {
                let line = match trouble {
                    Trouble::None => "is mended",
                    Trouble::Fails => "breaks down: it answers everything with an error",
                    Trouble::Hangs => "breaks down: it takes requests and does not answer",
                };
                self.tell(who(place), now, &format!("(the receiver {line})"));
                self.hall.set(place, trouble);
            }
        }
    }

    fn return_last(&mut self) {
        let now = self.clock.moment();
        let Visitors { calls, returns, .. } = &self.visitors;
        let is_open = |call: &&Call| {
            let begun = returns.iter().any(|one| one.uuid == call.uuid) || self.returned.contains(&call.uuid);
            call.kind == Kind::Call && !call.told.is_empty() && !begun
        };
        let Some(call) = calls.iter().rev().find(is_open) else {
            self.tell(Who::Office, now.at, "there is no call that somebody could return");
            return;
        };
        let (uuid, shown) = (call.uuid.clone(), call.caller.shown());
        self.visitors.returns.push(Return { uuid, due: now.tick });
        let line = format!("calls {shown} back, as soon as everybody has been told of the call");
        self.tell(Who::Office, now.at, &line);
    }

    /// Lets the PBX ring where ringback has asked it to: the office answers after a while.
    pub(super) fn ring(&mut self) {
        let asked = self.hall.world.pbx.asked(Endpoint::Originate);
        if asked == self.visitors.rung {
            return;
        }
        let requests = self.hall.world.pbx.requests();
        let originates: Vec<_> =
            requests.into_iter().filter(|request| request.endpoint == Endpoint::Originate).collect();
        let new = asked - std::mem::replace(&mut self.visitors.rung, asked);
        for request in originates.into_iter().rev().take(new).rev() {
            let of = |key: &str| request.params.get(key).cloned().unwrap_or_default();
            let (extension, destination) = (of("extension"), of("destination"));
            if request.answered != 200 {
                self.tell(Who::Pbx, request.at.at, &format!("refuses to ring extension {extension}"));
                continue;
            }
            let called = self.visitors.calls.iter().rev();
            let mut called = called.filter(|call| call.caller.dialled().as_deref() == Some(&*destination));
            let Some(call) = called.find(|call| !self.returned.contains(&call.uuid)) else { continue };
            let (uuid, shown) = (call.uuid.clone(), call.caller.shown());
            self.visitors.returns.push(Return { uuid, due: request.at.tick + ANSWERS_AFTER });
            let line = format!("rings extension {extension}, which answers after 3 s, and then {shown}");
            self.tell(Who::Pbx, request.at.at, &line);
        }
    }

    /// Returns the calls whose time has come. Not before everybody was told of them, or nobody could say whether they
    /// were to be told at all.
    pub(super) fn return_due(&mut self) {
        let now = self.clock.tick();
        let ledger = &self.ledger;
        let is_told = |uuid: &str| {
            [EventType::CallMissed, EventType::VoicemailNew]
                .into_iter()
                .all(|event| ledger.is_told(event, uuid).unwrap_or(true))
        };
        let due: Vec<_> = self.visitors.returns.extract_if(.., |one| one.due <= now && is_told(&one.uuid)).collect();
        for Return { uuid, .. } in due {
            if let Some(call) = self.visitors.calls.iter().find(|call| call.uuid == uuid) {
                let scene = Scene::returned(&uuid, &call.caller, call.told, call.kind == Kind::Call);
                self.play(scene);
            }
        }
    }

    /// Before the end everything works again: what waits for a broken receiver is still told.
    pub(super) fn mend_all(&mut self) {
        for place in Place::ALL {
            if self.hall.trouble(place) == Trouble::None {
                continue;
            }
            self.tell(who(place), self.clock.now(), "(the receiver is mended, since the demo ends)");
            self.hall.set(place, Trouble::None);
        }
    }

    /// What somebody has closed by hand on the board is not told any further.
    pub(super) async fn excuse(&mut self) {
        for (event, uuid) in self.ledger.untold() {
            let first = match event.kind() {
                Kind::Call => EventType::CallMissed,
                Kind::Voicemail => EventType::VoicemailNew,
            };
            let found = self.store.events(&[EventId::derive(ACCOUNT, first, &uuid)]).await;
            let closed = found.ok().into_iter().flatten().flatten().next().and_then(|event| event.closed_by());
            if closed == Some(Closed::ByHand) {
                self.ledger.excuse(event, &uuid, "closed by hand");
            }
        }
    }
}

fn who(place: Place) -> Who {
    match place {
        Place::Mail => Who::Mail,
        Place::Slack => Who::Slack,
        Place::Webhook => Who::Webhook,
    }
}
