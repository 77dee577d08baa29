//! The audio behind a recording's URL: fetched to a limit, and taken for what it is rather than for mp3.

use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{CONTENT_DISPOSITION, CONTENT_TYPE, HeaderMap, LOCATION};
use url::Url;

use super::client::{Pbx, is_loopback};
use crate::http::{self, Answer};
use crate::private::Secret;

/// The longest recording that is fetched, in bytes: what mail servers take as a rule.
pub const MOST_AUDIO: usize = 10 << 20;

/// The minted URL may lead to where the audio is kept, and once more to a nearer place.
const REDIRECTS: usize = 3;

const MAX_NAME: usize = 80;

/// A recording, as its server names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audio {
    /// `audio/wav`, without parameters.
    pub content_type: String,
    /// `wav`: what the name of such a file ends in.
    pub extension: &'static str,
    /// The name of the file without its ending, when the server gives one.
    pub stem: Option<String>,
    /// What is in it; never empty, at most [`MOST_AUDIO`].
    pub bytes: Bytes,
}

impl Pbx {
    /// Fetches what a minted URL gives, all within `timeout`. This may mark a voicemail as heard.
    ///
    /// # Errors
    /// A sentence without URLs: there was no audio, or too much of it.
    pub async fn audio(&self, url: &Secret, timeout: Duration) -> Result<Audio, String> {
        tokio::time::timeout(timeout, self.fetch(url, timeout))
            .await
            .unwrap_or_else(|_| Err(format!("not whole within {}", crate::units::format_duration(timeout))))
    }

    async fn fetch(&self, url: &Secret, timeout: Duration) -> Result<Audio, String> {
        let mut url = Url::parse(url.expose()).map_err(|_| "its address cannot be read".to_owned())?;
        for _ in 0..=REDIRECTS {
            // Plain http is for a PBX on this machine alone, so that no answer of another leads us to what listens here.
            if url.scheme() != "https" && !(url.scheme() == "http" && is_loopback(&url) && is_loopback(self.base())) {
                return Err("its address is not https".to_owned());
            }
            let answer = http::exchange(self.http().get(url.clone()), MOST_AUDIO, timeout);
            let answer = answer.await.map_err(|error| error.text)?;
            if !answer.status.is_redirection() {
                return understand(answer);
            }
            let next = answer.headers.get(LOCATION).and_then(|place| url.join(place.to_str().ok()?).ok());
            url = next.ok_or_else(|| format!("HTTP {} leads nowhere", answer.status.as_u16()))?;
        }
        Err(format!("it is behind more than {REDIRECTS} redirects"))
    }
}

fn understand(answer: Answer) -> Result<Audio, String> {
    if !answer.status.is_success() {
        return Err(format!("HTTP {}", answer.status));
    }
    if answer.cut {
        return Err(format!("it is longer than {} MB", MOST_AUDIO >> 20));
    }
    let told = answer.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let told = told.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let (content_type, extension) = match (known(&told), sniff(&answer.body)) {
        _ if answer.body.is_empty() => return Err("it is empty".to_owned()),
        (Some(extension), _) => (told, extension),
        (None, Some((kind, extension))) => (kind.to_owned(), extension),
        (None, None) => return Err(format!("it is no audio: its type is `{}`", shown(&told))),
    };
    Ok(Audio { content_type, extension, stem: stem(&answer.headers), bytes: answer.body })
}

/// The endings of the types that PBXs record in.
fn known(content_type: &str) -> Option<&'static str> {
    Some(match content_type {
        "audio/wav" | "audio/x-wav" | "audio/wave" | "audio/vnd.wave" => "wav",
        "audio/mpeg" | "audio/mp3" | "audio/x-mp3" => "mp3",
        "audio/ogg" | "audio/opus" => "ogg",
        "audio/mp4" | "audio/x-m4a" | "audio/m4a" => "m4a",
        "audio/aac" => "aac",
        "audio/flac" | "audio/x-flac" => "flac",
        "audio/amr" => "amr",
        "audio/basic" => "au",
        "audio/gsm" | "audio/x-gsm" => "gsm",
        "audio/webm" => "webm",
        "audio/3gpp" => "3gp",
        _ => return None,
    })
}

/// By its first bytes, for servers that call every file `application/octet-stream`.
fn sniff(bytes: &[u8]) -> Option<(&'static str, &'static str)> {
    let at = |from: usize, magic: &[u8]| bytes.get(from..).is_some_and(|rest| rest.starts_with(magic));
    Some(match bytes {
        _ if at(0, b"RIFF") && at(8, b"WAVE") => ("audio/wav", "wav"),
        _ if at(0, b"ID3") => ("audio/mpeg", "mp3"),
        // The sync word of a frame of layer III.
        [0xff, second, ..] if second & 0xe6 == 0xe2 => ("audio/mpeg", "mp3"),
        _ if at(0, b"OggS") => ("audio/ogg", "ogg"),
        _ if at(0, b"fLaC") => ("audio/flac", "flac"),
        _ if at(4, b"ftyp") => ("audio/mp4", "m4a"),
        _ if at(0, b"#!AMR") => ("audio/amr", "amr"),
        _ => return None,
    })
}

/// `Content-Disposition: attachment; filename="x.wav"` (RFC 6266), or its extended form, without folders and ending.
fn stem(headers: &HeaderMap) -> Option<String> {
    let disposition = headers.get(CONTENT_DISPOSITION)?.to_str().ok()?;
    let parameter = |name: &str| {
        disposition.split(';').find_map(|part| {
            let (key, value) = part.split_once('=')?;
            key.trim().eq_ignore_ascii_case(name).then(|| value.trim().trim_matches('"').to_owned())
        })
    };
    let extended = parameter("filename*").and_then(|text| {
        let encoded = text.split_once("''").filter(|(charset, _)| charset.eq_ignore_ascii_case("utf-8"))?.1.to_owned();
        // A form's encoding but for its plus.
        let form = format!("n={}", encoded.replace('+', "%2B"));
        url::form_urlencoded::parse(form.as_bytes()).next().map(|(_, value)| value.into_owned())
    });
    let name = extended.or_else(|| parameter("filename"))?;
    let name = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    let keep = |c: char| if c.is_alphanumeric() || "-_.+ ".contains(c) { c } else { '_' };
    let stem: String = stem.chars().take(MAX_NAME).map(keep).collect();
    let stem = stem.trim_matches(|c: char| !c.is_alphanumeric());
    (!stem.is_empty()).then(|| stem.to_owned())
}

fn shown(content_type: &str) -> String {
    content_type.chars().filter(char::is_ascii_graphic).take(60).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::StatusCode;

    fn answer(content_type: &str, disposition: &str, body: &'static [u8]) -> Answer {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, content_type.parse().unwrap());
        if !disposition.is_empty() {
            headers.insert(CONTENT_DISPOSITION, disposition.parse().unwrap());
        }
        Answer { status: StatusCode::OK, headers, body: Bytes::from_static(body), cut: false }
    }

    #[test]
    fn a_recording_is_of_the_type_that_its_server_names_or_else_of_what_it_is() {
        let wav = b"RIFF\x00\x00\x00\x00WAVEfmt ";
        for (told, body, content_type, extension) in [
            ("audio/x-wav; charset=binary", &wav[..], "audio/x-wav", "wav"),
            ("Audio/MPEG", b"?", "audio/mpeg", "mp3"),
            ("application/octet-stream", wav, "audio/wav", "wav"),
            ("binary/octet-stream", b"ID3\x04", "audio/mpeg", "mp3"),
            ("application/octet-stream", b"\xff\xfb\x90", "audio/mpeg", "mp3"),
            ("text/plain", b"OggS\x00", "audio/ogg", "ogg"),
        ] {
            let audio = understand(answer(told, "", body)).unwrap();
            assert_eq!((audio.content_type.as_str(), audio.extension), (content_type, extension), "{told}");
        }
        for (told, body) in [("text/html", &b"<html>"[..]), ("audio/wav", b""), ("audio/../x", b"?"), ("video/x", b"?")]
        {
            understand(answer(told, "", body)).unwrap_err();
        }
        let error = understand(Answer { status: StatusCode::GONE, ..answer("audio/wav", "", wav) }).unwrap_err();
        assert!(error.contains("410"), "{error}");
    }

    #[test]
    fn a_name_of_a_file_is_a_name_and_nothing_else() {
        for (disposition, expected) in [
            ("attachment; filename=\"mesaj 12.mp3\"", Some("mesaj 12")),
            ("attachment; filename=R651f.wav", Some("R651f")),
            ("attachment; filename=\"x.wav\"; filename*=UTF-8''Ses%20kayd%C4%B1+1.wav", Some("Ses kaydı+1")),
            ("attachment; filename=\"../../etc/passwd\"", Some("passwd")),
            ("attachment; filename=\"C:\\\\evil\\\\a<b>.exe.wav\"", Some("a_b_.exe")),
            ("attachment; filename*=UTF-8''a%0D%0ABcc%3A%20evil.wav", Some("a__Bcc_ evil")),
            ("attachment; filename*=UTF-8''%E2%80%AEgpj.wav", Some("gpj")),
            ("attachment; filename=\"...\"", None),
            ("attachment", None),
        ] {
            assert_eq!(stem(&answer("audio/wav", disposition, b"").headers).as_deref(), expected, "{disposition}");
        }
    }
}
