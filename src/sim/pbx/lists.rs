//! `/cdrs`, `/voicemail_messages` and `/contacts`: dates, filters, order and pages, by the vendor's rules.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};
use serde_json::{Value, json};

use super::data::{Data, Direction, Recorded, SimCall, SimVoicemail};
use super::options::{LimitRule, Pagination, PbxOptions};
use super::rows;
use crate::sim::http1::Answer;

pub(super) type Params = BTreeMap<String, String>;

/// The longest range of dates.
const LONGEST: Duration = Duration::from_secs(31 * 86_400);

pub(super) fn cdrs(data: &Data, params: &Params, options: &PbxOptions, now: Timestamp) -> Result<Value, Answer> {
    let window = Window::read(params, options.offset, now)?;
    let mut found: Vec<&SimCall> = data
        .calls
        .iter()
        .rev()
        .filter(|call| call.visible(now) && window.holds(call.start))
        .filter(|call| options.ignore_filters || call_matches(call, params))
        .collect();
    // Stable: among calls of the same moment the one added last stays first.
    found.sort_by_key(|call| Reverse(call.start));
    page("cdrs", &data.raw_cdrs, &found, |call| rows::cdr(call, options), params, options)
}

pub(super) fn voicemails(data: &Data, params: &Params, options: &PbxOptions, now: Timestamp) -> Result<Value, Answer> {
    let window = Window::read(params, options.offset, now)?;
    let mut found: Vec<&SimVoicemail> = data
        .voicemails
        .iter()
        .rev()
        .filter(|voicemail| voicemail.visible(now) && window.holds(voicemail.start))
        .filter(|voicemail| options.ignore_filters || voicemail_matches(voicemail, params))
        .collect();
    found.sort_by_key(|voicemail| Reverse(voicemail.start));
    page("messages", &data.raw_voicemails, &found, |one| rows::voicemail(one, options), params, options)
}

pub(super) fn contacts(data: &Data, params: &Params, options: &PbxOptions) -> Result<Value, Answer> {
    let found: Vec<&Value> = data.contacts.iter().collect();
    page("contacts", &[], &found, |row| (*row).clone(), params, options)
}

/// `caller_id_number` and `destination_number` are not looked at: seen in the field, the number filters return
/// unrelated rows.
fn call_matches(call: &SimCall, params: &Params) -> bool {
    let is = |key: &str, actual: &str| params.get(key).is_none_or(|wanted| wanted == actual);
    let direction = match call.direction {
        Direction::Inbound => "inbound",
        Direction::Outbound | Direction::OutboundApi | Direction::OutboundIvr => "outbound",
        Direction::Internal => "internal",
    };
    let recording = match call.recording_present {
        Recorded::No => "false",
        Recorded::Yes => "true",
        Recorded::Deleted => "deleted",
    };
    is("missed", if call.missed { "true" } else { "false" })
        && is("direction", direction)
        && is("recording_present", recording)
        && is("queue", call.queue.as_deref().unwrap_or_default())
}

fn voicemail_matches(voicemail: &SimVoicemail, params: &Params) -> bool {
    let is = |key: &str, actual: &str| params.get(key).is_none_or(|wanted| wanted == actual);
    is("read", if voicemail.read_at.is_some() { "true" } else { "false" })
        && is("user_number", &voicemail.user_number)
        && is("uuid", &voicemail.uuid)
}

/// The moments at which a row may have begun, both ends included.
struct Window {
    from: Timestamp,
    to: Timestamp,
}

impl Window {
    fn read(params: &Params, offset: Offset, now: Timestamp) -> Result<Self, Answer> {
        let (from, to) = match (date(params, "start_stamp_from")?, date(params, "start_stamp_to")?) {
            // Without dates: the server's own day so far.
            (None, None) => {
                let midnight = now.to_zoned(TimeZone::fixed(offset)).start_of_day();
                (midnight.map_or(now, |midnight| midnight.timestamp()), now)
            }
            (Some(from), None) => (from, now),
            (Some(from), Some(to)) => (from, to),
            (None, Some(to)) => (to.saturating_sub(LONGEST).unwrap_or(Timestamp::MIN), to),
        };
        if Duration::try_from(to.duration_since(from)).is_ok_and(|range| range > LONGEST) {
            return Err(Answer::text(400, "Tarih araligi 31 gunden uzun olamaz"));
        }
        Ok(Self { from, to })
    }

    fn holds(&self, at: Timestamp) -> bool {
        self.from <= at && at <= self.to
    }
}

/// Only `2017-08-03 12:30:32 UTC` is a date.
fn date(params: &Params, key: &str) -> Result<Option<Timestamp>, Answer> {
    let Some(text) = params.get(key) else { return Ok(None) };
    let wrong = || Answer::text(400, format!("invalid {key}"));
    if text.len() != "2017-08-03 12:30:32 UTC".len() {
        return Err(wrong());
    }
    let civil = DateTime::strptime("%Y-%m-%d %H:%M:%S UTC", text).map_err(|_| wrong())?;
    Offset::UTC.to_timestamp(civil).map(Some).map_err(|_| wrong())
}

/// Only the rows of the page are written: a benchmark asks for many pages of a long list.
fn page<T>(
    name: &str,
    raw: &[Value],
    found: &[&T],
    write: impl Fn(&T) -> Value,
    params: &Params,
    options: &PbxOptions,
) -> Result<Value, Answer> {
    let asked = |key: &str, default: usize| params.get(key).map_or(Some(default), |text| text.parse().ok());
    let limit = match (asked("limit", 10), options.limit_rule) {
        (Some(limit @ 10..=100), _) => limit,
        (Some(limit), LimitRule::Clamp) => limit.clamp(10, 100),
        (None, LimitRule::Clamp) => 10,
        (_, LimitRule::Reject) => return Err(Answer::text(400, "limit must be between 10 and 100")),
    };
    let page = asked("page", 1).unwrap_or(1).max(1);
    let shown = if options.same_page { 1 } else { page };
    let total = raw.len() + found.len();
    let first = (shown - 1).saturating_mul(limit);
    let rows: Vec<Value> = (first..total.min(first.saturating_add(limit)))
        // Raw rows come first, the one added last before the others.
        .map(|place| match place.checked_sub(raw.len()) {
            None => raw[raw.len() - 1 - place].clone(),
            Some(place) => write(found[place]),
        })
        .collect();
    let mut answer = json!({ name: rows });
    match options.pagination {
        Pagination::Full => {
            let pages = total.div_ceil(limit);
            answer["pagination"] = json!({"page": page, "total_count": total, "total_pages": pages, "limit": limit});
        }
        Pagination::Zeroed => {
            answer["pagination"] = json!({"page": page, "total_count": 0, "total_pages": 0, "limit": limit});
        }
        Pagination::Omitted => {}
    }
    Ok(answer)
}
