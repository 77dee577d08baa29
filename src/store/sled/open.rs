//! Opening the store: its folder, its lock, its format, and what becomes of a damaged one.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;

use super::aside;
use super::journal::{self, Journal, Unreadable};
use super::moving::{Files, moved_up_to, put_rows};
use super::panics;
use super::reclaim::Reclaim;
use super::room::{self, Room};
use super::writer::{Shared, Writer};
use super::{MOVED_KEY, PENDING, SledStore};
use crate::clock::Moment;
use crate::cursor::ahead;
use crate::outbox::Delivery;
use crate::store::StoreError;
use crate::store::codec::{RowError, decode};
use crate::store::index::Index;

/// The format of the keys and trees, kept under [`FORMAT_KEY`]; rows have versions of their own.
const FORMAT: u32 = 1;
const FORMAT_KEY: &[u8] = b"m/format";
/// Set in a store that replaces a broken one: it has forgotten what was announced.
const REPLACES_KEY: &[u8] = b"m/replaces";

/// Enough for every open row of an office; sled's own default is 1 GB.
const CACHE_BYTES: u64 = 16 << 20;

/// A stored due time further ahead than this was written under a clock that was wrong.
const FURTHEST_DUE: Duration = Duration::from_secs(24 * 3600);

/// How long another's lock is waited for.
const LOCK_TRIES: u32 = 20;
const LOCK_PAUSE: Duration = Duration::from_millis(50);

/// Names the process that has the store, or had it last. Written when a store has been opened and holds its format.
const OWNER_FILE: &str = "owner";

impl SledStore {
    /// Opens the store, or makes it (mode 0700). A damaged one is set aside under another name and a fresh one made in
    /// its place; [`SledStore::replaces`] then says so. Blocks the thread for as long as it takes to read every row.
    ///
    /// # Errors
    /// [`StoreError::Locked`] when another process has it, [`StoreError::Format`] when another version wrote it,
    /// [`StoreError::Failed`] when the folder cannot be used.
    pub fn open(path: &Path, now: Moment) -> Result<Self, StoreError> {
        match Self::open_with_room(path, now, None) {
            Err(Opening::Damaged(cause)) => {
                let aside = aside::set_aside(path, now.at)
                    .map_err(|error| Opening::failed("be set aside, though it is damaged", &error).into_error(path))?;
                tracing::error!(
                    store = %path.display(), set_aside = %aside.display(), cause,
                    "the store is damaged: it was set aside and a fresh one is used; what was pending in it is not sent. \
                     Missed calls and voicemails that are still open are announced (again) when they are younger than \
                     `watch.max_age`, older ones are not"
                );
                Self::open_with_room(path, now, Some(&aside)).map_err(|opening| opening.into_error(path))
            }
            other => other.map_err(|opening| opening.into_error(path)),
        }
    }

    /// Opens a store that exists and is sound; nothing is made, nothing is set aside.
    ///
    /// # Errors
    /// As [`SledStore::open`]; also when there is no store, or a damaged one.
    pub fn open_existing(path: &Path, now: Moment) -> Result<Self, StoreError> {
        if !path.join(OWNER_FILE).exists() {
            let opening = Opening::Failed("be opened", "there is none\nhint: it is the folder `store.path`".to_owned());
            return Err(opening.into_error(path));
        }
        Self::open_with_room(path, now, None).map_err(|opening| opening.into_error(path))
    }

    /// Opening writes. When the disk is full, the room for that is what was kept for such a day.
    fn open_with_room(path: &Path, now: Moment, replaced: Option<&Path>) -> Result<Self, Opening> {
        match Self::try_open(path, now, replaced) {
            Err(Opening::Full(..)) if room::release(path) => Self::try_open(path, now, replaced),
            other => other,
        }
    }

    fn try_open(path: &Path, now: Moment, replaced: Option<&Path>) -> Result<Self, Opening> {
        make_folder(path)?;
        let owner = path.join(OWNER_FILE);
        // sled panics on some damaged files, when it opens them or when it first reads a page. The closure owns nothing
        // that a panic could leave half done.
        let contents = panics::caught(AssertUnwindSafe(|| Contents::open(path, &owner, now, replaced)))
            .unwrap_or_else(|place| {
                Err(Opening::Damaged(format!("the store library panicked on its files, at {place}")))
            })?;
        let Contents { files, journal, index, replaces } = contents;
        File::create(owner)
            .and_then(|mut file| write!(file, "process {}", std::process::id()))
            .map_err(|error| Opening::failed("note its owner", &error))?;
        // The names of fresh files must be as durable as what is written into them.
        File::open(path).and_then(|folder| folder.sync_all()).map_err(|error| Opening::failed("sync", &error))?;
        let room = Room::keep(path);
        let shared = Arc::new(Shared {
            tree: (*files.db).clone(),
            overlay: Mutex::default(),
            index: Mutex::new(index),
            lanes: Mutex::default(),
            closed: Mutex::default(),
            fresh: Mutex::default(),
            revision: AtomicU64::default(),
        });
        let (writer, orders) = mpsc::channel();
        let (moving, broken, path) = (None, None, path.display().to_string());
        let work = Writer { files, journal, moving, shared: Arc::clone(&shared), path: path.clone(), room, broken };
        let (ended, failure) = watch::channel(None);
        let thread = std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || {
                // Whoever runs on a store without a writer would only fail, one write after the other.
                let end = catch_unwind(AssertUnwindSafe(|| work.run(&orders)))
                    .unwrap_or_else(|_| Err("its writer panicked; this is a bug".to_owned()));
                ended.send_replace(end.err());
            })
            .map_err(|error| Opening::failed("start its writer", &error))?;
        Ok(Self { path, shared, writer: Some((writer, thread)), failure, replaces })
    }
}

/// What a store's files hold.
struct Contents {
    files: Files,
    journal: Journal,
    index: Index,
    replaces: Option<String>,
}

impl Contents {
    fn open(path: &Path, owner: &Path, now: Moment, replaced: Option<&Path>) -> Result<Self, Opening> {
        let db = open_in_turn(path).map_err(|error| match error {
            sled::Error::Io(error) if is_lock(&error) => {
                Opening::Locked(std::fs::read_to_string(owner).unwrap_or_default())
            }
            error => Opening::of(&error, "be opened"),
        })?;
        let data = OpenOptions::new()
            .write(true)
            .open(path.join("db"))
            .map_err(|error| Opening::failed("open its data file", &error))?;
        match read(&db, FORMAT_KEY)? {
            Some(found) if found == FORMAT.to_string() => {}
            // Only one has been so far. A migration would be a function from the rows of `found` to those of `FORMAT`,
            // called here, before anything else is read.
            Some(found) => return Err(Opening::Format(found)),
            // The owner is noted after the format is safe on the disk: this store has lost it, and all else.
            None if owner.exists() => return Err(Opening::Damaged("its data is gone".to_owned())),
            None => begin(&db, &data, replaced)?,
        }
        // Every page is read once: damage must show here, where it can be set aside.
        for pair in db.iter() {
            pair.map_err(|error| Opening::of(&error, "be read"))?;
        }
        // Before the journals: what this writes is synced with them.
        let reclaim = Reclaim::of(&db).map_err(|error| Opening::of(&error, "be written"))?;
        let journal = replay(path, &db, &data, now.at)?;
        let index = load_index(&db, now)?;
        let replaces = read(&db, REPLACES_KEY)?;
        Ok(Self { files: Files { db, data, reclaim }, journal, index, replaces })
    }
}

/// Opens sled's files. Whoever had them may be just ending: its lock goes a moment after it.
fn open_in_turn(path: &Path) -> Result<sled::Db, sled::Error> {
    let config = sled::Config::new().path(path).cache_capacity(CACHE_BYTES).flush_every_ms(None);
    for _ in 0..LOCK_TRIES {
        match config.open() {
            Err(sled::Error::Io(error)) if is_lock(&error) => std::thread::sleep(LOCK_PAUSE),
            other => return other,
        }
    }
    config.open()
}

/// Writes what a fresh store holds, durably.
fn begin(db: &sled::Db, data: &File, replaced: Option<&Path>) -> Result<(), Opening> {
    let mut batch = sled::Batch::default();
    batch.insert(FORMAT_KEY, FORMAT.to_string().into_bytes());
    if let Some(aside) = replaced {
        batch.insert(REPLACES_KEY, aside.display().to_string().into_bytes());
    }
    db.apply_batch(batch).and_then(|()| db.flush()).map_err(|error| Opening::of(&error, "be written"))?;
    data.sync_all().map_err(|error| Opening::failed("sync", &error))
}

/// Moves what a process that died has left in its journals into sled, and begins a new journal.
fn replay(path: &Path, db: &sled::Db, data: &File, now: Timestamp) -> Result<Journal, Opening> {
    let files = journal::files(path).map_err(|error| Opening::failed("list its journals", &error))?;
    let moved: u64 = read(db, MOVED_KEY)?.and_then(|number| number.parse().ok()).unwrap_or(0);
    if files.first().is_some_and(|(oldest, _)| moved + 1 < *oldest) {
        return Err(Opening::Damaged("its data file has lost what was acknowledged".to_owned()));
    }
    for (at, (_, file)) in files.iter().enumerate() {
        let found = journal::read(file).map_err(|error| match error {
            Unreadable::Io(error) => Opening::failed("read its journal", &error),
            Unreadable::Version(_) => Opening::Format(error.to_string()),
            Unreadable::Foreign => Opening::Damaged(format!("{}: {error}", file.display())),
        })?;
        if found.damaged || (found.behind > 0 && at + 1 < files.len()) {
            // A part of what came later may be in sled already: without the rest there would be holes.
            if at + 1 < files.len() {
                return Err(Opening::Damaged(format!("{} is damaged in the middle", file.display())));
            }
            let kept =
                aside::keep_copy(file, now).map_err(|error| Opening::failed("keep a damaged journal", &error))?;
            tracing::error!(
                journal = %file.display(), kept = %kept.display(), bytes = found.behind,
                "the journal is damaged in the middle: the store goes on from the state before. What was delivered since \
                 then is sent again, under the same ids; what was seen since then is read from the PBX again"
            );
        } else if found.behind > 0 {
            tracing::warn!(
                journal = %file.display(), bytes = found.behind,
                "the last write was not finished, and not acknowledged"
            );
        }
        for changes in found.frames {
            let rows: Vec<_> = changes.into_iter().map(|(key, value)| (key, value.map(Arc::from))).collect();
            put_rows(db, &rows).map_err(|error| Opening::of(&error, "be written"))?;
        }
    }
    let last = files.last().map_or(moved, |(number, _)| *number);
    put_rows(db, &[moved_up_to(last)]).and_then(|()| db.flush()).map_err(|error| Opening::of(&error, "be written"))?;
    data.sync_all().map_err(|error| Opening::failed("sync", &error))?;
    let next = last + 1;
    let journal = Journal::create(path, next).map_err(|error| Opening::failed("begin its journal", &error))?;
    for (_, file) in &files {
        std::fs::remove_file(file).map_err(|error| Opening::failed("remove an old journal", &error))?;
    }
    Ok(journal)
}

fn read(tree: &sled::Tree, key: &[u8]) -> Result<Option<String>, Opening> {
    let value = tree.get(key).map_err(|error| Opening::of(&error, "be read"))?;
    Ok(value.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
}

fn load_index(tree: &sled::Tree, now: Moment) -> Result<Index, Opening> {
    let mut index = Index::default();
    let latest = ahead(now.at, FURTHEST_DUE);
    for pair in tree.scan_prefix(PENDING) {
        let (_, row) = pair.map_err(|error| Opening::of(&error, "be read"))?;
        match decode::<Delivery>(&row) {
            Ok(mut delivery) => {
                let due_at = delivery.due_after_restart(now.at);
                // A schedule may well be closed for longer.
                delivery.due_at = if delivery.held_until == Some(due_at) { due_at } else { due_at.min(latest) };
                index.put(&delivery, now);
            }
            Err(RowError::Version(version)) => return Err(Opening::Format(format!("row version {version}"))),
            Err(error) => tracing::error!(%error, "a pending delivery cannot be read; it is kept, and not sent"),
        }
    }
    Ok(index)
}

/// Why a store did not open.
enum Opening {
    Locked(String),
    Damaged(String),
    Format(String),
    Full(&'static str, String),
    Failed(&'static str, String),
}

impl Opening {
    fn failed(action: &'static str, error: &std::io::Error) -> Self {
        if room::is_full(error) {
            Self::Full(action, error.to_string())
        } else {
            Self::Failed(action, error.to_string())
        }
    }

    /// Files that hold nonsense are damaged; files that cannot be had are not.
    fn of(error: &sled::Error, action: &'static str) -> Self {
        match error {
            sled::Error::Corruption { .. } | sled::Error::ReportableBug(_) => Self::Damaged(error.to_string()),
            sled::Error::Io(io) if is_nonsense(io) => Self::Damaged(error.to_string()),
            sled::Error::Io(io) => Self::failed(action, io),
            _ => Self::Failed(action, error.to_string()),
        }
    }

    fn into_error(self, path: &Path) -> StoreError {
        let path = path.display().to_string();
        match self {
            Self::Locked(owner) if owner.is_empty() => StoreError::Locked { path, owner: "another process".to_owned() },
            Self::Locked(owner) => StoreError::Locked { path, owner },
            Self::Format(found) => StoreError::Format { path, found, known: FORMAT },
            Self::Damaged(cause) => StoreError::Failed { path, action: "be opened", cause },
            Self::Failed(action, cause) => StoreError::Failed { path, action, cause },
            Self::Full(action, cause) => {
                let cause = format!("{cause}\nhint: make room on its disk; nothing that was stored is lost");
                StoreError::Failed { path, action, cause }
            }
        }
    }
}

fn make_folder(path: &Path) -> Result<(), Opening> {
    use std::os::unix::fs::DirBuilderExt as _;
    if path.exists() && !path.is_dir() {
        let cause = "there is something else of that name\nhint: `store.path` is a folder of its own";
        return Err(Opening::Failed("be opened", cause.to_owned()));
    }
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|error| Opening::failed("make its folder", &error))
}

/// sled reports a held lock as an I/O error with these words.
fn is_lock(error: &std::io::Error) -> bool {
    error.kind() == std::io::ErrorKind::WouldBlock || error.to_string().contains("could not acquire lock")
}

/// sled reports some damage, such as a file that is too short, as an I/O error.
fn is_nonsense(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
    matches!(error.kind(), InvalidData | InvalidInput | UnexpectedEof)
}
