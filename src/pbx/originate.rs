//! Starting a call: the PBX rings an extension, and when it answers, the number (vendor page "Çağrı Başlatma").

use super::client::Pbx;
use super::error::PbxError;
use crate::number::printable;
use crate::private::PhoneNumber;

const ANSWER_BYTES: usize = 4 << 10;

/// A call that is to be made.
#[derive(Debug, Clone)]
pub struct Call<'a> {
    /// Rung first.
    pub extension: &'a str,
    /// Called when the extension has answered.
    pub number: &'a PhoneNumber,
    /// The number that is shown, in the vendor's form; the extension's own one without.
    pub caller_id: Option<&'a str>,
}

/// The number as the PBX dials it: `908505320000`, and abroad `00493027590915`. `None` unless it is surely a public one.
pub fn destination(number: &PhoneNumber) -> Option<String> {
    let digits = number.expose().e164.as_deref()?.strip_prefix('+')?;
    let plain = digits.len() >= 7 && digits.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| if digits.starts_with("90") { digits.to_owned() } else { format!("00{digits}") })
}

impl Pbx {
    /// Rings the extension and then the number. Gives the PBX's id of the new call.
    ///
    /// # Errors
    /// What the PBX says against it, as in `extension 1005 not found`. After [`PbxError::Unreachable`] nobody knows
    /// whether a telephone rings.
    pub async fn originate(&self, call: &Call<'_>) -> Result<String, PbxError> {
        let Some(destination) = destination(call.number) else {
            return Err(PbxError::Refused { status: 0, text: "it is no number that can be called".to_owned() });
        };
        let mut url = self.endpoint(&["originate"]);
        {
            let mut pairs = url.query_pairs_mut();
            pairs.append_pair("key", self.key().expose());
            pairs.append_pair("extension", call.extension).append_pair("destination", &destination);
            if let Some(caller_id) = call.caller_id {
                pairs.append_pair("caller_id", caller_id);
            }
        }
        let body = self.ask(self.http().get(url), ANSWER_BYTES).await.map_err(in_words)?;
        let text = String::from_utf8_lossy(&body);
        Ok(printable(text.trim().trim_matches(['"', '{', '}', ' ']), 64))
    }
}

/// A 404, or a 400 about something that is not found, is about the extension here.
fn in_words(error: PbxError) -> PbxError {
    match error {
        PbxError::NotFound => PbxError::Refused { status: 404, text: "not found".to_owned() },
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_dialled_in_the_vendors_form() {
        for (given, dialled) in [
            ("05321112233", Some("905321112233")),
            ("902125556677", Some("902125556677")),
            ("+49 30 27590915", Some("00493027590915")),
            ("1001", None),
            ("anonymous", None),
        ] {
            let number = crate::number::parse(given).number;
            assert_eq!(number.as_ref().and_then(destination).as_deref(), dialled, "{given}");
        }
    }
}
