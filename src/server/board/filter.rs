//! Which part of the board is shown: written in its URL, and carried through its forms. Pure.

use serde::Serialize;

use crate::event::Event;
use crate::number::printable;

/// What the board is narrowed to; nothing is everything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(in crate::server) struct Filter {
    pub(super) account: Option<String>,
    pub(super) queue: Option<String>,
    pub(super) extension: Option<String>,
}

/// No name of a queue is longer; what is, matches nothing anyway.
const LONGEST: usize = 100;

impl Filter {
    /// Reads what a URL or a form says. What it does not know is passed over: links are typed by hand, too.
    pub(in crate::server) fn read(pairs: &str) -> Self {
        let mut filter = Self::default();
        for (key, value) in url::form_urlencoded::parse(pairs.as_bytes()) {
            let place = match &*key {
                "account" => &mut filter.account,
                "queue" => &mut filter.queue,
                "extension" => &mut filter.extension,
                _ => continue,
            };
            *place = Some(printable(&value, LONGEST)).filter(|value| !value.is_empty());
        }
        filter
    }

    pub(super) fn takes(&self, event: &Event) -> bool {
        let same = |wanted: &Option<String>, found: Option<&String>| wanted.is_none() || wanted.as_ref() == found;
        same(&self.account, Some(&event.account))
            && same(&self.queue, event.called.queue.as_ref())
            && same(&self.extension, event.called.extension.as_ref())
    }

    pub(super) fn is_all(&self) -> bool {
        *self == Self::default()
    }

    /// The board with this filter, under `prefix`.
    pub(in crate::server) fn address(&self, prefix: &str, page: &str, more: Option<(&str, &str)>) -> String {
        let parts = [("account", &self.account), ("queue", &self.queue), ("extension", &self.extension)];
        let parts = parts.into_iter().filter_map(|(key, value)| Some((key, value.as_deref()?)));
        let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(parts.chain(more)).finish();
        let mark = if query.is_empty() { "" } else { "?" };
        format!("{prefix}/{page}{mark}{query}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::EventType;
    use crate::render::samples;

    #[test]
    fn a_filter_reads_back_as_it_was_written() {
        let filter = Filter::read("queue=Sat%C4%B1%C5%9F+%26+%3C&extension=&other=1&account=main");
        assert_eq!(filter.queue.as_deref(), Some("Satış & <"));
        assert_eq!(filter.extension, None);
        let address = filter.address("/ringback", "", Some(("said", "closed")));
        let (path, query) = address.split_once('?').unwrap();
        assert_eq!((path, Filter::read(query)), ("/ringback/", filter));
        assert_eq!(Filter::default().address("", "login", None), "/login");
    }

    #[test]
    fn a_filter_takes_what_is_of_all_that_it_names() {
        let event = samples::event(EventType::CallMissed, "2026-11-22T05:08:29Z".parse().unwrap());
        let queue = event.called.queue.clone().unwrap();
        for (query, takes) in [
            (String::new(), true),
            (format!("queue={queue}"), true),
            (format!("queue={queue}&account=other"), false),
            ("queue=no-such-queue".to_owned(), false),
            ("extension=1".to_owned(), false),
        ] {
            assert_eq!(Filter::read(&query).takes(&event), takes, "{query}");
        }
    }
}
