//! What the PBX calls people and places: read once an hour, held in memory only, filled in where an event comes without.
//!
//! Names change nothing of what is told to whom, or of any id: an event is the same whether they are known or not.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::event::Event;
use crate::number::{self, repeats_number};
use crate::pbx::names::Entry;
use crate::pbx::{NameList, Pbx, PbxError};
use crate::private::PersonName;

/// From one read of a list to the next.
const EVERY: Duration = Duration::from_secs(3600);

/// After a read that failed.
const RETRY: Duration = Duration::from_secs(300);

/// Between two pages: six requests a minute, which the vendor allows of its lists.
const PAGE_WAIT: Duration = Duration::from_secs(10);

/// Of one list.
const MOST_PAGES: u32 = 200;

/// Numbers with a name, of one list.
const MOST_NAMES: usize = 50_000;

/// How long the first announcement waits for the first names.
const PATIENCE: Duration = Duration::from_secs(3);

/// The names of one account. Clones share them.
#[derive(Clone)]
pub struct Names(Arc<Shared>);

struct Shared {
    lists: Mutex<[List; NameList::ALL.len()]>,
    /// Whether each list has been asked for, successfully or not.
    tried: watch::Sender<[bool; NameList::ALL.len()]>,
    /// Somebody is about to be told of an event.
    wanted: Notify,
}

/// One list, as far as it has been read.
#[derive(Default)]
struct List {
    names: HashMap<String, PersonName>,
    /// The tick before which it is not asked for: kept here, so that a reload does not ask anew.
    not_before: Duration,
}

impl Default for Names {
    fn default() -> Self {
        Self(Arc::new(Shared { lists: Mutex::default(), tried: watch::Sender::default(), wanted: Notify::new() }))
    }
}

impl Names {
    /// Fills in the names that `event` comes without. What the PBX says of the call itself goes first.
    pub fn complete(&self, event: &mut Event) {
        let lists = self.lists();
        let [contacts, extensions, queues] = &*lists;
        let (caller, called) = (&mut event.caller, &mut event.called);
        if let Some(number) = &caller.number {
            let raw = &number.expose().raw;
            if is_missing(caller.name.as_ref(), raw) {
                let found = contacts.names.get(&*number::line(number)).or_else(|| extensions.names.get(raw));
                caller.name = found.cloned().or(caller.name.take());
            }
        }
        if let Some(extension) = &called.extension
            && is_missing(called.name.as_ref(), extension)
        {
            called.name = extensions.names.get(extension).cloned().or(called.name.take());
        }
        if let Some(queue) = &called.queue {
            let name = queues.names.get(queue).filter(|name| name.expose() != queue);
            called.queue_name = called.queue_name.take().or(name.cloned());
        }
    }

    /// Returns when every list has been asked for, or after a few seconds: a call that is told without a name is better
    /// than one that is told late. Only the first one waits.
    pub async fn asked(&self, clock: &Clock) {
        self.0.wanted.notify_one();
        let mut tried = self.0.tried.subscribe();
        tokio::select! {
            // The sender lives in `self`: it cannot be gone.
            _ = tried.wait_for(|tried| !tried.contains(&false)) => {}
            () = clock.sleep(PATIENCE) => {
                self.0.tried.send_replace([true; NameList::ALL.len()]);
            }
        }
    }

    fn lists(&self) -> MutexGuard<'_, [List; NameList::ALL.len()]> {
        // Nothing is done under the lock that could leave half of it.
        self.0.lists.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Many PBXs give the number as the name.
fn is_missing(name: Option<&PersonName>, number: &str) -> bool {
    name.is_none_or(|name| repeats_number(name.expose(), number))
}

/// Reads the names of one account.
pub struct Reader {
    /// The account's name in the configuration.
    pub account: String,
    /// Its PBX.
    pub pbx: Arc<Pbx>,
    /// Where they go.
    pub names: Names,
    /// The time.
    pub clock: Clock,
}

impl Reader {
    /// Reads every list once an hour until `stop`. What was read before stays while the PBX does not answer.
    pub async fn run(self, stop: CancellationToken) {
        stop.run_until_cancelled(join_all(NameList::ALL.map(|list| self.keep(list)))).await;
    }

    /// Reads the first page of every list, when somebody is about to be told of an event: further ones would take too long
    /// for a process that ends.
    pub async fn once(self) {
        self.names.0.wanted.notified().await;
        let first = async |list| {
            if let Err(error) = self.page(list, 1, &mut HashMap::new()).await {
                self.warn(list, &error);
            }
        };
        join_all(NameList::ALL.map(first)).await;
    }

    async fn keep(&self, list: NameList) {
        let mut failing = false;
        loop {
            let wait = match self.read(list).await {
                Ok(()) if failing => {
                    tracing::info!(account = self.account, list = list.as_str(), "names are read again");
                    failing = false;
                    EVERY
                }
                Ok(()) => EVERY,
                Err(error) => {
                    if !failing {
                        self.warn(list, &error);
                    }
                    failing = true;
                    let named = if let PbxError::RateLimited { wait: Some(wait) } = error { wait } else { RETRY };
                    named.clamp(RETRY, EVERY)
                }
            };
            self.wait_before(list, wait);
        }
    }

    /// Reads a whole list. New names are known as they come; what is not there any more is forgotten at the end.
    async fn read(&self, list: NameList) -> Result<(), PbxError> {
        let mut found = HashMap::new();
        let mut before = Vec::new();
        for number in 1..=MOST_PAGES {
            let (entries, total_pages) = self.page(list, number, &mut found).await?;
            // Not all lists have pages, and not all that have say how many: the same page again is the end as well.
            if entries.is_empty() || entries == before || total_pages.is_some_and(|last| number >= last) {
                break;
            }
            if number == MOST_PAGES || found.len() >= MOST_NAMES {
                tracing::warn!(
                    account = self.account,
                    list = list.as_str(),
                    names = found.len(),
                    "the list goes on, but no more of it is read: callers further down are told without their names"
                );
                break;
            }
            before = entries;
        }
        tracing::debug!(account = self.account, list = list.as_str(), names = found.len(), "names are read");
        self.names.lists()[list as usize].names = found;
        Ok(())
    }

    /// Reads one page when its time has come.
    async fn page(
        &self,
        list: NameList,
        number: u32,
        found: &mut HashMap<String, PersonName>,
    ) -> Result<(Vec<Entry>, Option<u32>), PbxError> {
        let not_before = self.names.lists()[list as usize].not_before;
        self.clock.sleep_until(not_before).await;
        self.wait_before(list, PAGE_WAIT);
        let page = self.pbx.names(list, number).await;
        let page = page.inspect_err(|_| self.tried(list))?;
        {
            let mut lists = self.names.lists();
            let known = &mut lists[list as usize].names;
            for Entry { numbers, name } in &page.entries {
                let Some(name) = name else { continue };
                for number in numbers {
                    // Of two with the same number the first one counts.
                    for names in [&mut *known, &mut *found] {
                        if names.len() < MOST_NAMES && !names.contains_key(number) {
                            names.insert(number.clone(), name.clone());
                        }
                    }
                }
            }
        }
        self.tried(list);
        Ok((page.entries, page.total_pages))
    }

    fn wait_before(&self, list: NameList, wait: Duration) {
        self.names.lists()[list as usize].not_before = self.clock.tick().saturating_add(wait);
    }

    fn tried(&self, list: NameList) {
        self.names.0.tried.send_modify(|tried| tried[list as usize] = true);
    }

    fn warn(&self, list: NameList, error: &PbxError) {
        tracing::warn!(
            account = self.account, list = list.as_str(), %error,
            "names cannot be read, and are asked for again; until then calls are told with those that are known"
        );
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::event::EventType;
    use crate::render::samples;

    fn names(entries: [&[(&str, &str)]; 3]) -> Names {
        let names = Names::default();
        for (list, entries) in names.lists().iter_mut().zip(entries) {
            list.names = entries.iter().map(|(number, name)| ((*number).to_owned(), PersonName::new(*name))).collect();
        }
        names
    }

    fn event() -> Event {
        let mut event = samples::event(EventType::CallMissed, Timestamp::UNIX_EPOCH);
        (event.caller.name, event.called.name) = (None, None);
        event
    }

    #[test]
    fn what_comes_without_a_name_is_named_and_what_has_one_keeps_it() {
        let names =
            names([&[("+903121234567", "Ayşe Demir")], &[("1002", "Satış masası")], &[("201", "Satış"), ("7", "7")]]);
        let mut named = event();
        named.caller.name = Some(PersonName::new("0312 123 45 67"));
        named.called.name = Some(PersonName::new("1002"));
        names.complete(&mut named);
        let shown = |name: &Option<PersonName>| name.as_ref().map(|name| name.expose().to_owned()).unwrap_or_default();
        assert_eq!(shown(&named.caller.name), "Ayşe Demir");
        assert_eq!(shown(&named.called.name), "Satış masası");
        assert_eq!((named.called.queue.as_deref(), &*shown(&named.called.queue_name)), (Some("201"), "Satış"));

        let mut full = samples::event(EventType::CallMissed, Timestamp::UNIX_EPOCH);
        full.called.queue = Some("7".to_owned());
        let before = full.clone();
        names.complete(&mut full);
        assert_eq!(full, before, "a queue whose name is its number has none");
    }

    #[test]
    fn nobody_is_given_the_name_of_somebody_else() {
        let names = names([&[("+903121234568", "Ayşe")], &[("1003", "Satış")], &[("202", "Destek")]]);
        for withheld in [false, true] {
            let mut event = event();
            if withheld {
                event.caller.number = None;
            }
            let before = event.clone();
            names.complete(&mut event);
            assert_eq!(event, before);
        }
    }

    #[test]
    fn a_colleague_who_calls_is_named_by_their_extension() {
        let names = names([&[], &[("1014", "Mali İşler")], &[]]);
        let mut event = event();
        event.caller.number = number::parse("1014").number;
        names.complete(&mut event);
        assert_eq!(event.caller.name.unwrap().expose(), "Mali İşler");
    }
}
