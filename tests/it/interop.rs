//! What leaves the process, judged by those who read it elsewhere: the Standard Webhooks libraries of Python and
//! JavaScript, Slack's own library for Python, and Python's email package. `scripts/setup` installs them; without them the tests are skipped, and say so.

use std::borrow::BorrowMut;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ringback::app::App;
use ringback::clock::Clock;
use ringback::config;
use ringback::sim::pbx::{PbxOptions, SimCall};
use serde_json::{Value, json};

use crate::binary::root;
use crate::harness::{Office, WEBHOOK_SECRET};
use crate::slack::every_message;

/// The secret that takes the place of [`WEBHOOK_SECRET`] while the receiver changes over.
const NEW_SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

/// The referee of `stamp`, or none, loudly.
pub(crate) fn referee(stamp: &str, program: &str, script: &str) -> Option<Command> {
    if !root().join("target").join(stamp).join("ready").exists() {
        let _ = writeln!(std::io::stderr(), "SKIPPED: no target/{stamp}/ready. hint: run scripts/setup");
        return None;
    }
    let mut command = Command::new(program);
    command.arg(root().join("tests/interop").join(script)).current_dir(root());
    Some(command)
}

pub(crate) fn python() -> String {
    root().join("target/interop-venv/bin/python").display().to_string()
}

/// Exit code, standard output, standard error.
pub(crate) fn ask(mut referee: impl BorrowMut<Command>, question: &[u8]) -> (Option<i32>, String, String) {
    let referee = referee.borrow_mut();
    let pipes = referee.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = pipes.spawn().unwrap();
    child.stdin.take().unwrap().write_all(question).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// An office by the real clock, which the libraries compare the timestamp with, that has told of two matters. The
/// caller's name is what no header and no markup may come of.
async fn told() -> Office {
    let mut office = Office::on(Clock::system(), PbxOptions::default());
    "grace: 0s".clone_into(&mut office.missed_calls);
    let mut call = SimCall::missed("c1", office.now(), Duration::from_secs(20));
    call.caller_name = Some("Şükrü \"İĞ\"\r\nBcc: evil@example.com <b>&amp;".to_owned());
    office.pbx.add_call(call);
    office.leave_voicemail("v1");
    let yaml = office.yaml().replace(WEBHOOK_SECRET, &format!("[{NEW_SECRET}, {WEBHOOK_SECRET}]"));
    let config = config::parse("config.yaml", yaml.as_bytes(), office.folder.path(), &|_| None).unwrap();
    let app = App::new(&config, office.clock.clone()).await.unwrap();
    let rest = tokio::time::timeout(Duration::from_secs(20), app.once()).await.unwrap().unwrap();
    assert_eq!((rest.pending, rest.dead), (0, 0));
    office
}

async fn verified_by(referee: impl Fn() -> Option<Command>) {
    if referee().is_none() {
        return;
    }
    let office = told().await;
    let received = office.webhook.received();
    assert_eq!(received.len(), 2);
    for request in received {
        let headers: serde_json::Map<String, Value> =
            request.headers.iter().map(|(name, value)| (name.to_owned(), json!(value))).collect();
        let question = |secret: &str, body: &[u8]| {
            let request = json!({"secret": secret, "headers": headers, "body_base64": BASE64.encode(body)});
            ask(referee().unwrap(), request.to_string().as_bytes())
        };
        for secret in [WEBHOOK_SECRET, NEW_SECRET] {
            let (code, stdout, stderr) = question(secret, &request.body);
            assert_eq!((code, stderr.as_str()), (Some(0), ""));
            assert_eq!(stdout.trim(), request.json().unwrap()["type"]);
        }
        let (code, _, stderr) = question("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", &request.body);
        assert!(code == Some(1) && stderr.contains("refused"), "{stderr}");
        let changed = String::from_utf8(request.body.to_vec()).unwrap().replace("main", "mian");
        let (code, _, stderr) = question(NEW_SECRET, changed.as_bytes());
        assert!(code == Some(1) && stderr.contains("refused"), "{stderr}");
    }
}

#[tokio::test]
async fn webhooks_are_verified_by_the_python_library_with_either_secret_of_a_rotation() {
    verified_by(|| referee("interop-venv", &python(), "verify_webhook.py")).await;
}

#[tokio::test]
async fn webhooks_are_verified_by_the_javascript_library_with_either_secret_of_a_rotation() {
    verified_by(|| referee("interop-node", "node", "verify_webhook.mjs")).await;
}

#[tokio::test]
async fn mails_are_read_by_python_without_a_defect() {
    let reader = || referee("interop-venv", &python(), "read_mail.py");
    if reader().is_none() {
        return;
    }
    let office = told().await;
    let mails = office.mail.received();
    assert_eq!(mails.len(), 2);
    for mail in mails {
        let (code, stdout, stderr) = ask(reader().unwrap(), &mail.data);
        assert_eq!((code, stderr.as_str()), (Some(0), ""), "{}", String::from_utf8_lossy(&mail.data));
        let read: Value = serde_json::from_str(&stdout).unwrap();
        let types: Vec<&str> = read["parts"].as_array().unwrap().iter().map(|p| p["type"].as_str().unwrap()).collect();
        assert_eq!(types, ["text/plain", "text/html"]);
        for name in ["from", "to", "subject", "date", "message-id", "in-reply-to", "references", "auto-submitted"] {
            assert_eq!(read["headers"][name].as_array().map_or(0, Vec::len), 1, "{name}: {}", read["headers"]);
        }
        assert_eq!(read["headers"]["auto-submitted"][0], "auto-generated");
        assert!(read["headers"]["bcc"].is_null() && read["headers"]["cc"].is_null());
        assert_eq!(mail.to, ["ofis@example.com"], "nobody else was addressed");
        let html = read["html"].as_str().unwrap();
        assert!(!html.contains("<b>&amp;") && html.contains("0312 123 45 67"), "{html}");
        assert!(read["text"].as_str().unwrap().contains("0312 123 45 67"));
    }
}

#[test]
fn slacks_own_library_finds_every_block_valid() {
    let Some(checker) = referee("interop-venv", &python(), "check_slack.py") else { return };
    let messages = every_message();
    let forms = messages.iter().flat_map(|message| [Some(&message.post), message.update.as_ref()]).flatten();
    let messages: Vec<Value> = forms.map(|json| serde_json::from_slice(json).unwrap()).collect();
    let blocks: usize = messages.iter().map(|message| message["blocks"].as_array().unwrap().len()).sum();
    let (code, stdout, stderr) = ask(checker, json!(messages).to_string().as_bytes());
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    assert_eq!(stdout.trim(), blocks.to_string());
    assert!(blocks > 500, "the messages were made");
}
