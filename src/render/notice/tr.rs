//! Notices in Turkish. Names stand in brackets and dates before a noun, so that no suffix must fit them.

use super::{When, Words};
use crate::condition::{Cause, Condition, News, Notice, PbxTrouble};
use crate::event::Kind;
use crate::outbox::FailureKind;

pub(super) fn words(notice: &Notice, when: &When) -> Words {
    let (title, lead) = match &notice.news {
        News::Failing(_) => failing(&notice.condition, when),
        News::Recovered => recovered(&notice.condition, when),
        News::Dead { count, .. } => dead(&notice.condition, *count, when),
    };
    let (why, action) = match notice.reason() {
        Some(reason) => (why(reason.cause), action(&notice.condition, reason.cause)),
        None => ("", String::new()),
    };
    Words { title, lead, why, action, detail: "Teknik ayrıntı" }
}

fn failing(condition: &Condition, When { since, .. }: &When) -> (String, String) {
    match condition {
        Condition::StoreUnwritable => (
            "kayıtlar diske yazılamıyor".to_owned(),
            format!("{since} tarihinden beri diske yazılamıyor. Bu sürdükçe yeni çağrılar ve sesli mesajlar alınamaz."),
        ),
        Condition::PbxUnreadable { account, source } => (
            format!("{} okunamıyor ({account})", list(*source)),
            format!(
                "Santral ({account}) {since} tarihinden beri okunamıyor. Bu sürdükçe {} haber verilemez; düzelince kalındığı yerden devam edilir.",
                contents(*source)
            ),
        ),
        Condition::ChannelFailing { channel } => (
            format!("kanal iletemiyor ({channel})"),
            format!(
                "Bu kanala ({channel}) {since} tarihinden beri hiçbir ileti teslim edilemiyor. Bekleyenler saklanıyor ve yeniden denenecek."
            ),
        ),
        Condition::DeliveryOverdue { channel } | Condition::DeliveriesDead { channel } => (
            format!("iletiler gecikiyor ({channel})"),
            format!("Bu kanalın ({channel}) zamanı gelmiş iletileri {since} tarihinden beri gönderilmeyi bekliyor."),
        ),
    }
}

fn recovered(condition: &Condition, When { since, until }: &When) -> (String, String) {
    match condition {
        Condition::StoreUnwritable => (
            "kayıtlar yeniden diske yazılıyor".to_owned(),
            format!("{since} ile {until} arasında diske yazılamadı; artık yazılıyor."),
        ),
        Condition::PbxUnreadable { account, source } => (
            format!("{} yeniden okunuyor ({account})", list(*source)),
            format!(
                "Santral ({account}) {since} ile {until} arasında okunamadı; artık okunuyor. O sırada gelen {} şimdi ele alınıyor.",
                contents(*source)
            ),
        ),
        Condition::ChannelFailing { channel } => (
            format!("kanal yeniden iletiyor ({channel})"),
            format!("Bu kanala ({channel}) {since} ile {until} arasında ileti teslim edilemedi; artık ediliyor."),
        ),
        Condition::DeliveryOverdue { channel } | Condition::DeliveriesDead { channel } => (
            format!("iletiler yeniden zamanında ({channel})"),
            format!("Bu kanalın ({channel}) iletileri {since} ile {until} arasında gecikti; geciken kalmadı."),
        ),
    }
}

fn dead(condition: &Condition, count: usize, When { since, .. }: &When) -> (String, String) {
    let channel = condition.channel().unwrap_or_default();
    (
        format!("{count} ileti teslim edilemedi ({channel})"),
        format!(
            "{since} tarihinden beri bu kanala ({channel}) gidecek {count} iletiden vazgeçildi; kendiliğinden yeniden denenmeyecek."
        ),
    )
}

fn list(source: Option<Kind>) -> &'static str {
    match source {
        None => "santral",
        Some(Kind::Call) => "santralin çağrıları",
        Some(Kind::Voicemail) => "santralin sesli mesajları",
    }
}

fn contents(source: Option<Kind>) -> &'static str {
    match source {
        None => "cevapsız çağrılar ve sesli mesajlar",
        Some(Kind::Call) => "cevapsız çağrılar",
        Some(Kind::Voicemail) => "sesli mesajlar",
    }
}

fn why(cause: Cause) -> &'static str {
    match cause {
        Cause::Pbx(PbxTrouble::WrongKey) => "Santral API anahtarını kabul etmiyor.",
        Cause::Pbx(PbxTrouble::RateLimited) => "Santral, çok sık sorgulandığını bildiriyor (429).",
        Cause::Pbx(PbxTrouble::Unreachable) => "Santrale ulaşılamıyor.",
        Cause::Pbx(PbxTrouble::Tls) => "Santralle güvenli bağlantı (TLS) kurulamıyor.",
        Cause::Pbx(PbxTrouble::Trouble) => "Santral kendi içinde hata veriyor.",
        Cause::Pbx(PbxTrouble::Refused) => "Santral isteği reddediyor.",
        Cause::Pbx(PbxTrouble::Garbled) => "Santralin yanıtı anlaşılamıyor.",
        Cause::Pbx(PbxTrouble::Silent) => "Santral zamanında okunamıyor.",
        Cause::Receiver(FailureKind::Timeout) => "Alıcı zamanında yanıt vermiyor.",
        Cause::Receiver(FailureKind::Unreachable) => "Alıcıya ulaşılamıyor.",
        Cause::Receiver(FailureKind::Tls) => "Alıcıyla güvenli bağlantı (TLS) kurulamıyor.",
        Cause::Receiver(FailureKind::RateLimited) => "Alıcı, gönderime ara verilmesini istiyor (429).",
        Cause::Receiver(FailureKind::Unauthorized) => "Alıcı kimlik bilgilerimizi kabul etmiyor.",
        Cause::Receiver(FailureKind::Receiver) => "Alıcı kendi içinde hata veriyor.",
        Cause::Receiver(FailureKind::Rejected) => "Alıcı iletiyi reddediyor.",
        Cause::Receiver(FailureKind::Internal) => "İleti hazırlanamıyor.",
        Cause::Waiting => "Gönderim, gelen iletilere yetişemiyor ya da durmuş.",
        Cause::Disk => "Disk dolu, salt okunur ya da arızalı olabilir.",
    }
}

fn action(condition: &Condition, cause: Cause) -> String {
    let channel = condition.channel().unwrap_or_default();
    if let Condition::DeliveriesDead { .. } = condition {
        return format!(
            "Görmek için: ringback deliveries list --state dead --channel {channel}. Yeniden denemek için: ringback deliveries retry --dead --channel {channel}"
        );
    }
    let text = match cause {
        Cause::Pbx(PbxTrouble::WrongKey) => {
            "Online İşlem Merkezi, Bulut Santralim, Santral Ayarlarım sayfasındaki anahtarı yapılandırmadaki api_key ile karşılaştırın."
        }
        Cause::Pbx(PbxTrouble::RateLimited) => {
            "Aynı anahtarı başka bir program da kullanıyor mu, bakın; gerekirse hesabın limits değerlerini düşürün."
        }
        Cause::Pbx(PbxTrouble::Unreachable) => "İnternet bağlantısını, DNS ayarını ve güvenlik duvarını denetleyin.",
        Cause::Pbx(PbxTrouble::Tls) | Cause::Receiver(FailureKind::Tls) => {
            "Bu makinenin saatini ve sertifikalarını, karşı tarafın sertifikasını denetleyin."
        }
        Cause::Pbx(PbxTrouble::Trouble) => "Sürerse santral sağlayıcınızın desteğine başvurun.",
        Cause::Pbx(PbxTrouble::Refused | PbxTrouble::Garbled) => {
            "Yapılandırmadaki base_url doğru mu, arada bir vekil sunucu var mı, bakın."
        }
        Cause::Pbx(PbxTrouble::Silent) | Cause::Receiver(FailureKind::Internal) => "ringback günlüğüne bakın.",
        Cause::Receiver(FailureKind::Unauthorized) => {
            "Kanalın parolasını, anahtarını ya da adresini yenileyin; sonra ringback kendiliğinden devam eder."
        }
        Cause::Receiver(FailureKind::RateLimited) => "Ara bitince kendiliğinden devam edilir.",
        Cause::Receiver(_) => "Alıcının çalıştığını ve kanalın adresini denetleyin.",
        Cause::Waiting => {
            return format!("Bekleyenler için: ringback deliveries list --state pending --channel {channel}");
        }
        Cause::Disk => "Diskte yer olup olmadığına ve store.path klasörünün izinlerine bakın.",
    };
    text.to_owned()
}
