//! What the ledger keeps and tells.

use proptest::prelude::*;

use super::*;
use crate::condition::{Cause, PbxTrouble};
use crate::event::Kind;
use crate::outbox::FailureKind;

const AFTER: Duration = Duration::from_secs(600);

fn at(minutes: u64) -> Moment {
    let tick = Duration::from_secs(60 * minutes);
    Moment { at: Timestamp::UNIX_EPOCH + tick, tick }
}

fn unreadable(source: Kind) -> Condition {
    Condition::PbxUnreadable { account: "main".to_owned(), source: Some(source) }
}

fn failing(channel: &str) -> Condition {
    Condition::ChannelFailing { channel: channel.to_owned() }
}

fn seen(condition: Condition, minutes: u64) -> Sighting {
    let reason = Reason::new(Cause::Pbx(PbxTrouble::WrongKey), "x");
    Sighting { condition, since: at(minutes), reason }
}

/// A ledger with two to tell, who take everything.
struct Desk {
    ledger: Ledger,
    told: Vec<(u64, &'static str, &'static str, Condition)>,
}

const BOTH: [&str; 2] = ["mail", "slack"];

impl Desk {
    fn new() -> Self {
        Self { ledger: Ledger::default(), told: Vec::new() }
    }

    fn look(&mut self, minutes: u64, present: Vec<Sighting>) {
        self.ledger.look(present, BTreeMap::new(), &BOTH, AFTER, at(minutes));
    }

    fn tell(&mut self, minutes: u64) {
        for name in BOTH {
            for notice in self.ledger.to_tell(name, AFTER, at(minutes).tick) {
                self.ledger.told(name, &notice, AFTER, at(minutes).tick);
                self.told.push((minutes, name, notice.event_type(), notice.condition));
            }
        }
    }

    /// What was told since the last time that this was asked.
    fn news(&mut self) -> Vec<(u64, &'static str, &'static str, Condition)> {
        std::mem::take(&mut self.told)
    }
}

#[test]
fn what_holds_for_long_is_told_once_to_each_and_once_when_it_is_over() {
    let mut desk = Desk::new();
    for minute in 0..60 {
        let present = if minute < 40 { vec![seen(Condition::StoreUnwritable, 3)] } else { Vec::new() };
        desk.look(minute, present);
        desk.tell(minute);
    }
    let all = |minute, event| BOTH.map(|name| (minute, name, event, Condition::StoreUnwritable));
    assert_eq!(desk.news(), [all(13, "health.failing"), all(40, "health.recovered")].concat());
    assert!(desk.ledger.held.is_empty());
}

#[test]
fn what_passes_sooner_is_told_to_nobody_however_often_it_comes() {
    let mut desk = Desk::new();
    for minute in 0..120 {
        let begun = minute / 10 * 10;
        desk.look(minute, if minute % 10 < 9 { vec![seen(failing("crm"), begun)] } else { Vec::new() });
        desk.tell(minute);
    }
    assert_eq!(desk.news(), []);
}

#[test]
fn the_ill_channel_is_not_told_of_itself() {
    let mut desk = Desk::new();
    desk.look(10, vec![seen(failing("mail"), 0)]);
    desk.tell(10);
    assert_eq!(desk.news(), [(10, "slack", "health.failing", failing("mail"))]);
    desk.look(11, Vec::new());
    desk.tell(11);
    assert_eq!(desk.news(), [(11, "slack", "health.recovered", failing("mail"))]);
}

#[test]
fn both_lists_of_an_account_are_one_matter_also_when_they_come_back_one_by_one() {
    let account = || Condition::PbxUnreadable { account: "main".to_owned(), source: None };
    let mut desk = Desk::new();
    desk.look(10, vec![seen(unreadable(Kind::Call), 0), seen(unreadable(Kind::Voicemail), 1)]);
    desk.tell(10);
    assert_eq!(desk.news(), BOTH.map(|name| (10, name, "health.failing", account())));
    for minute in 11..15 {
        desk.look(minute, vec![seen(unreadable(Kind::Voicemail), 1)]);
        desk.tell(minute);
    }
    assert_eq!(desk.news(), []);
    desk.look(15, Vec::new());
    desk.tell(15);
    assert_eq!(desk.news(), BOTH.map(|name| (15, name, "health.recovered", account())));
}

#[test]
fn a_list_that_never_comes_back_hides_neither_the_end_nor_the_return_of_the_others_trouble() {
    let mut desk = Desk::new();
    for minute in 0..70 {
        let mut present = vec![seen(unreadable(Kind::Voicemail), 0)];
        if !(20..40).contains(&minute) {
            present.push(seen(unreadable(Kind::Call), if minute < 20 { 5 } else { 40 }));
        }
        desk.look(minute, present);
        desk.tell(minute);
    }
    let news: Vec<_> = desk.news().into_iter().filter(|(_, name, ..)| *name == "mail").collect();
    let calls = || unreadable(Kind::Call);
    let account = Condition::PbxUnreadable { account: "main".to_owned(), source: None };
    assert_eq!(
        news,
        [
            (10, "mail", "health.failing", account),
            (30, "mail", "health.recovered", calls()),
            (50, "mail", "health.failing", calls()),
        ]
    );
}

#[test]
fn who_was_not_told_that_it_is_ill_is_not_told_that_it_is_well() {
    let mut desk = Desk::new();
    desk.look(10, vec![seen(Condition::StoreUnwritable, 0)]);
    let notices = desk.ledger.to_tell("mail", AFTER, at(10).tick);
    desk.ledger.told("mail", &notices[0], AFTER, at(10).tick);
    // Slack has not taken it.
    desk.look(11, Vec::new());
    desk.tell(11);
    assert_eq!(desk.news(), [(11, "mail", "health.recovered", Condition::StoreUnwritable)]);
}

#[test]
fn a_notice_is_the_same_until_it_is_taken() {
    let mut desk = Desk::new();
    desk.look(10, vec![seen(failing("crm"), 0)]);
    let first = desk.ledger.to_tell("mail", AFTER, at(10).tick);
    desk.look(30, vec![seen(failing("crm"), 0)]);
    let later = desk.ledger.to_tell("mail", AFTER, at(30).tick);
    assert_eq!(first, later);
    assert_eq!(first[0].id("mail"), later[0].id("mail"));
}

#[test]
fn what_was_overdue_because_its_channel_fails_is_told_as_the_channel() {
    let overdue = || Condition::DeliveryOverdue { channel: "crm".to_owned() };
    let mut desk = Desk::new();
    for minute in 0..30 {
        let mut present = vec![seen(failing("crm"), 0)];
        if minute >= 2 {
            present.push(seen(overdue(), minute));
        }
        desk.look(minute, present);
        desk.tell(minute);
    }
    assert_eq!(desk.news(), BOTH.map(|name| (10, name, "health.failing", failing("crm"))));
    // It delivers again, and works its backlog off.
    for minute in 30..33 {
        desk.look(minute, vec![seen(overdue(), minute)]);
        desk.tell(minute);
    }
    assert_eq!(desk.news(), []);
    desk.look(33, Vec::new());
    desk.tell(33);
    assert_eq!(desk.news(), BOTH.map(|name| (33, name, "health.recovered", failing("crm"))));
}

#[test]
fn the_dead_are_told_at_once_and_then_gathered() {
    let mut ledger = Ledger::default();
    let reason = || Reason::new(Cause::Receiver(FailureKind::Rejected), "HTTP 410 Gone");
    let mut told = Vec::new();
    for minute in 0..40 {
        let count = match minute {
            1 => 3,
            2..=8 => 1,
            _ => 0,
        };
        let deaths = Deaths { count, first: at(minute).at, reason: reason() };
        let dead = if count > 0 { BTreeMap::from([("crm".to_owned(), deaths)]) } else { BTreeMap::new() };
        ledger.look(Vec::new(), dead, &["mail", "crm"], AFTER, at(minute));
        assert!(ledger.to_tell("crm", AFTER, at(minute).tick).is_empty());
        for notice in ledger.to_tell("mail", AFTER, at(minute).tick) {
            ledger.told("mail", &notice, AFTER, at(minute).tick);
            let News::Dead { count, .. } = notice.news else { panic!("{notice:?}") };
            told.push((minute, count, notice.since));
        }
    }
    assert_eq!(told, [(1, 3, at(1).at), (11, 7, at(2).at)]);
}

#[test]
fn the_only_channel_is_told_of_its_own_dead() {
    let mut ledger = Ledger::default();
    let reason = Reason::new(Cause::Receiver(FailureKind::Rejected), "552 too big");
    let dead = BTreeMap::from([("mail".to_owned(), Deaths { count: 1, first: at(0).at, reason })]);
    ledger.look(Vec::new(), dead, &["mail"], AFTER, at(0));
    assert_eq!(ledger.to_tell("mail", AFTER, at(0).tick).len(), 1);
}

#[test]
fn what_is_gone_from_the_configuration_is_neither_ill_nor_well() {
    let mut desk = Desk::new();
    desk.look(10, vec![seen(failing("crm"), 0)]);
    desk.tell(10);
    desk.news();
    desk.ledger.retain(|condition| condition.channel() != Some("crm"));
    desk.look(11, Vec::new());
    desk.tell(11);
    assert_eq!(desk.news(), []);
}

proptest! {
    /// Whatever comes and goes, and however often a channel does not take what it is told.
    #[test]
    fn each_channel_hears_ill_and_well_in_turn(steps in prop::collection::vec((0_u8..8, any::<bool>(), 1_u64..8), 1..80)) {
        let mut ledger = Ledger::default();
        let mut minute = 0;
        let mut since = [None; 3];
        let mut knows: BTreeMap<(&str, Condition), bool> = BTreeMap::new();
        for (holds, takes, passed) in steps {
            minute += passed;
            let conditions = [unreadable(Kind::Call), unreadable(Kind::Voicemail), failing("slack")];
            let mut present = Vec::new();
            for (index, condition) in conditions.into_iter().enumerate() {
                since[index] = (holds & (1 << index) != 0).then(|| since[index].unwrap_or(minute));
                present.extend(since[index].map(|since| seen(condition, since)));
            }
            ledger.look(present, BTreeMap::new(), &BOTH, AFTER, at(minute));
            for name in BOTH {
                for notice in ledger.to_tell(name, AFTER, at(minute).tick) {
                    prop_assert_ne!(notice.condition.channel(), Some(name));
                    if takes {
                        ledger.told(name, &notice, AFTER, at(minute).tick);
                        for condition in &notice.covers {
                            let ill = notice.news != News::Recovered;
                            let before = knows.insert((name, condition.clone()), ill);
                            prop_assert_eq!(before.unwrap_or(false), !ill, "{:?}", notice);
                        }
                    }
                }
            }
        }
    }
}
