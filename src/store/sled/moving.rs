//! The way of a journal's rows into sled, slice by slice.

use std::fs::File;

use super::MOVED_KEY;
use super::journal::Journal;
use super::overlay::Value;
use super::reclaim::Reclaim;

/// Rows that are moved at a time: some milliseconds for which a call may have to wait.
const SLICE: usize = 64;

/// Slices between two syncs. sled writes over a segment when what was alive in it has been written elsewhere, which need
/// not be durable yet; from one to the other it writes half a megabyte at least, and some sixty kilobytes for a slice.
/// And without a flush what it has written counts late, so that it takes a new segment where an old one would do.
const SLICES_SYNCED: usize = 4;

/// What sled keeps, and its data file once more, to be synced.
pub(super) struct Files {
    pub(super) db: sled::Db,
    pub(super) data: File,
    pub(super) reclaim: Reclaim,
}

/// A journal on its way into sled.
pub(super) struct Moving {
    pub(super) journal: Journal,
    rows: Vec<(Vec<u8>, Value)>,
    /// Slices since the last sync.
    unsynced: usize,
}

/// How far a journal has come.
pub(super) enum Progress {
    /// Some of its rows are left.
    More,
    /// All of it is in sled, and on the disk.
    Durable,
}

impl Moving {
    /// Begins to move a journal, of which these are the rows.
    pub(super) fn of(journal: Journal, changed: Vec<(Vec<u8>, Value)>) -> Self {
        // Slices are taken from the end: what tells that all have been moved goes last.
        let mut rows = vec![moved_up_to(journal.number())];
        rows.extend(changed);
        Self { journal, rows, unsynced: 0 }
    }

    /// Moves a slice.
    ///
    /// # Errors
    /// Why sled has failed: it takes no more writes in this process.
    pub(super) fn slice(&mut self, files: &mut Files) -> Result<Progress, String> {
        let rest = self.rows.len().saturating_sub(SLICE);
        let slice = &self.rows[rest..];
        put_rows(&files.db, slice).and_then(|()| files.reclaim.turn(slice.len())).map_err(|error| error.to_string())?;
        self.unsynced += 1;
        if rest == 0 || self.unsynced >= SLICES_SYNCED {
            files.db.flush().map_err(|error| error.to_string())?;
            // After a failed sync the next one succeeds, whatever has become of the data.
            files.data.sync_all().map_err(|error| error.to_string())?;
            self.unsynced = 0;
        }
        self.rows.truncate(rest);
        Ok(if rest == 0 { Progress::Durable } else { Progress::More })
    }
}

/// The row by which sled knows up to which journal it has everything. A data file that has lost its end knows less than
/// the journals that are left.
pub(super) fn moved_up_to(number: u64) -> (Vec<u8>, Value) {
    (MOVED_KEY.to_vec(), Some(number.to_string().into_bytes().into()))
}

/// Writes rows into sled, all of them or none.
pub(super) fn put_rows(tree: &sled::Tree, rows: &[(Vec<u8>, Value)]) -> Result<(), sled::Error> {
    let mut batch = sled::Batch::default();
    for (key, value) in rows {
        match value {
            Some(value) => batch.insert(key.as_slice(), &**value),
            None => batch.remove(key.as_slice()),
        }
    }
    tree.apply_batch(batch)
}
