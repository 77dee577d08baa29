//! What happens at the PBX, drawn from the seed, and who is to be told of it.

use std::time::Duration;

use fastrand::Rng;
use jiff::Timestamp;
use ringback::event::{DeliveryId, EventId, EventType};
use ringback::sim::pbx::{PbxSim, SimCall, SimVoicemail};

use super::town::{ACCOUNT, Place};
use super::whole_seconds;

/// `watch.missed_calls.grace` of the town. Stamps have whole seconds, so a call is announced a second sooner at worst.
pub(super) const GRACE: Duration = Duration::from_secs(2);

/// A call that is returned this long after its end or sooner cannot have been announced before.
const SURELY_IN_TIME: Duration = Duration::from_millis(900);

/// Seconds that a call or a message lasts. The PBX lists by the beginning: one that is longer than it takes a hundred
/// others to begin comes up behind the newest page, which is looked at within minutes only.
const LENGTHS: std::ops::Range<u64> = 2..7;

/// Who is to be told of a matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// Every channel.
    Told,
    /// Nobody: it was settled before it could be announced, or is no matter of ours.
    Never,
    /// It was settled about when it was announced, so that both is right, for each channel by itself.
    Perhaps,
}

/// One thing that a channel may be told of.
#[derive(Debug, Clone)]
pub(super) struct Matter {
    pub(super) uuid: String,
    pub(super) event: EventType,
    pub(super) number: String,
    pub(super) name: String,
    pub(super) start: Timestamp,
    pub(super) end: Timestamp,
    pub(super) fate: Fate,
}

impl Matter {
    /// The end of a story is about the same event as its beginning.
    pub(super) fn event_id(&self) -> EventId {
        EventId::derive(ACCOUNT, self.event.kind().first_event(), &self.uuid)
    }

    /// The delivery of the beginning of a story whose end this is.
    pub(super) fn first_id(&self, place: Place) -> DeliveryId {
        DeliveryId::derive(ACCOUNT, self.event.kind().first_event(), &self.uuid, place.name())
    }

    pub(super) fn delivery_id(&self, place: Place) -> DeliveryId {
        DeliveryId::derive(ACCOUNT, self.event, &self.uuid, place.name())
    }
}

/// All that has happened so far.
#[derive(Clone)]
pub(super) struct Story {
    rng: Rng,
    /// In ringback's eyes the grace of a call may be over at once: nobody returns a call within it.
    pub(super) clock_moves: bool,
    pub(super) matters: Vec<Matter>,
    /// Calls that somebody is going to return, and when.
    returns: Vec<(Timestamp, usize)>,
}

impl Story {
    pub(super) fn new(seed: u64, clock_moves: bool) -> Self {
        Self { rng: Rng::with_seed(seed), clock_moves, matters: Vec::new(), returns: Vec::new() }
    }

    /// The next thing happens.
    pub(super) fn go_on(&mut self, pbx: &PbxSim, now: Timestamp) {
        match self.rng.u32(0..20) {
            0..=9 => drop(self.miss(pbx, now)),
            10..=13 => drop(self.leave_voicemail(pbx, now)),
            // Answered.
            14 => {
                let matter = self.add(EventType::CallMissed, now, Fate::Never);
                let call =
                    SimCall { start: matter.start, ..SimCall::answered(matter.uuid, matter.end, Duration::ZERO) };
                pbx.add_call(SimCall { answered_at: Some(matter.start), ..call });
            }
            // Returned before it is listed.
            15 | 16 => self.miss_returned(pbx, now),
            17 if self.clock_moves => self.miss_returned(pbx, now),
            // Returned within the grace.
            17 => {
                let n = self.miss(pbx, now);
                self.matters[n].fate = Fate::Never;
                self.matters.push(end_of(&self.matters[n]));
                let wait = Duration::from_millis(self.rng.u64(50..600));
                self.returns.push((now.checked_add(wait).unwrap(), n));
            }
            // Returned when it has been told here and there.
            18 => {
                let n = self.miss(pbx, now);
                self.matters[n].fate = Fate::Perhaps;
                self.matters.push(end_of(&self.matters[n]));
                let wait = Duration::from_millis(self.rng.u64(2_000..8_000));
                self.returns.push((now.checked_add(wait).unwrap(), n));
            }
            // A call whose caller leaves a message: one matter, of which the voicemail is surely told.
            _ => {
                let n = self.leave_voicemail(pbx, now);
                let call = Matter { event: EventType::CallMissed, fate: Fate::Perhaps, ..self.matters[n].clone() };
                pbx.add_call(missed(&call));
                self.matters.push(call);
            }
        }
    }

    /// What was going to happen by now happens.
    pub(super) fn catch_up(&mut self, pbx: &PbxSim, now: Timestamp) {
        let due: Vec<usize> = self.returns.extract_if(.., |(at, _)| *at <= now).map(|(_, n)| n).collect();
        for n in due {
            let matter = &mut self.matters[n];
            pbx.set_returned(&matter.uuid, &format!("{}-back", matter.uuid));
            // This machine may have been late with it.
            if matter.fate == Fate::Never && now.duration_since(matter.end) > SURELY_IN_TIME.try_into().unwrap() {
                matter.fate = Fate::Perhaps;
                self.matters[n + 1].fate = Fate::Perhaps;
            }
        }
    }

    /// Somebody calls and nobody answers.
    pub(super) fn miss(&mut self, pbx: &PbxSim, now: Timestamp) -> usize {
        let matter = self.add(EventType::CallMissed, now, Fate::Told);
        pbx.add_call(missed(&matter));
        self.matters.len() - 1
    }

    fn miss_returned(&mut self, pbx: &PbxSim, now: Timestamp) {
        let matter = self.add(EventType::CallMissed, now, Fate::Never);
        pbx.add_call(SimCall { return_uuid: Some(format!("{}-back", matter.uuid)), ..missed(&matter) });
    }

    fn leave_voicemail(&mut self, pbx: &PbxSim, now: Timestamp) -> usize {
        let matter = self.add(EventType::VoicemailNew, now, Fate::Told);
        let length = Duration::try_from(matter.end.duration_since(matter.start)).unwrap();
        pbx.add_voicemail(SimVoicemail {
            caller_number: matter.number.clone(),
            caller_name: Some(matter.name.clone()),
            ..SimVoicemail::unread(matter.uuid, matter.start, length)
        });
        self.matters.len() - 1
    }

    /// Each caller calls once: one that was reached would settle the calls before.
    fn add(&mut self, event: EventType, now: Timestamp, fate: Fate) -> Matter {
        let n = self.matters.len();
        let end = whole_seconds(now);
        let matter = Matter {
            uuid: uuid(n),
            event,
            number: format!("0532{:07}", 1_000_000 + n),
            name: format!("Caller {n}."),
            start: end.checked_sub(Duration::from_secs(self.rng.u64(LENGTHS))).unwrap(),
            end,
            fate,
        };
        self.matters.push(matter.clone());
        matter
    }
}

/// That of the matter which began with the `n`th caller.
pub(super) fn uuid(n: usize) -> String {
    format!("651f8a68-782e-11e7-a6b6-{n:012x}")
}

/// That a call is returned, which stands behind the call in the list of matters.
fn end_of(call: &Matter) -> Matter {
    Matter { event: EventType::CallReturned, ..call.clone() }
}

fn missed(matter: &Matter) -> SimCall {
    SimCall {
        start: matter.start,
        caller_number: matter.number.clone(),
        caller_name: Some(matter.name.clone()),
        ..SimCall::missed(matter.uuid.clone(), matter.end, Duration::ZERO)
    }
}
