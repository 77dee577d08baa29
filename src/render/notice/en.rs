//! Notices in English.

use super::{When, Words};
use crate::condition::{Cause, Condition, News, Notice, PbxTrouble};
use crate::event::Kind;
use crate::outbox::FailureKind;

pub(super) fn words(notice: &Notice, when: &When) -> Words {
    let (title, lead) = match &notice.news {
        News::Failing(_) => failing(&notice.condition, when),
        News::Recovered => recovered(&notice.condition, when),
        News::Dead { count, .. } => dead(&notice.condition, *count, when),
    };
    let (why, action) = match notice.reason() {
        Some(reason) => (why(reason.cause), action(&notice.condition, reason.cause)),
        None => ("", String::new()),
    };
    Words { title, lead, why, action, detail: "Technical detail" }
}

fn failing(condition: &Condition, When { since, .. }: &When) -> (String, String) {
    match condition {
        Condition::StoreUnwritable => (
            "the store cannot be written".to_owned(),
            format!(
                "Since {since}, nothing could be written to the disk. Until it can, no new calls and voicemails are taken in."
            ),
        ),
        Condition::PbxUnreadable { account, source } => (
            format!("{} cannot be read ({account})", list(*source)),
            format!(
                "The PBX ({account}) could not be read since {since}. Until it can, nobody is told of {}; after that ringback goes on where it stopped.",
                contents(*source)
            ),
        ),
        Condition::ChannelFailing { channel } => (
            format!("channel delivers nothing ({channel})"),
            format!(
                "Nothing could be delivered to this channel ({channel}) since {since}. What waits is kept and tried again."
            ),
        ),
        Condition::DeliveryOverdue { channel } | Condition::DeliveriesDead { channel } => (
            format!("deliveries are overdue ({channel})"),
            format!("Deliveries to this channel ({channel}) have been due since {since} and are not sent."),
        ),
    }
}

fn recovered(condition: &Condition, When { since, until }: &When) -> (String, String) {
    match condition {
        Condition::StoreUnwritable => (
            "the store can be written again".to_owned(),
            format!("From {since} to {until} nothing could be written to the disk; now it can."),
        ),
        Condition::PbxUnreadable { account, source } => (
            format!("{} can be read again ({account})", list(*source)),
            format!(
                "From {since} to {until} the PBX ({account}) could not be read; now it can. The {} of that time are being worked through.",
                contents(*source)
            ),
        ),
        Condition::ChannelFailing { channel } => (
            format!("channel delivers again ({channel})"),
            format!("From {since} to {until} nothing could be delivered to this channel ({channel}); now it can."),
        ),
        Condition::DeliveryOverdue { channel } | Condition::DeliveriesDead { channel } => (
            format!("deliveries are on time again ({channel})"),
            format!("From {since} to {until} deliveries to this channel ({channel}) were overdue; none is any more."),
        ),
    }
}

fn dead(condition: &Condition, count: usize, When { since, .. }: &When) -> (String, String) {
    let channel = condition.channel().unwrap_or_default();
    let (deliveries, were) = if count == 1 { ("delivery", "was") } else { ("deliveries", "were") };
    (
        format!("{count} {deliveries} given up ({channel})"),
        format!(
            "Since {since}, {count} {deliveries} to this channel ({channel}) {were} given up; they are not tried again by themselves."
        ),
    )
}

fn list(source: Option<Kind>) -> &'static str {
    match source {
        None => "the PBX",
        Some(Kind::Call) => "the PBX's calls",
        Some(Kind::Voicemail) => "the PBX's voicemails",
    }
}

fn contents(source: Option<Kind>) -> &'static str {
    match source {
        None => "missed calls and voicemails",
        Some(Kind::Call) => "missed calls",
        Some(Kind::Voicemail) => "voicemails",
    }
}

fn why(cause: Cause) -> &'static str {
    match cause {
        Cause::Pbx(PbxTrouble::WrongKey) => "The PBX does not accept the API key.",
        Cause::Pbx(PbxTrouble::RateLimited) => "The PBX says that it is asked too often (429).",
        Cause::Pbx(PbxTrouble::Unreachable) => "The PBX cannot be reached.",
        Cause::Pbx(PbxTrouble::Tls) => "No secure connection (TLS) to the PBX can be made.",
        Cause::Pbx(PbxTrouble::Trouble) => "The PBX has trouble of its own.",
        Cause::Pbx(PbxTrouble::Refused) => "The PBX refuses the request.",
        Cause::Pbx(PbxTrouble::Garbled) => "The PBX's answer cannot be understood.",
        Cause::Pbx(PbxTrouble::Silent) => "The PBX is not read in time.",
        Cause::Receiver(FailureKind::Timeout) => "The receiver does not answer in time.",
        Cause::Receiver(FailureKind::Unreachable) => "The receiver cannot be reached.",
        Cause::Receiver(FailureKind::Tls) => "No secure connection (TLS) to the receiver can be made.",
        Cause::Receiver(FailureKind::RateLimited) => "The receiver asks for a pause (429).",
        Cause::Receiver(FailureKind::Unauthorized) => "The receiver does not accept our credentials.",
        Cause::Receiver(FailureKind::Receiver) => "The receiver has trouble of its own.",
        Cause::Receiver(FailureKind::Rejected) => "The receiver refuses the message.",
        Cause::Receiver(FailureKind::Internal) => "The message cannot be made.",
        Cause::Waiting => "Sending is slower than what comes in, or it has stopped.",
        Cause::Disk => "The disk may be full, read-only or broken.",
    }
}

fn action(condition: &Condition, cause: Cause) -> String {
    let channel = condition.channel().unwrap_or_default();
    if let Condition::DeliveriesDead { .. } = condition {
        return format!(
            "To see them: ringback deliveries list --state dead --channel {channel}. To try them again: ringback deliveries retry --dead --channel {channel}"
        );
    }
    let text = match cause {
        Cause::Pbx(PbxTrouble::WrongKey) => {
            "Compare the key in the Online İşlem Merkezi (Bulut Santralim, Santral Ayarlarım) with api_key in the configuration."
        }
        Cause::Pbx(PbxTrouble::RateLimited) => {
            "See whether another program uses the same key; if so, lower the limits of the account."
        }
        Cause::Pbx(PbxTrouble::Unreachable) => "Check the Internet connection, DNS and the firewall.",
        Cause::Pbx(PbxTrouble::Tls) | Cause::Receiver(FailureKind::Tls) => {
            "Check this machine's clock and certificates, and the other side's certificate."
        }
        Cause::Pbx(PbxTrouble::Trouble) => "If it lasts, turn to the support of your PBX's provider.",
        Cause::Pbx(PbxTrouble::Refused | PbxTrouble::Garbled) => {
            "Check base_url in the configuration, and whether there is a proxy in between."
        }
        Cause::Pbx(PbxTrouble::Silent) | Cause::Receiver(FailureKind::Internal) => "Look into the log of ringback.",
        Cause::Receiver(FailureKind::Unauthorized) => {
            "Renew the password, key or address of the channel; ringback then goes on by itself."
        }
        Cause::Receiver(FailureKind::RateLimited) => "It goes on by itself when the pause is over.",
        Cause::Receiver(_) => "Check that the receiver runs, and the address of the channel.",
        Cause::Waiting => {
            return format!("To see what waits: ringback deliveries list --state pending --channel {channel}");
        }
        Cause::Disk => "Look for space on the disk, and at the permissions of the folder store.path.",
    };
    text.to_owned()
}
