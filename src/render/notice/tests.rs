//! What notices look like.

use std::time::Duration;

use serde_json::Value;

use super::*;
use crate::condition::{Cause, Condition, PbxTrouble, Reason};
use crate::event::Kind;
use crate::outbox::FailureKind;

fn renderer() -> Renderer {
    Renderer::new(None, TimeZone::get("Europe/Istanbul").unwrap()).unwrap()
}

fn notice(condition: Condition, news: News) -> Notice {
    let since: Timestamp = "2026-11-22T05:10:00Z".parse().unwrap();
    Notice { covers: vec![condition.clone()], condition, since, at: since + Duration::from_secs(600), news }
}

fn conditions() -> Vec<Condition> {
    let (account, channel) = (|| "m".repeat(64), || "c".repeat(64));
    vec![
        Condition::StoreUnwritable,
        Condition::PbxUnreadable { account: account(), source: None },
        Condition::PbxUnreadable { account: account(), source: Some(Kind::Call) },
        Condition::PbxUnreadable { account: account(), source: Some(Kind::Voicemail) },
        Condition::ChannelFailing { channel: channel() },
        Condition::DeliveryOverdue { channel: channel() },
        Condition::DeliveriesDead { channel: channel() },
    ]
}

fn causes() -> Vec<Cause> {
    use FailureKind as F;
    use PbxTrouble as P;
    let pbx = [P::WrongKey, P::RateLimited, P::Unreachable, P::Tls, P::Trouble, P::Refused, P::Garbled, P::Silent];
    let receiver =
        [F::Timeout, F::Unreachable, F::Tls, F::RateLimited, F::Unauthorized, F::Receiver, F::Rejected, F::Internal];
    let pbx = pbx.into_iter().map(Cause::Pbx);
    pbx.chain(receiver.into_iter().map(Cause::Receiver)).chain([Cause::Waiting, Cause::Disk]).collect()
}

fn everything() -> Vec<Notice> {
    let mut all = Vec::new();
    for condition in conditions() {
        for cause in causes() {
            let reason = Reason::new(cause, &"<b>&\"x\" ".repeat(100));
            all.push(notice(condition.clone(), News::Failing(reason.clone())));
            all.push(notice(condition.clone(), News::Dead { count: 1234, reason }));
        }
        all.push(notice(condition, News::Recovered));
    }
    all
}

fn text(locale: Locale, notice: &Notice) -> String {
    let Message::Email(mail) = renderer().notice(&Look::new(ChannelType::Email, locale), notice).message else {
        panic!("no mail")
    };
    format!("Subject: {}\n\n{}", mail.subject, mail.text)
}

#[test]
fn a_wrong_key_reads_so_in_both_languages() {
    let condition = Condition::PbxUnreadable { account: "main".to_owned(), source: None };
    let reason = Reason::new(Cause::Pbx(PbxTrouble::WrongKey), "the PBX refused the API key: Gecersiz anahtar: ***");
    let failing = notice(condition.clone(), News::Failing(reason));
    insta::assert_snapshot!(text(Locale::Tr, &failing), @"
    Subject: ringback: santral okunamıyor (main)

    ringback: santral okunamıyor (main)

    Santral (main) 22.11.2026 08:10 tarihinden beri okunamıyor. Bu sürdükçe cevapsız çağrılar ve sesli mesajlar haber verilemez; düzelince kalındığı yerden devam edilir.

    Santral API anahtarını kabul etmiyor. Online İşlem Merkezi, Bulut Santralim, Santral Ayarlarım sayfasındaki anahtarı yapılandırmadaki api_key ile karşılaştırın.

    Teknik ayrıntı: the PBX refused the API key: Gecersiz anahtar: ***

    -- 
    ringback
    ");
    insta::assert_snapshot!(text(Locale::En, &failing), @"
    Subject: ringback: the PBX cannot be read (main)

    ringback: the PBX cannot be read (main)

    The PBX (main) could not be read since 22 Nov 2026, 08:10. Until it can, nobody is told of missed calls and voicemails; after that ringback goes on where it stopped.

    The PBX does not accept the API key. Compare the key in the Online İşlem Merkezi (Bulut Santralim, Santral Ayarlarım) with api_key in the configuration.

    Technical detail: the PBX refused the API key: Gecersiz anahtar: ***

    -- 
    ringback
    ");
    insta::assert_snapshot!(text(Locale::Tr, &notice(condition, News::Recovered)), @"
    Subject: ringback: santral yeniden okunuyor (main)

    ringback: santral yeniden okunuyor (main)

    Santral (main) 22.11.2026 08:10 ile 22.11.2026 08:20 arasında okunamadı; artık okunuyor. O sırada gelen cevapsız çağrılar ve sesli mesajlar şimdi ele alınıyor.

    -- 
    ringback
    ");
}

#[test]
fn the_dead_are_told_with_the_commands_that_show_and_retry_them() {
    let condition = Condition::DeliveriesDead { channel: "crm".to_owned() };
    let reason = Reason::new(Cause::Receiver(FailureKind::Rejected), "HTTP 410 Gone");
    let dead = notice(condition, News::Dead { count: 3, reason });
    insta::assert_snapshot!(text(Locale::Tr, &dead), @"
    Subject: ringback: 3 ileti teslim edilemedi (crm)

    ringback: 3 ileti teslim edilemedi (crm)

    22.11.2026 08:10 tarihinden beri bu kanala (crm) gidecek 3 iletiden vazgeçildi; kendiliğinden yeniden denenmeyecek.

    Alıcı iletiyi reddediyor. Görmek için: ringback deliveries list --state dead --channel crm. Yeniden denemek için: ringback deliveries retry --dead --channel crm

    Teknik ayrıntı: HTTP 410 Gone

    -- 
    ringback
    ");
    insta::assert_snapshot!(text(Locale::En, &dead), @"
    Subject: ringback: 3 deliveries given up (crm)

    ringback: 3 deliveries given up (crm)

    Since 22 Nov 2026, 08:10, 3 deliveries to this channel (crm) were given up; they are not tried again by themselves.

    The receiver refuses the message. To see them: ringback deliveries list --state dead --channel crm. To try them again: ringback deliveries retry --dead --channel crm

    Technical detail: HTTP 410 Gone

    -- 
    ringback
    ");
}

#[test]
fn the_body_of_a_webhook_has_every_key_always() {
    let condition = Condition::PbxUnreadable { account: "main".to_owned(), source: Some(Kind::Voicemail) };
    let reason = Reason::new(Cause::Pbx(PbxTrouble::RateLimited), "the PBX was asked too often (429)");
    let body = |news| {
        let Message::Webhook(message) =
            renderer().notice(&Look::new(ChannelType::Webhook, Locale::En), &notice(condition.clone(), news)).message
        else {
            panic!("no body")
        };
        serde_json::from_slice::<Value>(&message.body).unwrap()
    };
    insta::assert_json_snapshot!(body(News::Failing(reason)), @r#"
    {
      "data": {
        "account": "main",
        "channel": null,
        "condition": "pbx_unreadable",
        "count": null,
        "reason": "the PBX was asked too often (429)",
        "since": "2026-11-22T05:10:00Z",
        "source": "voicemails",
        "text": "ringback: the PBX's voicemails cannot be read (main). The PBX (main) could not be read since 22 Nov 2026, 08:10. Until it can, nobody is told of voicemails; after that ringback goes on where it stopped. The PBX says that it is asked too often (429). See whether another program uses the same key; if so, lower the limits of the account. Technical detail: the PBX was asked too often (429)",
        "until": null
      },
      "timestamp": "2026-11-22T05:20:00Z",
      "type": "health.failing"
    }
    "#);
    let recovered = body(News::Recovered);
    assert_eq!((&recovered["type"], &recovered["data"]["reason"]), (&json!("health.recovered"), &Value::Null));
    assert_eq!(recovered["data"]["until"], "2026-11-22T05:20:00Z");
}

#[test]
fn every_notice_fits_every_channel() {
    let renderer = renderer();
    for notice in everything() {
        for locale in Locale::ALL {
            for channel in ChannelType::ALL {
                match renderer.notice(&Look::new(channel, locale), &notice).message {
                    Message::Slack(json) => {
                        let message: Value = serde_json::from_slice(&json.post).unwrap();
                        let length = |place: &str| message.pointer(place).unwrap().as_str().unwrap().chars().count();
                        assert!(length("/blocks/0/text/text") <= 150, "{notice:?}");
                        assert!(length("/blocks/1/text/text") <= 3000, "{notice:?}");
                        assert!(!String::from_utf8_lossy(&json.post).contains("\"mrkdwn\""));
                    }
                    Message::Webhook(message) => {
                        assert!(message.body.len() < 20_000);
                        serde_json::from_slice::<Value>(&message.body).unwrap();
                    }
                    Message::Email(mail) => {
                        assert!(!mail.subject.contains('\n') && mail.subject.chars().count() < 120);
                        assert!(!mail.html.contains("<b>") && mail.html.contains("</html>"), "{}", mail.html);
                    }
                }
            }
        }
    }
}
