//! What can be wrong with ringback's own work, and a notice of it: what `health.notify` is told. Pure.

use jiff::Timestamp;

use crate::event::{DeliveryId, Kind};
use crate::outbox::FailureKind;
use crate::private::mask_digits;

/// Something that keeps ringback from its work. The order is that in which they count: of two that have one cause, the
/// first is told.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Condition {
    /// Nothing can be taken in.
    StoreUnwritable,
    /// A list of an account cannot be read.
    PbxUnreadable {
        /// The account's name.
        account: String,
        /// Which list; `None` for everything that is read of the account.
        source: Option<Kind>,
    },
    /// A channel delivers nothing: every attempt fails, or its receiver lets it wait.
    ChannelFailing {
        /// The channel's name.
        channel: String,
    },
    /// A delivery of a channel is due, and nobody attempts it.
    DeliveryOverdue {
        /// The channel's name.
        channel: String,
    },
    /// Deliveries were given up. It has no end: it is told, and that is that.
    DeliveriesDead {
        /// The channel's name.
        channel: String,
    },
}

/// Conditions that are told together, since they mostly have one cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group<'c> {
    /// The store.
    Store,
    /// An account: its lists hang on one key and one connection.
    Account(&'c str),
    /// A channel: what fails becomes overdue.
    Channel(&'c str),
}

impl Condition {
    /// The name in payloads.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::StoreUnwritable => "store_unwritable",
            Self::PbxUnreadable { .. } => "pbx_unreadable",
            Self::ChannelFailing { .. } => "channel_failing",
            Self::DeliveryOverdue { .. } => "delivery_overdue",
            Self::DeliveriesDead { .. } => "deliveries_dead",
        }
    }

    /// With which others it is told.
    pub fn group(&self) -> Group<'_> {
        match self {
            Self::StoreUnwritable => Group::Store,
            Self::PbxUnreadable { account, .. } => Group::Account(account),
            Self::ChannelFailing { channel } | Self::DeliveryOverdue { channel } | Self::DeliveriesDead { channel } => {
                Group::Channel(channel)
            }
        }
    }

    /// The account that it is about.
    pub fn account(&self) -> Option<&str> {
        if let Group::Account(account) = self.group() { Some(account) } else { None }
    }

    /// The channel that it is about, which is not the one to tell.
    pub fn channel(&self) -> Option<&str> {
        if let Group::Channel(channel) = self.group() { Some(channel) } else { None }
    }

    /// The list of the account that it is about, when it is one alone.
    pub fn source(&self) -> Option<Kind> {
        if let Self::PbxUnreadable { source, .. } = self { *source } else { None }
    }

    /// What stands for several of one group: the first of them; for an account whose lists all fail, the account.
    pub fn merged<'c>(conditions: impl Iterator<Item = &'c Self> + Clone) -> Option<Self> {
        let several = conditions.clone().count() > 1;
        match conditions.min()? {
            Self::PbxUnreadable { account, .. } if several => {
                Some(Self::PbxUnreadable { account: account.clone(), source: None })
            }
            first => Some(first.clone()),
        }
    }
}

/// Why a condition holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// By what a person does about it.
    pub cause: Cause,
    /// What was found, for whoever looks into it: a sentence in English, without secrets and telephone numbers.
    pub detail: String,
}

/// Why a condition holds, by what a person does about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The PBX.
    Pbx(PbxTrouble),
    /// The receiver of a channel.
    Receiver(FailureKind),
    /// Whatever keeps a lane from what is due.
    Waiting,
    /// The disk.
    Disk,
}

/// Why the PBX cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PbxTrouble {
    /// It refuses the API key.
    WrongKey,
    /// It says that it is asked too often (429).
    RateLimited,
    /// Nothing answers.
    Unreachable,
    /// The certificate or the handshake.
    Tls,
    /// It has trouble of its own (5xx).
    Trouble,
    /// It refuses the request (other 4xx, redirects).
    Refused,
    /// What it says cannot be understood.
    Garbled,
    /// No read has ended for long, well or not.
    Silent,
}

impl Reason {
    /// No detail is longer, in bytes.
    const MAX_DETAIL: usize = 300;

    /// Takes telephone numbers out of the detail, and bounds it.
    pub fn new(cause: Cause, detail: &str) -> Self {
        let mut detail = without_numbers(detail);
        if detail.len() > Self::MAX_DETAIL {
            detail.truncate(detail.floor_char_boundary(Self::MAX_DETAIL - '…'.len_utf8()));
            detail.push('…');
        }
        Self { cause, detail }
    }
}

/// Stars what may be a telephone number, however it is written: seven digits or more, with nothing but spaces,
/// hyphens and brackets between them.
fn without_numbers(text: &str) -> String {
    const SHORTEST: usize = 7;
    let between = |c: char| matches!(c, ' ' | '-' | '(' | ')' | '+');
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
        let (before, from) = rest.split_at(start);
        let (number, after) =
            from.split_at(from.find(|c| !(char::is_ascii_digit(&c) || between(c))).unwrap_or(from.len()));
        let digits = number.chars().filter(char::is_ascii_digit).count();
        clean.push_str(before);
        clean.push_str(&if digits < SHORTEST { number.to_owned() } else { mask_digits(number) });
        rest = after;
    }
    clean + rest
}

/// What is told of one condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// What it is about; stands for all of `covers`.
    pub condition: Condition,
    /// What is told with it.
    pub covers: Vec<Condition>,
    /// When it began.
    pub since: Timestamp,
    /// When there was reason to tell it: the same on every attempt.
    pub at: Timestamp,
    /// What there is to say.
    pub news: News,
}

/// What there is to say of a condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// It holds.
    Failing(Reason),
    /// It does not hold any more.
    Recovered,
    /// So many deliveries were given up.
    Dead {
        /// Since the last time that this was told.
        count: usize,
        /// Of the last one.
        reason: Reason,
    },
}

impl Notice {
    /// `health.failing` or `health.recovered`.
    pub fn event_type(&self) -> &'static str {
        match self.news {
            News::Failing(_) | News::Dead { .. } => "health.failing",
            News::Recovered => "health.recovered",
        }
    }

    /// Why, unless it is over.
    pub fn reason(&self) -> Option<&Reason> {
        match &self.news {
            News::Failing(reason) | News::Dead { reason, .. } => Some(reason),
            News::Recovered => None,
        }
    }

    /// The id under which `channel` is told: the same on every attempt.
    pub fn id(&self, channel: &str) -> DeliveryId {
        self.derived(&[self.event_type(), channel])
    }

    /// The same for the notice of a condition and that of its end.
    pub fn thread(&self) -> String {
        self.derived(&["thread"]).to_string()
    }

    fn derived(&self, more: &[&str]) -> DeliveryId {
        let condition = &self.condition;
        let about = condition.account().or(condition.channel()).unwrap_or_default();
        let source = condition.source().map_or("", Kind::as_str);
        let since = self.since.to_string();
        DeliveryId::of_notice(&[&[condition.as_str(), about, source, &since], more].concat())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unreadable(source: Option<Kind>) -> Condition {
        Condition::PbxUnreadable { account: "main".to_owned(), source }
    }

    fn notice(condition: Condition, news: News) -> Notice {
        let since = "2026-11-22T05:00:00Z".parse().unwrap();
        Notice { covers: vec![condition.clone()], condition, since, at: since, news }
    }

    #[test]
    fn a_reason_holds_no_telephone_number_in_whatever_notation() {
        let told = |detail: &str| Reason::new(Cause::Disk, detail).detail;
        assert_eq!(told("no +90 (312) 123-45-67, 03121234567!"), "no +90 (31*) ***-**-67, 0312*****67!");
        assert_eq!(told("HTTP 503 after 3 tries at 127.0.0.1:8380"), "HTTP 503 after 3 tries at 127.0.0.1:8380");
        assert_eq!(told(&"ş".repeat(500)).len(), 299);
    }

    #[test]
    fn an_id_is_that_of_condition_beginning_and_channel() {
        let failing = || News::Failing(Reason::new(Cause::Disk, "x"));
        let one = notice(unreadable(Some(Kind::Call)), failing());
        assert_eq!(one.id("mail"), notice(unreadable(Some(Kind::Call)), failing()).id("mail"));
        for (other, channel) in [
            (notice(unreadable(Some(Kind::Call)), failing()), "slack"),
            (notice(unreadable(None), failing()), "mail"),
            (notice(unreadable(Some(Kind::Call)), News::Recovered), "mail"),
            (notice(Condition::StoreUnwritable, failing()), "mail"),
        ] {
            assert_ne!(one.id("mail"), other.id(channel));
        }
        assert_eq!(one.thread(), notice(unreadable(Some(Kind::Call)), News::Recovered).thread());
    }

    #[test]
    fn lists_of_one_account_are_told_as_the_account() {
        let both = [unreadable(Some(Kind::Call)), unreadable(Some(Kind::Voicemail))];
        assert_eq!(Condition::merged(both.iter()), Some(unreadable(None)));
        assert_eq!(Condition::merged(both[1..].iter()), Some(both[1].clone()));
        let channel = || "crm".to_owned();
        let both =
            [Condition::DeliveryOverdue { channel: channel() }, Condition::ChannelFailing { channel: channel() }];
        assert_eq!(Condition::merged(both.iter()), Some(both[1].clone()));
    }
}
