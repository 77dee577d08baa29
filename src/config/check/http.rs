//! Whether browsers can be sent to the public URL, and whether the token keeps anybody out.

use std::net::SocketAddr;
use std::time::Duration;

use super::super::problems::Findings;
use super::super::shape::Config;
use super::{absolute_http, at_least};
use crate::private::Secret;

/// A link that dies within minutes is no help, and one that lives for years belongs to whoever finds the mail.
const SHORTEST_LINK: Duration = Duration::from_secs(3600);

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
    let path = "http.public_url";
    if let Some(url) = &http.public_url
        && let Some(url) = absolute_http(path, url, findings)
        && (url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() || url.password().is_some())
    {
        let hint = Some("a scheme, a host and perhaps a path: https://calls.example.com/ringback".to_owned());
        findings.at(path, "it must have neither credentials nor a query nor a fragment", hint);
    }
    if http.public_url.is_some() && http.listen.as_deref() == Some("off") {
        let hint = Some("remove `listen: off`, or `public_url`".to_owned());
        findings.at(path, "links would lead to a server that is switched off", hint);
    }
    if http.token.as_ref().is_some_and(Secret::is_empty) {
        let hint = Some("a long random one, for example of `openssl rand -base64 24`, or no `token` at all".to_owned());
        findings.at("http.token", "must not be empty: everybody would be let in", hint);
    }
}
