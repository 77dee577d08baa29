//! What the board says, in both languages.

use serde::Serialize;

use crate::event::{Closed, EventType, Kind};
use crate::message::Locale;

/// The words that stand in templates.
#[derive(Debug, Serialize)]
pub(in crate::server) struct Words {
    pub(in crate::server) title: &'static str,
    skip: &'static str,
    live_on: &'static str,
    live_off: &'static str,
    logout: &'static str,
    health: &'static str,
    well: &'static str,
    open: &'static str,
    filter: &'static str,
    all: &'static str,
    apply: &'static str,
    clear: &'static str,
    pub(super) account: &'static str,
    pub(super) queue: &'static str,
    pub(super) extension: &'static str,
    when: &'static str,
    told: &'static str,
    next: &'static str,
    callback: &'static str,
    rung: &'static str,
    ring: &'static str,
    close: &'static str,
    note: &'static str,
    dead: &'static str,
    channel: &'static str,
    given_up: &'static str,
    reason: &'static str,
    retry: &'static str,
    retry_all: &'static str,
    settled: &'static str,
    nothing_settled: &'static str,
    pub(super) nothing: &'static str,
    pub(super) nothing_so: &'static str,
    pub(super) withheld: &'static str,
    pub(super) forgotten: &'static str,
    pub(super) in_grace: &'static str,
    pub(super) nobody: &'static str,
    pub(in crate::server) login: &'static str,
    token: &'static str,
    token_hint: &'static str,
    enter: &'static str,
    pub(in crate::server) wrong_token: &'static str,
    pub(in crate::server) too_many: &'static str,
    back: &'static str,
    pub(in crate::server) closed_title: &'static str,
    pub(in crate::server) closed_text: &'static str,
    pub(in crate::server) old_form_title: &'static str,
    pub(in crate::server) old_form_text: &'static str,
    pub(in crate::server) unreadable_title: &'static str,
    pub(in crate::server) unreadable_text: &'static str,
}

impl Words {
    pub(in crate::server) fn of(locale: Locale) -> &'static Self {
        match locale {
            Locale::Tr => &TR,
            Locale::En => &EN,
        }
    }
}

const TR: Words = Words {
    title: "Çağrı panosu",
    skip: "İçeriğe geç",
    live_on: "Canlı",
    live_off: "Bağlantı kesildi, yeniden deneniyor",
    logout: "Çıkış",
    health: "Dikkat",
    well: "Santral okunuyor, kanallar çalışıyor.",
    open: "Bekleyenler",
    filter: "Süzgeç",
    all: "Tümü",
    apply: "Uygula",
    clear: "Temizle",
    account: "Hesap",
    queue: "Kuyruk",
    extension: "Dahili",
    when: "Arama",
    told: "Haber verilen",
    next: "Sonraki adım",
    callback: "Geri ara",
    rung: "Geri arama",
    ring: "Dahiliniz",
    close: "Kapat",
    note: "Not (isteğe bağlı)",
    dead: "Teslim edilemeyenler",
    channel: "Kanal",
    given_up: "Vazgeçildi",
    reason: "Neden",
    retry: "Yeniden dene",
    retry_all: "Tümünü yeniden dene",
    settled: "Bugün sonuçlananlar",
    nothing_settled: "Bugün henüz sonuçlanan yok.",
    nothing: "Bekleyen yok: dönülmemiş çağrı da dinlenmemiş sesli mesaj da kalmadı.",
    nothing_so: "Bu süzgece uyan bekleyen yok.",
    withheld: "Gizli numara",
    forgotten: "Bilinmeyen arayan",
    in_grace: "Birazdan haber verilecek",
    nobody: "Kimseye haber verilmedi",
    login: "Çağrı panosuna giriş",
    token: "Erişim anahtarı",
    token_hint: "Yapılandırmadaki http.token değeri; sistem yöneticinizden isteyin.",
    enter: "Giriş yap",
    wrong_token: "Erişim anahtarı yanlış.",
    too_many: "Çok fazla yanlış deneme oldu. Bir dakika sonra yeniden deneyin.",
    back: "Panoya dön",
    closed_title: "Pano kapalı",
    closed_text: "Panoyu açmak için yapılandırmada http.token değerini verin.",
    old_form_title: "İşlem yapılmadı",
    old_form_text: "Bu sayfa eskimiş. Panoya dönüp yeniden deneyin.",
    unreadable_title: "Pano gösterilemiyor",
    unreadable_text: "Kayıtlar şu anda okunamıyor. Nedeni ringback günlüğünde yazıyor; birazdan yeniden deneyin.",
};

const EN: Words = Words {
    title: "Call board",
    skip: "Skip to content",
    live_on: "Live",
    live_off: "Connection lost, trying again",
    logout: "Log out",
    health: "Attention",
    well: "The PBX is read, and the channels work.",
    open: "Open",
    filter: "Filter",
    all: "All",
    apply: "Apply",
    clear: "Clear",
    account: "Account",
    queue: "Queue",
    extension: "Extension",
    when: "Called",
    told: "Told",
    next: "Next step",
    callback: "Call back",
    rung: "Called back",
    ring: "Your extension",
    close: "Close",
    note: "Note (optional)",
    dead: "Not delivered",
    channel: "Channel",
    given_up: "Given up",
    reason: "Reason",
    retry: "Try again",
    retry_all: "Try all again",
    settled: "Settled today",
    nothing_settled: "Nothing has been settled today yet.",
    nothing: "Nothing is open: every call was returned, every voicemail heard.",
    nothing_so: "Nothing open matches this filter.",
    withheld: "Withheld number",
    forgotten: "Unknown caller",
    in_grace: "About to be told",
    nobody: "Nobody was told",
    login: "Log in to the call board",
    token: "Access token",
    token_hint: "The value of http.token in the configuration; ask your administrator.",
    enter: "Log in",
    wrong_token: "This is not the access token.",
    too_many: "There were too many wrong attempts. Try again in a minute.",
    back: "Back to the board",
    closed_title: "The board is closed",
    closed_text: "To open it, set http.token in the configuration.",
    old_form_title: "Nothing was done",
    old_form_text: "This page is too old. Go back to the board and try again.",
    unreadable_title: "The board cannot be shown",
    unreadable_text: "The records cannot be read at the moment. The log of ringback says why; try again in a while.",
};

/// That an extension was asked to ring, and the PBX has not answered yet.
pub(super) fn ringing(extension: &str, locale: Locale) -> String {
    match locale {
        Locale::Tr => format!("{extension} dahilisi aranıyor"),
        Locale::En => format!("calling extension {extension}"),
    }
}

/// That it rang.
pub(super) fn rung(extension: &str, locale: Locale) -> String {
    match locale {
        Locale::Tr => format!("{extension} dahilisi çaldırıldı"),
        Locale::En => format!("extension {extension} was rung"),
    }
}

/// What has just been done, or why not: shown once, after the form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::server) enum Said {
    /// An event was closed.
    Closed,
    /// It was settled before, or is gone.
    SettledBefore,
    /// The note is too long.
    LongNote,
    /// Deliveries are tried again.
    Retried,
    /// There was nothing to try again.
    NotRetried,
    /// An extension rings.
    Rung,
    /// None does, and the row says why.
    NotRung,
}

impl Said {
    const ALL: [Self; 7] =
        [Self::Closed, Self::SettledBefore, Self::LongNote, Self::Retried, Self::NotRetried, Self::Rung, Self::NotRung];

    /// The name in the URL.
    pub(in crate::server) fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::SettledBefore => "settled-before",
            Self::LongNote => "long-note",
            Self::Retried => "retried",
            Self::NotRetried => "not-retried",
            Self::Rung => "rung",
            Self::NotRung => "not-rung",
        }
    }

    pub(super) fn read(query: &str) -> Option<Self> {
        let (_, given) = url::form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == "said")?;
        Self::ALL.into_iter().find(|said| said.as_str() == given)
    }

    pub(super) fn is_good(self) -> bool {
        matches!(self, Self::Closed | Self::Retried | Self::Rung)
    }

    pub(super) fn in_words(self, locale: Locale) -> &'static str {
        match (self, locale) {
            (Self::Closed, Locale::Tr) => "Kapatıldı.",
            (Self::Closed, Locale::En) => "Closed.",
            (Self::SettledBefore, Locale::Tr) => "Bu kayıt bu arada sonuçlanmış.",
            (Self::SettledBefore, Locale::En) => "It had been settled meanwhile.",
            (Self::LongNote, Locale::Tr) => "Not çok uzun; kısaltıp yeniden deneyin.",
            (Self::LongNote, Locale::En) => "The note is too long; shorten it and try again.",
            (Self::Retried, Locale::Tr) => "Yeniden deneniyor.",
            (Self::Retried, Locale::En) => "It is tried again.",
            (Self::Rung, Locale::Tr) => "Dahili çalıyor; açtığınızda arayan aranacak.",
            (Self::Rung, Locale::En) => "The extension is ringing; the caller is called when you answer.",
            (Self::NotRung, Locale::Tr) => "Geri aranamadı; nedeni kaydın yanında yazıyor.",
            (Self::NotRung, Locale::En) => "Nobody is called back; the row says why.",
            (Self::NotRetried, Locale::Tr) => "Yeniden denenecek bir şey kalmamış.",
            (Self::NotRetried, Locale::En) => "There was nothing left to try again.",
        }
    }
}

/// `3 açık: 2 cevapsız çağrı, 1 sesli mesaj`.
pub(super) fn counts(calls: usize, voicemails: usize, dead: usize, locale: Locale) -> String {
    let plural = |n: usize, one: &str, many: &str| format!("{n} {}", if n == 1 { one } else { many });
    let parts = match locale {
        Locale::Tr => [
            format!("{calls} cevapsız çağrı"),
            format!("{voicemails} sesli mesaj"),
            format!("{dead} teslim edilemeyen"),
        ],
        Locale::En => [
            plural(calls, "missed call", "missed calls"),
            plural(voicemails, "voicemail", "voicemails"),
            format!("{dead} not delivered"),
        ],
    };
    let [calls, voicemails, not_delivered] = parts;
    if dead > 0 { [calls, voicemails, not_delivered].join(", ") } else { [calls, voicemails].join(", ") }
}

/// That a list goes on.
pub(super) fn more(n: usize, locale: Locale) -> Option<String> {
    (n > 0).then(|| match locale {
        Locale::Tr => format!("… ve {n} kayıt daha"),
        Locale::En => format!("… and {n} more"),
    })
}

pub(in crate::server) fn kind(kind: Kind, locale: Locale) -> &'static str {
    match (kind, locale) {
        (Kind::Call, Locale::Tr) => "Cevapsız çağrı",
        (Kind::Call, Locale::En) => "Missed call",
        (Kind::Voicemail, Locale::Tr) => "Sesli mesaj",
        (Kind::Voicemail, Locale::En) => "Voicemail",
    }
}

/// What a delivery told, unless it was the beginning.
pub(super) fn part(event: EventType, locale: Locale) -> Option<&'static str> {
    match (event.is_follow_up(), event.is_escalation(), locale) {
        (true, _, Locale::Tr) => Some("sonuç"),
        (true, _, Locale::En) => Some("outcome"),
        (_, true, Locale::Tr) => Some("hatırlatma"),
        (_, true, Locale::En) => Some("reminder"),
        _ => None,
    }
}

/// How a delivery stands, before a time or alone.
#[derive(Debug, Clone, Copy)]
pub(super) enum Standing {
    Delivered,
    Soon,
    Held,
    Again,
    Dead,
    Withdrawn,
}

impl Standing {
    pub(super) fn in_words(self, locale: Locale) -> &'static str {
        match (self, locale) {
            (Self::Delivered, Locale::Tr) => "iletildi",
            (Self::Delivered, Locale::En) => "delivered",
            (Self::Soon, Locale::Tr) => "sırada",
            (Self::Soon, Locale::En) => "in the queue",
            (Self::Held, Locale::Tr) => "bekletiliyor, gönderim",
            (Self::Held, Locale::En) => "held until",
            (Self::Again, Locale::Tr) => "iletilemedi, yeniden",
            (Self::Again, Locale::En) => "failed, again at",
            (Self::Dead, Locale::Tr) => "vazgeçildi",
            (Self::Dead, Locale::En) => "given up",
            (Self::Withdrawn, Locale::Tr) => "gerek kalmadı",
            (Self::Withdrawn, Locale::En) => "not needed any more",
        }
    }
}

/// By what something was settled.
pub(super) fn outcome(by: Closed, locale: Locale) -> &'static str {
    match (by, locale) {
        (Closed::Returned, Locale::Tr) => "geri arandı",
        (Closed::Returned, Locale::En) => "called back",
        (Closed::CallerReached, Locale::Tr) => "arayanla görüşüldü",
        (Closed::CallerReached, Locale::En) => "caller reached",
        (Closed::Answered, Locale::Tr) => "yanıtlandı",
        (Closed::Answered, Locale::En) => "answered",
        (Closed::Heard, Locale::Tr) => "dinlendi",
        (Closed::Heard, Locale::En) => "heard",
        (Closed::Voicemail, Locale::Tr) => "sesli mesaj olarak bildirildi",
        (Closed::Voicemail, Locale::En) => "told as a voicemail",
        (Closed::Expired, Locale::Tr) => "takip süresi doldu",
        (Closed::Expired, Locale::En) => "not watched any more",
        (Closed::ByHand, Locale::Tr) => "elle kapatıldı",
        (Closed::ByHand, Locale::En) => "closed by hand",
    }
}

/// How long somebody has waited, in the largest two units: `2 saat 5 dakikadır bekliyor`, `waiting for 2 h 5 min`.
pub(super) fn waiting(seconds: i64, locale: Locale) -> String {
    let minutes = seconds.max(0) / 60;
    let units = match minutes {
        0..60 => [(0, Unit::Hour), (minutes, Unit::Minute)],
        60..1440 => [(minutes / 60, Unit::Hour), (minutes % 60, Unit::Minute)],
        _ => [(minutes / 1440, Unit::Day), (minutes / 60 % 24, Unit::Hour)],
    };
    let units: Vec<(i64, Unit)> = units.into_iter().filter(|(n, _)| *n > 0).collect();
    let Some(((last, last_unit), first)) = units.split_last() else {
        return if locale == Locale::Tr { "az önce" } else { "just now" }.to_owned();
    };
    let mut length: Vec<String> = first.iter().map(|(n, unit)| format!("{n} {}", unit.name(locale))).collect();
    match locale {
        Locale::Tr => length.extend([format!("{last} {} bekliyor", last_unit.since())]),
        Locale::En => length.extend([format!("{last} {}", last_unit.name(locale))]),
    }
    let length = length.join(" ");
    if locale == Locale::Tr { length } else { format!("waiting for {length}") }
}

#[derive(Clone, Copy)]
enum Unit {
    Day,
    Hour,
    Minute,
}

impl Unit {
    fn name(self, locale: Locale) -> &'static str {
        match (self, locale) {
            (Self::Day, Locale::Tr) => "gün",
            (Self::Day, Locale::En) => "d",
            (Self::Hour, Locale::Tr) => "saat",
            (Self::Hour, Locale::En) => "h",
            (Self::Minute, Locale::Tr) => "dakika",
            (Self::Minute, Locale::En) => "min",
        }
    }

    /// With the Turkish suffix of something that goes on.
    fn since(self) -> &'static str {
        match self {
            Self::Day => "gündür",
            Self::Hour => "saattir",
            Self::Minute => "dakikadır",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_is_told_in_at_most_two_units() {
        let tr = |minutes: i64| waiting(minutes * 60, Locale::Tr);
        assert_eq!(waiting(59, Locale::Tr), "az önce");
        assert_eq!(waiting(-5, Locale::En), "just now");
        assert_eq!(tr(12), "12 dakikadır bekliyor");
        assert_eq!(tr(120), "2 saattir bekliyor");
        assert_eq!(tr(125), "2 saat 5 dakikadır bekliyor");
        assert_eq!(tr(2 * 1440 + 5), "2 gündür bekliyor");
        assert_eq!(tr(1440 + 181), "1 gün 3 saattir bekliyor");
        assert_eq!(waiting(125 * 60, Locale::En), "waiting for 2 h 5 min");
    }

    #[test]
    fn what_was_done_reads_back_from_the_url_and_nothing_else_does() {
        for said in Said::ALL {
            assert_eq!(Said::read(&format!("queue=1&said={}", said.as_str())), Some(said));
        }
        assert_eq!(Said::read("said=<script>"), None);
    }

    #[test]
    fn counts_are_in_the_grammar_of_their_language() {
        assert_eq!(counts(1, 2, 0, Locale::En), "1 missed call, 2 voicemails");
        assert_eq!(counts(3, 0, 1, Locale::Tr), "3 cevapsız çağrı, 0 sesli mesaj, 1 teslim edilemeyen");
    }
}
