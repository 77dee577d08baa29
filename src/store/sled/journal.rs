//! What is acknowledged and not in sled yet: an append-only file, synced before each acknowledgement.
//!
//! A put into sled costs 20 to 50 µs of CPU, since it copies and rewrites whole pages; an append costs next to nothing.
//! So a group of writes goes here first, and later, coalesced, into sled. A frame is length, CRC-32 and changes; the
//! first frame that is not whole ends the file: it was being written when the process or the machine died, and nobody
//! was told of it. A whole frame behind it says otherwise: then the file is damaged.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

/// Names the format in the first bytes of every file: the name, and the version.
const MAGIC: &[u8; 8] = b"ringjnl1";
const NAME_LENGTH: usize = 7;
const PREFIX: &str = "journal-";
/// Length and checksum, each of four bytes, little-endian.
const FRAME_HEAD: usize = 8;
/// Our keys are far shorter.
const LONGEST_KEY: u32 = 1024;

/// A change of one key: its new value, or `None` when it is removed.
#[expect(unreachable_pub, reason = "named by `frames`, which the fuzzer reaches")]
pub type Change = (Vec<u8>, Option<Vec<u8>>);

/// The file that is appended to.
#[derive(Debug)]
pub(super) struct Journal {
    folder: PathBuf,
    number: u64,
    file: File,
    /// Where the next frame begins.
    end: u64,
    /// Behind the end may lie the rest of a write that failed.
    torn: bool,
}

/// What a file holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// The frames up to the first that is not whole.
    pub(super) frames: Vec<Vec<Change>>,
    /// Bytes behind those.
    pub(super) behind: usize,
    /// Whether there is a whole frame in what lies behind: it was acknowledged, so what is before it was as well.
    pub(super) damaged: bool,
}

impl Journal {
    /// Starts the file of this number; none of it may exist, and none is left when this fails.
    pub(super) fn create(folder: &Path, number: u64) -> io::Result<Self> {
        let path = path(folder, number);
        let mut file = OpenOptions::new().write(true).create_new(true).open(&path)?;
        // Its name must be as durable as what is written into it.
        let begun = file.write_all(MAGIC).and_then(|()| file.sync_all()).and_then(|()| File::open(folder)?.sync_all());
        if let Err(error) = begun {
            // Or the next try would find it there. Should this fail too, that one fails and says so.
            let _ = std::fs::remove_file(&path);
            return Err(error);
        }
        Ok(Self { folder: folder.to_owned(), number, file, end: MAGIC.len() as u64, torn: false })
    }

    /// Counts the journals of this store from 1.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// How long the file is, in bytes.
    pub(super) fn length(&self) -> u64 {
        self.end
    }

    /// The file to go on with, when this one has been closed to further changes.
    pub(super) fn next(&mut self) -> io::Result<Self> {
        // Half a frame that another file follows would be damage.
        self.cut()?;
        Self::create(&self.folder, self.number + 1)
    }

    /// Appends changes as one frame, whole or not at all, and syncs it.
    pub(super) fn append(&mut self, changes: &[Change]) -> io::Result<()> {
        let mut frame = vec![0; FRAME_HEAD];
        for (key, value) in changes {
            write_bytes(&mut frame, key)?;
            frame.push(u8::from(value.is_some()));
            if let Some(value) = value {
                write_bytes(&mut frame, value)?;
            }
        }
        let (head, body) = frame.split_at_mut(FRAME_HEAD);
        head[..4].copy_from_slice(&length(body)?);
        head[4..].copy_from_slice(&crc32fast::hash(body).to_le_bytes());
        // Half a frame would end the file for all that come after it.
        self.cut()?;
        self.torn = true;
        let written = self.file.write_all(&frame).and_then(|()| self.file.sync_data());
        if let Err(error) = written {
            // Should this fail too, it is tried again before anything else is written.
            let _ = self.cut();
            return Err(error);
        }
        self.torn = false;
        self.end += frame.len() as u64;
        Ok(())
    }

    /// Cuts off what a write that failed has left.
    fn cut(&mut self) -> io::Result<()> {
        if self.torn {
            self.file.set_len(self.end)?;
            self.file.seek(SeekFrom::Start(self.end))?;
            self.file.sync_all()?;
            self.torn = false;
        }
        Ok(())
    }

    /// Removes the file: everything in it is in sled, durably. Must succeed before the next journal is removed, or an
    /// old one could come back after a newer one has gone.
    pub(super) fn remove(&self) -> io::Result<()> {
        match std::fs::remove_file(path(&self.folder, self.number)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => File::open(&self.folder)?.sync_all(),
        }
    }
}

/// The files of a folder with their numbers, oldest first.
pub(super) fn files(folder: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if let Some(number) = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.parse().ok()) {
            files.push((number, entry.path()));
        }
    }
    files.sort_unstable();
    Ok(files)
}

/// What a file holds.
///
/// # Errors
/// [`Unreadable`].
pub(super) fn read(path: &Path) -> Result<Found, Unreadable> {
    let mut bytes = Vec::new();
    File::open(path)?.read_to_end(&mut bytes)?;
    parse(&bytes)
}

/// For the fuzzer: the frames of a file, and how many bytes lie behind them.
pub fn frames(bytes: &[u8]) -> Option<(Vec<Vec<Change>>, usize)> {
    parse(bytes).ok().map(|found| (found.frames, found.behind))
}

fn parse(bytes: &[u8]) -> Result<Found, Unreadable> {
    // Shorter than its first bytes: the process died while making it, before anything was acknowledged.
    if bytes.len() < MAGIC.len() && MAGIC.starts_with(bytes) {
        return Ok(Found { frames: Vec::new(), behind: bytes.len(), damaged: false });
    }
    let Some(mut rest) = bytes.strip_prefix(MAGIC) else {
        return Err(match bytes.strip_prefix(&MAGIC[..NAME_LENGTH]) {
            Some([version, ..]) if version.is_ascii_digit() => Unreadable::Version(char::from(*version)),
            _ => Unreadable::Foreign,
        });
    };
    let mut frames = Vec::new();
    while let Some((changes, behind)) = frame(rest) {
        frames.push(changes);
        rest = behind;
    }
    // Zeros, as a file system leaves them, read as frames that change nothing.
    let damaged = (1..rest.len()).any(|at| frame(&rest[at..]).is_some_and(|(changes, _)| !changes.is_empty()));
    Ok(Found { frames, behind: rest.len(), damaged })
}

/// Why a file cannot be read as a journal.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unreadable {
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Another ringback's.
    #[error("a journal of version {0}")]
    Version(char),
    #[error("not a journal")]
    Foreign,
}

fn frame(bytes: &[u8]) -> Option<(Vec<Change>, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (checksum, rest) = rest.split_first_chunk::<4>()?;
    let (mut body, behind) = rest.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
    // Nearly everything that is no frame fails here: the checksum of megabytes is not taken at every byte of a file.
    if !body.is_empty() && body.first_chunk::<4>().is_none_or(|key| u32::from_le_bytes(*key) > LONGEST_KEY) {
        return None;
    }
    if crc32fast::hash(body) != u32::from_le_bytes(*checksum) {
        return None;
    }
    let mut changes = Vec::new();
    while !body.is_empty() {
        let key = read_bytes(&mut body)?;
        let (has_value, rest) = body.split_first()?;
        body = rest;
        let value = if *has_value == 0 { None } else { Some(read_bytes(&mut body)?) };
        changes.push((key, value));
    }
    Some((changes, behind))
}

fn path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{PREFIX}{number}"))
}

fn length(bytes: &[u8]) -> io::Result<[u8; 4]> {
    u32::try_from(bytes.len()).map(u32::to_le_bytes).map_err(|_| io::Error::other("a group of writes over 4 GiB"))
}

fn write_bytes(frame: &mut Vec<u8>, bytes: &[u8]) -> io::Result<()> {
    frame.extend_from_slice(&length(bytes)?);
    frame.extend_from_slice(bytes);
    Ok(())
}

fn read_bytes(body: &mut &[u8]) -> Option<Vec<u8>> {
    let (length, rest) = body.split_first_chunk::<4>()?;
    let (bytes, rest) = rest.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
    *body = rest;
    Some(bytes.to_vec())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tempfile::TempDir;

    use super::*;

    fn changes(n: u8) -> Vec<Change> {
        vec![(vec![n; 3], Some(vec![n; 40])), (vec![n, 0], None), (Vec::new(), Some(Vec::new()))]
    }

    #[test]
    fn what_was_appended_is_read_back_in_order() {
        let folder = TempDir::new().unwrap();
        let mut journal = Journal::create(folder.path(), 7).unwrap();
        (0..5).for_each(|n| journal.append(&changes(n)).unwrap());
        let next = journal.next().unwrap();
        let whole = Found { frames: (0..5).map(changes).collect(), behind: 0, damaged: false };
        let found = files(folder.path()).unwrap();
        assert_eq!(found.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [7, 8]);
        assert_eq!(read(&found[0].1).unwrap(), whole);
        assert_eq!(read(&found[1].1).unwrap().frames.len(), 0);
        journal.remove().unwrap();
        next.remove().unwrap();
        assert!(files(folder.path()).unwrap().is_empty());
    }

    #[test]
    fn a_file_that_is_not_ours_is_no_journal() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("journal-1");
        std::fs::write(&path, "ringback and more").unwrap();
        assert!(matches!(read(&path).unwrap_err(), Unreadable::Foreign));
    }

    #[test]
    fn a_journal_of_another_version_is_named() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("journal-1");
        std::fs::write(&path, "ringjnl9 and more").unwrap();
        assert!(matches!(read(&path).unwrap_err(), Unreadable::Version('9')));
    }

    #[test]
    fn what_a_failed_write_has_left_is_cut_off_before_the_next_frame() {
        let folder = TempDir::new().unwrap();
        let mut journal = Journal::create(folder.path(), 1).unwrap();
        journal.append(&changes(1)).unwrap();
        let path = folder.path().join("journal-1");
        // As ENOSPC leaves it when the file cannot even be cut.
        journal
            .file
            .write_all(b"half a frame, longer than the whole one that comes next: ".repeat(9).as_slice())
            .unwrap();
        journal.torn = true;
        journal.append(&changes(2)).unwrap();
        let found = read(&path).unwrap();
        assert_eq!((found.frames, found.behind), (vec![changes(1), changes(2)], 0));
        journal.file.write_all(b"half").unwrap();
        journal.torn = true;
        journal.next().unwrap();
        assert_eq!(read(&path).unwrap().behind, 0, "nor does another file follow half a frame");
    }

    #[test]
    fn a_file_that_cannot_be_begun_is_not_in_the_way_of_the_next_try() {
        let folder = TempDir::new().unwrap();
        let missing = folder.path().join("missing");
        assert!(Journal::create(&missing, 1).is_err());
        std::fs::create_dir(&missing).unwrap();
        Journal::create(&missing, 1).unwrap();
    }

    proptest! {
        #[test]
        fn a_file_cut_anywhere_holds_the_whole_frames_before_the_cut(cut in 0_usize..400, flip in prop::option::of(0_usize..400)) {
            let folder = TempDir::new().unwrap();
            let mut journal = Journal::create(folder.path(), 1).unwrap();
            let mut ends = vec![MAGIC.len()];
            for n in 0..4 {
                journal.append(&changes(n)).unwrap();
                ends.push(usize::try_from(journal.end).unwrap());
            }
            let path = folder.path().join("journal-1");
            let mut bytes = std::fs::read(&path).unwrap();
            bytes.truncate(cut);
            let damaged = flip.filter(|at| *at >= MAGIC.len() && *at < bytes.len());
            if let Some(at) = damaged {
                bytes[at] ^= 1;
            }
            std::fs::write(&path, &bytes).unwrap();
            let whole = ends.iter().skip(1).filter(|end| **end <= bytes.len() && damaged.is_none_or(|at| at >= **end)).count();
            let found = read(&path).unwrap();
            let expected: Vec<_> = (0..4).map(changes).take(whole).collect();
            prop_assert_eq!(&found.frames, &expected);
            // Damage in the middle shows by a whole frame behind it.
            let followed = ends.iter().skip(2 + whole).any(|end| *end <= bytes.len());
            prop_assert_eq!(found.damaged, followed);
        }
    }
}
