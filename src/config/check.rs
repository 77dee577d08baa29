//! Whether the values make sense, once the types are right: the sections that stand for themselves.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::time::Duration;

use jiff::tz::TimeZoneDatabase;
use url::{Host, Url};

use super::problems::{Findings, did_you_mean};
use super::shape::{Account, Config, DeliveryDefaults, MissedCalls, Retry, Watch};
use crate::retry;
use crate::units::format_duration;

mod callback;
mod channels;
mod escalate;
mod health;
mod http;
mod push;
mod reach;
mod routes;
mod schedules;
mod summaries;

pub(crate) use reach::unmatched;

const DAY: Duration = Duration::from_secs(86_400);
/// The PBX refuses a longer range in one request.
const LONGEST_RANGE: Duration = Duration::from_secs(31 * 86_400);
/// Why a `max_age` must not be that short.
const TOO_YOUNG: &str = "what is older goes into a digest, and a call waits for `grace` first: every call would";
/// Shorter waits and limits are slips of the unit.
const SHORTEST: Duration = Duration::from_millis(10);

/// Adds everything that is wrong with the values.
pub(super) fn check(config: &Config, findings: &mut Findings<'_>) {
    timezone(&config.timezone, findings);
    if config.store.path.as_os_str().is_empty() {
        findings.at("store.path", "must not be empty", None);
    }
    at_least("store.keep", config.store.keep, 35 * DAY, findings);
    accounts(&config.accounts, findings);
    watch(&config.watch, findings);
    delivery(&config.delivery, findings);
    callback::check(config, findings);
    channels::check(config, findings);
    schedules::check(config, findings);
    routes::check(config, findings);
    summaries::check(config, findings);
    health::check(config, findings);
    http::check(config, findings);
    push::check(config, findings);
}

fn timezone(name: &str, findings: &mut Findings<'_>) {
    let zones = TimeZoneDatabase::bundled();
    if zones.get(name).is_ok() {
        return;
    }
    let known: Vec<String> = zones.available().map(|zone| zone.as_str().to_owned()).collect();
    // Of offsets, the nearest is another offset.
    let offset = name.contains(|c: char| c.is_ascii_digit());
    let hint = did_you_mean(name, known.iter().map(String::as_str)).filter(|_| !offset);
    let hint = hint.unwrap_or_else(|| "an IANA name, such as Europe/Istanbul".to_owned());
    findings.at("timezone", "there is no such time zone", Some(hint));
}

fn accounts(accounts: &[Account], findings: &mut Findings<'_>) {
    not_empty("accounts", accounts.is_empty(), findings);
    names("accounts", accounts.iter().map(|account| account.name.as_str()), findings);
    for (index, account) in accounts.iter().enumerate() {
        let path = |key: &str| format!("accounts[{index}].{key}");
        let key = account.api_key.expose();
        if key.is_empty() {
            let hint = Some("the key stands in the Online İşlem Merkezi".to_owned());
            findings.at(&path("api_key"), "must not be empty", hint);
        } else if key.chars().any(|c| c.is_whitespace() || c.is_control()) {
            findings.at(&path("api_key"), "holds spaces or line breaks, which no key does", None);
        } else if !key.is_ascii() {
            findings.at(&path("api_key"), "holds letters that no key does", Some("copy it once more".to_owned()));
        }
        base_url(&path("base_url"), &account.base_url, "the API key", "https://api.bulutsantralim.com", findings);
        at_least(&path("timeout"), account.timeout, SHORTEST, findings);
        let limits = [
            ("cdrs", account.limits.cdrs),
            ("voicemails", account.limits.voicemails),
            ("recordings", account.limits.recordings),
        ];
        for (key, limit) in limits {
            if limit == 0 {
                findings.at(&path(&format!("limits.{key}")), "must be at least 1 a minute", None);
            }
        }
    }
}

/// The URL that an API is below; `secret` travels there.
fn base_url(path: &str, text: &str, secret: &str, example: &str, findings: &mut Findings<'_>) {
    let Some(url) = absolute_http(path, text, findings) else { return };
    if url.scheme() == "http" && !is_loopback(&url) {
        let hint = Some(format!("{secret} would travel readable; use https"));
        findings.at(path, "plain http is refused except to loopback", hint);
    }
    if url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() || url.password().is_some() {
        let hint = Some(format!("the scheme, the host and perhaps a path: `{example}`"));
        findings.at(path, "must not hold a user, a query or a fragment", hint);
    }
}

/// The URL when it is one; says nothing of its content, which may be a secret.
fn absolute_http(path: &str, text: &str, findings: &mut Findings<'_>) -> Option<Url> {
    match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.host().is_some() => Some(url),
        _ => {
            findings.at(path, "expected an absolute URL, `https://…`", None);
            None
        }
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

fn watch(watch: &Watch, findings: &mut Findings<'_>) {
    let (calls, voicemails) = (&watch.missed_calls, &watch.voicemails);
    at_least("watch.missed_calls.every", calls.every, SHORTEST, findings);
    at_least("watch.voicemails.every", voicemails.every, SHORTEST, findings);
    let ranges = [
        ("watch.missed_calls.lookback", calls.lookback),
        ("watch.missed_calls.follow_up", calls.follow_up),
        ("watch.voicemails.lookback", voicemails.lookback),
        ("watch.first_run", watch.first_run),
    ];
    for (path, range) in ranges {
        if range > LONGEST_RANGE {
            let hint = Some("the PBX answers for at most 31 days at once".to_owned());
            findings.at(path, format!("must be at most 31d, found {}", format_duration(range)), hint);
        }
    }
    let longer_than_grace_and_every = |found| longer_than_grace_and_every(calls, found);
    if calls.lookback <= calls.grace + calls.every {
        let hint = "a call is read again until `grace` is over".to_owned();
        findings.at("watch.missed_calls.lookback", longer_than_grace_and_every(calls.lookback), Some(hint));
    }
    if voicemails.lookback <= voicemails.every {
        let message = format!("must be longer than `every`, which is {}", format_duration(voicemails.every));
        findings.at("watch.voicemails.lookback", message, None);
    }
    if watch.max_age <= calls.grace + calls.every {
        findings.at("watch.max_age", longer_than_grace_and_every(watch.max_age), Some(TOO_YOUNG.to_owned()));
    }
}

fn longer_than_grace_and_every(calls: &MissedCalls, found: Duration) -> String {
    let (grace, every) = (format_duration(calls.grace), format_duration(calls.every));
    let found = format_duration(found);
    format!("must be longer than `grace` ({grace}) and `every` ({every}) of missed_calls together, found {found}")
}

fn delivery(delivery: &DeliveryDefaults, findings: &mut Findings<'_>) {
    at_least("delivery.timeout", delivery.timeout, SHORTEST, findings);
    concurrency("delivery.concurrency", delivery.concurrency, findings);
    if delivery.digest_over == 0 {
        let hint = "1 makes a digest of any two that are due at once; there is no way to have digests only";
        findings.at("delivery.digest_over", "must be at least 1, found 0", Some(hint.to_owned()));
    }
    retry("delivery.retry", &delivery.retry, &retry::Policy::default(), findings);
}

fn concurrency(path: &str, value: usize, findings: &mut Findings<'_>) {
    between(path, value, 1, 256, findings);
}

/// `base` is what the keys that are missing fall back to.
fn retry(path: &str, keys: &Retry, base: &retry::Policy, findings: &mut Findings<'_>) {
    let path = |key: &str| format!("{path}.{key}");
    for (key, value) in [("initial", keys.initial), ("max", keys.max), ("give_up_after", keys.give_up_after)] {
        if let Some(value) = value {
            at_least(&path(key), value, SHORTEST, findings);
        }
    }
    if let Some(jitter) = keys.jitter {
        between(&path("jitter"), jitter, 0.0, 1.0, findings);
    }
    if let Some(multiplier) = keys.multiplier {
        between(&path("multiplier"), multiplier, 1.0, 1000.0, findings);
    }
    let policy = keys.over(base);
    // What is wrong with the base is told there.
    if policy.initial > policy.max && (keys.initial.is_some() || keys.max.is_some()) {
        let key = if keys.initial.is_some() { "initial" } else { "max" };
        let (initial, max) = (format_duration(policy.initial), format_duration(policy.max));
        findings.at(&path(key), format!("`initial` ({initial}) must not be longer than `max` ({max})"), None);
    }
}

fn at_least(path: &str, value: Duration, least: Duration, findings: &mut Findings<'_>) {
    if value < least {
        let message = format!("must be at least {}, found {}", format_duration(least), format_duration(value));
        findings.at(path, message, None);
    }
}

fn between<T: PartialOrd + Display + Copy>(path: &str, value: T, least: T, most: T, findings: &mut Findings<'_>) {
    // Written so that a NaN is outside.
    if !(value >= least && value <= most) {
        findings.at(path, format!("must be between {least} and {most}, found {value}"), None);
    }
}

fn not_empty(path: &str, empty: bool, findings: &mut Findings<'_>) {
    if empty {
        findings.at(path, "at least one is required", None);
    }
}

/// Names are part of ids, metrics and command lines.
fn names<'n>(section: &str, names: impl Iterator<Item = &'n str>, findings: &mut Findings<'_>) {
    let mut seen = BTreeSet::new();
    for (index, name) in names.enumerate() {
        let path = format!("{section}[{index}].name");
        // A name that could not be read is neither good nor bad.
        if findings.is_spoiled(&path) {
            continue;
        }
        if name.is_empty() {
            findings.at(&path, "must not be empty", None);
        } else if !is_usable_name(name) {
            let hint = Some("at most 64 letters, digits, `-`, `_` and `.`".to_owned());
            findings.at(&path, "is not usable as a name", hint);
        } else if !seen.insert(name) {
            findings.at(&path, "this name is already taken", Some("names are unique".to_owned()));
        }
    }
}

fn is_usable_name(name: &str) -> bool {
    name.chars().count() <= 64 && name.chars().all(|c| c.is_alphanumeric() || "-_.".contains(c))
}

/// A name that must be one of `known`; `what` is `channel`, `account` or `schedule`.
fn known_name(path: &str, what: &str, name: &str, known: &[&str], findings: &mut Findings<'_>) {
    // That there is none at all is told elsewhere.
    if known.is_empty() || known.contains(&name) {
        return;
    }
    let hint = did_you_mean(name, known.iter().copied().filter(|name| is_usable_name(name)));
    // One that is no name may be anything, a secret too.
    let names: Vec<&str> = known.iter().copied().filter(|name| is_usable_name(name)).collect();
    let hint = hint.or_else(|| (!names.is_empty()).then(|| format!("the {what}s are {}", names.join(", "))));
    findings.at(path, format!("there is no {what} of this name"), hint);
}
