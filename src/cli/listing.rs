//! Deliveries and events as people read them.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::table::table;
use crate::config::Config;
use crate::event::Kind;
use crate::number::printable;
use crate::ops::{Deliveries, DeliveryView, EventView, Events, Party, Shown, StateName, Told};

/// Where times are shown.
pub(super) struct Zone(TimeZone);

impl Zone {
    pub(super) fn of(config: &Config) -> Self {
        // The configuration has been checked; what is shown then is at worst UTC.
        Self(TimeZone::get(&config.timezone).unwrap_or(TimeZone::UTC))
    }

    fn show(&self, at: Timestamp) -> String {
        at.to_zoned(self.0.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string()
    }
}

/// So much of an id tells it from all others of an office: ten hex digits and the prefix.
const SHORT_ID: usize = 14;

fn short(id: &impl ToString) -> String {
    let mut id = id.to_string();
    id.truncate(SHORT_ID);
    id
}

fn who(party: &Party) -> String {
    match (&party.display, &party.name) {
        (Some(number), Some(name)) => format!("{number} {name}"),
        (Some(one), None) | (None, Some(one)) => one.clone(),
        (None, None) => "withheld".to_owned(),
    }
}

fn state(delivery: &DeliveryView) -> String {
    match delivery.state {
        StateName::Pending if delivery.parked => "pending, parked".to_owned(),
        StateName::Pending if delivery.held_until.is_some() => "held until".to_owned(),
        state => state.to_string(),
    }
}

/// The outbox as a table, with a line that counts it.
pub(super) fn delivery_table(found: &Deliveries, zone: &Zone) -> String {
    let total: usize = found.counts.values().sum();
    if total == 0 {
        return "no deliveries".to_owned();
    }
    let header = ["ID", "CALL", "CALLER", "EVENT", "CHANNEL", "STATE", "TRIES", "SINCE/NEXT", "REASON"];
    let text = table(
        header,
        found.deliveries.iter().map(|row| {
            [
                short(&row.id),
                zone.show(row.happened_at),
                if row.account.is_some() { who(&row.caller) } else { String::new() },
                row.event.to_string(),
                row.channel.clone(),
                state(row),
                row.attempts.to_string(),
                row.at.or(row.due_at).map(|at| zone.show(at)).unwrap_or_default(),
                row.reason.as_ref().map(|reason| reason.text.clone()).unwrap_or_default(),
            ]
        }),
    );
    let counts: Vec<String> = found.counts.iter().map(|(state, count)| format!("{count} {state}")).collect();
    let shown = match found.deliveries.len() {
        shown if shown < total => format!("the newest {shown} of "),
        _ => String::new(),
    };
    format!("{text}\n{shown}{total} {}: {}", if total == 1 { "delivery" } else { "deliveries" }, counts.join(", "))
}

/// Events as a table, with a line that counts them.
pub(super) fn event_table(found: &Events, open: bool, zone: &Zone) -> String {
    if found.total == 0 {
        return if open { "no open events".to_owned() } else { "no events".to_owned() };
    }
    let header = ["ID", "CALL", "CALLER", "EVENT", "TO", "STANDING", "BY", "TOLD"];
    let text = table(
        header,
        found.events.iter().map(|event| {
            let told = event.deliveries.iter().map(in_short);
            let next = event.steps.iter().map(|step| format!("{} at {}", step.channel, zone.show(step.at)));
            let told: Vec<String> = told.chain(next).collect();
            let rules: Vec<String> = event.rules.iter().map(|rule| format!("routes[{rule}]")).collect();
            let standing = match &event.note {
                Some(note) => format!("{}: {note}", event.standing),
                None => event.standing.clone(),
            };
            [
                short(&event.id),
                zone.show(event.ended_at),
                who(&event.caller),
                event.r#type.to_string(),
                to(event),
                standing,
                rules.join(", "),
                told.join(", "),
            ]
        }),
    );
    let total = found.total;
    let shown = match found.events.len() {
        shown if shown < total => format!("the newest {shown} of "),
        _ => String::new(),
    };
    let what = match (open, total) {
        (true, 1) => "open event",
        (true, _) => "open events",
        (false, 1) => "event",
        (false, _) => "events",
    };
    format!("{text}\n{shown}{total} {what}")
}

/// Who was told, or is to be, and of what came after the first message by its name.
fn in_short(told: &Told) -> String {
    let what = if told.event.is_follow_up() || told.event.is_escalation() {
        format!(" {}", told.event)
    } else {
        String::new()
    };
    format!("{}{what} {}", told.channel, told.state)
}

/// Where a call went, as short as it can be told.
fn to(event: &EventView) -> String {
    let queue = event.called.queue.as_ref().map(|queue| format!("queue {queue}"));
    let extension = event.called.extension.as_ref().map(|extension| format!("ext. {extension}"));
    queue.or(extension).or_else(|| event.called.party.display.clone()).unwrap_or_default()
}

/// All of one delivery.
pub(super) fn delivery_details(shown: &Shown, zone: &Zone) -> String {
    let Shown { delivery, about } = shown;
    let mut lines = vec![
        ("delivery", delivery.id.to_string()),
        ("channel", format!("{} (routes[{}])", delivery.channel, delivery.rule)),
        ("state", state(delivery)),
        ("attempts", delivery.attempts.to_string()),
        ("decided", zone.show(delivery.created_at)),
    ];
    lines.extend(delivery.due_at.map(|at| ("next try", zone.show(at))));
    lines.extend(delivery.at.map(|at| (delivery.state.as_str(), zone.show(at))));
    lines.extend(delivery.reason.as_ref().map(|reason| ("reason", format!("{} ({})", reason.text, reason.kind))));
    lines.extend(delivery.note.iter().flat_map(|note| note.lines()).map(|line| ("not told", line.to_owned())));
    lines.push(("event", format!("{} {}", delivery.event, delivery.event_id)));
    if let Some(event) = about {
        let what = match event.kind {
            Kind::Call => "call",
            Kind::Voicemail => "voicemail",
        };
        let span = format!("{} to {}", zone.show(event.started_at), zone.show(event.ended_at));
        let since = event.at.map(|at| format!(" since {}", zone.show(at))).unwrap_or_default();
        lines.extend([
            ("account", event.account.clone()),
            (what, event.uuid.clone()),
            ("caller", who(&event.caller)),
            ("called", to(event)),
            ("time", span),
            ("standing", format!("{}{since}", event.standing)),
        ]);
        lines.extend(event.note.clone().map(|note| ("note", note)));
    }
    let line = |(key, value): (&str, String)| format!("{:<11}{}", format!("{key}:"), printable(&value, 400));
    lines.into_iter().map(line).collect::<Vec<_>>().join("\n")
}
