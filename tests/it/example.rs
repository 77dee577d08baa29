//! The example configuration and the schema are true: what they show is what is accepted.

use std::fs;

use ringback::body::Recipe;
use tempfile::TempDir;

use crate::binary::{LIMIT, configure, root, run, start};
use crate::harness::WEBHOOK_SECRET;

const SECRETS: [(&str, &str); 7] = [
    ("BULUTSANTRALIM_API_KEY", "K1"),
    ("SMTP_PASSWORD", "p"),
    ("SLACK_WEBHOOK_URL", "https://hooks.slack.com/services/T0/B0/X0"),
    ("SLACK_BOT_TOKEN", "xoxb-0"),
    ("CRM_SECRET", WEBHOOK_SECRET),
    ("RINGBACK_TOKEN", "a-token-of-the-example"),
    ("RINGBACK_PUSH_SECRET", "0123456789abcdef"),
];

fn example() -> String {
    fs::read_to_string(root().join("config.example.yaml")).unwrap()
}

#[test]
fn check_accepts_the_example_and_its_tests_pass() {
    let folder = TempDir::new().unwrap();
    configure(folder.path(), &example());
    let ended = start(folder.path(), &["check"], &SECRETS).end(LIMIT);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{}", ended.stdout);
    let ended = run(folder.path(), &["check"]);
    assert_eq!(ended.code, Some(2));
    for (name, _) in SECRETS {
        assert!(ended.stderr.contains(name), "{name} is missing, and not named\n{}", ended.stderr);
    }
}

/// The blocks of the README in this language.
fn blocks<'r>(readme: &'r str, language: &str) -> Vec<&'r str> {
    let fence = format!("```{language}\n");
    readme.split(&fence).skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
}

#[test]
fn the_recipes_of_the_readme_can_be_used_as_they_stand_there() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let block = blocks(&readme, "yaml").into_iter().find(|block| block.contains("recipe:")).unwrap();
    for recipe in Recipe::ALL {
        assert!(block.contains(&format!("body_template: recipe:{}\n", recipe.as_str())), "{recipe:?}");
    }
    let folder = TempDir::new().unwrap();
    let names: Vec<&str> = block.lines().filter_map(|line| line.strip_prefix("  - name: ")).collect();
    let names: Vec<&str> = names.iter().filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(names.len(), Recipe::ALL.len() + 1);
    let whole = format!("accounts: {{name: main, api_key: k}}\n{block}\nroutes: {{notify: [{}]}}\n", names.join(", "));
    configure(folder.path(), &whole);
    let url = "https://hooks.example.com/services/T0B0X0";
    let variables = ["TEAMS_URL", "DISCORD_URL", "MATTERMOST_URL", "GOOGLE_CHAT_URL"].map(|name| (name, url));
    let others = [("TELEGRAM_TOKEN", "123:abc"), ("NTFY_TOKEN", "tk_abc"), ("N8N_SECRET", WEBHOOK_SECRET)];
    let ended = start(folder.path(), &["check"], &[&variables[..], &others[..]].concat()).end(LIMIT);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{}", ended.stdout);
}

#[test]
fn the_body_template_of_the_readme_is_one() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("b.hbs"), blocks(&readme, "handlebars")[0]).unwrap();
    let text = "accounts: {name: main, api_key: k}\n\
                channels: {name: crm, type: webhook, url: 'https://crm.example.com', body_template: b.hbs}\n\
                routes: {notify: crm}\n";
    configure(folder.path(), text);
    let ended = run(folder.path(), &["check"]);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{}", ended.stdout);
    let body: serde_json::Value = serde_json::from_str(&run(folder.path(), &["render", "crm"]).stdout).unwrap();
    assert_eq!(body["phone"], "+903121234567");
}

#[test]
fn the_schema_accepts_the_example_and_refuses_what_check_refuses() {
    let folder = TempDir::new().unwrap();
    let schema = run(folder.path(), &["schema"]);
    assert_eq!((schema.code, schema.stderr.as_str()), (Some(0), ""));
    let schema: serde_json::Value = serde_json::from_str(&schema.stdout).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let sound: serde_json::Value = serde_yaml::from_str(&example()).unwrap();
    let errors: Vec<String> = validator.iter_errors(&sound).map(|error| error.to_string()).collect();
    assert_eq!(errors, Vec::<String>::new());
    for (path, value) in [
        ("/locale", "\"de\""),
        ("/watch/missed_calls/every", "\"soon\""),
        ("/channels/0/type", "\"fax\""),
        ("/delivery/concurrency", "\"many\""),
        ("/routes", "null"),
    ] {
        let mut broken = sound.clone();
        *broken.pointer_mut(path).unwrap_or_else(|| panic!("no {path}")) = serde_json::from_str(value).unwrap();
        assert!(!validator.is_valid(&broken), "{path}: {value}");
    }
    let mut unknown = sound;
    unknown["wach"] = serde_json::json!({});
    assert!(!validator.is_valid(&unknown), "an unknown key");
}
