//! The words of the pages that links open, in each language.

use crate::callback::CallbackError;
use crate::event::{Closed, Event, Kind};
use crate::message::Locale;

/// What a page says, beside the facts.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub(super) struct Words {
    pub when: &'static str,
    pub withheld: &'static str,
    pub length: &'static str,
    pub waited: &'static str,
    pub called: &'static str,
    pub extension: &'static str,
    pub queue: &'static str,
    pub account: &'static str,
    pub state: &'static str,
    pub open: &'static str,
    pub play: &'static str,
    pub play_title: &'static str,
    pub no_sound: &'static str,
    pub call_back: &'static str,
    pub call_back_title: &'static str,
    pub call_back_hint: &'static str,
    pub your_extension: &'static str,
    pub cannot_call: &'static str,
    pub expired_title: &'static str,
    pub expired: &'static str,
    pub forged_title: &'static str,
    pub forged: &'static str,
    pub gone_title: &'static str,
    pub gone: &'static str,
    pub busy_title: &'static str,
    pub busy: &'static str,
}

impl Words {
    pub(super) fn of(locale: Locale) -> &'static Self {
        match locale {
            Locale::Tr => &TR,
            Locale::En => &EN,
        }
    }

    /// How it stands with an event.
    pub(super) fn standing(&self, event: &Event, locale: Locale) -> String {
        let (tr, by) = (locale == Locale::Tr, event.ending.as_ref().and_then(|ending| ending.extension.as_deref()));
        let text = match event.closed_by() {
            None => self.open,
            Some(Closed::Returned) => {
                if tr {
                    "Geri arandı"
                } else {
                    "Called back"
                }
            }
            Some(Closed::CallerReached) => {
                if tr {
                    "Arayanla görüşüldü"
                } else {
                    "The caller was reached"
                }
            }
            Some(Closed::Answered) => {
                if tr {
                    "Yanıtlandı"
                } else {
                    "Answered"
                }
            }
            Some(Closed::Heard) => {
                if tr {
                    "Dinlendi"
                } else {
                    "Heard"
                }
            }
            Some(Closed::Voicemail) => {
                if tr {
                    "Sesli mesaj bırakıldı"
                } else {
                    "Left a voicemail"
                }
            }
            Some(Closed::Expired) => {
                if tr {
                    "Artık izlenmiyor"
                } else {
                    "Not watched any more"
                }
            }
            Some(Closed::ByHand) => {
                if tr {
                    "Elle kapatıldı"
                } else {
                    "Closed by hand"
                }
            }
        };
        match by.filter(|_| event.kind == Kind::Call && event.closed_by().is_some()) {
            Some(by) if tr => format!("{text} (dahili {by})"),
            Some(by) => format!("{text} (extension {by})"),
            None => text.to_owned(),
        }
    }
}

/// That the extension rings.
pub(super) fn ringing(extension: &str, locale: Locale) -> String {
    match locale {
        Locale::Tr => format!("{extension} dahilisi çalıyor; açtığınızda arayan aranacak."),
        Locale::En => format!("Extension {extension} is ringing; the caller is called when you answer."),
    }
}

/// Why nobody is called, for whoever pressed.
pub(in crate::server) fn refusal(error: &CallbackError, locale: Locale) -> String {
    if locale == Locale::En {
        return match error {
            CallbackError::NoExtension => "Which extension is to ring? Please enter it.".to_owned(),
            CallbackError::Pbx(text) => format!("The PBX refused the call: {text}"),
            other => sentence(&other.to_string()),
        };
    }
    match error {
        CallbackError::Unknown => "Bu çağrı artık kayıtlarda yok.".to_owned(),
        CallbackError::NoNumber => "Arayanın numarası gizli ya da aranamıyor.".to_owned(),
        CallbackError::Settled(Closed::Returned) => "Bu çağrıya bu arada dönülmüş.".to_owned(),
        CallbackError::Settled(Closed::CallerReached) => "Arayanla bu arada görüşülmüş.".to_owned(),
        CallbackError::Settled(Closed::ByHand) => "Bu kayıt bu arada elle kapatılmış.".to_owned(),
        CallbackError::Settled(_) => "Bu çağrı bu arada yanıtlanmış.".to_owned(),
        CallbackError::NoExtension => "Hangi dahili çalsın? Lütfen yazın.".to_owned(),
        CallbackError::BadExtension => "Dahili numarası 1–10 haneli olmalıdır.".to_owned(),
        CallbackError::TooMany => "Bir dakika içinde çok fazla geri arama istendi; biraz bekleyin.".to_owned(),
        CallbackError::Pbx(text) => format!("Santral çağrıyı kabul etmedi: {text}"),
        CallbackError::Unsure(_) => "Santral yanıt vermedi; dahili yine de çalabilir.".to_owned(),
        CallbackError::Store => "Kayıtlar şu anda okunamıyor; biraz sonra yeniden deneyin.".to_owned(),
    }
}

fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(chars).chain(['.']).collect()
}

const TR: Words = Words {
    when: "Ne zaman",
    withheld: "Gizli numara",
    length: "Mesaj süresi",
    waited: "Bekleme süresi",
    called: "Aranan numara",
    extension: "Dahili",
    queue: "Kuyruk",
    account: "Hesap",
    state: "Durum",
    open: "Açık",
    play: "Dinle",
    play_title: "Ses kaydı",
    no_sound: "Ses kaydına şu anda ulaşılamıyor. Biraz sonra yeniden deneyin ya da Online İşlem Merkezi üzerinden dinleyin.",
    call_back: "Geri ara",
    call_back_title: "Santral üzerinden geri arama",
    call_back_hint: "Önce dahiliniz çalar; açtığınızda arayan aranır.",
    your_extension: "Dahiliniz",
    cannot_call: "Arayanın numarası gizli ya da aranamıyor; geri aranamaz.",
    expired_title: "Bağlantının süresi dolmuş",
    expired: "Bu bağlantı artık geçerli değil. Kaydı Online İşlem Merkezi üzerinden bulabilirsiniz.",
    forged_title: "Bağlantı geçersiz",
    forged: "Bu bağlantı geçerli değil. İletideki bağlantının tamamını açtığınızdan emin olun.",
    gone_title: "Kayıt bulunamadı",
    gone: "Bu bağlantının gösterdiği kayıt artık yok.",
    busy_title: "Şu anda gösterilemiyor",
    busy: "Kayıtlar şu anda okunamıyor. Biraz sonra yeniden deneyin.",
};

const EN: Words = Words {
    when: "When",
    withheld: "Withheld number",
    length: "Length",
    waited: "Waited",
    called: "Number called",
    extension: "Extension",
    queue: "Queue",
    account: "Account",
    state: "State",
    open: "Open",
    play: "Play",
    play_title: "Recording",
    no_sound: "The recording cannot be had at the moment. Try again in a while, or listen in the Online İşlem Merkezi.",
    call_back: "Call back",
    call_back_title: "Call back through the PBX",
    call_back_hint: "Your extension rings first; the caller is called when you answer.",
    your_extension: "Your extension",
    cannot_call: "The caller withheld the number, or it cannot be called.",
    expired_title: "The link has expired",
    expired: "This link does not work any more. You can find the recording in the Online İşlem Merkezi.",
    forged_title: "The link is not valid",
    forged: "This link is not valid. Make sure that you have opened the whole of it.",
    gone_title: "Not found",
    gone: "What this link showed is not there any more.",
    busy_title: "Not available at the moment",
    busy: "The calls cannot be read at the moment. Try again in a while.",
};
