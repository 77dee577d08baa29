//! Who is told, and when: `ringback check` runs the tests of a configuration, `ringback route` answers for one event.

use std::path::Path;

use tempfile::TempDir;

use crate::binary::{configure, run};

/// A table of events and times, in the language of the configuration.
const OFFICE: &str = include_str!("../routes/office.yaml");

fn office(text: &str) -> TempDir {
    let folder = TempDir::new().unwrap();
    configure(folder.path(), text);
    folder
}

fn route(folder: &Path, arguments: &[&str]) -> String {
    let ended = run(folder, &[&["route"], arguments].concat());
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{arguments:?}");
    ended.stdout
}

#[test]
fn each_event_of_the_table_reaches_whom_its_row_says() {
    let ended = run(office(OFFICE).path(), &["check"]);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    assert!(ended.stdout.contains("41 tests"), "{}", ended.stdout);
}

#[test]
fn a_row_that_does_not_hold_fails_the_check_and_shows_the_difference() {
    let row = "{given: {queue: sales, at: 2026-11-23 09:00}, expect: [sales-slack, crm]}";
    let text = OFFICE.replace(row, "{given: {queue: sales, at: 2026-11-23 09:00}, expect: [sales-slack, office-mail]}");
    assert_ne!(text, OFFICE);
    let ended = run(office(&text).path(), &["check"]);
    assert_eq!(ended.code, Some(2));
    let told = "config.yaml:45:5: tests[13]: expected [office-mail, sales-slack], \
                but [crm, sales-slack] would be told by routes[3]; \
                missing: office-mail; not expected: crm";
    assert!(ended.stderr.contains(told), "{}", ended.stderr);
    // None of the other forty rows is mentioned.
    assert_eq!(ended.stderr.matches("tests[").count(), 1, "{}", ended.stderr);
}

#[test]
fn check_demands_a_rule_for_what_no_other_matches() {
    let catch_all = "  - {notify: office-mail}\n";
    let text = OFFICE.replacen(catch_all, "", 1);
    let ended = run(office(&text).path(), &["check"]);
    assert_eq!(ended.code, Some(2));
    let lines: Vec<&str> = ended.stderr.lines().take(2).collect();
    insta::assert_snapshot!(lines.join("\n"), @"
    error: ./config.yaml:17:1: routes: there are events that no rule matches, and nobody would be told of them, for example of a call.missed, whose queue, extension, number and caller no rule names, while `office` is open
      hint: end with a rule without `when`, with `mute: true` when that is meant
    ");
}

#[test]
fn route_prints_who_is_told_and_by_which_rule() {
    let folder = office(OFFICE);
    let night = ["--queue", "support", "--at", "2026-11-23 23:00"];
    assert_eq!(route(folder.path(), &night), "director-mail: by routes[5]\noffice-mail: by routes[8]\n");
    let voicemail = ["--event", "voicemail.new", "--extension", "1001", "--account", "main"];
    assert_eq!(route(folder.path(), &voicemail), "director-mail: by routes[2]\n");
    let lunch = ["--number", "0212 987 65 43", "--caller", "05321112233", "--at", "2026-11-23T09:45:00Z"];
    assert_eq!(route(folder.path(), &lunch), "sales-slack: by routes[7]\noffice-mail: by routes[7]\n");
    assert_eq!(route(folder.path(), &["--caller", "0850 111 22 33"]), "nobody: routes[0] says `mute`\n");
}

#[test]
fn route_prints_who_is_told_while_it_stays_open() {
    let steps =
        "escalate: [{after: 15m, notify: director-mail, during: office}, {after: 2h, notify: [crm, office-mail]}]";
    let text = OFFICE.replace("  - {notify: office-mail}\n", &format!("  - {{notify: office-mail, {steps}}}\n"));
    assert_ne!(text, OFFICE);
    assert_eq!(
        route(office(&text).path(), &["--at", "2026-11-23 08:00"]),
        "office-mail: by routes[8]\nthen after 15m (during office): director-mail: by routes[8]\n\
         then after 2h: crm, office-mail: by routes[8]\n"
    );
}

#[test]
fn route_says_that_a_channel_is_switched_off() {
    let text = OFFICE.replace("name: director-mail,", "name: director-mail, enabled: false,");
    let told = route(office(&text).path(), &["--event", "voicemail.new", "--extension", "1001"]);
    assert_eq!(told, "director-mail: by routes[2] (switched off: `enabled: false`)\n");
}

#[test]
fn route_says_until_when_it_would_be_held_and_how_long_it_is_grouped() {
    let first = "  - notify: office-mail\n    hold: office\n    group: {wait: 3m}\n";
    let routes = OFFICE.find("routes:\n").unwrap() + "routes:\n".len();
    let text = format!("{}{first}    continue: true\n{}", &OFFICE[..routes], &OFFICE[routes..]);
    let folder = office(&text);
    let at = |time: &str| route(folder.path(), &["--caller", "05321112233", "--at", time]);
    let night = at("2026-11-23 23:00");
    let line = night.lines().find(|line| line.starts_with("office-mail")).unwrap();
    assert_eq!(line, "office-mail: by routes[0], held until 2026-11-24 09:00, grouped for 3m");
    let day = at("2026-11-23 11:00");
    assert!(day.contains("office-mail: by routes[0], grouped for 3m\n"), "{day}");
    let withheld = route(folder.path(), &["--caller", "withheld", "--at", "2026-11-23 11:00"]);
    assert!(withheld.contains("office-mail: by routes[0]\n"), "{withheld}");
}

#[test]
fn route_refuses_what_it_cannot_understand() {
    let folder = office(OFFICE);
    for (arguments, part) in [
        (["--at", "tomorrow"], "`tomorrow` is no time; expected 2026-11-23 08:07"),
        (["--account", "branch"], "there is no account `branch`\nhint: the configuration has main"),
        (["--event", "call.lost"], "unknown event type `call.lost`"),
        (["--event", "call.unreturned"], "no rule decides on `call.unreturned`\nhint: it goes where"),
    ] {
        let ended = run(folder.path(), &[&["route"], &arguments[..]].concat());
        assert_eq!(ended.code, Some(2));
        assert!(ended.stderr.contains(part), "{}", ended.stderr);
    }
}
