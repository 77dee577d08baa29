//! The words of a summary. Figures stand behind a colon, so that no Turkish suffix must fit them.

use crate::message::Locale;

/// Labels and headings in one language.
pub(super) struct Words {
    pub(super) daily: &'static str,
    pub(super) weekly: &'static str,
    pub(super) missed: &'static str,
    pub(super) returned: &'static str,
    pub(super) median: &'static str,
    pub(super) earlier_returned: &'static str,
    pub(super) voicemails: &'static str,
    pub(super) heard: &'static str,
    pub(super) earlier_heard: &'static str,
    pub(super) closed_by_hand: &'static str,
    pub(super) open: &'static str,
    pub(super) nothing_open: &'static str,
    pub(super) queues: &'static str,
    pub(super) extensions: &'static str,
    pub(super) columns: [&'static str; 3],
    pub(super) call: &'static str,
    pub(super) voicemail: &'static str,
    pub(super) queue: &'static str,
    pub(super) extension: &'static str,
    pub(super) unwatched: &'static str,
}

pub(super) fn words(locale: Locale) -> &'static Words {
    match locale {
        Locale::Tr => &TR,
        Locale::En => &EN,
    }
}

/// In a subject, behind the title.
pub(super) fn in_short(missed: usize, voicemails: usize, open: usize, locale: Locale) -> String {
    match locale {
        Locale::Tr if voicemails > 0 => format!("{missed} cevapsız çağrı, {voicemails} sesli mesaj, {open} açık"),
        Locale::Tr => format!("{missed} cevapsız çağrı, {open} açık"),
        Locale::En if voicemails > 0 => format!("{missed} missed, {}, {open} open", counted(voicemails, "voicemail")),
        Locale::En => format!("{missed} missed, {open} open"),
    }
}

/// Since when a list is true.
pub(super) fn as_of(date: &str, locale: Locale) -> String {
    match locale {
        Locale::Tr => format!("{date} itibarıyla"),
        Locale::En => format!("as of {date}"),
    }
}

/// That one person has called several times.
pub(super) fn calls(count: usize, last: &str, locale: Locale) -> String {
    match locale {
        Locale::Tr => format!("{count} kez, son arama {last}"),
        Locale::En => format!("{}, the last one {last}", counted(count, "call")),
    }
}

/// Behind a list that was cut.
pub(super) fn more(count: usize, locale: Locale) -> String {
    match locale {
        Locale::Tr => format!("… ve {count} tane daha"),
        Locale::En => format!("… and {count} more"),
    }
}

fn counted(count: usize, thing: &str) -> String {
    format!("{count} {thing}{}", if count == 1 { "" } else { "s" })
}

const TR: Words = Words {
    daily: "Günlük özet",
    weekly: "Haftalık özet",
    missed: "Cevapsız çağrı",
    returned: "Dönülen",
    median: "Ortanca dönüş süresi",
    earlier_returned: "Önceki dönemden kalıp dönülen",
    voicemails: "Sesli mesaj",
    heard: "Dinlenen",
    earlier_heard: "Önceki dönemden kalıp dinlenen",
    closed_by_hand: "Elle kapatılan",
    open: "Açık kalanlar",
    nothing_open: "Açık kalan yok.",
    queues: "Kuyruklara göre",
    extensions: "Dahililere göre",
    columns: ["Cevapsız", "Dönülen", "Açık"],
    call: "Cevapsız çağrı",
    voicemail: "Sesli mesaj",
    queue: "Kuyruk",
    extension: "Dahili",
    unwatched: "artık izlenmiyor",
};

const EN: Words = Words {
    daily: "Daily summary",
    weekly: "Weekly summary",
    missed: "Missed calls",
    returned: "Returned",
    median: "Median time to return",
    earlier_returned: "Returned from before",
    voicemails: "Voicemails",
    heard: "Heard",
    earlier_heard: "Heard from before",
    closed_by_hand: "Closed by hand",
    open: "Still open",
    nothing_open: "Nothing is open.",
    queues: "By queue",
    extensions: "By extension",
    columns: ["Missed", "Returned", "Open"],
    call: "Missed call",
    voicemail: "Voicemail",
    queue: "Queue",
    extension: "Extension",
    unwatched: "no longer watched",
};
