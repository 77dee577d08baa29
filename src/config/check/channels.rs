//! Whether each channel could send: addresses, URLs, secrets and headers.

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lettre::message::Mailbox;
use reqwest::header::{CONTENT_TYPE, HeaderName, HeaderValue};

use super::super::problems::{Findings, join};
use super::super::shape::{Channel, ChannelKind, Config, RecordingMode};
use super::{
    SHORTEST, TOO_YOUNG, absolute_http, at_least, base_url, concurrency, is_loopback, longer_than_grace_and_every,
    names, not_empty, retry,
};
use crate::body::{BodyFormat, BodyTemplate};
use crate::channel::{email, slack, webhook};
use crate::retry::Policy;

/// Headers that ringback sets itself.
const OWN_HEADERS: [&str; 6] =
    ["content-length", "host", "user-agent", "webhook-id", "webhook-signature", "webhook-timestamp"];

pub(super) fn check(config: &Config, findings: &mut Findings<'_>) {
    not_empty("channels", config.channels.is_empty(), findings);
    names("channels", config.channels.iter().map(|channel| channel.common.name.as_str()), findings);
    let defaults = config.delivery.retry.over(&Policy::default());
    for (index, channel) in config.channels.iter().enumerate() {
        let path = format!("channels[{index}]");
        common(&path, channel, &defaults, findings);
        let calls = &config.watch.missed_calls;
        if let Some(max_age) = channel.common.max_age.filter(|age| *age <= calls.grace + calls.every) {
            let message = longer_than_grace_and_every(calls, max_age);
            findings.at(&format!("{path}.max_age"), message, Some(TOO_YOUNG.to_owned()));
        }
        // Of which type it is meant to be is not known.
        if findings.is_spoiled(&format!("{path}.type")) {
            continue;
        }
        match &channel.kind {
            ChannelKind::Email(keys) => email(&path, keys, findings),
            ChannelKind::Slack(keys) => slack(&path, keys, findings),
            ChannelKind::Webhook(keys) => webhook(&path, keys, findings),
        }
    }
}

fn common(path: &str, channel: &Channel, defaults: &Policy, findings: &mut Findings<'_>) {
    let keys = &channel.common;
    if let Some(timeout) = keys.timeout {
        at_least(&format!("{path}.timeout"), timeout, SHORTEST, findings);
    }
    if let Some(value) = keys.concurrency {
        concurrency(&format!("{path}.concurrency"), value, findings);
    }
    if let Some(rate) = keys.rate
        && !(rate > 0.0 && rate.is_finite())
    {
        findings.at(&format!("{path}.rate"), format!("must be more than 0 messages a second, found {rate}"), None);
    }
    retry(&format!("{path}.retry"), &keys.retry, defaults, findings);
    if keys.recording == RecordingMode::Attach && !matches!(channel.kind, ChannelKind::Email(_)) {
        let hint = Some("`link`, or `none`".to_owned());
        findings.at(&format!("{path}.recording"), "only a channel of type email can `attach` the recording", hint);
    }
}

fn email(path: &str, keys: &email::Config, findings: &mut Findings<'_>) {
    smtp(&format!("{path}.smtp"), &keys.smtp, findings);
    address(&format!("{path}.from"), &keys.from, findings);
    not_empty(&format!("{path}.to"), keys.to.is_empty(), findings);
    for (key, list) in [("to", &keys.to), ("cc", &keys.cc), ("bcc", &keys.bcc)] {
        for (index, text) in list.iter().enumerate() {
            address(&format!("{path}.{key}[{index}]"), text, findings);
        }
    }
    if let Some(text) = &keys.reply_to {
        address(&format!("{path}.reply_to"), text, findings);
    }
}

fn address(path: &str, text: &str, findings: &mut Findings<'_>) {
    if text.parse::<Mailbox>().is_err() {
        let hint = Some("`ofis@example.com` or `Santral <santral@example.com>`; several as a list".to_owned());
        findings.at(path, "is not an email address", hint);
    }
}

fn smtp(path: &str, keys: &email::Smtp, findings: &mut Findings<'_>) {
    let host = &keys.host;
    let is_name = !host.is_empty() && host.chars().all(|c| c.is_alphanumeric() || ".-_".contains(c));
    if !is_name && host.parse::<IpAddr>().is_err() {
        let hint = Some("`smtp.example.com`; the port stands in `port`".to_owned());
        findings.at(&format!("{path}.host"), "expected the name or address of a server", hint);
    }
    if keys.port == Some(0) {
        findings.at(&format!("{path}.port"), "must be between 1 and 65535, found 0", None);
    }
    let password = keys.password.as_ref();
    match (&keys.username, password) {
        (Some(_), None) => findings.at(&format!("{path}.username"), "is given without a `password`", None),
        (None, Some(_)) => findings.at(&format!("{path}.password"), "is given without a `username`", None),
        _ => {}
    }
    if keys.username.as_deref() == Some("") {
        findings.at(&format!("{path}.username"), "must not be empty", None);
    }
    if password.is_some_and(crate::private::Secret::is_empty) {
        findings.at(&format!("{path}.password"), "must not be empty", None);
    }
    let loopback = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    if password.is_some() && keys.security == email::Security::None && !loopback {
        let hint = Some("use `security: starttls` or `tls`".to_owned());
        let message = "`none` is refused with a password except to loopback: it would travel readable";
        findings.at(&format!("{path}.security"), message, hint);
    }
}

fn slack(path: &str, keys: &slack::Config, findings: &mut Findings<'_>) {
    let path = |key: &str| format!("{path}.{key}");
    // What could not be read, from its file for one, was meant to be there all the same.
    let given = |key: &str, found: bool| found || findings.is_spoiled(&path(key));
    let webhook = given("webhook_url", keys.webhook_url.is_some());
    let bot = given("bot_token", keys.bot_token.is_some());
    let channel = given("channel", keys.channel.is_some());
    let mut wrong = |key: &str, message: &str, hint: &str| findings.at(&path(key), message, Some(hint.to_owned()));
    match (webhook, bot) {
        (true, true) => wrong(
            "bot_token",
            "both `webhook_url` and `bot_token` are given",
            "remove `webhook_url` to post as a bot, or `bot_token` and `channel` to post by the webhook",
        ),
        (false, false) => wrong(
            "webhook_url",
            "is required, but missing, and so is `bot_token`",
            "the URL of an incoming webhook, or else the token of a bot and the `channel` that it posts to; each may be \
             in a file: `webhook_url_file`, `bot_token_file`",
        ),
        (true, false) => {
            let hint = "remove it, or post as a bot: a webhook posts to the channel that it was made for";
            for (key, found) in [("channel", channel), ("api_url", keys.api_url.is_some())] {
                if found {
                    wrong(key, "is for a `bot_token`, which is not given", hint);
                }
            }
        }
        (false, true) if !channel => wrong(
            "channel",
            "is required with a `bot_token`",
            "its id (C0123456789) or its name, in quotes because of the sign: \"#sales\"",
        ),
        (false, true) => {}
    }
    if let Some(text) = &keys.channel
        && (text.is_empty() || text.chars().any(|c| c.is_whitespace() || c.is_control()))
    {
        wrong("channel", "is not the id or the name of a channel", "C0123456789, or \"#sales\"");
    }
    if let Some(token) = &keys.bot_token
        && (token.is_empty() || !token.expose().bytes().all(|byte| byte.is_ascii_graphic()))
    {
        wrong("bot_token", "is not a token", "the Bot User OAuth Token of the Slack app, which begins with `xoxb-`");
    }
    if let Some(url) = &keys.api_url {
        base_url(&path("api_url"), url, "the token", "https://slack.com/api", findings);
    }
    let path = path("webhook_url");
    if let Some(text) = &keys.webhook_url
        && let Some(url) = absolute_http(&path, text.expose(), findings)
        && url.scheme() == "http"
        && !is_loopback(&url)
    {
        let hint = Some("the URL is the key to the channel; use https".to_owned());
        findings.at(&path, "plain http is refused except to loopback", hint);
    }
}

fn content_type(path: &str, keys: &webhook::Config, findings: &mut Findings<'_>) {
    let Some(given) = &keys.content_type else { return };
    let path = format!("{path}.content_type");
    let format = BodyFormat::of(given).filter(|_| given.is_ascii() && HeaderValue::from_str(given).is_ok());
    let Some(format) = format else {
        let hint = format!("{}; always in UTF-8", BodyFormat::KNOWN);
        return findings.at(&path, "is not a content type that bodies can be made for", Some(hint));
    };
    let (own, whose) = match &keys.body_template {
        Some(BodyTemplate::File(_)) => return,
        Some(BodyTemplate::Recipe(recipe)) => (recipe.content_type(), "the recipe"),
        None => (crate::body::JSON, "the default body"),
    };
    if BodyFormat::of(own) != Some(format) {
        let hint = Some("leave `content_type` out, or name a file in `body_template`".to_owned());
        findings.at(&path, format!("{whose} is {own}"), hint);
    }
}

fn webhook(path: &str, keys: &webhook::Config, findings: &mut Findings<'_>) {
    absolute_http(&format!("{path}.url"), keys.url.expose(), findings);
    content_type(path, keys, findings);
    for (name, value) in &keys.headers {
        let path = join(&format!("{path}.headers"), name);
        match HeaderName::from_bytes(name.as_bytes()) {
            Err(_) => findings.at(&path, "is not a valid header name", None),
            Ok(name) if name == CONTENT_TYPE => {
                findings.at(&path, "has a key of its own", Some("use `content_type`".to_owned()));
            }
            Ok(name) if OWN_HEADERS.contains(&name.as_str()) => {
                findings.at(&path, "ringback sets this header itself", Some("remove it".to_owned()));
            }
            Ok(_) if !value.expose().is_ascii() || HeaderValue::from_str(value.expose()).is_err() => {
                findings.at(&path, "is not a valid header value", Some("visible ASCII characters only".to_owned()));
            }
            Ok(_) => {}
        }
    }
    for (index, secret) in keys.secret.iter().enumerate() {
        let bytes = secret.expose().strip_prefix("whsec_").and_then(|text| STANDARD.decode(text).ok());
        if !bytes.is_some_and(|bytes| (24..=64).contains(&bytes.len())) {
            let hint = Some("make one: `echo whsec_$(openssl rand -base64 32)`".to_owned());
            let message = "expected `whsec_` and the base64 of 24 to 64 bytes";
            findings.at(&format!("{path}.secret[{index}]"), message, hint);
        }
    }
}
