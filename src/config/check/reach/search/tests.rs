//! Rules that are never reached, events that no rule matches; and that the router agrees.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::*;
use crate::config::Route;
use crate::number;
use crate::route::{Router, Subject};
use crate::schedule::Schedules;

const ACCOUNTS: [&str; 2] = ["main", "branch"];

const WORLD: World<'static> = World { accounts: Some(&ACCOUNTS), events: &EventType::FIRST };

fn routes(rules: &str) -> Vec<Route> {
    serde_yaml::from_str(&format!("[{rules}]")).unwrap()
}

/// Whether each rule is left something, and what comes after all of them. What is not known may be.
fn answers(routes: &[Route]) -> Vec<bool> {
    let everything = When::default();
    let all: Vec<_> = routes.iter().map(|route| &route.when).chain([&everything]).map(Asked::new).collect();
    let goes_on = |index: &usize| routes.get(*index).is_some_and(|route| route.r#continue);
    let before = |index| (0..index).filter(|earlier| !goes_on(earlier)).map(|earlier| &all[earlier]);
    let mut search = Search::new(WORLD);
    (0..all.len()).map(|index| !search.left(&all[index], before(index)).is_nothing()).collect()
}

/// Of rules that all mute: the one that is never reached, and whether something is left by all of them.
fn unreached(whens: &str) -> (Vec<usize>, bool) {
    let rules: Vec<_> = whens.lines().map(|when| format!("{{mute: true, when: {{{when}}}}}")).collect();
    let answers = answers(&routes(&rules.join(", ")));
    let unreached = answers[..rules.len()].iter().enumerate().filter(|(_, left)| !**left);
    (unreached.map(|(index, _)| index).collect(), answers[rules.len()])
}

#[test]
fn several_rules_together_take_what_none_of_them_takes_alone() {
    for (whens, left) in [
        ("event: call.missed\nevent: voicemail.new\n ", false),
        ("during: office\noutside: office\n ", false),
        ("withheld: true\nwithheld: false\n ", false),
        ("withheld: true\ncaller: '*'\n ", false),
        ("account: main\naccount: branch\n ", false),
        ("account: main\naccount: branch, event: call.missed\naccount: branch, event: voicemail.new\n ", false),
        ("account: main\nevent: call.missed, during: office\noutside: office\nevent: voicemail.new\n ", false),
        ("queue: '1'\nextension: '7'\nqueue: ['1', '2'], extension: '7'", true),
        ("queue: '1'\nqueue: '2'\nqueue: ['1', '2']", true),
        ("caller: '0532*'\ncaller: '+49*'\ncaller: [0049 30 27590915, '+90 532 1*']", true),
        ("withheld: false\ncaller: '0532*'", true),
        ("caller: '*'\nwithheld: false", true),
        ("during: [office, nights]\nduring: nights", true),
        ("during: office\nduring: nights\nduring: [office, nights]", true),
        ("during: office\noutside: [office, nights]\n ", false),
    ] {
        let last = whens.lines().count() - 1;
        assert_eq!(unreached(whens), (vec![last], left), "{whens}");
    }
}

#[test]
fn what_leaves_anything_is_reached() {
    for whens in [
        "event: call.missed\nevent: voicemail.new, queue: '1'\n ",
        "during: office\noutside: nights\n ",
        "outside: office\nduring: nights\noutside: nights",
        "withheld: true\ncaller: '0*'\n ",
        "account: main\n ",
        "number: '*'\n ",
        "caller: ['0532*', '0533*']\ncaller: '053*'",
        "caller: '0532*'\nnumber: '0532*'",
        "queue: '1', extension: '7'\nqueue: '1'\nextension: '7'",
        "during: nights\nduring: [office, nights]",
        "during: office, outside: nights\nduring: office\noutside: nights",
    ] {
        assert_eq!(unreached(whens).0, [0; 0], "{whens}");
    }
}

#[test]
fn a_rule_may_ask_for_what_no_event_can_be() {
    for when in [
        "during: office, outside: office",
        "during: [office, office], outside: office",
        "withheld: true, caller: '0532*'",
        "withheld: true, caller: '*'",
        "caller: gizli",
        "number: [anonymous, '000']",
    ] {
        assert_eq!(unreached(when), (vec![0], true), "{when}");
    }
    for when in ["during: [office, nights], outside: office", "withheld: false, caller: '*'", "caller: [gizli, '1']"] {
        assert_eq!(unreached(when), (vec![], true), "{when}");
    }
}

#[test]
fn what_goes_on_after_a_match_takes_nothing_away() {
    let answers = answers(&routes("{mute: true, continue: true}, {mute: true}"));
    assert_eq!(answers, [true, true, false]);
}

#[test]
fn a_thousand_rules_are_judged_in_moments() {
    let by = |rule: &dyn Fn(usize) -> String| (0..1000).map(rule).collect::<Vec<_>>().join(", ");
    let queues = by(&|n| format!("{{mute: true, when: {{queue: 'q{n}', caller: '05{n}*'}}}}"));
    assert!(answers(&routes(&queues)).iter().all(|left| *left));
    let doubled = by(&|n| format!("{{mute: true, when: {{queue: 'q{}'}}}}", n % 500));
    let unreached = answers(&routes(&doubled)).iter().filter(|left| !**left).count();
    assert_eq!(unreached, 500);
    // Three of a hundred schedules each, so that nothing is settled but by trying; no answer is an answer too.
    let name = |n: usize| format!("s{}", (n * 7919) % 101);
    let tangled = by(&|n| {
        let [a, b, c] = [n, 3 * n + 1, n * n].map(name);
        format!("{{mute: true, when: {{during: [{a}, {b}], outside: {c}}}}}")
    });
    assert_eq!(answers(&routes(&tangled)).len(), 1001);
}

/// When `office` is open alone, with `nights`, not at all, and `nights` alone.
const TIMES: [&str; 4] =
    ["2026-11-23T03:00:00Z", "2026-11-23T09:00:00Z", "2026-11-23T21:00:00Z", "2026-11-23T15:00:00Z"];

fn schedules() -> Schedules {
    let spans = "{office: [{from: '00:00', to: '12:00'}], nights: [{from: '06:00', to: '18:00'}]}";
    Schedules::new(&serde_yaml::from_str(spans).unwrap(), &TimeZone::UTC)
}

/// Calls `with` for one event of each sort that the rules below can tell apart.
fn each_event(mut with: impl FnMut(&Subject<'_>)) {
    let number = |text: &str| number::parse(text).number;
    let callers = [None, number("05321112233"), number("05329"), number("+493027590915"), number("abc")];
    let called = [None, number("02121112233"), number("1001")];
    let times = TIMES.map(|time| time.parse::<Timestamp>().unwrap());
    for event in EventType::FIRST {
        for account in ACCOUNTS {
            for queue in [None, Some("1"), Some("2"), Some("x")] {
                for number in &called {
                    for caller in &callers {
                        for at in times {
                            let (withheld, number, caller) = (caller.is_none(), number.as_ref(), caller.as_ref());
                            with(&Subject { account, event, queue, extension: None, number, caller, withheld, at });
                        }
                    }
                }
            }
        }
    }
}

fn key(name: &'static str, values: &'static [&'static str]) -> impl Strategy<Value = String> {
    let list =
        prop::sample::subsequence(values, 1..=2).prop_map(move |items| format!("{name}: [{}], ", items.join(", ")));
    prop_oneof![2 => Just(String::new()), 1 => list]
}

fn rule() -> impl Strategy<Value = String> {
    let keys = (
        key("event", &["call.missed", "voicemail.new"]),
        key("account", &["main", "branch"]),
        key("queue", &["'1'", "'2'"]),
        key("number", &["'0212*'", "'*'"]),
        key("caller", &["0532 111 22 33", "'0532*'", "'+49*'", "'*'"]),
        prop_oneof![3 => Just(""), 1 => Just("withheld: true, "), 1 => Just("withheld: false, ")],
        key("during", &["office", "nights"]),
        key("outside", &["office", "nights"]),
        prop_oneof![5 => Just(""), 1 => Just("continue: true, ")],
    );
    keys.prop_map(|(event, account, queue, number, caller, withheld, during, outside, r#continue)| {
        let when = format!("{event}{account}{queue}{number}{caller}{withheld}{during}{outside}");
        format!("{{mute: true, {continue}when: {{{when}}}}}")
    })
}

proptest! {
    #[test]
    fn the_router_reaches_what_is_said_to_be_reached_and_nothing_else(
        rules in prop_oneof![
            prop::collection::vec(rule(), 1..6),
            // Of few keys each, so that several cover one.
            prop::collection::vec(rule().prop_filter("short", |rule| rule.len() < 60), 3..9),
        ],
    ) {
        let routes = routes(&rules.join(", "));
        let router = Router::new(routes.clone(), schedules());
        let mut reached = vec![false; routes.len() + 1];
        each_event(|subject| {
            let matching = router.matching(subject);
            for rule in &matching {
                reached[*rule] = true;
            }
            reached[routes.len()] |= matching.last().is_none_or(|last| routes[*last].r#continue);
        });
        prop_assert_eq!(answers(&routes), reached, "{:#?}", rules);
    }
}
