//! Webhook bodies of a shape of their own, from the call to the receiver.

use std::fs;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit as _, Mac as _};
use ringback::sim::receiver::{Mode, Received};
use sha2::Sha256;

use crate::harness::{Office, Running, WEBHOOK_SECRET, in_time};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

/// An office with a webhook channel alone.
fn office(crm: &str) -> Office {
    let mut office = Office::new();
    "grace: 0s".clone_into(&mut office.missed_calls);
    "[{notify: crm}]".clone_into(&mut office.routes);
    crm.clone_into(&mut office.crm);
    office
}

async fn next(office: &Office, running: &Running, uuid: &str, total: usize) -> Received {
    office.miss(uuid);
    office.pass_until(running, 5 * MINUTE, 5 * SECOND, || office.webhook.total() == total).await.unwrap();
    in_time(office.webhook.wait_for_total(total)).await.pop().unwrap()
}

fn text(received: &Received) -> &str {
    std::str::from_utf8(&received.body).unwrap()
}

#[tokio::test]
async fn the_body_of_a_template_is_sent_as_what_it_is_and_signed() {
    for (recipe, content_type, part) in [
        ("teams", "application/json", "application/vnd.microsoft.card.adaptive"),
        ("ntfy", "text/plain; charset=utf-8", "Cevapsız çağrı: "),
    ] {
        let office = office(&format!(", body_template: recipe:{recipe}"));
        office.miss("c1");
        assert_eq!(office.once().await.pending, 0);
        let received = office.webhook.received().pop().unwrap();
        assert_eq!(received.header("content-type"), Some(content_type));
        assert!(text(&received).contains(part), "{}", text(&received));
        let header = |name: &str| received.header(name).unwrap().to_owned();
        let key = BASE64.decode(WEBHOOK_SECRET.trim_start_matches("whsec_")).unwrap();
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
        mac.update(format!("{}.{}.", header("webhook-id"), header("webhook-timestamp")).as_bytes());
        mac.update(&received.body);
        let signature = format!("v1,{}", BASE64.encode(mac.finalize().into_bytes()));
        assert_eq!(header("webhook-signature"), signature);
    }
}

#[tokio::test]
async fn a_reload_reads_the_templates_again_and_keeps_them_when_one_is_broken() {
    let office = office(", body_template: b.hbs, content_type: text/plain");
    let file = office.folder.path().join("b.hbs");
    fs::write(&file, "old {{type}}").unwrap();
    let running = office.run().await;
    assert_eq!(text(&next(&office, &running, "c1", 1).await), "old call.missed");

    fs::write(&file, "new {{type}}").unwrap();
    assert_eq!(text(&next(&office, &running, "c2", 2).await), "old call.missed", "nobody has asked for it");
    running.reload(office.config()).await.unwrap();
    assert_eq!(text(&next(&office, &running, "c3", 3).await), "new call.missed");

    fs::write(&file, "{{tpye}}").unwrap();
    let refusal = running.reload(office.config()).await.unwrap_err().to_string();
    assert!(refusal.contains("b.hbs:1:1: there is no variable `tpye`"), "{refusal}");
    assert_eq!(text(&next(&office, &running, "c4", 4).await), "new call.missed");
    running.stop().await;
}

#[tokio::test]
async fn a_template_that_fails_costs_no_message() {
    let office = office(", body_template: b.hbs");
    fs::write(office.folder.path().join("b.hbs"), "{{tpye}}").unwrap();
    office.miss("c1");
    let rest = office.once().await;
    assert_eq!((rest.pending, rest.dead), (0, 0));
    assert_eq!(office.told(), ["call.missed c1"]);
}

#[tokio::test]
async fn a_wait_that_a_receiver_asks_for_in_its_answers_body_pauses_the_channel() {
    let office = office(", body_template: recipe:telegram");
    let running = office.run().await;
    let answer = r#"{"ok":false,"error_code":429,"description":"Too Many Requests","parameters":{"retry_after":120}}"#;
    office.webhook.push_mode(Mode::StatusWith(429, Vec::new(), answer.to_owned()), 1);
    next(&office, &running, "c1", 1).await;
    office.pass(&running, Duration::from_secs(115), 5 * SECOND).await;
    assert_eq!(office.webhook.total(), 1, "it is left alone");
    office.pass(&running, Duration::from_secs(30), 5 * SECOND).await;
    assert_eq!(office.webhook.accepted(), 1);
    running.stop().await;
}

#[tokio::test]
async fn a_masked_channel_is_sent_no_full_number_and_the_others_are() {
    let mut office = office(", mask_numbers: true");
    "[{notify: [crm, slack]}]".clone_into(&mut office.routes);
    office.miss("c1");
    assert_eq!(office.once().await.pending, 0);
    let (masked, clear) = (office.webhook.received().pop().unwrap(), office.slack.received().pop().unwrap());
    let number = "0312 123 45 67";
    assert!(text(&clear).contains(number), "{}", text(&clear));
    let json = masked.json().unwrap();
    assert_eq!(json["data"]["caller"]["display"], "0312 *** ** 67");
    assert!(json["data"]["caller"]["e164"].is_null() && !text(&masked).contains("1234567"), "{}", text(&masked));
}
