//! Which recipients of a mail are done with: the note that the email channel keeps with a delivery between attempts.
//! Pure.
//!
//! The first line is for the channel: `has AbCdE FgHiJ refused KlMnO`, one short hash for each address, so that the note
//! survives a change of the recipients. The lines after it are for people: whom the server has refused, and in which
//! words. The hash is over the delivery's id too: what another delivery noted says nothing of this one.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use lettre::Address;
use sha2::{Digest as _, Sha256};

use crate::event::DeliveryId;
use crate::outbox::{Delivery, Outcome};

/// Characters of a hash: of a hundred recipients, one in ten million is taken for another.
const TAG: usize = 5;

/// Who is done with.
pub(super) struct Recipients {
    id: DeliveryId,
    has: Vec<String>,
    refused: Vec<String>,
    words: Vec<String>,
}

impl Recipients {
    /// What was noted at an earlier attempt of the delivery `id`.
    pub(super) fn read(id: DeliveryId, memo: Option<&str>) -> Self {
        let mut read = Self { id, has: Vec::new(), refused: Vec::new(), words: Vec::new() };
        let mut lines = memo.unwrap_or_default().lines();
        let mut list = None;
        for word in lines.next().unwrap_or_default().split_ascii_whitespace() {
            match (word, &mut list) {
                ("has", _) => list = Some(&mut read.has),
                ("refused", _) => list = Some(&mut read.refused),
                (tag, Some(list)) if tag.len() == TAG => list.push(tag.to_owned()),
                _ => {}
            }
        }
        read.words = lines.map(str::to_owned).collect();
        read
    }

    /// Those of `all` that are to be tried.
    pub(super) fn open<'a>(&self, all: &'a [Address]) -> Vec<&'a Address> {
        all.iter().filter(|address| !self.is_in(&self.has, address) && !self.is_in(&self.refused, address)).collect()
    }

    /// How many of `all` have it.
    pub(super) fn holders(&self, all: &[Address]) -> usize {
        all.iter().filter(|address| self.is_in(&self.has, address)).count()
    }

    /// The server has taken it for this one.
    pub(super) fn took(&mut self, address: &Address) {
        self.has.push(self.tag(address));
    }

    /// The server has refused this one for good, in these words.
    pub(super) fn refuse(&mut self, address: &Address, words: &str) {
        self.refused.push(self.tag(address));
        self.words.push(format!("{}: {}", masked(address), words.replace(['\r', '\n'], " ")));
    }

    /// What those who were refused were refused with.
    pub(super) fn words(&self) -> &[String] {
        &self.words
    }

    /// What is to be known at the next attempt, if there is one, and when somebody looks at the delivery.
    pub(super) fn note(&self, outcome: &Outcome) -> Option<String> {
        // Who is refused when nobody is left to be tried again is tried again when a person says so.
        let refused: &[String] = if matches!(outcome, Outcome::Permanent(_)) { &[] } else { &self.refused };
        let ended_well = matches!(outcome, Outcome::Delivered) && refused.is_empty();
        if ended_well || (self.has.is_empty() && refused.is_empty()) {
            return None;
        }
        let mut note = String::new();
        for (word, tags) in [("has", &self.has[..]), ("refused", refused)] {
            // Whoever has no room is told twice rather than not at all.
            for (index, tag) in tags.iter().enumerate() {
                let first = if index > 0 { "" } else { word };
                let gaps = usize::from(!first.is_empty()) + usize::from(!note.is_empty());
                if note.len() + first.len() + gaps + TAG > Delivery::MAX_MEMO {
                    break;
                }
                for part in [first, tag].into_iter().filter(|part| !part.is_empty()) {
                    if !note.is_empty() {
                        note.push(' ');
                    }
                    note.push_str(part);
                }
            }
        }
        for line in self.words.iter().take(refused.len()) {
            let room = (Delivery::MAX_MEMO - note.len()).min(200);
            if room < 40 {
                break;
            }
            note.push('\n');
            note.push_str(&line[..line.floor_char_boundary(room - 1)]);
        }
        Some(note)
    }

    fn is_in(&self, tags: &[String], address: &Address) -> bool {
        !tags.is_empty() && tags.contains(&self.tag(address))
    }

    fn tag(&self, address: &Address) -> String {
        let mut hash = Sha256::new();
        hash.update(self.id.to_string().as_bytes());
        hash.update(address.user().as_bytes());
        hash.update(b"@");
        hash.update(address.domain().to_ascii_lowercase().as_bytes());
        let mut tag = BASE64.encode(hash.finalize());
        tag.truncate(TAG);
        tag
    }
}

/// `o***@example.com`: enough for who knows the configuration.
pub(super) fn masked(address: &Address) -> String {
    let first = address.user().chars().next().unwrap_or('*');
    format!("{first}***@{}", address.domain())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::EventType;
    use crate::outbox::{Failure, FailureKind};

    fn id(uuid: &str) -> DeliveryId {
        DeliveryId::derive("main", EventType::CallMissed, uuid, "mail")
    }

    fn addresses(count: usize) -> Vec<Address> {
        (0..count).map(|n| format!("a{n}@example.com").parse().unwrap()).collect()
    }

    fn again() -> Outcome {
        Outcome::RetryAfter { failure: Failure::new(FailureKind::Rejected, "later"), wait: None }
    }

    #[test]
    fn who_is_done_with_is_not_tried_again_whoever_joins_or_leaves() {
        let all = addresses(4);
        let mut done = Recipients::read(id("c1"), None);
        done.took(&all[0]);
        done.refuse(&all[2], "permanent error (550): no\r\nsuch user");
        let note = done.note(&again()).unwrap();
        assert_eq!(note.lines().nth(1), Some("a***@example.com: permanent error (550): no  such user"));
        let read = Recipients::read(id("c1"), Some(&note));
        assert_eq!(read.open(&all), [&all[1], &all[3]]);
        assert_eq!(read.holders(&all), 1);
        let mut changed = addresses(6);
        changed.remove(1);
        assert_eq!(read.open(&changed), [&changed[2], &changed[3], &changed[4]]);
        assert_eq!(read.note(&again()), Some(note.clone()));
        assert_eq!(Recipients::read(id("c2"), Some(&note)).open(&all).len(), 4, "another delivery's note says nothing");
        assert_eq!(Recipients::read(id("c1"), Some("1763787600.000200 C024BE91L")).open(&all).len(), 4);
    }

    #[test]
    fn a_note_is_kept_only_as_long_as_somebody_needs_it() {
        let all = addresses(2);
        let mut done = Recipients::read(id("c1"), None);
        assert_eq!(done.note(&again()), None);
        done.took(&all[0]);
        assert_eq!(done.note(&Outcome::Delivered), None);
        done.refuse(&all[1], "no");
        assert!(done.note(&Outcome::Delivered).unwrap().contains("a***@example.com: no"));
        let given_up = done.note(&Outcome::Permanent(Failure::new(FailureKind::Rejected, "no"))).unwrap();
        let read = Recipients::read(id("c1"), Some(&given_up));
        assert_eq!(read.open(&all), [&all[1]], "a person who says `retry` means the one that was refused");
    }

    #[test]
    fn a_note_never_outgrows_its_row() {
        let all = addresses(400);
        let mut done = Recipients::read(id("c1"), None);
        for address in &all[..150] {
            done.took(address);
        }
        for address in &all[150..] {
            done.refuse(address, &"ş".repeat(500));
        }
        let note = done.note(&again()).unwrap();
        assert!(note.len() <= Delivery::MAX_MEMO, "{}", note.len());
        let read = Recipients::read(id("c1"), Some(&note));
        assert_eq!(read.holders(&all), 150);
        assert!(read.open(&all).len() > 200);
    }
}
