//! Makes sled use the space of its file again.
//!
//! sled writes into segments of 512 KiB. One that is less than half alive can be used again once its living pages have
//! been written elsewhere; but such a page is moved only when some page is replaced, one for one, or by the thread that
//! flushes by the clock, which we do without. Our rows live for hours or weeks and lie in random order, so segments fade
//! faster than that.
//!
//! A page is replaced at every tenth change of it. So a tree of its own holds one small row, and to put it again is a
//! [turn](Reclaim::turn) of the wheel that moves the pages. Measured with sled 0.34.7 alone and rows like those of a busy
//! office, moved every hour for 240 hours, 5 MB of them alive: the file grew to 31 MB; to 22 MB when it is flushed
//! between, as `moving` does; to 11 MB within the first hours and no further with a turn for a row as well. More turns
//! changed nothing.

/// The tree's name. It is not among the rows, and not exported.
const TREE: &str = "turns";

/// The wheel.
#[derive(Debug)]
pub(super) struct Reclaim {
    tree: sled::Tree,
    turned: u64,
}

impl Reclaim {
    /// Finds or makes its tree.
    ///
    /// # Errors
    /// sled's own.
    pub(super) fn of(db: &sled::Db) -> Result<Self, sled::Error> {
        Ok(Self { tree: db.open_tree(TREE)?, turned: 0 })
    }

    /// Turns as is right for so many rows that were moved. A turn takes some microseconds and writes some tens of bytes;
    /// ten of them move a page, if there is one to be moved.
    ///
    /// # Errors
    /// sled's own; as with any write, it takes none afterwards.
    pub(super) fn turn(&mut self, rows: usize) -> Result<(), sled::Error> {
        for _ in 0..rows {
            self.turned = self.turned.wrapping_add(1);
            self.tree.insert(b"", &self.turned.to_le_bytes())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::fs::OpenOptions;

    use sha2::{Digest as _, Sha256};
    use tempfile::TempDir;

    use super::*;
    use crate::store::sled::journal::Journal;
    use crate::store::sled::moving::{Files, Moving, Progress};
    use crate::store::sled::overlay::Value;

    /// As ids are: in random order.
    fn key(n: usize) -> Vec<u8> {
        [b"df/", &Sha256::digest(n.to_le_bytes())[..16]].concat()
    }

    #[test]
    fn under_constant_work_the_file_levels_off() {
        const ROWS: usize = 2000;
        const LENGTH: usize = 450;
        const KEPT: usize = 4;
        let folder = TempDir::new().unwrap();
        let db = sled::Config::new().path(folder.path()).flush_every_ms(None).open().unwrap();
        let data = OpenOptions::new().write(true).open(folder.path().join("db")).unwrap();
        let reclaim = Reclaim::of(&db).unwrap();
        let mut files = Files { db, data, reclaim };
        let mut alive = VecDeque::new();
        let mut most = 0;
        for round in 0..48 {
            let written = round * ROWS..(round + 1) * ROWS;
            let mut rows: Vec<(Vec<u8>, Value)> =
                written.clone().map(|n| (key(n), Some(vec![7; LENGTH].into()))).collect();
            alive.push_back(written);
            if alive.len() > KEPT {
                rows.extend(alive.pop_front().unwrap().map(|n| (key(n), None)));
            }
            rows.sort_unstable();
            let mut moving = Moving::of(Journal::create(folder.path(), round as u64 + 1).unwrap(), rows);
            while let Progress::More = moving.slice(&mut files).unwrap() {}
            most = most.max(files.data.metadata().unwrap().len());
        }
        let of_rows = KEPT * ROWS * (LENGTH + key(0).len());
        assert!(most < 3 * of_rows as u64, "{most} for {of_rows}");
        assert_eq!(files.db.iter().count(), KEPT * ROWS + 1, "with the one that says what has been moved");
    }
}
