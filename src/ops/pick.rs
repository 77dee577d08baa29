//! Finding what an operator means by an id, or by the beginning of one.

use std::fmt::Display;
use std::sync::Arc;

use super::OpsError;
use crate::event::Event;
use crate::outbox::Delivery;
use crate::store::Store;

/// A kind of thing that has ids.
struct Named {
    a_what: &'static str,
    what: &'static str,
    prefix: &'static str,
    list: &'static str,
}

const DELIVERY: Named = Named { a_what: "a delivery", what: "delivery", prefix: "dlv_", list: "deliveries list" };
const EVENT: Named = Named { a_what: "an event", what: "event", prefix: "evt_", list: "events list" };

/// Hex digits in a whole id.
const WHOLE: usize = 32;

/// The deliveries of these ids, each once. Beginnings cost one reading of the whole outbox, however many they are.
pub(super) async fn deliveries(store: &dyn Store, given: &[String]) -> Result<Vec<Delivery>, OpsError> {
    let wanted = given.iter().map(|id| beginning(id, &DELIVERY)).collect::<Result<Vec<_>, _>>()?;
    let mut candidates = Vec::new();
    for whole in wanted.iter().filter_map(|id| id.parse().ok()) {
        candidates.extend(store.delivery(whole).await?);
    }
    let parts: Vec<&String> = wanted.iter().filter(|id| !is_whole(id)).collect();
    if !parts.is_empty() {
        candidates.extend(store.list(&|row| parts.iter().any(|part| begins(row.id, part))).await?);
    }
    let mut found: Vec<Delivery> = Vec::new();
    for (given, wanted) in given.iter().zip(&wanted) {
        let row = one(given, wanted, &candidates, |row| row.id, &DELIVERY)?;
        if !found.iter().any(|other| other.id == row.id) {
            found.push(row.clone());
        }
    }
    Ok(found)
}

/// The event of this id.
pub(super) async fn event(store: &dyn Store, given: &str) -> Result<Event, OpsError> {
    let wanted = beginning(given, &EVENT)?;
    let candidates: Vec<Event> = match wanted.parse() {
        Ok(whole) => store.events(&[whole]).await?.into_iter().flatten().map(Arc::unwrap_or_clone).collect(),
        Err(_) => store.list_events(&|event| begins(event.id, &wanted)).await?,
    };
    one(given, &wanted, &candidates, |event| event.id, &EVENT).cloned()
}

/// With its prefix, which need not have been written.
fn beginning(given: &str, named: &Named) -> Result<String, OpsError> {
    let wrong = || OpsError::NotAnId { given: given.to_owned(), a_what: named.a_what, prefix: named.prefix };
    let hex = given.trim().to_ascii_lowercase();
    let hex = hex.strip_prefix(named.prefix).unwrap_or(&hex);
    let right = (1..=WHOLE).contains(&hex.len()) && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
    if right { Ok(format!("{}{hex}", named.prefix)) } else { Err(wrong()) }
}

fn is_whole(id: &str) -> bool {
    id.len() == DELIVERY.prefix.len() + WHOLE
}

fn begins(id: impl Display, beginning: &str) -> bool {
    id.to_string().starts_with(beginning)
}

fn one<'r, T, I: Display>(
    given: &str,
    wanted: &str,
    candidates: &'r [T],
    id: impl Fn(&T) -> I,
    named: &Named,
) -> Result<&'r T, OpsError> {
    let mut fitting: Vec<(String, &T)> =
        candidates.iter().map(|row| (id(row).to_string(), row)).filter(|(id, _)| id.starts_with(wanted)).collect();
    fitting.sort_by(|(a, _), (b, _)| a.cmp(b));
    // Written twice, or as a beginning and whole.
    fitting.dedup_by(|(a, _), (b, _)| a == b);
    match fitting.as_slice() {
        [(_, row)] => Ok(row),
        [] => Err(OpsError::Unknown { given: given.to_owned(), what: named.what, list: named.list }),
        several => {
            let candidates = several.iter().map(|(id, _)| id.clone()).collect();
            Err(OpsError::Ambiguous { given: given.to_owned(), candidates })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pick(wanted: &str, ids: &[&str]) -> Result<String, String> {
        let given = wanted;
        let wanted = beginning(given, &DELIVERY).map_err(|error| error.to_string())?;
        let ids: Vec<String> = ids.iter().map(|id| (*id).to_owned()).collect();
        one(given, &wanted, &ids, String::clone, &DELIVERY).cloned().map_err(|error| error.to_string())
    }

    #[test]
    fn an_id_is_found_by_its_beginning_with_or_without_the_prefix() {
        let ids = ["dlv_12ab", "dlv_12cd", "dlv_9f00"];
        for (wanted, found) in [("9", "dlv_9f00"), ("dlv_12a", "dlv_12ab"), (" DLV_12CD ", "dlv_12cd")] {
            assert_eq!(pick(wanted, &ids).as_deref(), Ok(found), "{wanted}");
        }
    }

    #[test]
    fn what_is_not_one_id_says_why() {
        let ids = ["dlv_12cd", "dlv_12ab", "dlv_12ab"];
        insta::assert_snapshot!(pick("12", &ids).unwrap_err(), @"
        `12` is the beginning of 2 ids: dlv_12ab, dlv_12cd
        hint: write more of it
        ");
        insta::assert_snapshot!(pick("77", &ids).unwrap_err(), @"
        no delivery has the id `77`
        hint: `ringback deliveries list` shows what there is
        ");
        for wrong in ["", "dlv_", "xyz", "evt_12", &"1".repeat(33)] {
            let error = pick(wrong, &ids).unwrap_err();
            assert!(error.contains("is not a delivery id: expected `dlv_` and hex digits"), "{error}");
        }
        assert_eq!(pick("12ab", &ids).as_deref(), Ok("dlv_12ab"), "the same one twice is one");
    }
}
