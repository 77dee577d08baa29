//! What is acknowledged and not in sled yet: an append-only file, synced before each acknowledgement.
//!
//! A put into sled costs 20 to 50 µs of CPU, since it copies and rewrites whole pages; an append costs next to nothing.
//! So a group of writes goes here first, and later, coalesced, into sled. A frame is length, CRC-32 and changes; the
//! first frame that is not whole ends the file: it was being written when the process or the machine died, and nobody
//! was told of it.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

/// Names the format in the first bytes of every file.
const MAGIC: &[u8; 8] = b"ringjnl1";
const PREFIX: &str = "journal-";
/// Length and checksum, each of four bytes, little-endian.
const FRAME_HEAD: usize = 8;

/// A change of one key: its new value, or `None` when it is removed.
#[expect(unreachable_pub, reason = "named by `frames`, which the fuzzer reaches")]
pub type Change = (Vec<u8>, Option<Vec<u8>>);

/// The file that is appended to.
#[derive(Debug)]
pub(super) struct Journal {
    folder: PathBuf,
    number: u64,
    file: File,
    /// Where the next frame begins; what lies behind is the rest of a write that failed.
    end: u64,
}

impl Journal {
    /// Starts the file of this number; none of it may exist.
    pub(super) fn create(folder: &Path, number: u64) -> io::Result<Self> {
        let path = path(folder, number);
        let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
        file.write_all(MAGIC)?;
        file.sync_all()?;
        // Its name must be as durable as what is written into it.
        File::open(folder)?.sync_all()?;
        Ok(Self { folder: folder.to_owned(), number, file, end: MAGIC.len() as u64 })
    }

    /// Counts the journals of this store from 1.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// The file to go on with, when this one has been closed to further changes.
    pub(super) fn next(&self) -> io::Result<Self> {
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
        let written = self.file.write_all(&frame).and_then(|()| self.file.sync_data());
        if let Err(error) = written {
            // Half a frame would end the file for all that come after it. Should this fail too, the next append writes
            // over it from the same place, and fails or succeeds by itself.
            let _ = self.file.set_len(self.end);
            self.file.seek(SeekFrom::Start(self.end))?;
            return Err(error);
        }
        self.end += frame.len() as u64;
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

/// The frames of a file up to the first that is not whole, and how many bytes lie behind those.
///
/// # Errors
/// When the file cannot be read; `InvalidData` when it is not one of ours.
pub(super) fn read(path: &Path) -> io::Result<(Vec<Vec<Change>>, usize)> {
    let mut bytes = Vec::new();
    File::open(path)?.read_to_end(&mut bytes)?;
    frames(&bytes)
}

/// The same of what a file holds.
///
/// # Errors
/// `InvalidData` when it is not one of ours.
pub fn frames(bytes: &[u8]) -> io::Result<(Vec<Vec<Change>>, usize)> {
    // Shorter than its first bytes: the process died while making it, before anything was acknowledged.
    if bytes.len() < MAGIC.len() && MAGIC.starts_with(bytes) {
        return Ok((Vec::new(), bytes.len()));
    }
    let mut rest = bytes
        .strip_prefix(MAGIC)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "not a journal of this version"))?;
    let mut frames = Vec::new();
    while let Some((changes, behind)) = frame(rest) {
        frames.push(changes);
        rest = behind;
    }
    Ok((frames, rest.len()))
}

fn frame(bytes: &[u8]) -> Option<(Vec<Change>, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (checksum, rest) = rest.split_first_chunk::<4>()?;
    let (mut body, behind) = rest.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
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
        let found = files(folder.path()).unwrap();
        assert_eq!(found.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [7, 8]);
        assert_eq!(read(&found[0].1).unwrap(), ((0..5).map(changes).collect(), 0));
        assert_eq!(read(&found[1].1).unwrap(), (Vec::new(), 0));
        journal.remove().unwrap();
        next.remove().unwrap();
        assert!(files(folder.path()).unwrap().is_empty());
    }

    #[test]
    fn a_file_that_is_not_ours_is_no_journal() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("journal-1");
        std::fs::write(&path, "ringjnl9 and more").unwrap();
        assert_eq!(read(&path).unwrap_err().kind(), io::ErrorKind::InvalidData);
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
            let (frames, _) = read(&path).unwrap();
            let expected: Vec<_> = (0..4).map(changes).take(whole).collect();
            prop_assert_eq!(frames, expected);
        }
    }
}
