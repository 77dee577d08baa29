//! What a simulated PBX posts when a call ends, and where it was told to: `crm_integrations`.
//!
//! Sources: the vendor's pages `crm_integrations.md` and `report_event.md`.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::Offset;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use url::{Url, form_urlencoded};

use super::data::{Direction, Recorded, SimCall};
use super::lists::Params;
use crate::sim::http1::Answer;

/// Where events are posted, and which.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Crm {
    /// A call comes in.
    pub ringing: bool,
    /// It is answered.
    pub answered: bool,
    /// It ends.
    pub hangup: bool,
    /// Plain http only, here.
    pub notification_url: Option<String>,
}

impl Crm {
    pub(super) fn show(&self) -> Answer {
        let word = |on| if on { "on" } else { "off" };
        Answer::json(
            200,
            &json!({
                "ringing": word(self.ringing),
                "answered": word(self.answered),
                "hangup": word(self.hangup),
                "notification_url": self.notification_url,
            }),
        )
    }

    pub(super) fn set(&mut self, params: &Params) -> Answer {
        let on = |name: &str| params.get(name).is_some_and(|value| value == "on");
        *self = Self {
            ringing: on("ringing"),
            answered: on("answered"),
            hangup: on("hangup"),
            notification_url: params.get("notification_url").filter(|url| !url.is_empty()).cloned(),
        };
        Answer::text(200, "Ok")
    }

    /// Where the end of a call is posted.
    pub(super) fn hangups(&self) -> Option<String> {
        self.notification_url.clone().filter(|_| self.hangup)
    }
}

/// The form of the event that a call has ended.
pub(super) fn hangup(call: &SimCall, offset: Offset) -> String {
    let stamp = |at: Timestamp| offset.to_datetime(at).strftime("%Y-%m-%d %H:%M:%S").to_string();
    let talked = call.answered_at.filter(|_| !call.missed);
    let extension = call.destination_number.split_once(" (").map_or("1002", |(_, rest)| rest.trim_end_matches(')'));
    let duration = Duration::try_from(call.end.duration_since(call.start)).unwrap_or_default();
    let direction = match call.direction {
        Direction::Inbound => "inbound",
        Direction::Internal => "internal",
        Direction::Outbound | Direction::OutboundApi | Direction::OutboundIvr => "outbound",
    };
    form_urlencoded::Serializer::new(String::new())
        .append_pair("event_type", "hangup")
        .append_pair("domain_id", "1")
        .append_pair("direction", direction)
        .append_pair("caller_id_number", &call.caller_number)
        .append_pair("outbound_caller_id_number", "")
        .append_pair("destination_number", &call.destination_number)
        .append_pair("dialed_user", "")
        .append_pair("connected_user", if talked.is_some() { extension } else { "" })
        .append_pair("call_uuid", &call.uuid)
        .append_pair("start_stamp", &stamp(call.start))
        .append_pair("answer_stamp", &call.answered_at.map(stamp).unwrap_or_default())
        .append_pair("end_stamp", &stamp(call.end))
        .append_pair("duration", &duration.as_secs().to_string())
        .append_pair("recording_present", if call.recording_present == Recorded::Yes { "true" } else { "false" })
        .append_pair("answered", if talked.is_some() { "true" } else { "false" })
        .append_pair("queue", call.queue.as_deref().unwrap_or_default())
        .append_pair("queue_wait_duration", &call.wait.map(|wait| wait.as_secs().to_string()).unwrap_or_default())
        .append_pair("sip_hangup_disposition", if call.caller_hung_up { "caller" } else { "callee" })
        .append_pair("hangup_cause", if talked.is_some() { "NORMAL_CLEARING" } else { "ORIGINATOR_CANCEL" })
        .append_pair("failure_status", "")
        .append_pair("failure_phrase", "")
        .finish()
}

/// Posts a form and gives the status of the answer; 0 when there was none.
pub(super) async fn post(url: &str, form: &str) -> u16 {
    let exchange = async {
        let url = Url::parse(url).ok()?;
        let (host, port) = (url.host_str()?, url.port_or_known_default()?);
        let mut stream = TcpStream::connect((host, port)).await.ok()?;
        let head = format!(
            "POST {} HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: application/x-www-form-urlencoded\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n{form}",
            &url[url::Position::BeforePath..url::Position::AfterQuery],
            form.len()
        );
        stream.write_all(head.as_bytes()).await.ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok()?;
        answer.split(' ').nth(1)?.parse().ok()
    };
    exchange.await.unwrap_or(0)
}
