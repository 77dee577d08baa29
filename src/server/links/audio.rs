//! A recording as an answer, whole or in the part that was asked for (RFC 9110, section 14).

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::pbx::Audio;

/// The answer to a request for `audio` with this `Range`.
pub(super) fn answer(audio: &Audio, range: Option<&str>) -> Response {
    let len = audio.bytes.len();
    let kind = HeaderValue::from_str(&audio.content_type).unwrap_or(HeaderValue::from_static("audio/wav"));
    let ranges = (header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    let kind = (header::CONTENT_TYPE, kind);
    match range.map_or(Wanted::All, |range| wanted(range, len)) {
        Wanted::All => ([kind, ranges], audio.bytes.clone()).into_response(),
        Wanted::Part(from, to) => {
            let mut response =
                (StatusCode::PARTIAL_CONTENT, [kind, ranges], audio.bytes.slice(from..=to)).into_response();
            if let Ok(part) = HeaderValue::from_str(&format!("bytes {from}-{to}/{len}")) {
                response.headers_mut().insert(header::CONTENT_RANGE, part);
            }
            response
        }
        Wanted::Nothing => {
            let mut response = (StatusCode::RANGE_NOT_SATISFIABLE, [ranges]).into_response();
            if let Ok(all) = HeaderValue::from_str(&format!("bytes */{len}")) {
                response.headers_mut().insert(header::CONTENT_RANGE, all);
            }
            response
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    All,
    /// From and to, both within.
    Part(usize, usize),
    Nothing,
}

/// Several parts, other units and what cannot be understood are answered with all of it, as the RFC allows.
fn wanted(range: &str, len: usize) -> Wanted {
    let Some(spec) = range.trim().strip_prefix("bytes=").filter(|spec| !spec.contains(',')) else { return Wanted::All };
    let Some((from, to)) = spec.trim().split_once('-') else { return Wanted::All };
    match (from.trim().parse::<usize>(), to.trim().parse::<usize>()) {
        (Ok(from), _) if from >= len => Wanted::Nothing,
        (Ok(from), Ok(to)) if to < from => Wanted::All,
        (Ok(from), Ok(to)) => Wanted::Part(from, to.min(len - 1)),
        (Ok(from), Err(_)) if to.trim().is_empty() => Wanted::Part(from, len - 1),
        (Err(_), Ok(0)) if from.trim().is_empty() => Wanted::Nothing,
        (Err(_), Ok(last)) if from.trim().is_empty() => Wanted::Part(len.saturating_sub(last), len - 1),
        _ => Wanted::All,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_given_when_one_is_asked_for_and_all_when_it_cannot_be_understood() {
        for (range, expected) in [
            ("bytes=0-", Wanted::Part(0, 9)),
            ("bytes=2-5", Wanted::Part(2, 5)),
            ("bytes=2-500", Wanted::Part(2, 9)),
            ("bytes=-3", Wanted::Part(7, 9)),
            ("bytes=-300", Wanted::Part(0, 9)),
            ("bytes=10-", Wanted::Nothing),
            ("bytes=-0", Wanted::Nothing),
            ("bytes=5-2", Wanted::All),
            ("bytes=0-1,3-4", Wanted::All),
            ("items=0-1", Wanted::All),
            ("bytes=a-b", Wanted::All),
        ] {
            assert_eq!(wanted(range, 10), expected, "{range}");
        }
    }
}
