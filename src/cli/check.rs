//! `ringback check` and `ringback schema`.

use std::path::Path;

use super::{Failure, say};
use crate::app;
use crate::config::{self, Config, Given};
use crate::event::EventType;
use crate::http;
use crate::number;
use crate::route::{Decision, Router, Subject};

/// Everything that can be known to be wrong without asking anybody.
pub(super) fn check(path: &Path, environment: &dyn Fn(&str) -> Option<String>) -> Result<Config, Failure> {
    let config = config::load(path, environment)?;
    let mut problems = Vec::new();
    match app::renderer(&config) {
        Ok(renderer) => problems.extend(renderer.check().into_iter().map(|problem| format!("templates: {problem}"))),
        Err(error) => problems.push(format!("templates: {error}")),
    }
    problems.extend(channel_problems(&config));
    let failed = test_problems(&config);
    problems.extend(failed);
    if !problems.is_empty() {
        return Err(Failure::Usage(problems.join("\nerror: ")));
    }
    if config::some_match_nothing(&config) {
        say(&"note: routes: nobody is told of events that no rule matches; \
              hint: end with a rule without `when`, with `mute: true` when that is meant");
    }
    say(&format!(
        "{}: ok ({} accounts, {} channels, {} routes, {} tests)",
        path.display(),
        config.accounts.len(),
        config.channels.len(),
        config.routes.len(),
        config.tests.len()
    ));
    Ok(config)
}

/// The JSON Schema of the configuration.
pub(super) fn schema() -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(&config::schema());
    say(&text.map_err(|error| Failure::Run(format!("the schema cannot be written: {error}")))?);
    Ok(())
}

fn channel_problems(config: &Config) -> Vec<String> {
    let client = match http::client(1) {
        Ok(client) => client,
        Err(error) => return vec![error.to_string()],
    };
    config
        .channels
        .iter()
        .filter_map(|channel| {
            let settings = app::lane_settings(config, channel);
            app::build_channel(channel, &settings, client.clone()).err().map(|error| error.to_string())
        })
        .collect()
}

fn test_problems(config: &Config) -> Vec<String> {
    let router = Router::new(config.routes.clone());
    let tests = config.tests.iter().enumerate();
    tests.filter_map(|(position, test)| test_problem(config, &router, position, test)).collect()
}

fn test_problem(config: &Config, router: &Router, position: usize, test: &config::RouteTest) -> Option<String> {
    let Given { event, account, queue, extension, number, caller } = &test.given;
    let (number, caller) = (number.as_deref().map(number::parse), caller.as_deref().map(number::parse));
    let first_account = config.accounts.first().map_or("", |account| account.name.as_str());
    let subject = Subject {
        account: account.as_deref().unwrap_or(first_account),
        event: event.unwrap_or(EventType::CallMissed),
        queue: queue.as_deref(),
        extension: extension.as_deref(),
        number: number.as_ref().and_then(|number| number.number.as_ref()),
        caller: caller.as_ref().and_then(|caller| caller.number.as_ref()),
    };
    let (mut told, rules) = match router.decide(&subject) {
        Decision::Notify(channels) => channels.into_iter().unzip(),
        Decision::Muted(rule) => (Vec::new(), vec![rule]),
        Decision::Unrouted => (Vec::new(), Vec::new()),
    };
    let mut expected = test.expect.clone();
    told.sort_unstable();
    expected.sort_unstable();
    let rules: Vec<String> = rules.iter().map(|rule| format!("routes[{rule}]")).collect();
    (told != expected).then(|| {
        format!(
            "tests[{position}]: expected [{}], but [{}] would be told{}{}",
            expected.join(", "),
            told.join(", "),
            if rules.is_empty() { ": no route matches" } else { " by " },
            rules.join(", ")
        )
    })
}
