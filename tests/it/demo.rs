//! `ringback demo` is a true story: it needs nothing, shows every message, and checks itself.

use std::path::Path;
use std::time::Duration;

use assert_cmd::Command;
use ringback::clock::Clock;

#[test]
fn the_demo_tells_its_story_checks_itself_and_ends_in_time() {
    let clock = Clock::system();
    let folder = tempfile::TempDir::new().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_ringback"))
        .args(["demo", "--for", "15s", "--headless"])
        .env("TMPDIR", folder.path())
        .env_remove("RUST_LOG")
        .timeout(Duration::from_secs(25))
        .output()
        .unwrap();
    let (shown, logs) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{shown}\n{logs}");
    assert!(clock.tick() >= Duration::from_secs(15));

    for (line, what) in [
        ("Cevapsız çağrı: Ayşe Demir 0312 123 45 67", "the subject of a mail"),
        ("Missed call: Ayşe Demir 0312 123 45 67", "the header of a Slack message"),
        ("call.missed, attempt 1, answered with 200", "a webhook"),
        ("signature verified", "its signature"),
        ("New voicemail: Şükrü Öz 0212 222 33 44", "a voicemail on Slack"),
        ("200, 48044 bytes of audio/wav", "its recording, played"),
        ("Missed call: Withheld number", "a caller without a number"),
        ("call.missed, attempt 2, answered with 503", "a failure"),
        ("call.missed, attempt 3, answered with 200", "its recovery"),
        ("Called back: Ayşe Demir 0312 123 45 67", "the end of a call that was told"),
        ("call.returned, attempt 1", "the same as a webhook"),
        ("is called back: within the grace", "a call that is told to nobody"),
        ("Everything that was to be told was told exactly once, and nothing else was.", "the verdict"),
    ] {
        assert!(shown.contains(line), "{what} is missing: {line}\n{shown}");
    }
    let wide = shown.lines().find(|line| line.chars().count() > 100);
    assert_eq!(wide, None);
    assert!(!shown.contains('\u{1b}'), "colours are for terminals");
    assert!(is_empty(folder.path()), "the demo leaves nothing behind");
}

fn is_empty(folder: &Path) -> bool {
    folder.read_dir().unwrap().next().is_none()
}
