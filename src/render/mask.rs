//! Telephone numbers starred in everything that a message is made of, for channels with `mask_numbers`.
//!
//! It is done to the facts, before any template sees them, so that no template can forget it. Extensions stay, and so
//! do names that the administrator has given: those of accounts and channels.

use std::borrow::Cow;

use super::facts::{CalledData, CallerData, Data};
use crate::private::mask_digits;

/// So many digits may be a telephone number; fewer are an extension or a short code.
const SHORTEST: usize = 7;

/// National digits: what all notations of a number end in.
const NATIONAL: usize = 10;

/// The same facts without a full number: no field that only machines read, no `tel:` link, nothing in names and texts.
pub(super) fn data(data: Data<'_>) -> Data<'_> {
    // Every field by name: a new one must be looked at here.
    let Data {
        event_id,
        account,
        uuid,
        test,
        caller,
        called,
        started_at,
        ended_at,
        duration_seconds,
        queue_wait_seconds,
        result,
        return_uuid,
        returned_at,
        settled_by,
        returned_by,
        heard_at,
        waited_seconds,
        attempts,
        calls,
        recording,
        links,
    } = data;
    let numbers = Numbers::of([caller.number.as_deref(), caller.e164, called.number.as_deref(), called.e164]);
    let CallerData { number, e164: _, display, name, withheld } = caller;
    let caller = CallerData {
        number: number.map(whole),
        e164: None,
        display: display.map(whole),
        name: name.map(text),
        withheld,
    };
    let CalledData { number, e164: _, display, name, extension, queue, queue_name } = called;
    let called = CalledData {
        number: number.map(whole),
        e164: None,
        display: display.map(whole),
        name: name.map(text),
        extension: extension.map(text),
        queue: queue.map(text),
        queue_name: queue_name.map(text),
    };
    Data {
        event_id,
        account,
        uuid: numbers.out_of(uuid),
        test,
        caller,
        called,
        started_at,
        ended_at,
        duration_seconds,
        queue_wait_seconds,
        result: result.map(text),
        return_uuid: return_uuid.map(|uuid| numbers.out_of(uuid)),
        returned_at,
        settled_by,
        returned_by: returned_by.map(text),
        heard_at,
        waited_seconds,
        attempts,
        calls,
        // Half a URL leads nowhere: the message then says where to listen.
        recording: recording.filter(|link| !numbers.are_in(link.url)),
        links,
    }
}

/// A number that a field holds, whatever stands between its digits.
fn whole(number: Cow<'_, str>) -> Cow<'_, str> {
    if digits(&number).len() < SHORTEST { text(number) } else { Cow::Owned(mask_digits(&ascii_digits(&number))) }
}

/// Every number in a text that others wrote, however its digits are grouped.
pub(super) fn text(text: Cow<'_, str>) -> Cow<'_, str> {
    if digits(&text).len() < SHORTEST {
        return text;
    }
    let plain = ascii_digits(&text);
    let mut masked = String::with_capacity(plain.len());
    let mut rest = plain.as_str();
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
        let (before, from) = rest.split_at(start);
        // Letters end a number; whatever else people put between digits does not.
        let (number, after) = from.split_at(from.find(char::is_alphabetic).unwrap_or(from.len()));
        masked.push_str(before);
        let is_number = number.bytes().filter(u8::is_ascii_digit).count() >= SHORTEST;
        masked.push_str(&if is_number { mask_digits(number) } else { number.to_owned() });
        rest = after;
    }
    masked.push_str(rest);
    Cow::Owned(masked)
}

/// The digits of a text. Those of other scripts read as digits to people, so they count.
fn digits(text: &str) -> String {
    text.chars().filter(|c| c.is_numeric()).map(|c| decimal(c).unwrap_or('0')).collect()
}

/// The text with the digits of other scripts as ASCII ones, which is what is starred.
fn ascii_digits(text: &str) -> String {
    text.chars().map(|c| if c.is_numeric() { decimal(c).unwrap_or('0') } else { c }).collect()
}

/// A digit of the scripts that telephones know: Arabic-Indic, Persian, Devanagari, fullwidth.
fn decimal(c: char) -> Option<char> {
    let zero =
        [0x30, 0x660, 0x6f0, 0x966, 0xff10].into_iter().find(|zero| (*zero..zero + 10).contains(&u32::from(c)))?;
    char::from_digit(u32::from(c) - zero, 10)
}

/// What the numbers of an event end in, by which ids and URLs are searched: those hold long digits of their own, which
/// nobody could do without.
struct Numbers(Vec<String>);

impl Numbers {
    fn of(numbers: [Option<&str>; 4]) -> Self {
        let ends = numbers.into_iter().flatten().map(digits).filter(|digits| digits.len() >= SHORTEST);
        Self(ends.map(|digits| digits[digits.len().saturating_sub(NATIONAL)..].to_owned()).collect())
    }

    fn are_in(&self, text: &str) -> bool {
        let digits = digits(text);
        self.0.iter().any(|number| digits.contains(number))
    }

    fn out_of<'t>(&self, id: Cow<'t, str>) -> Cow<'t, str> {
        if self.are_in(&id) { Cow::Owned(mask_digits(&ascii_digits(&id))) } else { id }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_in_a_text_is_starred_however_it_is_grouped() {
        for (given, wanted) in [
            ("Ahmet 0532 111 22 67", "Ahmet 0532 *** ** 67"),
            ("Ahmet +90 (532) 111-22.67 ev", "Ahmet +90 (53*) ***-**.67 ev"),
            ("05321112267/05321112268", "0532*******/*********68"),
            ("٠٥٣٢١١١٢٢٦٧", "0532*****67"),
            ("０５３２　１１１２２６７", "0532　*****67"),
            ("Dahili 1002", "Dahili 1002"),
            ("7/24 Destek 112", "7/24 Destek 112"),
            ("", ""),
        ] {
            assert_eq!(text(Cow::Borrowed(given)), wanted, "{given}");
        }
    }

    #[test]
    fn a_number_field_is_starred_even_with_letters_between_its_digits() {
        assert_eq!(whole(Cow::Borrowed("0532a111b2267")), "0532a***b**67");
        assert_eq!(whole(Cow::Borrowed("1014")), "1014");
    }

    #[test]
    fn an_id_is_starred_only_when_it_holds_a_number_of_the_event() {
        let numbers = Numbers::of([Some("05321112267"), Some("+905321112267"), None, None]);
        let id = "651f8a68-7823-1117-a6b6-589998882643";
        assert_eq!(numbers.out_of(Cow::Borrowed(id)), id);
        assert!(numbers.are_in("https://x/rec-90-532-111-22-67.mp3"));
        assert!(!numbers.out_of(Cow::Borrowed("17000000-05321112267")).contains("1112267"));
    }
}
