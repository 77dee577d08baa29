//! Whether the secret of the pushed events can be part of a URL and keeps strangers out, and where events are passed on.

use super::super::problems::Findings;
use super::super::shape::Config;
use super::absolute_http;

pub(super) fn check(config: &Config, findings: &mut Findings<'_>) {
    let path = "push.secret";
    if let Some(secret) = &config.push.secret {
        let secret = secret.expose();
        let hint = Some("a long random one of A-Z a-z 0-9 _ -, for example of `openssl rand -hex 16`".to_owned());
        if !secret.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')) {
            findings.at(path, "it holds characters that cannot stand in a URL as they are", hint);
        } else if secret.is_empty() {
            findings.at(path, "must not be empty: it would keep nobody out", hint);
        }
        if config.http.listen.as_deref() == Some("off") {
            let hint = Some("remove `listen: off`, or `push`".to_owned());
            findings.at(path, "the PBX would post to a server that is switched off", hint);
        }
    }
    let path = "push.forward_to";
    if let Some(url) = &config.push.forward_to {
        absolute_http(path, url.expose(), findings);
        if config.push.secret.is_none() {
            let hint = Some("set `push.secret`, and let `ringback push install` tell the PBX".to_owned());
            findings.at(path, "there is nothing to pass on: no events are taken without `push.secret`", hint);
        }
    }
}
