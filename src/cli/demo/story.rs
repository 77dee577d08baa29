//! What happens in the office of the demo: a written part that shows everything once, then chance.

use std::time::Duration;

use fastrand::Rng;
use jiff::Timestamp;

use super::ledger::{Fate, Matter, Place};
use super::world::World;
use crate::cursor::back;
use crate::event::EventType;
use crate::number;
use crate::sim::pbx::{Direction, SimCall, SimVoicemail};
use crate::sim::receiver::Mode;

/// How long after a missed call it is returned, in the scenes that show it: well within the grace.
const RETURNED_AFTER: Duration = Duration::from_secs(1);

const EVERYWHERE: &[Place] = &Place::ALL;
/// Mail is not followed up by default.
const FOLLOWED_UP: &[Place] = &[Place::Slack, Place::Webhook];
const WITHOUT_SLACK: &[Place] = &[Place::Mail, Place::Webhook];
const BY_WEBHOOK: &[Place] = &[Place::Webhook];
const BY_MAIL: &[Place] = &[Place::Mail];
const MUTED: &str = "muted by its route";

/// Something happens.
pub(super) struct Scene {
    /// Since the office opened.
    pub(super) at: Duration,
    /// The time of the scene that this one goes on with, or its own.
    pub(super) begins: Duration,
    /// For the one who watches.
    pub(super) line: String,
    pub(super) deed: Deed,
    /// What ringback is to make of it.
    pub(super) matters: Vec<Matter>,
}

pub(super) enum Deed {
    Missed {
        uuid: String,
        caller: Person,
        queue: &'static str,
    },
    Answered {
        uuid: String,
        caller: Person,
    },
    Returned {
        uuid: String,
    },
    Voicemail {
        uuid: String,
        caller: Person,
        extension: &'static str,
    },
    /// The receiver of the webhooks fails so many times.
    Breakdown {
        times: usize,
    },
}

/// Who calls. Nobody calls twice: whoever is answered later needs no call back, which is another story.
#[derive(Clone)]
pub(super) struct Person {
    number: String,
    name: Option<&'static str>,
}

impl Person {
    fn new(number: &str, name: &'static str) -> Self {
        Self { number: number.to_owned(), name: Some(name) }
    }

    fn withheld() -> Self {
        Self { number: "Anonymous".to_owned(), name: None }
    }

    /// The number as a PBX dials it; `None` when it was withheld.
    pub(super) fn dialled(&self) -> Option<String> {
        let number = number::parse(&self.number).number?;
        number.expose().e164.as_deref().map(|e164| e164.trim_start_matches('+').to_owned())
    }

    /// The number as messages in English have it.
    pub(super) fn shown(&self) -> String {
        let number = number::parse(&self.number).number;
        number.map_or_else(|| "Withheld number".to_owned(), |number| number.expose().display.clone())
    }

    /// For the lines of the story.
    fn introduced(&self) -> String {
        match self.name {
            Some(name) => format!("{name}, {},", self.shown()),
            None if self.number == "Anonymous" => "somebody with a withheld number".to_owned(),
            None => self.shown(),
        }
    }
}

impl Scene {
    fn missed(rng: &mut Rng, at: Duration, caller: Person, queue: &'static str, fate: Fate) -> Self {
        let uuid = uuid(rng);
        let line = format!("{} calls queue {queue}; it rings out{}", caller.introduced(), note(fate));
        let matters = vec![matter(EventType::CallMissed, &uuid, &caller, fate)];
        Self { at, begins: at, line, deed: Deed::Missed { uuid, caller, queue }, matters }
    }

    fn answered(rng: &mut Rng, at: Duration, caller: Person) -> Self {
        let uuid = uuid(rng);
        let line = format!("{} calls and is answered: nothing to tell", caller.introduced());
        let matters = vec![matter(EventType::CallMissed, &uuid, &caller, Fate::Quiet("answered"))];
        Self { at, begins: at, line, deed: Deed::Answered { uuid, caller }, matters }
    }

    /// Missed, and called back before anybody is told: two scenes.
    fn missed_and_returned(rng: &mut Rng, at: Duration, caller: &Person) -> [Self; 2] {
        let missed = Self::missed(rng, at, caller.clone(), "201", Fate::Quiet("returned within the grace"));
        let uuid = missed.matters[0].uuid.clone();
        let line = format!("{} is called back: within the grace, so nobody is told", caller.shown());
        let returned =
            Self { at: at + RETURNED_AFTER, begins: at, line, deed: Deed::Returned { uuid }, matters: Vec::new() };
        [missed, returned]
    }

    /// The call of `missed` is returned when it has been told.
    fn followed_up(missed: &Self, at: Duration, caller: &Person) -> Self {
        let uuid = missed.matters[0].uuid.clone();
        let line = format!("{} is called back: who was told of the call is told that too", caller.shown());
        let matters = vec![matter(EventType::CallReturned, &uuid, caller, Fate::Told(FOLLOWED_UP))];
        Self { at, begins: at, line, deed: Deed::Returned { uuid }, matters }
    }

    /// The call `uuid` of `caller`, whom those at `told` know of, is returned now.
    pub(super) fn returned(uuid: &str, caller: &Person, told: &[Place], sure: bool) -> Self {
        let fate = if sure { Fate::Told } else { Fate::Perhaps };
        let matters = match followed_up(told) {
            [] => Vec::new(),
            places => vec![matter(EventType::CallReturned, uuid, caller, fate(places))],
        };
        let (at, line) = (Duration::ZERO, format!("{} is called back, and answers", caller.shown()));
        Self { at, begins: at, line, deed: Deed::Returned { uuid: uuid.to_owned() }, matters }
    }

    fn voicemail(
        rng: &mut Rng,
        at: Duration,
        caller: Person,
        extension: &'static str,
        places: &'static [Place],
    ) -> Self {
        let uuid = uuid(rng);
        let fate = Fate::Told(places);
        let line = format!("{} finds nobody at {extension} and leaves a voicemail{}", caller.introduced(), note(fate));
        // One matter, and the PBX lists it twice: as a missed call too.
        let matters = vec![
            matter(EventType::VoicemailNew, &uuid, &caller, fate),
            matter(EventType::CallMissed, &uuid, &caller, Fate::Quiet("told by its voicemail")),
            // Somebody may press play on the page of a link.
            matter(EventType::VoicemailHeard, &uuid, &caller, Fate::Perhaps(followed_up(places))),
        ];
        Self { at, begins: at, line, deed: Deed::Voicemail { uuid, caller, extension }, matters }
    }

    /// Who is told of its call.
    pub(super) fn told(&self) -> &'static [Place] {
        match self.matters.first().map(|matter| matter.fate) {
            Some(Fate::Told(places)) => places,
            Some(Fate::Perhaps(_) | Fate::Quiet(_)) | None => &[],
        }
    }

    /// Makes it happen, now.
    pub(super) fn play(&self, world: &World, now: Timestamp) {
        let called_by = |call: SimCall, caller: &Person| SimCall {
            caller_number: caller.number.clone(),
            caller_name: caller.name.map(str::to_owned),
            ..call
        };
        let secs = Duration::from_secs;
        match &self.deed {
            Deed::Missed { uuid, caller, queue } => {
                let call = SimCall {
                    queue: Some((*queue).to_owned()),
                    wait: Some(secs(14)),
                    ..SimCall::missed(uuid, now, secs(19))
                };
                world.pbx.add_call(called_by(call, caller));
            }
            Deed::Answered { uuid, caller } => {
                world.pbx.add_call(called_by(SimCall::answered(uuid, now, secs(48)), caller));
            }
            Deed::Returned { uuid } => {
                let call = SimCall {
                    direction: Direction::Outbound,
                    caller_number: "1014 (902129876543)".to_owned(),
                    ..SimCall::answered(format!("{uuid}-return"), now, secs(1))
                };
                world.pbx.add_call(call);
                world.pbx.set_returned(uuid, &format!("{uuid}-return"));
            }
            Deed::Voicemail { uuid, caller, extension } => {
                let length = secs(12);
                let voicemail = SimVoicemail {
                    user_number: (*extension).to_owned(),
                    caller_number: caller.number.clone(),
                    caller_name: caller.name.map(str::to_owned),
                    ..SimVoicemail::unread(uuid, back(now, length), length)
                };
                let call = SimCall {
                    destination_number: format!("902129876543 ({extension})"),
                    ..SimCall::missed(uuid, now, secs(27))
                };
                let call = called_by(call, caller);
                world.pbx.change(|data| {
                    data.add_voicemail(voicemail);
                    data.add_call(call);
                });
            }
            Deed::Breakdown { times } => world.webhook.push_mode(Mode::Status(503), *times),
        }
    }
}

/// The written part: in twelve seconds everything happens once, and has been told.
pub(super) fn script(rng: &mut Rng) -> Vec<Scene> {
    let ms = Duration::from_millis;
    let ayse = Person::new("03121234567", "Ayşe Demir");
    let [missed, returned] = Scene::missed_and_returned(rng, ms(1800), &Person::new("05321112233", "Mehmet Yılmaz"));
    // After the voicemail has come to the webhook, and before the call of the withheld number can: its grace is a second
    // shorter at most. The next call for the webhook comes when that one has got through.
    let breakdown = Scene {
        at: ms(6800),
        begins: ms(6800),
        line: "(the receiver breaks down: it will answer the next two requests with 503)".to_owned(),
        deed: Deed::Breakdown { times: 2 },
        matters: Vec::new(),
    };
    let first = Scene::missed(rng, ms(500), ayse.clone(), "201", Fate::Told(EVERYWHERE));
    let end = Scene::followed_up(&first, ms(9800), &ayse);
    vec![
        first,
        Scene::answered(rng, ms(1200), Person::new("02163334455", "Zeynep Kaya")),
        missed,
        returned,
        Scene::voicemail(rng, ms(4000), Person::new("02122223344", "Şükrü Öz"), "1002", EVERYWHERE),
        Scene::missed(rng, ms(5200), Person::withheld(), "201", Fate::Told(EVERYWHERE)),
        Scene::voicemail(rng, ms(6200), Person::new("05445556677", "Can Aydın"), "1005", BY_MAIL),
        breakdown,
        Scene::missed(rng, ms(7500), Person::new("02125550000", "Test hattı"), "299", Fate::Quiet(MUTED)),
        Scene::missed(rng, ms(8300), Person::new("02324445566", "İpek Işık"), "202", Fate::Told(WITHOUT_SLACK)),
        end,
    ]
}

/// What chance brings as the `n`th thing after the script.
pub(super) fn chance(rng: &mut Rng, n: u32, after: Duration) -> Vec<Scene> {
    const NAMES: [&str; 8] = ["Ali", "Elif", "Burak", "Deniz", "Emre", "Fatma", "Gül", "Hakan"];
    let at = after + Duration::from_millis(rng.u64(1500..5000));
    // 7919 is a prime: no number comes twice within the first ten million.
    let number = u64::from(n) * 7919 % 10_000_000;
    let name = rng.bool().then(|| NAMES[rng.usize(..NAMES.len())]);
    let person = Person { number: format!("0216{number:07}"), name };
    match rng.u32(..100) {
        0..40 => vec![Scene::missed(rng, at, person, "201", Fate::Told(EVERYWHERE))],
        40..50 => vec![Scene::missed(rng, at, person, "202", Fate::Told(WITHOUT_SLACK))],
        50..55 => vec![Scene::missed(rng, at, Person::withheld(), "201", Fate::Told(EVERYWHERE))],
        55..75 => vec![Scene::voicemail(rng, at, person, "1002", EVERYWHERE)],
        75..88 => vec![Scene::answered(rng, at, person)],
        _ => Scene::missed_and_returned(rng, at, &person).into(),
    }
}

/// What a visitor asks for: the `n`th call, or voicemail, of theirs.
pub(super) fn visit(rng: &mut Rng, n: u32, voicemail: bool) -> Scene {
    const NAMES: [&str; 6] = ["Selin Arı", "Ümit Çelik", "Işıl Güneş", "Oğuz Şahin", "Çağla Er", "İlker Tunç"];
    // 6007 is a prime as well. Another area than that of chance, whose numbers these must not be.
    let number = format!("0224{:07}", 2_000_000 + u64::from(n) * 6007 % 7_000_000);
    let person = Person { number, name: Some(NAMES[rng.usize(..NAMES.len())]) };
    if voicemail {
        Scene::voicemail(rng, Duration::ZERO, person, "1002", EVERYWHERE)
    } else {
        Scene::missed(rng, Duration::ZERO, person, "201", Fate::Told(EVERYWHERE))
    }
}

/// Who of `told` is told how it ended.
fn followed_up(told: &[Place]) -> &'static [Place] {
    match (told.contains(&Place::Slack), told.contains(&Place::Webhook)) {
        (true, _) => FOLLOWED_UP,
        (false, true) => BY_WEBHOOK,
        (false, false) => &[],
    }
}

/// Who is told, when that is not everybody.
fn note(fate: Fate) -> &'static str {
    match fate {
        Fate::Told(BY_MAIL) => " (mail only)",
        Fate::Told(WITHOUT_SLACK) => " (mail and webhook)",
        Fate::Quiet(MUTED) => " (muted by its route)",
        Fate::Told(_) | Fate::Perhaps(_) | Fate::Quiet(_) => "",
    }
}

fn matter(event: EventType, uuid: &str, caller: &Person, fate: Fate) -> Matter {
    Matter { event, uuid: uuid.to_owned(), caller: caller.shown(), fate }
}

fn uuid(rng: &mut Rng) -> String {
    let hex = format!("{:032x}", rng.u128(..));
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}
