//! `ringback check` and `ringback schema`.

use std::path::Path;

use jiff::tz::TimeZone;

use super::{Failure, route, say};
use crate::app;
use crate::clock::Clock;
use crate::config::{self, Config, Examined};
use crate::http;
use crate::schedule::holidays;

/// Everything that can be known to be wrong without asking anybody.
pub(super) fn check(path: &Path, environment: &dyn Fn(&str) -> Option<String>) -> Result<Config, Failure> {
    let file = path.display().to_string();
    let mut examined = config::examine(&file, path, environment)?;
    for (key, problem) in problems(&examined) {
        examined.add(&key, &problem);
    }
    let config = examined.into_result()?;
    for warning in warnings(&config) {
        say(&format!("note: {warning}"));
    }
    say(&format!(
        "{}: ok ({}, {}, {}, {})",
        path.display(),
        counted(config.accounts.len(), "account"),
        counted(config.channels.len(), "channel"),
        counted(config.routes.len(), "route"),
        counted(config.tests.len(), "test")
    ));
    Ok(config)
}

/// What is wrong besides the values, by the keys that it is told of. Templates stand for themselves; the rest would be
/// judged by values that are wrong.
fn problems(examined: &Examined<'_>) -> Vec<(String, String)> {
    let Some(config) = examined.config() else { return Vec::new() };
    let mut problems = app::template_problems(config, |key| examined.is_read(key));
    if !examined.is_sound() {
        return problems;
    }
    problems.extend(channel_problems(config));
    problems.extend(route::test_problems(config));
    problems.extend(config::unmatched(config).map(|example| {
        let problem = format!(
            "there are events that no rule matches, and nobody would be told of them, for example of {example}\n\
             hint: end with a rule without `when`, with `mute: true` when that is meant"
        );
        ("routes".to_owned(), problem)
    }));
    problems
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// What is right today and will not be for ever.
fn warnings(config: &Config) -> Vec<String> {
    let named = config.schedules.values().flatten().any(|span| span.holidays.is_some());
    let year = Clock::system().now().to_zoned(TimeZone::UTC).year();
    let ends = named && year >= holidays::LAST_YEAR;
    let warning = || {
        format!(
            "schedules: the religious holidays of `holidays: tr` are known to the end of {} only\n\
             hint: bring a newer ringback, or name later ones under `except`",
            holidays::LAST_YEAR
        )
    };
    ends.then(warning).into_iter().collect()
}

/// The JSON Schema of the configuration.
pub(super) fn schema() -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(&config::schema());
    say(&text.map_err(|error| Failure::Run(format!("the schema cannot be written: {error}")))?);
    Ok(())
}

fn channel_problems(config: &Config) -> Vec<(String, String)> {
    let client = match http::client(1) {
        Ok(client) => client,
        Err(error) => return vec![("channels".to_owned(), error.to_string())],
    };
    let problem = |(index, channel): (usize, &config::Channel)| {
        let settings = app::lane_settings(config, channel);
        let error = app::build_channel(channel, &settings, client.clone()).err()?;
        Some((format!("channels[{index}]"), error.to_string()))
    };
    config.channels.iter().enumerate().filter_map(problem).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_counted_in_the_singular() {
        let said: Vec<String> = [0, 1, 2].map(|count| counted(count, "account")).into();
        assert_eq!(said, ["0 accounts", "1 account", "2 accounts"]);
    }
}
