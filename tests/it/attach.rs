//! `recording: attach`: the mail brings the audio itself, or else the link, and says so.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ringback::sim::pbx::{Endpoint, Fault, PbxOptions};
use ringback::sim::smtp::{Mail, SmtpFault, SmtpOptions, SmtpReceiver, Stage};

use crate::harness::Office;

const SECOND: Duration = Duration::from_secs(1);

async fn office(options: PbxOptions) -> Office {
    let mut office = Office::with(options);
    "    recording: attach\n    locale: en".clone_into(&mut office.mail_keys);
    "[{notify: mail}]".clone_into(&mut office.routes);
    office.once().await;
    office.clock.advance(61 * SECOND);
    office.leave_voicemail("v1");
    office
}

fn text(mail: &Mail) -> String {
    String::from_utf8_lossy(&mail.data).replace("=\r\n", "").replace("=3D", "=")
}

/// The header lines of the attachment, and what is in it.
fn attachment(mail: &Mail) -> Option<(String, Vec<u8>)> {
    let text = String::from_utf8(mail.data.clone()).unwrap();
    let at = text.find("Content-Disposition: attachment")?;
    let start = text[..at].rfind("\r\n--").unwrap() + 2;
    let (head, body) = text[start..].split_once("\r\n\r\n").unwrap();
    let body = &body[..body.find("\r\n--").unwrap()];
    assert!(body.lines().all(|line| line.len() <= 76));
    Some((head.to_owned(), BASE64.decode(body.replace("\r\n", "")).unwrap()))
}

/// The one mail, which has a link and says why.
fn link_instead(office: &Office) {
    let mails = office.mail.received();
    assert_eq!(mails.len(), 1);
    let text = text(&mails[0]);
    assert!(text.contains("The message could not be attached."), "{text}");
    assert!(text.contains(office.pbx.base_url()) && !text.contains("multipart/mixed"), "{text}");
}

#[tokio::test]
async fn the_mail_brings_the_audio_under_its_own_type_and_a_name_that_says_what_it_is() {
    let office = office(PbxOptions::default()).await;
    let rest = office.once().await;
    assert_eq!((rest.pending, rest.dead), (0, 0));
    let mail = &office.mail.received()[0];
    let (head, bytes) = attachment(mail).unwrap();
    assert!(head.contains("Content-Type: audio/wav"), "{head}");
    assert!(head.contains("filename=\"voicemail-2026-11-22-0800.wav\""), "{head}");
    assert_eq!(bytes, PbxOptions::default().audio);
    let text = text(mail);
    assert!(text.contains("voicemail-2026-11-22-0800.wav") && !text.contains("/recording/"), "{text}");
    assert!(office.pbx.is_read("v1"), "the PBX counts it as heard");
}

#[tokio::test]
async fn the_name_and_the_type_are_those_that_the_pbx_gives() {
    let office = office(PbxOptions::default()).await;
    let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let headers = vec![header("Content-Disposition", "attachment; filename=\"../x/R651f.mp3\"")];
    // As text/plain, but what it is shows.
    office.pbx.fault(Endpoint::Recording, Fault::Status(200, "ID3 mp3".to_owned(), headers), 1);
    office.once().await;
    let (head, bytes) = attachment(&office.mail.received()[0]).unwrap();
    assert!(head.contains("Content-Type: audio/mpeg") && head.contains("filename=\"R651f.mp3\""), "{head}");
    assert_eq!(bytes, b"ID3 mp3");
}

#[tokio::test]
async fn a_redirect_leads_to_the_audio_but_not_out_of_https() {
    for (leads, attached) in [("/recording/", true), ("ftp://127.0.0.1/x", false), ("http://192.0.2.1/x", false)] {
        let office = office(PbxOptions::default()).await;
        // To itself, where the audio is the second time.
        let to = if attached { String::new() } else { leads.to_owned() };
        let headers = vec![("Location".to_owned(), to)];
        office.pbx.fault(Endpoint::Recording, Fault::Status(302, String::new(), headers), 1);
        office.once().await;
        assert_eq!(attachment(&office.mail.received()[0]).is_some(), attached, "{leads}");
        if !attached {
            link_instead(&office);
        }
    }
}

#[tokio::test]
async fn what_cannot_be_attached_is_linked_and_the_mail_says_so() {
    let loops = Fault::Status(302, String::new(), vec![("Location".to_owned(), String::new())]);
    let empty = Fault::Status(200, String::new(), vec![("Content-Type".to_owned(), "audio/wav".to_owned())]);
    for fault in [Fault::Html500, Fault::Reset, Fault::Garbage, Fault::Truncate, loops, empty] {
        let office = office(PbxOptions::default()).await;
        office.pbx.fault(Endpoint::Recording, fault.clone(), usize::MAX);
        let rest = office.once().await;
        assert_eq!((rest.pending, rest.dead), (0, 0), "{fault:?}");
        link_instead(&office);
    }
}

#[tokio::test]
async fn ten_megabytes_are_attached_and_more_are_linked() {
    for (size, attached) in [(10 << 20, true), ((10 << 20) + 1, false)] {
        let office = office(PbxOptions { audio: vec![7; size].into(), ..PbxOptions::default() }).await;
        office.once().await;
        if attached {
            let (_, bytes) = attachment(&office.mail.received()[0]).unwrap();
            assert!(bytes.len() == size && bytes.iter().all(|byte| *byte == 7));
        } else {
            link_instead(&office);
        }
    }
}

#[tokio::test]
async fn a_mail_that_is_too_big_for_the_server_or_too_slow_goes_out_with_the_link() {
    let mut office = office(PbxOptions { audio: vec![7; 100_000].into(), ..PbxOptions::default() }).await;
    let options = SmtpOptions { max_size: 100_000, ..SmtpOptions::default() };
    office.mail = SmtpReceiver::start(office.clock.clone(), options).unwrap();
    office.once().await;
    link_instead(&office);

    let mut office = self::office(PbxOptions::default()).await;
    office.mail_keys.push_str("\n    timeout: 300ms");
    office.mail.fault(Stage::EndOfData, SmtpFault::Slow(SECOND), 1);
    assert_eq!(office.once().await.pending, 1);
    // Answered when nobody waited any more.
    let before = office.mail.wait_for(1).await.len();
    office.mail_keys = office.mail_keys.replace("300ms", "15s");
    office.once_after(10 * SECOND).await;
    let mails = office.mail.received();
    assert_eq!((before, mails.len()), (1, 2));
    assert!(attachment(&mails[0]).is_some() && attachment(&mails[1]).is_none());
    assert_eq!(mails[0].header("Message-ID"), mails[1].header("Message-ID"));
}

#[tokio::test]
async fn a_voicemail_that_our_own_fetching_marked_as_heard_is_told_at_the_next_attempt() {
    let office = office(PbxOptions::default()).await;
    office.mail.fault(Stage::EndOfData, SmtpFault::Reply(451, "4.3.0 later".to_owned()), 1);
    assert_eq!(office.once().await.pending, 1);
    assert!(office.pbx.is_read("v1"));
    office.once_after(61 * SECOND).await;
    assert!(attachment(&office.mail.received()[0]).is_some());
}

#[tokio::test]
async fn the_address_of_the_audio_is_in_no_mail_that_brings_it_and_in_no_row() {
    let office = office(PbxOptions::default()).await;
    office.mail.fault(Stage::EndOfData, SmtpFault::Reply(451, "4.3.0 later".to_owned()), 1);
    office.once().await;
    let request = office.asked(Endpoint::Recording).pop().unwrap();
    let id = request.target.rsplit('/').next().unwrap().as_bytes().to_owned();
    assert!(id.starts_with(b"R"));
    for file in std::fs::read_dir(office.folder.path().join("store")).unwrap() {
        let path = file.unwrap().path();
        if path.is_file() {
            assert!(!std::fs::read(&path).unwrap().windows(id.len()).any(|window| window == id), "{}", path.display());
        }
    }
}

#[tokio::test]
async fn a_channel_of_another_type_cannot_attach() {
    let mut office = Office::new();
    ", recording: attach".clone_into(&mut office.crm);
    let yaml = office.yaml();
    let problems = ringback::config::parse("config.yaml", yaml.as_bytes(), office.folder.path(), &|_| None);
    let problems = problems.unwrap_err().to_string();
    assert!(problems.contains("channels[2].recording: only a channel of type email can `attach`"), "{problems}");
}
