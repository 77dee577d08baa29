//! Whether those who are to be told when ringback cannot work can be.

use super::super::problems::Findings;
use super::super::shape::Config;
use super::routes::{all_names, each_known};
use super::{SHORTEST, absolute_http, at_least, is_loopback};

pub(super) fn check(config: &Config, findings: &mut Findings<'_>) {
    let health = &config.health;
    at_least("health.after", health.after, SHORTEST, findings);
    let channels = config.channels.iter().map(|channel| channel.common.name.as_str());
    if let Some(known) = all_names("channels", channels, findings) {
        each_known("health.notify", "channel", &health.notify, &known, findings);
    }
    for (index, name) in health.notify.iter().enumerate() {
        if health.notify[..index].contains(name) {
            let hint = Some("remove one of the two".to_owned());
            findings.at(&format!("health.notify[{index}]"), "this channel is named already", hint);
        }
    }
    let path = "health.heartbeat_url";
    if let Some(url) = &health.heartbeat_url
        && let Some(url) = absolute_http(path, url.expose(), findings)
        && url.scheme() == "http"
        && !is_loopback(&url)
    {
        let hint = Some("whoever has the URL can beat in our place; use https".to_owned());
        findings.at(path, "plain http is refused except to loopback", hint);
    }
}
