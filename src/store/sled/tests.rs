//! The contract of every store, and what is true of this one alone: its lock, its folder, its damage.

use std::fs;
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::*;
use crate::store::codec::MAX_ROW;
use crate::store::contract::{batch, delivery, event, exercise, morning};

fn place() -> impl AsyncFn(Moment) -> Arc<dyn Store> {
    let folder = TempDir::new().unwrap();
    async move |now| Arc::new(SledStore::open(&folder.path().join("store"), now).unwrap()) as Arc<dyn Store>
}

exercise!(place);

fn open(folder: &TempDir) -> Result<SledStore, StoreError> {
    SledStore::open(&folder.path().join("store"), morning())
}

/// The database itself, without the thread that flushes by the clock: that one may hold the lock for a while longer.
fn raw(folder: &TempDir) -> sled::Db {
    sled::Config::new().path(folder.path().join("store")).flush_every_ms(None).open().unwrap()
}

/// A store with 500 events that await delivery, closed again.
async fn filled() -> TempDir {
    let folder = TempDir::new().unwrap();
    let store = open(&folder).unwrap();
    for part in 0..10 {
        let rows = (0..50).map(|n| delivery(&format!("c{}", part * 50 + n), "crm"));
        store.commit(batch(rows), morning()).await.unwrap();
    }
    drop(store);
    folder
}

fn set_aside(folder: &TempDir) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.to_string_lossy().contains("store.broken-")).collect()
}

async fn works(store: &SledStore) -> bool {
    store.commit(batch([delivery("fresh", "mail")]), morning()).await.unwrap();
    let claims = store.claim_due("mail", 10, Duration::from_secs(1), morning()).await.unwrap();
    store.list(&|_| true).await.is_ok() && claims.iter().any(|claim| claim.delivery.id == delivery("fresh", "mail").id)
}

#[test]
fn the_folder_is_for_its_owner_alone() {
    let folder = TempDir::new().unwrap();
    let _store = SledStore::open(&folder.path().join("deep/store"), morning()).unwrap();
    for path in ["deep", "deep/store"] {
        let mode = fs::metadata(folder.path().join(path)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700, "{path}");
    }
}

#[test]
fn a_store_in_use_says_where_it_is_and_who_has_it() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder).unwrap();
    let error = open(&folder).err().unwrap();
    assert!(matches!(error, StoreError::Locked { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains(&folder.path().join("store").display().to_string()), "{text}");
    assert!(text.contains(&format!("in use by process {}", std::process::id())), "{text}");
    assert!(text.contains("\nhint: "), "{text}");
    drop(store);
    open(&folder).unwrap();
    assert!(set_aside(&folder).is_empty(), "a locked store is not a damaged one");
}

#[test]
fn a_store_of_a_later_format_is_left_alone() {
    let folder = TempDir::new().unwrap();
    drop(open(&folder).unwrap());
    let db = raw(&folder);
    db.insert("m/format", "7").unwrap();
    drop(db);
    let error = open(&folder).err().unwrap();
    assert!(matches!(&error, StoreError::Format { found, known: 1, .. } if found == "7"), "{error}");
    assert!(error.to_string().contains("hint: run the newer ringback"), "{error}");
    assert!(set_aside(&folder).is_empty());
}

#[tokio::test]
async fn a_row_of_a_later_version_is_left_alone() {
    let folder = filled().await;
    let db = raw(&folder);
    let (key, mut row) = db.scan_prefix(PENDING).next().unwrap().unwrap();
    row[0] = 9;
    db.insert(key, row).unwrap();
    drop(db);
    assert!(matches!(open(&folder).err().unwrap(), StoreError::Format { .. }));
    assert!(set_aside(&folder).is_empty());
}

#[tokio::test]
async fn a_pending_row_that_cannot_be_read_stops_nobody_else() {
    let folder = filled().await;
    let db = raw(&folder);
    let (key, _) = db.scan_prefix(PENDING).next().unwrap().unwrap();
    db.insert(&key, b"\x01{\"id\":").unwrap();
    drop(db);
    let store = open(&folder).unwrap();
    let claims = store.claim_due("crm", 1000, Duration::from_secs(1), morning()).await.unwrap();
    assert_eq!(claims.len(), 499);
    assert!(store.shared.tree.contains_key(key).unwrap(), "it is kept");
}

#[tokio::test]
async fn no_row_is_too_large_to_be_durable() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder).unwrap();
    let mut large = event("large");
    large.uuid = "x".repeat(MAX_ROW);
    let error = store.commit(Batch { events: vec![large], ..Batch::default() }, morning()).await.unwrap_err();
    assert!(error.to_string().contains("are safe"), "{error}");
    store.commit(batch([delivery("c1", "crm")]), morning()).await.unwrap();
    drop(store);
    let db = raw(&folder);
    let longest = db.iter().values().map(|value| value.unwrap().len()).max().unwrap();
    assert!(longest <= MAX_ROW);
    assert!(fs::read_dir(folder.path().join("store/blobs")).map_or(0, Iterator::count) == 0);
}

#[tokio::test]
async fn a_damaged_store_is_set_aside_and_the_fresh_one_says_so() {
    let folder = filled().await;
    fs::write(folder.path().join("store/db"), "").unwrap();
    let store = open(&folder).unwrap();
    let [aside] = &*set_aside(&folder) else { panic!("not set aside: {:?}", store.replaces()) };
    assert_eq!(store.replaces(), Some(&*aside.display().to_string()));
    assert!(aside.join("db").exists());
    assert!(works(&store).await);
    drop(store);
    assert_eq!(open(&folder).unwrap().replaces(), Some(&*aside.display().to_string()), "until it is replaced itself");
}

#[tokio::test]
async fn whatever_happened_to_its_files_a_store_opens_and_works() {
    type Damage = fn(&Path, u64);
    type Damages = Vec<(&'static str, Box<dyn Fn(&Path, u64)>)>;
    let overwrite = |at: u64, length: usize, byte: u8| {
        move |store: &Path, size: u64| {
            let db = fs::OpenOptions::new().write(true).open(store.join("db")).unwrap();
            db.write_all_at(&vec![byte; length], at.min(size)).unwrap();
        }
    };
    let cut = |store: &Path, length: u64| {
        fs::OpenOptions::new().write(true).open(store.join("db")).unwrap().set_len(length).unwrap();
    };
    let damages: Damages = vec![
        ("db cut to one byte", Box::new(move |store, _| cut(store, 1))),
        ("db cut within its first segment", Box::new(move |store, _| cut(store, 1000))),
        ("db cut in the middle", Box::new(move |store, size| cut(store, size / 2))),
        ("db cut by a byte", Box::new(move |store, size| cut(store, size - 1))),
        ("head of db zeroed", Box::new(overwrite(0, 64, 0))),
        ("head of db overwritten", Box::new(overwrite(0, 64, 0xff))),
        ("a page of db zeroed", Box::new(overwrite(40_000, 4096, 0))),
        ("a page of db overwritten", Box::new(overwrite(40_000, 4096, 0x55))),
        ("few bytes of db overwritten", Box::new(overwrite(20_000, 3, 0xaa))),
        ("much of db overwritten", Box::new(overwrite(1000, 300_000, 0xaa))),
        ("db is text", Box::new((|store, _| fs::write(store.join("db"), "not a store").unwrap()) as Damage)),
        ("db is gone", Box::new((|store, _| fs::remove_file(store.join("db")).unwrap()) as Damage)),
        ("conf is empty", Box::new((|store, _| fs::write(store.join("conf"), "").unwrap()) as Damage)),
        ("conf is text", Box::new((|store, _| fs::write(store.join("conf"), "x=y").unwrap()) as Damage)),
        ("conf is gone", Box::new((|store, _| fs::remove_file(store.join("conf")).unwrap()) as Damage)),
        (
            "a snapshot is cut",
            Box::new(
                (|store, _| {
                    for entry in fs::read_dir(store).unwrap().map(|entry| entry.unwrap().path()) {
                        if entry.to_string_lossy().contains("snap") {
                            fs::write(entry, "cut").unwrap();
                        }
                    }
                }) as Damage,
            ),
        ),
    ];
    let sound = filled().await;
    for (what, damage) in damages {
        let folder = TempDir::new().unwrap();
        copy(&sound.path().join("store"), &folder.path().join("store"));
        let size = fs::metadata(folder.path().join("store/db")).unwrap().len();
        damage(&folder.path().join("store"), size);
        let store = open(&folder).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert!(works(&store).await, "{what}");
        assert_eq!(store.replaces().is_some(), !set_aside(&folder).is_empty(), "{what}");
        // An end that is lost is an earlier state, whole: the cursor went back with it, and the PBX is read again.
        let rows = store.list(&|row| row.channel == "crm").await.unwrap();
        let whole = rows.len() / 50 * 50;
        assert_eq!(rows.len(), whole, "{what}: half of a commit");
        let first: HashSet<_> = (0..whole).map(|n| delivery(&format!("c{n}"), "crm").id).collect();
        assert!(rows.iter().all(|row| first.contains(&row.id)), "{what}: a hole");
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() { copy(&entry.path(), &to) } else { drop(fs::copy(entry.path(), to)) }
    }
}

/// The files of a store as a crash would leave them at this moment.
fn copy_of(folder: &TempDir) -> TempDir {
    let copy = TempDir::new().unwrap();
    let store = copy.path().join("store");
    fs::create_dir(&store).unwrap();
    for entry in fs::read_dir(folder.path().join("store")).unwrap() {
        let path = entry.unwrap().path();
        // A journal may be moved and removed between being listed and being copied.
        if path.is_file() {
            let _ = fs::copy(&path, store.join(path.file_name().unwrap()));
        }
    }
    copy
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_a_crash_at_any_commit() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder).unwrap();
    for part in 0..12 {
        let rows = (0..20).map(|n| delivery(&format!("c{}", part * 20 + n), "crm"));
        store.commit(batch(rows), morning()).await.unwrap();
        let claims = store.claim_due("crm", 10, Duration::from_secs(1), morning()).await.unwrap();
        let settled: Vec<_> = claims
            .into_iter()
            .map(|claim| {
                let outcome = crate::outbox::Outcome::Delivered;
                crate::outbox::settle(claim, outcome, morning().at, &crate::retry::Policy::default(), 0.5)
            })
            .collect();
        store.settle(&settled, morning()).await.unwrap();
        let copy = copy_of(&folder);
        let after = open(&copy).unwrap();
        assert!(set_aside(&copy).is_empty());
        let pending = after.list(&|delivery| delivery.state == State::Pending).await.unwrap().len();
        assert_eq!((after.list(&|_| true).await.unwrap().len(), pending), ((part + 1) * 20, (part + 1) * 10));
        let claims = after.claim_due("crm", 1000, Duration::from_secs(1), morning()).await.unwrap();
        assert_eq!(claims.len(), pending, "with their events");
    }
}

#[tokio::test]
async fn a_full_journal_is_moved_under_load_and_readers_see_no_seam() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder).unwrap();
    let mut large = delivery("c", "crm");
    large.last_failure = Some(crate::outbox::Failure::new(
        crate::outbox::FailureKind::Receiver,
        "x".repeat(crate::outbox::Failure::MAX_TEXT),
    ));
    let total = 12_000;
    for part in 0..total / 400 {
        let rows = (0..400).map(|n| {
            let like = delivery(&format!("c{}", part * 400 + n), "crm");
            Delivery { id: like.id, event_id: like.event_id, ..large.clone() }
        });
        let batch = Batch { deliveries: rows.collect(), ..Batch::default() };
        store.commit(batch, morning()).await.unwrap();
    }
    assert_eq!(store.list(&|_| true).await.unwrap().len(), total);
    drop(store);
    assert!(journal::files(&folder.path().join("store")).unwrap().len() <= 1, "an orderly end leaves nothing to move");
    assert_eq!(open(&folder).unwrap().list(&|_| true).await.unwrap().len(), total);
}
