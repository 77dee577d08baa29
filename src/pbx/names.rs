//! The PBX's own names for people and places: its phone book, its extensions, its queues. Read leniently, page by page.
//!
//! Sources: the vendor's page on queues, and its machine-readable description for the others. `/extensions/{number}` is never
//! asked: its answer holds the SIP password.

use super::error::PbxError;
use super::json::{Json, Object};
use super::row::{NAME_CHARS, Row};
use super::wire;
use crate::number::{self, printable};
use crate::private::PersonName;

/// No contact has more numbers that matter.
const MOST_PHONES: usize = 10;

/// Fewer digits are an extension or a short code, which a phone book cannot name for everybody.
const SHORTEST_PHONE: usize = 7;

/// Numbers of extensions and queues, in characters.
const PLACE_CHARS: usize = 16;

/// Names of queues, in characters: they are stored beside everything else of an event, and its row has little room left.
const PLACE_NAME_CHARS: usize = 64;

/// A list of names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameList {
    /// The phone book.
    Contacts,
    /// Extensions.
    Extensions,
    /// Queues.
    Queues,
}

impl NameList {
    /// All of them; each stands at the place of its number as a `usize`.
    pub const ALL: [Self; 3] = [Self::Contacts, Self::Extensions, Self::Queues];

    /// The name in paths and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Contacts => "contacts",
            Self::Extensions => "extensions",
            Self::Queues => "queues",
        }
    }
}

/// One page of such a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamePage {
    /// The rows: whoever has no name, or no number, is here without.
    pub entries: Vec<Entry>,
    /// The vendor's own count, when it gives one.
    pub total_pages: Option<u32>,
}

/// One person or place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its numbers: those of people as `number::line` writes them.
    pub numbers: Vec<String>,
    /// At most 100 characters on one line.
    pub name: Option<PersonName>,
}

/// Reads one page: a list, or an object that holds one. Rows that are no objects are left out.
pub(super) fn page(list: NameList, body: &[u8]) -> Result<NamePage, PbxError> {
    let answer = wire::json(body)?;
    let (rows, pagination) = match &answer {
        Json::List(rows) => (Some(rows), None),
        Json::Object(answer) => (rows(answer, list), answer.get("pagination").and_then(wire::object_of)),
        _ => (None, None),
    };
    let rows = rows.ok_or_else(|| wire::missing(list.as_str()))?;
    let entries = rows.iter().filter_map(wire::object_of).map(|row| entry(list, &row)).collect();
    let total_pages = pagination.and_then(|row| row.seconds("total_pages")).filter(|pages| *pages > 0);
    Ok(NamePage { entries, total_pages })
}

fn rows<'a, 'j>(answer: &'a Object<'j>, list: NameList) -> Option<&'a Vec<Json<'j>>> {
    let named = answer.get(list.as_str()).into_iter();
    named.chain(answer.fields().map(|(_, value)| value)).find_map(|value| match value {
        Json::List(rows) => Some(rows),
        _ => None,
    })
}

fn entry(list: NameList, row: &Row<'_>) -> Entry {
    let chars = if list == NameList::Queues { PLACE_NAME_CHARS } else { NAME_CHARS };
    let own: Vec<String> = ["name", "surname"].into_iter().filter_map(|key| row.text(key, chars)).collect();
    let name = printable(&own.join(" "), chars);
    let name = if name.is_empty() { row.text("company_name", chars) } else { Some(name) };
    let numbers = match list {
        NameList::Contacts => phones(row),
        NameList::Extensions | NameList::Queues => row.text("number", PLACE_CHARS).into_iter().collect(),
    };
    Entry { numbers, name: name.map(PersonName::new) }
}

/// `phone`, `phone1`, `phone2` and whatever else begins like them.
fn phones(row: &Row<'_>) -> Vec<String> {
    let keys = row.0.fields().map(|(key, _)| key).filter(|key| key.starts_with("phone"));
    let numbers = keys.filter_map(|key| row.number(key).number);
    let lines = numbers.map(|number| number::line(&number).into_owned());
    lines.filter(|line| line.bytes().filter(u8::is_ascii_digit).count() >= SHORTEST_PHONE).take(MOST_PHONES).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(list: NameList, answer: &serde_json::Value) -> Vec<(Vec<String>, Option<String>)> {
        let page = page(list, answer.to_string().as_bytes()).unwrap();
        let name = |name: PersonName| name.expose().to_owned();
        page.entries.into_iter().map(|entry| (entry.numbers, entry.name.map(name))).collect()
    }

    #[test]
    fn a_contact_is_known_by_all_of_its_numbers() {
        let contacts = json!({"contacts": [
            {"name": "Ayşe", "surname": "Demir", "company_name": "Demir Ltd", "phone": "05531112233", "phone1": "0212 444 55 66",
             "phone2": null, "phone3": 905_542_510_000_u64, "phone4": "", "phone5": "112", "fax": "02120000000"},
            {"name": "", "surname": null, "company_name": "Yılmaz A.Ş.", "phone": "444 12 34"},
            {"phone": "05531112244"},
            "no object",
        ], "pagination": {"page": 1, "total_pages": 3}});
        assert_eq!(
            read(NameList::Contacts, &contacts),
            [
                (
                    vec!["+905531112233".to_owned(), "+902124445566".to_owned(), "+905542510000".to_owned()],
                    Some("Ayşe Demir".to_owned())
                ),
                (vec!["4441234".to_owned()], Some("Yılmaz A.Ş.".to_owned())),
                (vec!["+905531112244".to_owned()], None),
            ]
        );
        let page = page(NameList::Contacts, contacts.to_string().as_bytes()).unwrap();
        assert_eq!(page.total_pages, Some(3));
    }

    #[test]
    fn a_list_may_be_bare_or_in_an_object_and_its_numbers_of_either_type() {
        let wanted = [(vec!["200".to_owned()], Some("Kuyruk 1".to_owned()))];
        for answer in [
            json!([{"number": 200, "name": "Kuyruk 1"}]),
            json!({"queues": [{"number": "200", "name": "Kuyruk 1"}]}),
            json!({"data": [{"number": 200.0, "name": " Kuyruk\n1 "}]}),
        ] {
            assert_eq!(read(NameList::Queues, &answer), wanted, "{answer}");
        }
    }

    #[test]
    fn an_answer_without_a_list_is_no_empty_list() {
        for answer in ["\"Gecersiz anahtar: x\"", "{\"error\": \"x\"}", "1", "<html>", ""] {
            page(NameList::Queues, answer.as_bytes()).unwrap_err();
        }
    }

    #[test]
    fn a_name_is_one_bounded_line() {
        let long = json!([{"number": 1, "name": "a\u{0}\r\nb", "surname": "x".repeat(500)}]);
        let name = read(NameList::Extensions, &long).remove(0).1.unwrap();
        assert!(name.starts_with("a b xxx") && name.chars().count() == NAME_CHARS, "{name}");
        let name = read(NameList::Queues, &long).remove(0).1.unwrap();
        assert_eq!(name.chars().count(), PLACE_NAME_CHARS);
    }
}
