//! First starts, lost stores and sudden ends: no flood, no loss, and what is told again is told under the same id.

use std::time::Duration;

use ringback::app::App;
use ringback::sim::pbx::{Endpoint, Fault, MarksRead, SimCall, SimVoicemail};
use ringback::sim::receiver::{Mode, Received};

use crate::harness::{Office, in_time};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

fn ids(received: &[Received]) -> Vec<String> {
    received.iter().map(|one| one.header("webhook-id").unwrap().to_owned()).collect()
}

/// 250 missed calls of the last hour and a half, and as many unread voicemails of the last six days.
fn backlog(office: &Office) {
    for n in 0_u32..250 {
        let caller_number = format!("0532{n:07}");
        let end = office.now().checked_sub(20 * MINUTE + n * 15 * SECOND).unwrap();
        office.pbx.add_call(SimCall { caller_number, ..SimCall::missed(format!("old-{n}"), end, 20 * SECOND) });
        let start = office.now().checked_sub(HOUR + n * 30 * MINUTE).unwrap();
        office.pbx.add_voicemail(SimVoicemail::unread(format!("old-v{n}"), start, 5 * SECOND));
    }
}

#[tokio::test]
async fn a_first_start_tells_what_is_recent_and_remembers_the_backlog() {
    let office = Office::new();
    backlog(&office);
    office.pbx.add_call(SimCall {
        caller_number: "02121112233".into(),
        ..SimCall::missed("recent", office.now().checked_sub(10 * MINUTE).unwrap(), 20 * SECOND)
    });
    let start = office.now().checked_sub(10 * MINUTE).unwrap();
    office.pbx.add_voicemail(SimVoicemail::unread("recent-v", start, 5 * SECOND));
    for _ in 0..4 {
        office.once().await;
        office.clock.advance(61 * SECOND);
    }
    assert_eq!(office.told(), ["call.missed recent", "voicemail.new recent-v"]);
}

#[tokio::test]
async fn a_daemon_that_starts_for_the_first_time_floods_nobody() {
    let office = Office::new();
    backlog(&office);
    let running = office.run().await;
    office.pass(&running, 10 * MINUTE, 10 * SECOND).await;
    running.stop().await;
    assert_eq!((office.webhook.total(), office.slack.total(), office.mail.received().len()), (0, 0, 0));
}

#[tokio::test]
async fn a_lost_store_tells_nothing_that_is_old_again_and_the_rest_under_the_same_ids() {
    let mut office = Office::new();
    office.routes = "[{notify: crm}]".to_owned();
    office.once().await;
    office.miss("old");
    office.once_after(HOUR).await;
    office.pbx.add_call(SimCall {
        caller_number: "02121112233".into(),
        ..SimCall::missed("recent", office.now(), 20 * SECOND)
    });
    office.once_after(5 * MINUTE).await;
    assert_eq!(office.told(), ["call.missed old", "call.missed recent"]);
    let before = ids(&office.webhook.received());
    // Moved out of the way at once: the store's own threads may still be tidying up in it.
    std::fs::rename(office.folder.path().join("store"), office.folder.path().join("lost")).unwrap();
    office.once_after(5 * MINUTE).await;
    assert_eq!(office.told(), ["call.missed old", "call.missed recent", "call.missed recent"]);
    let after = ids(&office.webhook.received());
    assert_eq!(after[2], before[1]);
}

#[tokio::test]
async fn a_kill_between_the_decision_and_the_answer_tells_again_under_the_same_id() {
    let mut office = Office::new();
    office.routes = "[{notify: crm}]".to_owned();
    office.once().await;
    office.webhook.set_mode(Mode::Hang);
    let running = office.run().await;
    office.miss("c1");
    office.leave_voicemail("v1");
    let sent = office.pass_until(&running, 5 * MINUTE, 10 * SECOND, || office.webhook.total() == 2).await;
    assert!(sent.is_some());
    let mut before = ids(&in_time(office.webhook.wait_for_total(2)).await);
    running.kill().await;
    assert!(office.pbx.is_read("v1"), "asking for the link has marked it as heard: it is not unread any more");

    office.webhook.set_mode(Mode::Ok);
    office.once_after(61 * SECOND).await;
    assert_eq!(office.told(), ["call.missed c1", "voicemail.new v1"]);
    let mut after = ids(&office.webhook.received()[2..]);
    before.sort_unstable();
    after.sort_unstable();
    assert_eq!(before, after);
    office.once_after(61 * SECOND).await;
    assert_eq!(office.webhook.total(), 4, "told, and not told again");
}

#[tokio::test]
async fn a_kill_while_the_link_is_minted_loses_no_voicemail() {
    let mut office = Office::new();
    office.routes = "[{notify: crm}]".to_owned();
    office.once().await;
    office.pbx.fault(Endpoint::VoicemailRecordingUrl, Fault::Hang, 1);
    let running = office.run().await;
    office.leave_voicemail("v1");
    let asked = || office.asked(Endpoint::VoicemailRecordingUrl).len() == 1;
    assert!(office.pass_until(&running, 5 * MINUTE, 10 * SECOND, asked).await.is_some());
    running.kill().await;
    // As if the answer had only been lost.
    office.pbx.mark_read("v1");
    office.once_after(61 * SECOND).await;
    assert_eq!(office.told(), ["voicemail.new v1"]);
}

#[tokio::test]
async fn a_kill_within_the_grace_forgets_no_call() {
    let office = Office::new();
    office.once().await;
    let running = office.run().await;
    office.pass(&running, 10 * SECOND, 10 * SECOND).await;
    office.miss("c1");
    office.pass(&running, 40 * SECOND, 10 * SECOND).await;
    running.kill().await;
    assert_eq!(office.told(), Vec::<String>::new());
    office.once_after(61 * SECOND).await;
    assert_eq!(office.told(), ["call.missed c1"]);
}

#[tokio::test]
async fn a_second_ringback_on_one_store_says_who_has_it() {
    let office = Office::new();
    let running = office.run().await;
    let error = App::new(&office.config(), office.clock.clone()).await.err().unwrap().to_string();
    assert!(error.contains("is in use by process ") && error.contains("hint: "), "{error}");
    running.stop().await;
    office.once().await;
}

#[tokio::test]
async fn what_was_pruned_is_not_told_again() {
    let mut office = Office::new();
    office.store = ", keep: 35d".to_owned();
    office.once().await;
    let running = office.run().await;
    office.pass(&running, 61 * SECOND, 61 * SECOND).await;
    office.miss("c1");
    office.leave_voicemail("v1");
    office.pbx.configure(|options| options.marks_read = MarksRead::Never);
    office.pass(&running, 3 * MINUTE, 10 * SECOND).await;
    assert_eq!(office.told(), ["call.missed c1", "voicemail.new v1"]);
    for _ in 0..40 {
        office.pass(&running, DAY, DAY).await;
        office.pass(&running, 6 * MINUTE, MINUTE).await;
    }
    let left = running.store().list(&|_| true).await.unwrap();
    assert_eq!(left.len(), 0, "forgotten");
    running.stop().await;
    assert_eq!(office.told(), ["call.missed c1", "voicemail.new v1"]);
    office.once_after(MINUTE).await;
    assert_eq!(office.webhook.total(), 2);
}
