//! All rows at once, for export and import.

use std::sync::Arc;

use super::{
    CLOSED_EVENT, CURSOR, FETCH, FINISHED, OPEN_EVENT, PENDING, SUMMARY, SledStore, cursor_key, fetch_key, key, lock,
};
use crate::clock::Moment;
use crate::event::Kind;
use crate::outbox::State;
use crate::store::codec::{RowError, decode};
use crate::store::sled::writer::Write;
use crate::store::transfer::Row;
use crate::store::{Source, StoreError};

/// Key and value.
pub(super) type Pair = (Vec<u8>, Vec<u8>);

impl SledStore {
    /// Every row, and how many there are that cannot be read; each of those is logged.
    ///
    /// # Errors
    /// [`StoreError::Failed`] when the store cannot be read at all.
    pub fn all_rows(&self) -> Result<(Vec<Row>, usize), StoreError> {
        let mut rows = Vec::new();
        let mut unreadable = 0;
        for prefix in [CURSOR, OPEN_EVENT, CLOSED_EVENT, PENDING, FINISHED, FETCH, SUMMARY] {
            for (key, value) in self.pairs(prefix)? {
                match row(prefix, &key, &value) {
                    Ok(row) => rows.push(row),
                    Err(error) => {
                        unreadable += 1;
                        tracing::error!(store = self.path, key = %key.escape_ascii(), %error, "a row cannot be read");
                    }
                }
            }
        }
        Ok((rows, unreadable))
    }

    /// Takes rows into a store that has none: all of them, or none when it fails.
    ///
    /// # Errors
    /// [`StoreError::Failed`]; also when it has rows already.
    pub async fn fill(&self, rows: &[Row], now: Moment) -> Result<(), StoreError> {
        if !self.all_rows()?.0.is_empty() {
            let cause = "it has rows already\nhint: point `store.path` to a new folder, or move this one away";
            return Err(self.error("be filled", &cause));
        }
        let writes = rows.iter().map(|row| {
            Ok(match row {
                Row::Event(event) => Write::Event(Arc::new(event.clone()), self.encoded(event)?),
                Row::Delivery(delivery) => {
                    let prefix = if delivery.state == State::Pending { PENDING } else { FINISHED };
                    Write::Put(key(prefix, delivery.id.bytes()), self.encoded(delivery)?)
                }
                Row::Cursor { account, kind, cursor } => {
                    let source = Source { account: account.clone(), kind: *kind };
                    Write::Put(cursor_key(&source), self.encoded(cursor)?)
                }
                Row::Fetch(fetch) => Write::Put(fetch_key(fetch), self.encoded(fetch)?),
                Row::Summary(note) => Write::Put(key(SUMMARY, note.id.bytes()), self.encoded(note)?),
            })
        });
        // One order is one frame of the journal: whole, or not there.
        let writes = writes.collect::<Result<Vec<_>, StoreError>>()?;
        self.write(writes, now).await
    }

    /// The rows under a prefix, as they are.
    pub(super) fn pairs(&self, prefix: &[u8]) -> Result<Vec<Pair>, StoreError> {
        let changed = lock(&self.shared.overlay).scan(prefix);
        let mut pairs = Vec::new();
        for pair in self.shared.tree.scan_prefix(prefix) {
            let (key, value) = pair.map_err(|error| self.error("be read", &error))?;
            if !changed.contains_key(&*key) {
                pairs.push((key.to_vec(), value.to_vec()));
            }
        }
        pairs.extend(changed.into_iter().filter_map(|(key, value)| Some((key, value?.to_vec()))));
        Ok(pairs)
    }
}

fn row(prefix: &[u8], key: &[u8], value: &[u8]) -> Result<Row, RowError> {
    Ok(match prefix {
        OPEN_EVENT | CLOSED_EVENT => Row::Event(decode(value)?),
        PENDING | FINISHED => Row::Delivery(decode(value)?),
        FETCH => Row::Fetch(decode(value)?),
        SUMMARY => Row::Summary(decode(value)?),
        _ => Row::cursor(source(key).ok_or_else(|| RowError::Broken("of no source".to_owned()))?, decode(value)?),
    })
}

/// The opposite of [`cursor_key`].
fn source(key: &[u8]) -> Option<Source> {
    let (kind, account) = std::str::from_utf8(key.strip_prefix(CURSOR)?).ok()?.split_once('/')?;
    let kind = [Kind::Call, Kind::Voicemail].into_iter().find(|known| known.as_str() == kind)?;
    Some(Source { account: account.to_owned(), kind })
}
