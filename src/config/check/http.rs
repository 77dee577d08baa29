//! Whether browsers can be sent to the public URL, and whether token and trusted header keep anybody out.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::super::problems::Findings;
use super::super::shape::Config;
use super::{absolute_http, at_least};
use crate::private::Secret;

/// Links are dated by the second.
const SHORTEST_LINK: Duration = Duration::from_secs(1);

/// Lengths of a header's name that are not a mistake.
const HEADER: RangeInclusive<usize> = 1..=100;

/// What the paths of the server itself begin with.
const ROUTES: [&str; 12] =
    ["api", "assets", "deliveries", "events", "healthz", "hooks", "l", "live", "login", "logout", "metrics", "readyz"];

/// Headers, and with a hyphen at the end beginnings of headers, that say nothing of who somebody is.
const SENT_ANYHOW: [&str; 33] = [
    "accept",
    "accept-",
    "authorization",
    "cache-control",
    "connection",
    "content-",
    "cookie",
    "date",
    "dnt",
    "forwarded",
    "host",
    "if-",
    "keep-alive",
    "last-event-id",
    "origin",
    "pragma",
    "priority",
    "proxy-",
    "range",
    "referer",
    "sec-",
    "te",
    "transfer-encoding",
    "upgrade",
    "upgrade-",
    "user-agent",
    "via",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-real-ip",
    "x-request-id",
];

pub(super) fn check(config: &Config, findings: &mut Findings<'_>) {
    let http = &config.http;
    if let Some(listen) = &http.listen
        && listen != "off"
        && listen.parse::<SocketAddr>().is_err()
    {
        let hint = Some("`127.0.0.1:8380` for this machine only, `0.0.0.0:8380` for all, or `off`".to_owned());
        findings.at("http.listen", "expected an address and a port, or `off`", hint);
    }
    at_least("http.link_ttl", http.link_ttl, SHORTEST_LINK, findings);
    if let Some(url) = &http.public_url {
        public_url(url, http.listen.as_deref() == Some("off"), findings);
    }
    if http.token.as_ref().is_some_and(Secret::is_empty) {
        let hint = Some("a long random one, for example of `openssl rand -base64 24`, or no `token` at all".to_owned());
        findings.at("http.token", "must not be empty: everybody would be let in", hint);
    }
    if let Some(name) = &http.trusted_header {
        trusted_header(name, http.token.is_some(), findings);
    }
}

fn public_url(text: &str, switched_off: bool, findings: &mut Findings<'_>) {
    let path = "http.public_url";
    let hint = |text: &str| Some(text.to_owned());
    if let Some(url) = absolute_http(path, text, findings) {
        let first = url.path_segments().and_then(|mut segments| segments.next()).unwrap_or_default();
        if url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() || url.password().is_some() {
            let hint = hint("a scheme, a host and perhaps a path: https://calls.example.com/ringback");
            findings.at(path, "it must have neither credentials nor a query nor a fragment", hint);
        } else if ROUTES.contains(&first) {
            // A proxy may keep the path or take it off: it could not be told which of the two it has done.
            let message = format!("its path begins with `/{first}`, as paths of ringback's own do");
            findings.at(path, message, hint("another path: https://calls.example.com/ringback"));
        }
    }
    if switched_off {
        let hint = hint("remove `listen: off`, or `public_url`");
        findings.at(path, "links would lead to a server that is switched off", hint);
    }
}

fn trusted_header(name: &str, with_token: bool, findings: &mut Findings<'_>) {
    let path = "http.trusted_header";
    let hint = |text: &str| Some(text.to_owned());
    if !HEADER.contains(&name.len()) || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        findings.at(path, "not the name of a header", hint("letters, digits and hyphens: X-Forwarded-User"));
    } else if SENT_ANYHOW.iter().any(|known| is_or_begins_with(name, known)) {
        let message = "browsers or proxies send this header with every request: it would let everybody in";
        findings.at(path, message, hint("one that your proxy sets for whom it has let in: X-Forwarded-User"));
    } else if !with_token {
        let message = "without `http.token` the board is closed to everybody";
        findings.at(path, message, hint("set `http.token` too; the API needs it in any case"));
    }
}

fn is_or_begins_with(name: &str, known: &str) -> bool {
    let start = if known.ends_with('-') { name.get(..known.len()) } else { Some(name) };
    start.is_some_and(|start| start.eq_ignore_ascii_case(known))
}
