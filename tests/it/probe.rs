//! `ringback probe`: what the PBX answers, without what it says.

use std::time::Duration;

use ringback::clock::Clock;
use ringback::sim::pbx::{Endpoint, Fault, PbxOptions, SimCall};
use serde_json::json;

use crate::binary::{Ended, configure, start};
use crate::harness::Office;

const LIMIT: Duration = Duration::from_secs(60);

async fn probe(office: &Office) -> Ended {
    configure(office.folder.path(), &office.yaml());
    let program = start(office.folder.path(), &["probe"], &[]);
    tokio::task::spawn_blocking(|| program.end(LIMIT)).await.unwrap()
}

#[tokio::test]
async fn the_shape_of_every_answer_is_shown_and_nobody_can_be_known_by_it() {
    let office = Office::on(Clock::system(), PbxOptions::default());
    let call = SimCall::missed("651f8a68-782e", office.now(), Duration::from_secs(20));
    office.pbx.add_call(SimCall { caller_name: Some("Şükrü Öz".to_owned()), ..call });
    office.leave_voicemail("v1");
    office.pbx.change(|data| data.add_contact(json!({"name": "Ayşe", "phone": "05531112233"})));
    let ended = probe(&office).await;
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{}", ended.stdout);
    for shown in [
        "account main",
        "GET /cdrs/UUID",
        "cdrs[].call_uuid ×1: \"999x9x99-999x\"",
        "cdrs[].missed ×1: \"true\" or \"false\"",
        "GET /crm_integrations",
    ] {
        assert!(ended.stdout.contains(shown), "{shown} is missing in\n{}", ended.stdout);
    }
    for hidden in ["Şükrü", "1234567", "5531112233", "Ayşe", office.pbx.key()] {
        assert!(!ended.stdout.contains(hidden), "{hidden} is shown in\n{}", ended.stdout);
    }
    for endpoint in [Endpoint::RecordingUrl, Endpoint::VoicemailRecordingUrl, Endpoint::Originate, Endpoint::SetCrm] {
        assert!(office.asked(endpoint).is_empty(), "{endpoint:?}");
    }
    assert_eq!((office.asked(Endpoint::Cdrs).len(), office.asked(Endpoint::CdrDetail).len()), (1, 1));
}

#[tokio::test]
async fn a_refused_key_is_said_once_and_not_shown() {
    let office = Office::on(Clock::system(), PbxOptions::default());
    office.pbx.fault(Endpoint::Cdrs, Fault::BadKeyEcho, 1);
    let ended = probe(&office).await;
    assert_eq!(ended.code, Some(1));
    assert!(ended.stdout.contains("refused the API key") && ended.stderr.contains("no answer for main"), "{ended:?}");
    assert!(!ended.stdout.contains(office.pbx.key()) && office.pbx.requests().len() == 1);
}
