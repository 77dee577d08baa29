//! A week of a small office: what each of its people received, in order, with the times.
//!
//! The office is open on working days from 09:00 to 18:00. Thursday, 29 October is Republic Day, and Wednesday the day
//! before it to 13:00 only.

use std::fmt::Write as _;
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use ringback::clock::Clock;
use ringback::outbox::State;
use ringback::sim::pbx::{Direction, MarksRead, PbxOptions, SimCall, SimVoicemail};
use serde_json::Value;

use crate::harness::{Office, Running, in_time};
use crate::health::subject;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

/// The team is told in Slack, and so is the mailbox of the office; of what comes while the office is closed, when it
/// opens. The calls of one person within two minutes are one message. What nobody has returned within an hour of opening time is
/// the manager's, whose telephone is a webhook.
const ROUTES: &str = "
  - when: {event: call.missed, during: office}
    notify: [slack, mail]
    group: {by: caller, wait: 2m}
    escalate: {after: 1h, notify: [crm], during: office}
  - when: {event: call.missed}
    notify: [slack, mail]
    hold: office
    escalate: {after: 1h, notify: [crm], during: office}
  - notify: [slack, mail]";

const EXTRA: &str = "
schedules:
  office: {days: [mon, tue, wed, thu, fri], from: '09:00', to: '18:00', holidays: tr}
summaries:
  - {at: '18:00', days: [mon, tue, wed, thu, fri], notify: [slack]}";

const AYSE: (&str, Option<&str>) = ("05321112233", Some("Ayşe Demir"));
const MEHMET: (&str, Option<&str>) = ("05424445566", Some("Mehmet Kaya"));
const SHOP: (&str, Option<&str>) = ("02125556677", None);
const LATE: (&str, Option<&str>) = ("05337778899", None);
const GUEST: (&str, Option<&str>) = ("+49 30 27590915", Some("Hotel Berlin"));
const WITHHELD: (&str, Option<&str>) = ("anonymous", None);

struct Week {
    office: Office,
    running: Running,
}

fn istanbul() -> TimeZone {
    TimeZone::get("Europe/Istanbul").unwrap()
}

impl Week {
    /// It is watched from the evening before.
    async fn begin() -> Self {
        let start = at("2026-10-25 20:00");
        let options = PbxOptions { marks_read: MarksRead::Never, ..PbxOptions::default() };
        let mut office = Office::on(Clock::manual(start), options);
        ROUTES.clone_into(&mut office.routes);
        EXTRA.clone_into(&mut office.extra);
        // A call of the weekend is returned on Monday.
        "follow_up: 96h".clone_into(&mut office.missed_calls);
        let running = office.run().await;
        office.idle(&running).await;
        Self { office, running }
    }

    /// Time passes: closely for a while, since something has just happened, and then in long steps.
    async fn until(&self, time: &str) {
        let until = at(time);
        let mut close = 20;
        while self.office.now() < until {
            let local = self.office.now().to_zoned(istanbul());
            let evening = local.hour() == 18 && local.minute() < 5;
            let step = match local.hour() {
                _ if close > 0 || evening => 30 * SECOND,
                9..18 => 5 * MINUTE,
                _ => 30 * MINUTE,
            };
            // On the full minutes, so that no evening is leapt over.
            let into = Duration::from_secs(local.timestamp().as_second().cast_unsigned() % step.as_secs());
            let step = step - into;
            let left = Duration::try_from(until.duration_since(self.office.now())).unwrap();
            self.office.clock.advance(step.min(left));
            self.settle().await;
            close -= 1;
        }
    }

    /// Everything that is due has been taken: a mail may be on its way though nothing moves.
    async fn settle(&self) {
        let Self { office, running } = self;
        office.idle(running).await;
        in_time(async {
            loop {
                let now = office.now();
                let due = running.store().list(&|row| row.state == State::Pending && row.due_at <= now).await.unwrap();
                if due.is_empty() {
                    return;
                }
                office.idle(running).await;
            }
        })
        .await;
    }

    /// Somebody calls now, and nobody answers for 25 seconds.
    fn call(&self, uuid: &str, (number, name): (&str, Option<&str>), queue: &str) {
        let call = SimCall::missed(uuid, self.office.now(), 25 * SECOND);
        self.office.pbx.add_call(SimCall {
            caller_number: number.to_owned(),
            caller_name: name.map(str::to_owned),
            queue: Some(queue.to_owned()),
            ..call
        });
    }

    /// Somebody calls now and gets through.
    fn gets_through(&self, uuid: &str, (number, _): (&str, Option<&str>)) {
        let call = SimCall::answered(uuid, self.office.now(), 90 * SECOND);
        self.office.pbx.add_call(SimCall { caller_number: number.to_owned(), ..call });
    }

    /// The call is returned now by extension 1014.
    fn call_back(&self, uuid: &str, (number, _): (&str, Option<&str>)) {
        let back = format!("{uuid}-back");
        let call = SimCall::answered(back.clone(), self.office.now(), 60 * SECOND);
        self.office.pbx.add_call(SimCall {
            direction: Direction::Outbound,
            caller_number: "1014 (902129876543)".into(),
            destination_number: number.to_owned(),
            ..call
        });
        self.office.pbx.set_returned(uuid, &back);
    }

    fn leave_message(&self, uuid: &str, (number, name): (&str, Option<&str>)) {
        let length = 40 * SECOND;
        let start = self.office.now().checked_sub(length).unwrap();
        let message = SimVoicemail::unread(uuid, start, length);
        self.office.pbx.add_voicemail(SimVoicemail {
            caller_number: number.to_owned(),
            caller_name: name.map(str::to_owned),
            user_number: "1002".to_owned(),
            ..message
        });
    }

    /// Who received what, in the order of the days.
    fn received(&self) -> String {
        let mut received: Vec<(Timestamp, &str, String)> = Vec::new();
        let mails = self.office.mail.received();
        received.extend(mails.iter().map(|mail| (mail.at.at, "mailbox", subject(mail))));
        for message in self.office.slack.received().iter().filter(|message| message.answered == 200) {
            received.push((message.at.at, "team", post(&message.json().unwrap())));
        }
        for body in self.office.webhook.received().iter().filter(|body| body.answered == 200) {
            let json = body.json().unwrap();
            let caller = json["data"]["caller"]["display"].as_str().unwrap_or("Gizli numara").to_owned();
            received.push((body.at.at, "manager", format!("{}: {caller}", json["type"].as_str().unwrap())));
        }
        received.sort();
        let mut text = String::new();
        let mut today = String::new();
        for (at, who, what) in received {
            let local = at.to_zoned(istanbul());
            let day = local.strftime("%A, %-d %B").to_string();
            if day != today {
                let _ = writeln!(text, "\n{day}");
                today = day;
            }
            let _ =
                writeln!(text, "{}  {who:7}  {}", local.strftime("%H:%M"), what.replace('\n', "\n                "));
        }
        text
    }
}

/// `2026-10-26 08:10` on the office's wall.
fn at(time: &str) -> Timestamp {
    time.parse::<DateTime>().unwrap().to_zoned(istanbul()).unwrap().timestamp()
}

/// What stands in a Slack message; of a summary all of it, of others the first line.
fn post(json: &Value) -> String {
    let text = json["text"].as_str().unwrap().to_owned();
    if !text.contains("özet") {
        return text;
    }
    let blocks = json["blocks"].as_array().unwrap().iter().skip(1);
    let blocks: Vec<&str> = blocks.map(|block| block["text"]["text"].as_str().unwrap()).collect();
    format!("{text}\n{}", blocks.join("\n"))
}

#[tokio::test]
async fn a_week_of_a_small_office() {
    let week = Week::begin().await;

    week.until("2026-10-26 08:10").await;
    week.call("mon-1", AYSE, "201");
    week.until("2026-10-26 09:20").await;
    week.call_back("mon-1", AYSE);
    for (time, uuid) in [("10:05", "mon-2"), ("10:06", "mon-3"), ("10:11", "mon-4")] {
        week.until(&format!("2026-10-26 {time}")).await;
        week.call(uuid, SHOP, "202");
    }
    week.until("2026-10-26 10:40").await;
    week.gets_through("mon-5", SHOP);
    week.until("2026-10-26 14:30").await;
    week.call("mon-6", WITHHELD, "201");

    week.until("2026-10-27 11:15").await;
    week.leave_message("tue-1", MEHMET);
    week.until("2026-10-27 11:50").await;
    week.office.pbx.mark_read("tue-1");
    week.until("2026-10-27 16:45").await;
    week.call("tue-2", LATE, "201");

    week.until("2026-10-28 09:15").await;
    week.call_back("tue-2", LATE);
    // The afternoon before the holiday, and the night.
    week.until("2026-10-28 13:30").await;
    week.call("wed-1", GUEST, "201");
    week.until("2026-10-28 22:40").await;
    week.call("wed-2", LATE, "202");

    // Republic Day.
    week.until("2026-10-29 11:00").await;
    week.call("thu-1", AYSE, "201");

    week.until("2026-10-30 09:05").await;
    week.call_back("thu-1", AYSE);
    week.until("2026-10-30 09:25").await;
    week.call_back("wed-1", GUEST);
    // Called back before anybody had to be told.
    week.until("2026-10-30 15:00").await;
    week.call("fri-1", SHOP, "202");
    week.until("2026-10-30 15:00:30").await;
    week.call_back("fri-1", SHOP);

    week.until("2026-10-31 12:00").await;
    week.call("sat-1", MEHMET, "201");
    week.until("2026-11-02 09:10").await;
    week.call_back("sat-1", MEHMET);
    week.until("2026-11-02 18:10").await;

    insta::assert_snapshot!(week.received());
    week.running.stop().await;
}
