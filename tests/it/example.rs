//! The example configuration and the schema are true: what they show is what is accepted.

use std::fs;

use tempfile::TempDir;

use crate::binary::{LIMIT, configure, root, run, start};

const SECRETS: [(&str, &str); 5] = [
    ("BULUTSANTRALIM_API_KEY", "K1"),
    ("SMTP_PASSWORD", "p"),
    ("SLACK_WEBHOOK_URL", "https://hooks.slack.com/services/T0/B0/X0"),
    ("SLACK_BOT_TOKEN", "xoxb-0"),
    ("CRM_SECRET", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
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
