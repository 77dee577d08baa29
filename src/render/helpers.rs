//! The helpers of the templates. They give values, so the escaping of the template's format comes after them.
//!
//! | helper | gives |
//! |---|---|
//! | `date TIME` | `22.11.2026 08:07` (tr), `22 Nov 2026, 08:07` (en), in the configured time zone |
//! | `time TIME` | `08:07` |
//! | `times TIMES` | `08:07, 08:09, 08:15`; with their dates when they are not of one day |
//! | `duration SECONDS` | `1 dk 5 sn` (tr), `1 min 5 s` (en) |
//! | `default VALUE OTHER` | the value, or the other one when it is absent or empty |
//! | `mrkdwn TEXT` | the text for a `mrkdwn` element of Slack: no mention, link or markup can arise from it |
//! | `slack_url URL` | the URL for a link `<…\|text>` in a `mrkdwn` element of Slack |
//! | `markdown TEXT` | the text for Markdown of any kind: no mention, link or markup can arise from it |
//! | `markdown_url URL` | the URL for a link `[text](…)` in Markdown |
//! | `quiet TEXT` | the text for a service that makes mentions and links of plain text: none can arise from it |
//! | `json VALUE` | the value as JSON, whatever it is: in a JSON template not escaped once more, so without quotes around |
//!
//! Each gives nothing for an absent value.

use handlebars::{
    Context, Handlebars, Helper, HelperDef, HelperResult, Output, RenderContext, RenderError, RenderErrorReason,
    ScopedJson,
};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value;

use crate::body::BodyFormat;
use crate::message::Locale;

/// The helpers, by what they do.
#[derive(Clone)]
pub(super) enum Help {
    Date(TimeZone),
    Time(TimeZone),
    Times(TimeZone),
    Duration,
    Default,
    Mrkdwn,
    SlackUrl,
    Markdown,
    MarkdownUrl,
    Quiet,
    /// Whether it stands in JSON.
    Json {
        raw: bool,
    },
}

/// Makes the helpers known to `registry`.
pub(super) fn register(registry: &mut Handlebars<'_>, timezone: &TimeZone, format: BodyFormat) {
    for (name, help) in all(timezone, format) {
        registry.register_helper(name, Box::new(help));
    }
}

/// Every helper, by its name in templates.
pub(super) fn all(timezone: &TimeZone, format: BodyFormat) -> [(&'static str, Help); 11] {
    [
        ("date", Help::Date(timezone.clone())),
        ("time", Help::Time(timezone.clone())),
        ("times", Help::Times(timezone.clone())),
        ("duration", Help::Duration),
        ("default", Help::Default),
        ("mrkdwn", Help::Mrkdwn),
        ("slack_url", Help::SlackUrl),
        ("markdown", Help::Markdown),
        ("markdown_url", Help::MarkdownUrl),
        ("quiet", Help::Quiet),
        ("json", Help::Json { raw: format == BodyFormat::Json }),
    ]
}

impl HelperDef for Help {
    fn call<'reg: 'rc, 'rc>(
        &self,
        helper: &Helper<'rc>,
        registry: &'reg Handlebars<'reg>,
        context: &'rc Context,
        render: &mut RenderContext<'reg, 'rc>,
        out: &mut dyn Output,
    ) -> HelperResult {
        let value = self.call_inner(helper, registry, context, render)?;
        let text = value.render();
        // What is JSON already must not be escaped for it once more.
        let raw = matches!(self, Self::Json { raw: true }) || render.is_disable_escape();
        out.write(&if raw { text } else { registry.get_escape_fn()(&text) })?;
        Ok(())
    }

    fn call_inner<'reg: 'rc, 'rc>(
        &self,
        helper: &Helper<'rc>,
        _: &'reg Handlebars<'reg>,
        context: &'rc Context,
        _: &mut RenderContext<'reg, 'rc>,
    ) -> Result<ScopedJson<'rc>, RenderError> {
        let wrong = |what: &str| RenderErrorReason::Other(format!("`{}` {what}", helper.name()));
        for param in helper.params() {
            if param.is_value_missing() {
                return Err(RenderError::strict_error(param.relative_path()));
            }
        }
        let value = helper.param(0).ok_or_else(|| wrong("needs a value"))?.value();
        if let Self::Default = self {
            let other = helper.param(1).ok_or_else(|| wrong("needs a second value"))?.value();
            let absent = value.is_null() || value.as_str() == Some("");
            return Ok(if absent { other } else { value }.clone().into());
        }
        if let Self::Json { .. } = self {
            return Ok(Value::String(value.to_string()).into());
        }
        if value.is_null() {
            return Ok(Value::Null.into());
        }
        let locale = match context.data().get("locale").and_then(Value::as_str) {
            Some("en") => Locale::En,
            _ => Locale::Tr,
        };
        let text = || value.as_str().ok_or_else(|| wrong("needs a text"));
        let moment = || {
            let time = value.as_str().and_then(|text| text.parse::<Timestamp>().ok());
            time.ok_or_else(|| wrong("needs a time such as `started_at`"))
        };
        let text = match self {
            Self::Date(zone) => date(moment()?, zone, locale),
            Self::Time(zone) => time(moment()?, zone),
            Self::Times(zone) => {
                let all = value.as_array().into_iter().flatten();
                let all: Vec<Timestamp> = all.filter_map(|one| one.as_str()?.parse().ok()).collect();
                times(&all, zone, locale)
            }
            Self::Duration => {
                duration(value.as_u64().ok_or_else(|| wrong("needs seconds such as `duration_seconds`"))?, locale)
            }
            Self::Mrkdwn => mrkdwn(text()?),
            Self::SlackUrl => slack_url(text()?),
            Self::Markdown => markdown(text()?),
            Self::MarkdownUrl => markdown_url(text()?),
            Self::Quiet => quiet(text()?),
            Self::Default | Self::Json { .. } => return Err(wrong("needs a value").into()),
        };
        Ok(Value::String(text).into())
    }
}

/// A date and time that cannot be mistaken in its language.
pub fn date(at: Timestamp, zone: &TimeZone, locale: Locale) -> String {
    let format = match locale {
        Locale::Tr => "%d.%m.%Y %H:%M",
        Locale::En => "%-d %b %Y, %H:%M",
    };
    at.to_zoned(zone.clone()).strftime(format).to_string()
}

/// The time of day.
pub fn time(at: Timestamp, zone: &TimeZone) -> String {
    at.to_zoned(zone.clone()).strftime("%H:%M").to_string()
}

/// Times of day, with their dates when they are not of one day.
pub(super) fn times(all: &[Timestamp], zone: &TimeZone, locale: Locale) -> String {
    let day = |at: &Timestamp| at.to_zoned(zone.clone()).date();
    let one_day = all.windows(2).all(|two| day(&two[0]) == day(&two[1]));
    let show = |at: &Timestamp| if one_day { time(*at, zone) } else { date(*at, zone, locale) };
    all.iter().map(show).collect::<Vec<_>>().join(", ")
}

/// A length in the largest two units that it fills.
pub fn duration(seconds: u64, locale: Locale) -> String {
    let (hour, minute, second) = match locale {
        Locale::Tr => ("sa", "dk", "sn"),
        Locale::En => ("h", "min", "s"),
    };
    let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes, rest) {
        (0, 0, s) => format!("{s} {second}"),
        (0, m, 0) => format!("{m} {minute}"),
        (0, m, s) => format!("{m} {minute} {s} {second}"),
        (h, 0, _) => format!("{h} {hour}"),
        (h, m, _) => format!("{h} {hour} {m} {minute}"),
    }
}

/// Slack knows escapes for `&`, `<` and `>` only, and none for its marks of bold, italic, struck and code: those are
/// replaced by their fullwidth forms, which look alike and mean nothing.
pub(super) fn mrkdwn(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '*' => safe.push('＊'),
            '_' => safe.push('＿'),
            '~' => safe.push('～'),
            '`' => safe.push('｀'),
            c => safe.push(c),
        }
    }
    safe
}

/// The URL between `<` and `|`, where those and `>` mean something.
pub(super) fn slack_url(url: &str) -> String {
    url.replace('&', "&amp;").replace('<', "%3C").replace('>', "%3E").replace('|', "%7C")
}

/// The dialects agree on no escape, and some show the backslash: what could mean something is replaced by its fullwidth
/// form, which looks alike and means nothing. So is the `@` of mentions, and the `//` by which bare addresses become links.
pub(super) fn markdown(text: &str) -> String {
    let safe = |c: char| match c {
        '*' | '_' | '~' | '`' | '[' | ']' | '<' | '>' | '|' | '\\' | '#' => fullwidth(c),
        c => c,
    };
    quiet(text).chars().map(safe).collect()
}

/// Services that know no markup still make mentions of `@name`, and links of addresses.
pub(super) fn quiet(text: &str) -> String {
    text.replace("://", ":／／").replace('@', "＠")
}

/// The URL between `(` and `)`.
pub(super) fn markdown_url(url: &str) -> String {
    let encode = |c: char| match c {
        '(' | ')' | '<' | '>' | '\\' | ' ' | '|' | '`' | '"' => format!("%{:02X}", u32::from(c)),
        c => c.to_string(),
    };
    url.chars().map(encode).collect()
}

/// The fullwidth form of a visible ASCII character.
fn fullwidth(c: char) -> char {
    char::from_u32(u32::from(c) + 0xfee0).unwrap_or(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_of_the_configured_zone_and_dates_of_the_language() {
        let at: Timestamp = "2026-11-22T21:07:24Z".parse().unwrap();
        let istanbul = TimeZone::get("Europe/Istanbul").unwrap();
        assert_eq!(date(at, &istanbul, Locale::Tr), "23.11.2026 00:07");
        assert_eq!(date(at, &istanbul, Locale::En), "23 Nov 2026, 00:07");
        assert_eq!(time(at, &TimeZone::UTC), "21:07");
    }

    #[test]
    fn several_times_are_times_of_day_unless_they_are_of_several_days() {
        let istanbul = TimeZone::get("Europe/Istanbul").unwrap();
        let at = |times: &[&str]| -> Vec<Timestamp> { times.iter().map(|time| time.parse().unwrap()).collect() };
        let morning = at(&["2026-11-22T05:07:24Z", "2026-11-22T05:09:00Z"]);
        assert_eq!(times(&morning, &istanbul, Locale::Tr), "08:07, 08:09");
        let night = at(&["2026-11-22T20:50:00Z", "2026-11-22T21:10:00Z"]);
        assert_eq!(times(&night, &istanbul, Locale::Tr), "22.11.2026 23:50, 23.11.2026 00:10");
    }

    #[test]
    fn a_length_reads_in_at_most_two_units() {
        let tr: Vec<_> = [0, 5, 60, 65, 3600, 3665, 90_000].map(|s| duration(s, Locale::Tr)).into();
        assert_eq!(tr, ["0 sn", "5 sn", "1 dk", "1 dk 5 sn", "1 sa", "1 sa 1 dk", "25 sa"]);
        assert_eq!(duration(65, Locale::En), "1 min 5 s");
    }

    #[test]
    fn mrkdwn_leaves_no_mention_link_or_mark() {
        assert_eq!(mrkdwn("<!channel> & *x* _y_ ~z~ `q`"), "&lt;!channel&gt; &amp; ＊x＊ ＿y＿ ～z～ ｀q｀");
    }

    #[test]
    fn markdown_leaves_no_mention_link_or_mark() {
        let hostile = "@all <@1> [x](https://evil.example) *b* _i_ ~s~ `c` # \\ ||x|| <users/all>";
        let safe = markdown(hostile);
        assert!(!safe.contains(['@', '<', '>', '[', ']', '*', '_', '~', '`', '#', '\\', '|']), "{safe}");
        assert!(!safe.contains("://"));
        assert_eq!(safe.chars().count(), hostile.chars().count(), "limits in characters hold");
        assert_eq!(markdown_url("https://x/a(b)?c=d_e"), "https://x/a%28b%29?c=d_e");
        assert_eq!(quiet("@ali *x* http://y"), "＠ali *x* http:／／y");
    }
}
