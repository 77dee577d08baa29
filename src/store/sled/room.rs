//! Room on the disk: a reserve for the outcomes of what is still delivered when the disk is full, and a look at whether
//! there is enough for sled.
//!
//! sled must not meet a full disk: after one failed write every later write and flush of that process fails, also when
//! there is room again (measured, 0.34.7). So before rows are moved into it the room for them is tried, by taking it:
//! blocks that are written and cut off again are accounted for at once and never reach the disk. On file systems that
//! compress, zeros take no room: there the reserve is small, and the rest holds all the same.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

const NAME: &str = "reserve";

/// Some six thousand outcomes.
const MOST: u64 = 4 << 20;
/// Less is not worth the name; also for disks that are full from the start.
const LEAST: u64 = 64 << 10;
/// By so much sled's file grows.
const SEGMENT: u64 = 512 << 10;
/// Room must have grown by so much before the disk counts as not full any more, or it would come and go.
const SLACK: u64 = 256 << 10;

/// The reserve of a store, and whether its disk is full.
#[derive(Debug)]
pub(super) struct Room {
    path: PathBuf,
    /// Of the reserve, in bytes.
    size: u64,
    held: bool,
    /// Why there is none.
    short: Option<String>,
}

impl Room {
    /// Keeps a reserve in the folder of a store: half of what is free, within limits.
    pub(super) fn keep(folder: &Path) -> Self {
        let path = folder.join(NAME);
        let length = || fs::metadata(&path).map_or(0, |file| file.len());
        let found = length();
        if found >= LEAST {
            return Self { path, size: found, held: true, short: None };
        }
        let filled = fill(&path, 2 * MOST);
        let size = (length() / 2).clamp(LEAST, MOST);
        let mut room = Self { path, size, held: true, short: None };
        if let Err(error) = filled.and_then(|()| room.cut()) {
            tracing::debug!(%error, "the disk has little room");
            room.release();
            room.look(0);
        }
        room
    }

    /// Why nothing new may be written, when there is no room.
    pub(super) fn short(&self) -> Option<&str> {
        self.short.as_deref()
    }

    /// Whether there is room, beside the reserve, for `waiting` bytes of rows to be moved into sled.
    pub(super) fn look(&mut self, waiting: usize) -> bool {
        let slack = if self.short.is_some() { SLACK } else { 0 };
        // sled writes two and a half times what is moved into it, most of that into space that it has.
        let found = fill(&self.path, self.size + SEGMENT + 3 * waiting as u64 + slack);
        // Not held and not to be had again: outcomes need what there is.
        let kept = if self.held || found.is_ok() {
            self.cut()
        } else {
            self.release();
            Ok(())
        };
        match found.and(kept) {
            Ok(()) => {
                self.held = true;
                if self.short.take().is_some() {
                    tracing::info!(store = %self.store().display(), "there is room on the disk again: what is new is taken in");
                }
            }
            Err(error) => self.is_short(&error),
        }
        self.short.is_none()
    }

    /// Gives the reserve up for what must still be written; returns whether there was one. Nothing else is taken in from
    /// now on, until there is room.
    pub(super) fn give_up(&mut self, error: &io::Error) -> bool {
        let was_held = self.held;
        self.release();
        self.is_short(error);
        was_held
    }

    fn is_short(&mut self, error: &io::Error) {
        if self.short.is_none() {
            tracing::error!(
                store = %self.store().display(), %error,
                "no room on the disk: nothing new is taken in until there is; what is stored is still delivered"
            );
        }
        self.short = Some(error.to_string());
    }

    fn cut(&self) -> io::Result<()> {
        let file = OpenOptions::new().write(true).open(&self.path)?;
        if file.metadata()?.len() > self.size { file.set_len(self.size) } else { Ok(()) }
    }

    fn release(&mut self) {
        self.held = false;
        release(self.store());
    }

    fn store(&self) -> &Path {
        self.path.parent().unwrap_or(&self.path)
    }
}

/// Gives up the reserve of a store that is not open; returns whether there was one.
pub(super) fn release(folder: &Path) -> bool {
    fs::remove_file(folder.join(NAME)).is_ok()
}

/// Whether an error says that the disk, or our share of it, is full.
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Writes a file up to `length`; what was written stays, also after an error.
fn fill(path: &Path, length: u64) -> io::Result<()> {
    static ZEROS: [u8; 64 << 10] = [0; 64 << 10];
    let mut file: File = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
    let mut at = file.metadata()?.len();
    while at < length {
        let part = ZEROS.get(..usize::try_from(length - at).unwrap_or(ZEROS.len())).unwrap_or(&ZEROS);
        file.write_all(part)?;
        at += part.len() as u64;
    }
    Ok(())
}
