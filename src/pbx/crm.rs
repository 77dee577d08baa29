//! Where the PBX posts its events of its own accord: one URL, and a switch for each kind of event.
//!
//! Source: the vendor's page `crm_integrations.md`.

use super::client::Pbx;
use super::error::PbxError;
use super::row::Row;
use super::wire;
use crate::private::Secret;

const BYTES: usize = 64 << 10;

/// Longer than any URL that works.
const URL_CHARS: usize = 2048;

/// What is set at the PBX.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Integration {
    /// A call comes in.
    pub ringing: bool,
    /// A call is answered.
    pub answered: bool,
    /// A call has ended.
    pub hangup: bool,
    /// Where to; it may hold somebody's secret.
    pub notification_url: Option<Secret>,
}

impl Pbx {
    /// What is set; nothing at a PBX that was never told anything.
    pub async fn integration(&self) -> Result<Integration, PbxError> {
        let mut url = self.endpoint(&["crm_integrations"]);
        url.query_pairs_mut().append_pair("key", self.key().expose());
        match self.ask(self.http().get(url), BYTES).await {
            Ok(body) => read(&body),
            Err(PbxError::NotFound) => Ok(Integration::default()),
            Err(error) => Err(error),
        }
    }

    /// Sets it in the place of what is there.
    pub async fn set_integration(&self, integration: &Integration) -> Result<(), PbxError> {
        let word = |on| if on { "on" } else { "off" };
        let form = [
            ("key", self.key().expose()),
            ("ringing", word(integration.ringing)),
            ("answered", word(integration.answered)),
            ("hangup", word(integration.hangup)),
            ("notification_url", integration.notification_url.as_ref().map_or("", Secret::expose)),
        ];
        let request = self.http().post(self.endpoint(&["crm_integrations"])).form(&form);
        let body = self.ask(request, BYTES).await?;
        // Said with 200 too, by some of its pages.
        if wire::refuses_key(&String::from_utf8_lossy(&body)) { Err(wire::refused_key()) } else { Ok(()) }
    }
}

fn read(body: &[u8]) -> Result<Integration, PbxError> {
    if matches!(body.trim_ascii(), b"" | b"null") {
        return Ok(Integration::default());
    }
    let answer = wire::object(body)?;
    let row = Row(&answer);
    let on = |name: &str| row.flag(name) || row.word(name).is_some_and(|word| word.eq_ignore_ascii_case("on"));
    Ok(Integration {
        ringing: on("ringing"),
        answered: on("answered"),
        hangup: on("hangup"),
        notification_url: row.text("notification_url", URL_CHARS).map(Secret::new),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn switches_and_url_are_read_in_every_spelling() {
        let url = Some(Secret::new("https://siteadresi.com/events"));
        for (body, expected) in [
            (
                r#"{"ringing":"on","answered":"off","hangup":"on","notification_url":"https://siteadresi.com/events"}"#,
                Integration { ringing: true, answered: false, hangup: true, notification_url: url.clone() },
            ),
            (
                r#"{"ringing":false,"answered":1,"hangup":"true","notification_url":" https://siteadresi.com/events "}"#,
                Integration { ringing: false, answered: true, hangup: true, notification_url: url },
            ),
            (r#"{"hangup":null,"notification_url":""}"#, Integration::default()),
            ("{}", Integration::default()),
            ("null", Integration::default()),
            ("", Integration::default()),
        ] {
            assert_eq!(read(body.as_bytes()).unwrap(), expected, "{body}");
        }
    }

    #[test]
    fn a_refused_key_is_not_taken_for_nothing() {
        assert!(matches!(read(b"Gecersiz anahtar: K1"), Err(PbxError::Auth { .. })));
        assert!(matches!(read(b"<html>"), Err(PbxError::Garbled { .. })));
    }
}
