//! Which conditions hold, since when, and who has been told of them. Pure.
//!
//! What is to be told is not queued but follows from this, again and again, until the channel has taken it: a channel
//! that was away learns what holds then, not what held meanwhile. It lives as long as the process.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use crate::clock::Moment;
use crate::condition::{Condition, Group, News, Notice, Reason};

/// A condition that holds now.
#[derive(Debug, Clone)]
pub(super) struct Sighting {
    pub(super) condition: Condition,
    pub(super) since: Moment,
    pub(super) reason: Reason,
}

/// Deliveries of a channel that were given up since the last look.
#[derive(Debug, Clone)]
pub(super) struct Deaths {
    pub(super) count: usize,
    pub(super) first: Timestamp,
    pub(super) reason: Reason,
}

#[derive(Debug, Default)]
pub(super) struct Ledger {
    held: BTreeMap<Condition, Held>,
    /// By channel.
    dead: BTreeMap<String, Dead>,
}

#[derive(Debug)]
struct Held {
    since: Moment,
    reason: Reason,
    /// When it had held long enough to be told.
    due: Option<Moment>,
    /// When it had ended.
    gone: Option<Moment>,
    /// Who knows of it, and not of its end.
    told: BTreeSet<String>,
    /// Somebody knows of its end.
    over: bool,
}

#[derive(Debug)]
struct Dead {
    reason: Reason,
    /// By whom is to be told.
    untold: BTreeMap<String, Untold>,
    /// Whoever has just been told is told again after this tick.
    not_before: BTreeMap<String, Duration>,
}

#[derive(Debug, Clone, Copy)]
struct Untold {
    count: usize,
    since: Timestamp,
    at: Timestamp,
}

impl Ledger {
    /// Takes note of what holds now and of what was given up. Returns what has just held for `after`.
    pub(super) fn look(
        &mut self,
        present: Vec<Sighting>,
        dead: BTreeMap<String, Deaths>,
        recipients: &[&str],
        after: Duration,
        now: Moment,
    ) -> Vec<Condition> {
        let holds: BTreeSet<Condition> = present.iter().map(|sighting| sighting.condition.clone()).collect();
        for sighting in present {
            self.sighted(sighting);
        }
        self.held.retain(|condition, held| {
            held.told.retain(|name| recipients.contains(&name.as_str()));
            if holds.contains(condition) {
                return true;
            }
            held.gone.get_or_insert(now);
            // What nobody was told of ends in silence.
            !held.told.is_empty()
        });
        for (channel, deaths) in dead {
            self.gave_up(channel, deaths, recipients, now);
        }
        self.ripen(after, now)
    }

    fn sighted(&mut self, sighting: Sighting) {
        let Sighting { condition, since, reason } = sighting;
        let fresh =
            || Held { since, reason: reason.clone(), due: None, gone: None, told: BTreeSet::new(), over: false };
        let held = self.held.entry(condition).or_insert_with(fresh);
        if held.gone.take().is_some() && held.over {
            // For those who were told of the end it is another one.
            (held.since, held.due, held.over) = (since, None, false);
        }
        held.reason = reason;
    }

    fn gave_up(&mut self, channel: String, deaths: Deaths, recipients: &[&str], now: Moment) {
        let Deaths { count, first, reason } = deaths;
        let mut told: Vec<&str> = recipients.iter().copied().filter(|name| *name != channel).collect();
        if told.is_empty() {
            // One message that was refused does not mean that the next one is.
            told.extend(recipients);
        }
        let dead = self.dead.entry(channel).or_insert_with(|| Dead {
            reason: reason.clone(),
            untold: BTreeMap::new(),
            not_before: BTreeMap::new(),
        });
        dead.reason = reason;
        for name in told {
            let untold = Untold { count: 0, since: first, at: now.at };
            dead.untold.entry(name.to_owned()).or_insert(untold).count += count;
        }
    }

    /// What has held for `after` is due, and with it what holds of the same group: it is told in one notice.
    fn ripen(&mut self, after: Duration, now: Moment) -> Vec<Condition> {
        let ripe = |held: &Held| {
            held.gone.is_none() && held.due.is_none() && now.tick.saturating_sub(held.since.tick) >= after
        };
        let ripe: Vec<Condition> =
            self.held.iter().filter(|(_, held)| ripe(held)).map(|(condition, _)| condition.clone()).collect();
        for (condition, held) in &mut self.held {
            if held.gone.is_none() && ripe.iter().any(|one| one.group() == condition.group()) {
                held.due.get_or_insert(now);
            }
        }
        ripe
    }

    /// What `recipient` is to be told now.
    pub(super) fn to_tell(&self, recipient: &str, after: Duration, now: Duration) -> Vec<Notice> {
        let mut groups: BTreeMap<Group<'_>, Vec<(&Condition, &Held)>> = BTreeMap::new();
        for (condition, held) in &self.held {
            if condition.channel() != Some(recipient) {
                groups.entry(condition.group()).or_default().push((condition, held));
            }
        }
        let mut notices = Vec::new();
        for members in groups.values() {
            let knows = |held: &Held| held.told.contains(recipient);
            let failing = members.iter().filter(|(_, held)| held.gone.is_none() && held.due.is_some() && !knows(held));
            notices.extend(merged(failing, |held| held.due, |held| News::Failing(held.reason.clone())));
            // Lists of one account are read again one after the other: told when all are, or when one stays away.
            let waits = members.iter().any(|(_, held)| held.gone.is_none() && knows(held));
            let recovered = members.iter().filter(|(_, held)| {
                let long = held.gone.is_some_and(|gone| now.saturating_sub(gone.tick) >= after);
                held.gone.is_some() && knows(held) && (long || !waits)
            });
            notices.extend(merged(recovered, |held| held.gone, |_| News::Recovered));
        }
        notices.extend(self.dead.iter().filter_map(|(channel, dead)| {
            let untold = dead.untold.get(recipient)?;
            let condition = Condition::DeliveriesDead { channel: channel.clone() };
            let quiet = dead.not_before.get(recipient).is_some_and(|tick| *tick > now);
            (!quiet).then(|| Notice {
                covers: vec![condition.clone()],
                condition,
                since: untold.since,
                at: untold.at,
                news: News::Dead { count: untold.count, reason: dead.reason.clone() },
            })
        }));
        notices
    }

    /// `recipient` has taken a notice, or has refused it for good.
    pub(super) fn told(&mut self, recipient: &str, notice: &Notice, after: Duration, now: Duration) {
        for condition in &notice.covers {
            match (&notice.news, self.held.get_mut(condition), condition.channel()) {
                (News::Failing(_), Some(held), _) => {
                    held.told.insert(recipient.to_owned());
                }
                (News::Recovered, Some(held), _) => {
                    held.told.remove(recipient);
                    held.over = true;
                    if held.told.is_empty() && held.gone.is_some() {
                        self.held.remove(condition);
                    }
                }
                (News::Dead { .. }, _, Some(channel)) => {
                    if let Some(dead) = self.dead.get_mut(channel) {
                        dead.untold.remove(recipient);
                        dead.not_before.insert(recipient.to_owned(), now + after);
                    }
                }
                _ => {}
            }
        }
    }

    /// Since when a condition holds, as far as that was noted.
    pub(super) fn since(&self, condition: &Condition) -> Option<Timestamp> {
        self.held.get(condition).filter(|held| held.gone.is_none()).map(|held| held.since.at)
    }

    /// Forgets what is about something that is not there any more.
    pub(super) fn retain(&mut self, keep: impl Fn(&Condition) -> bool) {
        self.held.retain(|condition, _| keep(condition));
    }
}

/// One notice of several conditions, with the first one's reason.
fn merged<'h>(
    members: impl Iterator<Item = &'h (&'h Condition, &'h Held)> + Clone,
    at: impl Fn(&Held) -> Option<Moment>,
    news: impl Fn(&Held) -> News,
) -> Option<Notice> {
    let condition = Condition::merged(members.clone().map(|(condition, _)| *condition))?;
    let (_, first) = members.clone().next()?;
    Some(Notice {
        condition,
        covers: members.clone().map(|(condition, _)| (*condition).clone()).collect(),
        since: members.clone().map(|(_, held)| held.since.at).min()?,
        at: members.filter_map(|(_, held)| at(held)).map(|moment| moment.at).max()?,
        news: news(first),
    })
}

#[cfg(test)]
mod tests;
