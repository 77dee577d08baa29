//! `accounts[].names`: callers, extensions and queues are called by the names that the PBX has for them.

use std::fs;
use std::path::Path;
use std::time::Duration;

use ringback::sim::pbx::{Endpoint, Fault, SimCall};
use serde_json::{Value, json};

use crate::harness::Office;

const LISTS: [Endpoint; 3] = [Endpoint::Contacts, Endpoint::Extensions, Endpoint::Queues];

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// An office that knows some people.
fn office() -> Office {
    let mut office = Office::new();
    ", names: true".clone_into(&mut office.account);
    "grace: 0s".clone_into(&mut office.missed_calls);
    office.pbx.change(|data| {
        data.add_contact(
            json!({"name": "Ayşe", "surname": "Demir", "phone": "0553 111 22 33", "phone1": "03121234567"}),
        );
        data.add_contact(json!({"name": "Zeynep", "surname": "Çağrısız", "company_name": "", "phone": "05320000000"}));
        data.add_contact(json!({"name": "Başkası", "phone": "+905531112233"}));
        data.add_extension("1002", "Satış Masası");
        data.add_queue(201, "Satış");
    });
    office
}

/// Rings the queue 201 and, at the last, extension 1002.
fn call(office: &Office, uuid: &str, caller: &str, name: Option<&str>) {
    office.pbx.add_call(SimCall {
        caller_number: caller.to_owned(),
        caller_name: name.map(str::to_owned),
        destination_number: "902129876543 (1002)".to_owned(),
        queue: Some("201".to_owned()),
        ..SimCall::missed(uuid, office.now(), Duration::from_secs(20))
    });
}

/// The bodies that the webhook has taken, by uuid.
fn told(office: &Office, uuid: &str) -> Value {
    let bodies = office.webhook.received().into_iter().map(|received| received.json().unwrap());
    bodies.map(|body| body["data"].clone()).find(|data| data["uuid"] == uuid).unwrap_or_default()
}

fn asked(office: &Office) -> usize {
    LISTS.iter().map(|list| office.pbx.asked(*list)).sum()
}

#[tokio::test]
async fn a_caller_without_a_name_is_called_as_in_the_phone_book() {
    let office = office();
    call(&office, "nameless", "905531112233", None);
    call(&office, "numbered", "03121234567", Some("03121234567"));
    call(&office, "named", "05531112233", Some("Kendi Adı"));
    call(&office, "unknown", "05559998877", None);
    call(&office, "withheld", "anonymous", None);
    let running = office.run().await;
    office.idle(&running).await;
    let name = |uuid: &str| told(&office, uuid)["caller"]["name"].clone();
    assert_eq!(name("nameless"), "Ayşe Demir", "the first of two with this number");
    assert_eq!(name("numbered"), "Ayşe Demir");
    assert_eq!(name("named"), "Kendi Adı");
    assert_eq!(name("unknown"), Value::Null);
    assert_eq!(name("withheld"), Value::Null);
    running.stop().await;
}

#[tokio::test]
async fn extensions_and_queues_have_their_names_in_messages_and_routes_still_match_the_number() {
    let mut office = office();
    office.routes =
        "[{when: {queue: '201'}, notify: [mail, slack, crm]}, {when: {event: voicemail.new}, notify: crm}, \
                     {mute: true}]"
            .to_owned();
    call(&office, "c", "905531112233", None);
    office.leave_voicemail("v");
    let running = office.run().await;
    office.idle(&running).await;
    let called = &told(&office, "c")["called"];
    assert_eq!(
        (&called["queue"], &called["queue_name"], &called["extension"], &called["name"]),
        (&json!("201"), &json!("Satış"), &json!("1002"), &json!("Satış Masası"))
    );
    assert_eq!(told(&office, "v")["called"]["name"], "Satış Masası");
    let slack = office.slack.received().remove(0).json().unwrap().to_string();
    assert!(slack.contains("201 (Satış)") && slack.contains("1002 (Satış Masası)"), "{slack}");
    running.stop().await;
}

#[tokio::test]
async fn ids_are_the_same_whether_names_are_known_or_not() {
    let mut ids = Vec::new();
    for names in [", names: true", ""] {
        let mut office = office();
        office.account = names.to_owned();
        call(&office, "c", "905531112233", None);
        office.once().await;
        let received = office.webhook.received().remove(0);
        let named = received.json().unwrap()["data"]["caller"]["name"] == "Ayşe Demir";
        assert_eq!(named, !names.is_empty());
        ids.push((received.header("webhook-id").unwrap().to_owned(), told(&office, "c")["event_id"].clone()));
        assert_eq!(asked(&office), if names.is_empty() { 0 } else { 3 });
    }
    assert_eq!(ids[0], ids[1]);
}

#[tokio::test]
async fn names_are_read_once_an_hour_page_by_page_and_no_extension_by_itself() {
    let office = office();
    office.pbx.change(|data| {
        for number in 0..250 {
            data.add_contact(json!({"name": format!("Kişi {number}"), "phone": format!("0542555{number:04}")}));
        }
    });
    let running = office.run().await;
    office.pass(&running, 50 * MINUTE, 5 * SECOND).await;
    let pages: Vec<_> = office.asked(Endpoint::Contacts).iter().map(|request| request.params["page"].clone()).collect();
    assert_eq!(pages, ["1", "2", "3"]);
    for list in LISTS {
        let asked: Vec<_> = office.asked(list).iter().map(|request| request.at.tick).collect();
        assert!(asked.windows(2).all(|two| two[1] - two[0] >= 10 * SECOND), "{list:?} {asked:?}");
    }
    let before = asked(&office);
    call(&office, "late", "05425550249", None);
    office.pass(&running, HOUR, 5 * SECOND).await;
    assert_eq!(told(&office, "late")["caller"]["name"], "Kişi 249");
    assert_eq!(asked(&office), 2 * before);
    assert!(office.asked(Endpoint::Other).is_empty());
    running.stop().await;
}

#[tokio::test]
async fn an_outage_of_the_phone_book_keeps_the_names_and_delays_no_poll() {
    let office = office();
    let running = office.run().await;
    office.pass(&running, MINUTE, 10 * SECOND).await;
    for list in LISTS {
        office.pbx.fault(list, Fault::Html500, usize::MAX);
    }
    let (names, polls) = (asked(&office), office.pbx.asked(Endpoint::Cdrs));
    office.pass(&running, 2 * HOUR, 30 * SECOND).await;
    assert!((names + 3..=names + 3 * 25).contains(&asked(&office)), "{} after {names}", asked(&office));
    assert!(office.pbx.asked(Endpoint::Cdrs) >= polls + 2 * 120);
    call(&office, "c", "905531112233", None);
    office.pass(&running, MINUTE, 10 * SECOND).await;
    assert_eq!(told(&office, "c")["caller"]["name"], "Ayşe Demir");
    // Well again, with another name and without the old ones.
    office.pbx.clear_faults();
    office.pbx.change(|data| {
        data.clear_names();
        data.add_contact(json!({"company_name": "Yeni A.Ş.", "phone": "05531112233"}));
    });
    office.pass(&running, 6 * MINUTE, 10 * SECOND).await;
    call(&office, "d", "905531112233", None);
    office.pass(&running, MINUTE, 10 * SECOND).await;
    assert_eq!(told(&office, "d")["caller"]["name"], "Yeni A.Ş.");
    assert_eq!(told(&office, "d")["called"]["queue_name"], Value::Null);
    running.stop().await;
}

#[tokio::test]
async fn a_phone_book_that_hangs_delays_the_first_message_by_a_few_seconds_and_no_other() {
    let office = office();
    for list in LISTS {
        office.pbx.fault(list, Fault::Hang, usize::MAX);
    }
    call(&office, "c", "905531112233", None);
    let running = office.run().await;
    let took = office.pass_until(&running, 10 * SECOND, SECOND, || !office.told().is_empty()).await;
    assert!(took.unwrap() <= 5 * SECOND, "{took:?}");
    assert_eq!(told(&office, "c")["caller"]["name"], Value::Null);
    call(&office, "d", "905531112233", None);
    office.clock.advance(30 * SECOND);
    office.idle(&running).await;
    assert!(!told(&office, "d").is_null());
    running.stop().await;
}

#[tokio::test]
async fn a_run_for_cron_asks_for_names_only_when_somebody_is_told() {
    let office = office();
    office.once().await;
    assert_eq!(asked(&office), 0);
    call(&office, "c", "905531112233", None);
    office.once().await;
    assert_eq!(told(&office, "c")["caller"]["name"], "Ayşe Demir");
    assert_eq!(asked(&office), 3);
}

#[tokio::test]
async fn a_reload_keeps_the_names_and_asks_for_nothing() {
    let mut office = office();
    let running = office.run().await;
    office.pass(&running, MINUTE, 10 * SECOND).await;
    let before = asked(&office);
    for _ in 0..3 {
        office.extra = format!("{}# another\n", office.extra);
        running.reload(office.config()).await.unwrap();
        office.pass(&running, 20 * SECOND, 10 * SECOND).await;
    }
    call(&office, "c", "905531112233", None);
    office.pass(&running, MINUTE, 10 * SECOND).await;
    assert_eq!(told(&office, "c")["caller"]["name"], "Ayşe Demir");
    assert_eq!(asked(&office), before);
    running.stop().await;
}

#[tokio::test]
async fn a_list_that_the_pbx_refuses_leaves_the_others() {
    let office = office();
    office.pbx.fault(Endpoint::Contacts, Fault::Status(404, "Not Found".to_owned(), Vec::new()), usize::MAX);
    office.pbx.fault(Endpoint::Extensions, Fault::Garbage, usize::MAX);
    call(&office, "c", "905531112233", None);
    office.once().await;
    assert_eq!(told(&office, "c")["called"]["queue_name"], "Satış");
    assert_eq!(told(&office, "c")["caller"]["name"], Value::Null);
}

#[tokio::test]
async fn the_phone_book_is_stored_nowhere_but_in_the_events_that_it_names() {
    let office = office();
    call(&office, "c", "905531112233", None);
    let running = office.run().await;
    office.pass(&running, MINUTE, 10 * SECOND).await;
    running.stop().await;
    assert!(holds(office.folder.path(), "Ayşe Demir"), "the search finds what is there");
    assert!(!holds(office.folder.path(), "Zeynep"));
}

fn holds(folder: &Path, text: &str) -> bool {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).any(|path| {
        if path.is_dir() {
            return holds(&path, text);
        }
        // The control socket cannot be read.
        let bytes = fs::read(&path).unwrap_or_default();
        bytes.windows(text.len()).any(|window| window == text.as_bytes())
    })
}
