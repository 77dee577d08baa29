//! The moods of the receivers and of the PBX, drawn from the seed.

use std::time::Duration;

use fastrand::Rng;
use ringback::sim::pbx::{Endpoint, Fault, PbxSim};
use ringback::sim::receiver::{HttpReceiver, Mode};
use ringback::sim::smtp::{SmtpFault, SmtpReceiver, Stage};

use super::town::Place;

/// How a receiver answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mood {
    Fine,
    /// 429 with `Retry-After`.
    Busy,
    /// 500.
    Broken,
    Hang,
    Drip,
    Reset,
    /// 200 and 10 MB.
    Chatty,
    /// 410.
    Gone,
}

const BAD: [Mood; 7] = [Mood::Busy, Mood::Broken, Mood::Hang, Mood::Drip, Mood::Reset, Mood::Chatty, Mood::Gone];

/// Who is in which mood until when.
#[derive(Clone)]
pub(super) struct Weather {
    rng: Rng,
    next: Duration,
    /// The mail server has refused messages for good, and does not say which.
    pub(super) mail_was_gone: bool,
    /// For the report of a failure.
    pub(super) history: Vec<(Duration, String)>,
}

impl Weather {
    pub(super) fn new(seed: u64) -> Self {
        Self { rng: Rng::with_seed(!seed), next: Duration::from_secs(2), mail_was_gone: false, history: Vec::new() }
    }

    /// Somebody's mood changes, now and then.
    pub(super) fn change(
        &mut self,
        now: Duration,
        [slack, crm]: [&HttpReceiver; 2],
        mail: &SmtpReceiver,
        pbx: &PbxSim,
    ) {
        if now < self.next {
            return;
        }
        self.next = now + Duration::from_millis(self.rng.u64(200..1_200));
        if self.rng.u32(0..5) == 0 {
            self.disturb(now, pbx);
            return;
        }
        let place = Place::ALL[self.rng.usize(0..3)];
        // Fine half of the time, or nothing would ever be told.
        let mood = if self.rng.bool() { Mood::Fine } else { BAD[self.rng.usize(0..BAD.len())] };
        self.history.push((now, format!("{} is {mood:?}", place.name())));
        match place {
            Place::Slack => slack.set_mode(http(mood)),
            Place::Crm => crm.set_mode(http(mood)),
            Place::Mail => {
                self.mail_was_gone |= mood == Mood::Gone;
                mail.clear_faults();
                if let Some((stage, fault)) = smtp(mood) {
                    mail.fault(stage, fault, usize::MAX);
                }
            }
        }
    }

    /// A few answers of the PBX go wrong.
    fn disturb(&mut self, now: Duration, pbx: &PbxSim) {
        let faults = [
            Fault::Status(429, "Istek limiti asildi".into(), vec![("Retry-After".into(), "1".into())]),
            Fault::Html500,
            Fault::Truncate,
            Fault::Reset,
            Fault::Garbage,
            Fault::Slow(Duration::from_millis(700)),
        ];
        let fault = faults[self.rng.usize(0..faults.len())].clone();
        let endpoint = if self.rng.bool() { Endpoint::Cdrs } else { Endpoint::Voicemails };
        let times = self.rng.usize(1..4);
        self.history.push((now, format!("the PBX answers {endpoint:?} with {fault:?}, {times} times")));
        pbx.fault(endpoint, fault, times);
    }

    /// Everybody is well again.
    pub(super) fn clear(&mut self, now: Duration, receivers: [&HttpReceiver; 2], mail: &SmtpReceiver, pbx: &PbxSim) {
        for receiver in receivers {
            receiver.set_mode(Mode::Ok);
        }
        mail.clear_faults();
        pbx.clear_faults();
        self.history.push((now, "everybody is well again".to_owned()));
    }
}

fn http(mood: Mood) -> Mode {
    match mood {
        Mood::Fine => Mode::Ok,
        Mood::Busy => Mode::StatusWith(429, vec![("Retry-After".into(), "1".into())], "rate_limited".into()),
        Mood::Broken => Mode::Status(500),
        Mood::Hang => Mode::Hang,
        Mood::Drip => Mode::Drip,
        Mood::Reset => Mode::Reset,
        Mood::Chatty => Mode::BigBody(10_000_000),
        Mood::Gone => Mode::Status(410),
    }
}

/// What comes nearest to it in SMTP.
fn smtp(mood: Mood) -> Option<(Stage, SmtpFault)> {
    let reply = |code, text: &str| SmtpFault::Reply(code, text.to_owned());
    match mood {
        Mood::Fine => None,
        Mood::Busy => Some((Stage::Rcpt, reply(450, "4.7.1 Too many messages"))),
        Mood::Broken => Some((Stage::EndOfData, reply(451, "4.3.0 Out of order"))),
        Mood::Hang => Some((Stage::Mail, SmtpFault::Hang)),
        Mood::Drip => Some((Stage::Data, SmtpFault::Slow(Duration::from_secs(5)))),
        Mood::Reset => Some((Stage::EndOfData, SmtpFault::Reset)),
        Mood::Chatty => Some((Stage::Mail, SmtpFault::Slow(Duration::from_millis(300)))),
        Mood::Gone => Some((Stage::Rcpt, reply(550, "5.1.1 No such user"))),
    }
}
