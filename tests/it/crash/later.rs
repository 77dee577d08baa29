//! What was decided for later survives kills too: what a closed schedule holds back, the calls of one person that gather
//! for one message, and the steps that tell somebody else when nobody has acted.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};
use ringback::clock::Clock;
use ringback::event::EventType;
use ringback::sim::pbx::{Direction, Endpoint, Limits, PbxOptions, PbxSim, SimCall};
use ringback::sim::receiver::{HttpReceiver, Kind};
use serde_json::Value;
use tempfile::TempDir;

use super::child::{Child, Command};
use super::{kills, say, setting};

/// People who call; every third of them is called back before a step comes due.
const CALLERS: usize = 24;

/// The calls of one person come within the window in which they gather.
const BETWEEN: Duration = Duration::from_millis(1200);

/// How long after their first call somebody is called back.
const RETURNED: Duration = Duration::from_secs(5);

/// For all that is still to come when the schedule has opened and the last step is due.
const PATIENCE: Duration = Duration::from_secs(60);

struct Office {
    clock: Clock,
    pbx: PbxSim,
    /// Is told of calls that have gathered.
    crm: HttpReceiver,
    /// Is told when the schedule opens.
    night: HttpReceiver,
    /// Is told of what nobody has returned.
    boss: HttpReceiver,
    folder: Arc<TempDir>,
    opens: Timestamp,
    callers: Vec<Caller>,
}

/// Somebody who calls, and when.
#[derive(Default)]
struct Caller {
    number: String,
    /// By their ids.
    calls: BTreeMap<String, Timestamp>,
    first: Option<Duration>,
    returned: bool,
}

impl Caller {
    fn is_called_back(n: usize) -> bool {
        n.is_multiple_of(3)
    }
}

impl Office {
    fn start() -> Self {
        let clock = super::clock();
        let options = PbxOptions { limits: Limits::NONE, ..PbxOptions::default() };
        let receiver = || HttpReceiver::start(clock.clone(), Kind::Plain).unwrap();
        let caller = |n: usize| Caller { number: format!("0532{n:07}"), ..Caller::default() };
        let office = Self {
            pbx: PbxSim::start(clock.clone(), options).unwrap(),
            crm: receiver(),
            night: receiver(),
            boss: receiver(),
            folder: Arc::new(TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap()),
            opens: full_minute(clock.now()),
            callers: (0..CALLERS).map(caller).collect(),
            clock,
        };
        std::fs::write(office.folder.path().join("config.yaml"), office.yaml()).unwrap();
        office
    }

    fn yaml(&self) -> String {
        let time = |at: Timestamp| at.to_zoned(TimeZone::get("Europe/Istanbul").unwrap()).strftime("%H:%M").to_string();
        let closes = self.opens.checked_sub(5.minutes()).unwrap();
        format!(
            "accounts:
  - {{name: main, api_key: '{key}', base_url: '{pbx}', limits: {{cdrs: 1000000, voicemails: 1000000}}}}
watch:
  missed_calls: {{every: 200ms, grace: 0s}}
  voicemails: {{enabled: false}}
delivery: {{timeout: 2s, retry: {{initial: 100ms, max: 1s}}}}
schedules: {{day: {{from: '{opens}', to: '{closes}'}}}}
channels:
  - {{name: crm, type: webhook, url: '{crm}', follow_up: false}}
  - {{name: night, type: webhook, url: '{night}', follow_up: false}}
  - {{name: boss, type: webhook, url: '{boss}', follow_up: false}}
routes:
  - {{notify: crm, group: {{by: caller, wait: 3s}}, escalate: {{after: 12s, notify: boss}}, continue: true}}
  - {{notify: night, hold: day}}
store: {{path: '{store}'}}
http: {{listen: 'off'}}
",
            key = self.pbx.key(),
            pbx = self.pbx.base_url(),
            opens = time(self.opens),
            closes = time(closes),
            crm = self.crm.url(),
            night = self.night.url(),
            boss = self.boss.url(),
            store = self.folder.path().join("store").display(),
        )
    }

    /// Somebody calls for the first or second time, and somebody else is called back.
    fn go_on(&mut self, rng: &mut Rng) {
        let now = self.clock.moment();
        let calls =
            |caller: &Caller| caller.first.is_none_or(|first| caller.calls.len() == 1 && now.tick > first + BETWEEN);
        if rng.bool()
            && let Some(n) = self.callers.iter().position(calls)
        {
            let caller = &mut self.callers[n];
            let uuid = format!("{n}-{}", caller.calls.len());
            let call = SimCall {
                caller_number: caller.number.clone(),
                ..SimCall::missed(&uuid, now.at, Duration::from_secs(20))
            };
            caller.calls.insert(uuid, call.start);
            caller.first.get_or_insert(now.tick);
            self.pbx.add_call(call);
        }
        for (n, caller) in self.callers.iter_mut().enumerate().filter(|(n, _)| Caller::is_called_back(*n)) {
            if !caller.returned
                && caller.calls.len() == 2
                && caller.first.is_some_and(|first| now.tick > first + RETURNED)
            {
                caller.returned = true;
                for uuid in caller.calls.keys() {
                    self.pbx.set_returned(uuid, &format!("r{n}"));
                }
                let back = SimCall::answered(format!("r{n}"), now.at, Duration::from_secs(3));
                self.pbx.add_call(SimCall {
                    direction: Direction::Outbound,
                    caller_number: "1014 (902129876543)".into(),
                    destination_number: caller.number.clone(),
                    ..back
                });
            }
        }
    }

    fn is_over(&self) -> bool {
        let done =
            |(n, caller): (usize, &Caller)| caller.calls.len() == 2 && (caller.returned || !Caller::is_called_back(n));
        self.callers.iter().enumerate().all(done)
    }

    /// The ids of the calls that nobody has returned.
    fn open(&self) -> BTreeSet<String> {
        let open = self.callers.iter().enumerate().filter(|(n, _)| !Caller::is_called_back(*n));
        open.flat_map(|(_, caller)| caller.calls.keys().cloned()).collect()
    }

    /// What is wrong with what was told, while something is missing or too much.
    fn judge(&self) -> Result<usize, String> {
        let told = [("crm", &self.crm), ("night", &self.night), ("boss", &self.boss)]
            .map(|(name, receiver)| (name, taken(receiver)));
        let mut twice = 0;
        for (name, messages) in &told {
            let mut by_id: BTreeMap<&str, &Message> = BTreeMap::new();
            for message in messages {
                if let Some(before) = by_id.insert(&message.id, message) {
                    twice += 1;
                    if (&before.uuid, &before.calls) != (&message.uuid, &message.calls) {
                        return Err(format!(
                            "{name} was told two things under {}: {before:?} and {message:?}",
                            message.id
                        ));
                    }
                }
            }
        }
        let [crm, night, boss] = told.map(|(_, messages)| messages);
        for (n, caller) in self.callers.iter().enumerate().filter(|(n, _)| !Caller::is_called_back(*n)) {
            let told: BTreeSet<Timestamp> = crm
                .iter()
                .filter(|message| message.number == caller.number)
                .flat_map(|message| message.calls.clone())
                .collect();
            let whole = |at: &Timestamp| Timestamp::from_second(at.as_second()).unwrap();
            let made: BTreeSet<Timestamp> = caller.calls.values().map(whole).collect();
            if told != made {
                return Err(format!("of the calls of {n} at {made:?} crm was told those at {told:?}"));
            }
        }
        let uuids = |messages: &[Message]| messages.iter().map(|message| message.uuid.clone()).collect::<BTreeSet<_>>();
        for (name, messages, event) in
            [("night", &night, EventType::CallMissed), ("boss", &boss, EventType::CallUnreturned)]
        {
            if let Some(other) = messages.iter().find(|message| message.event != event.as_str()) {
                return Err(format!("{name} was told {other:?}"));
            }
            if uuids(messages) != self.open() {
                return Err(format!("{name} was told of {:?}, and open are {:?}", uuids(messages), self.open()));
            }
        }
        match night.iter().find(|message| message.at < self.opens) {
            Some(early) => Err(format!("{early:?} came before the schedule opened, at {}", self.opens)),
            None => Ok(twice),
        }
    }
}

/// The first one after the next half minute, in which everybody calls: schedules know no seconds.
fn full_minute(now: Timestamp) -> Timestamp {
    let least = now.as_second() + 30;
    Timestamp::from_second(least - least.rem_euclid(60) + 60).unwrap()
}

/// What a receiver has said yes to.
#[derive(Debug)]
struct Message {
    id: String,
    at: Timestamp,
    event: String,
    uuid: String,
    number: String,
    calls: Vec<Timestamp>,
}

fn taken(receiver: &HttpReceiver) -> Vec<Message> {
    let accepted = receiver.received().into_iter().filter(|received| received.answered == 200);
    let message = |received: ringback::sim::receiver::Received| {
        let body = received.json().unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let data = &body["data"];
        Message {
            id: received.header("webhook-id").unwrap().to_owned(),
            at: received.at.at,
            event: text(&body["type"]),
            uuid: text(&data["uuid"]),
            number: text(&data["caller"]["number"]),
            calls: data["calls"].as_array().unwrap().iter().map(|at| text(at).parse().unwrap()).collect(),
        }
    };
    accepted.map(message).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_held_gathers_or_waits_for_its_step_survives_every_kill() {
    let seed = setting("RINGBACK_SEED").unwrap_or_else(|| fastrand::u64(..));
    say(&format!("what was decided for later: RINGBACK_SEED={seed}"));
    let (mut rng, mut office) = (Rng::with_seed(seed), Office::start());
    let mut child = Child::within(Arc::clone(&office.folder), false);
    child.start(Command::Run);
    office.pbx.wait_for_requests(Endpoint::Cdrs, 1).await;
    let (mut left, mut killed) = (kills(12), 0);
    let mut next = office.clock.tick() + Duration::from_millis(700);
    while left > 0 || !office.is_over() {
        office.go_on(&mut rng);
        if left > 0 && office.clock.tick() > next {
            child.kill(Command::Run);
            tokio::time::sleep(Duration::from_millis(rng.u64(0..250))).await;
            child.start(Command::Run);
            (left, killed) = (left - 1, killed + 1);
            next = office.clock.tick() + Duration::from_millis(rng.u64(200..2500));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let until = Duration::try_from(office.opens.duration_since(office.clock.now())).unwrap_or_default();
    let limit = office.clock.tick() + until + PATIENCE;
    while office.judge().is_err() && office.clock.tick() < limit {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    // What must not come had its time to come.
    tokio::time::sleep(Duration::from_secs(3)).await;
    child.stop();
    match office.judge() {
        Ok(twice) => say(&format!(
            "what was decided for later: {killed} kills, {} calls of {CALLERS} people: none lost, none told too early or \
             though it was returned; {twice} messages came twice",
            2 * CALLERS
        )),
        Err(problem) => {
            let log = child.keep_log();
            panic!("RINGBACK_SEED={seed}: {problem}\n\n{}\n\nthe whole log: {}", child.log(), log.display())
        }
    }
}
