//! The recording in the mail itself.

use bytes::Bytes;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::{Facts, Look, Recording, Rendered, Renderer};
use crate::event::Kind;
use crate::message::{Attachment, Locale, Message};

/// A recording that was fetched.
#[derive(Debug, Clone)]
pub struct File {
    /// Its name without folders and ending, when it has one.
    pub stem: Option<String>,
    /// What its name ends in, without the dot.
    pub extension: &'static str,
    /// Its media type.
    pub content_type: String,
    /// What is in it.
    pub bytes: Bytes,
}

impl Renderer {
    /// The mail that brings `file`. What was rendered without it, with a link, goes along for a server to which the mail
    /// is too big.
    pub fn attach(&self, rendered: Rendered, look: &Look, facts: &Facts<'_>, file: File) -> Rendered {
        let Rendered { message: Message::Email(instead), failure } = rendered else { return rendered };
        let File { stem, extension, content_type, bytes } = file;
        // The PBX may name a file after the caller's number.
        let stem = stem.filter(|_| !look.mask_numbers);
        let stem = stem.unwrap_or_else(|| self.stem(look.locale, facts.event.kind, facts.event.started_at));
        let name = format!("{stem}.{extension}");
        let facts = Facts { recording: Recording::Attached { name: name.clone() }, ..facts.clone() };
        match self.render(look, &facts).message {
            Message::Email(mut mail) => {
                mail.attachment = Some(Box::new(Attachment { name, content_type, bytes, instead }));
                Rendered { message: Message::Email(mail), failure }
            }
            _ => Rendered { message: Message::Email(instead), failure },
        }
    }

    /// For audio without a name of its own: what it is, and when, in an order that sorts.
    fn stem(&self, locale: Locale, kind: Kind, at: Timestamp) -> String {
        let what = match (locale, kind) {
            (Locale::Tr, Kind::Voicemail) => "sesli-mesaj",
            (Locale::Tr, Kind::Call) => "ses-kaydi",
            (Locale::En, Kind::Voicemail) => "voicemail",
            (Locale::En, Kind::Call) => "recording",
        };
        let zone: &TimeZone = &self.timezone;
        format!("{what}-{}", at.to_zoned(zone.clone()).strftime("%Y-%m-%d-%H%M"))
    }
}
