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

#[test]
fn a_store_of_an_earlier_format_is_left_alone_and_says_how_to_bring_it_over() {
    let folder = TempDir::new().unwrap();
    drop(open(&folder).unwrap());
    let db = raw(&folder);
    db.insert("m/format", "0").unwrap();
    drop(db);
    let error = open(&folder).err().unwrap();
    assert!(matches!(&error, StoreError::Format { found, known: 1, .. } if found == "0"), "{error}");
    let text = error.to_string();
    assert!(text.contains("store export") && text.contains("store import"), "{text}");
    assert!(set_aside(&folder).is_empty());
}

#[test]
fn a_journal_of_a_later_version_is_left_alone() {
    let folder = TempDir::new().unwrap();
    drop(open(&folder).unwrap());
    let next = journal::files(&folder.path().join("store")).unwrap()[0].0 + 1;
    fs::write(folder.path().join(format!("store/journal-{next}")), "ringjnl2 and more").unwrap();
    let error = open(&folder).err().unwrap();
    assert!(matches!(&error, StoreError::Format { found, .. } if found == "a journal of version 2"), "{error}");
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
    let error = store.commit(Batch { events: vec![large.into()], ..Batch::default() }, morning()).await.unwrap_err();
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

#[tokio::test]
async fn a_journal_that_is_damaged_in_the_middle_ends_before_the_damage() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder).unwrap();
    for n in 0..9 {
        store.commit(batch([delivery(&format!("c{n}"), "crm")]), morning()).await.unwrap();
    }
    let copy = copy_of(&folder);
    let (number, file) = journal::files(&copy.path().join("store")).unwrap().remove(0);
    let bytes = fs::read(&file).unwrap();
    let mut damaged = bytes.clone();
    damaged[bytes.len() / 2] ^= 1;
    fs::write(&file, &damaged).unwrap();
    let after = open(&copy).unwrap();
    assert!(set_aside(&copy).is_empty(), "what is before the damage is sound");
    let rows = after.list(&|_| true).await.unwrap();
    assert_eq!(rows.len(), 4, "an earlier state, without holes");
    let kept = copy.path().join(format!("store/journal-{number}.broken-20261122T050000Z"));
    assert_eq!(fs::read(kept).unwrap(), damaged);
    assert!(works(&after).await);
    drop(after);
    assert_eq!(open(&copy).unwrap().list(&|_| true).await.unwrap().len(), 5);
}

#[tokio::test]
async fn a_journal_that_is_damaged_before_the_last_breaks_the_store() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder).unwrap();
    for n in 0..9 {
        store.commit(batch([delivery(&format!("c{n}"), "crm")]), morning()).await.unwrap();
    }
    for damage in [|bytes: &mut Vec<u8>| bytes.truncate(bytes.len() - 1), |bytes: &mut Vec<u8>| bytes[2000] ^= 1] {
        let copy = copy_of(&folder);
        let path = copy.path().join("store");
        let (number, file) = journal::files(&path).unwrap().remove(0);
        let mut bytes = fs::read(&file).unwrap();
        damage(&mut bytes);
        fs::write(&file, bytes).unwrap();
        // As if it had been on its way into sled.
        journal::Journal::create(&path, number + 1).unwrap();
        let after = open(&copy).unwrap();
        assert!(after.replaces().is_some(), "a part of it may be in sled already");
        assert!(works(&after).await);
    }
}

#[tokio::test]
async fn a_writer_that_panics_is_noticed() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder).unwrap();
    let failed = tokio::time::timeout(Duration::from_millis(20), Store::failed(&store));
    assert!(failed.await.is_err(), "a store that works has not failed");
    store.write(vec![Write::Panic], morning()).await.unwrap_err();
    let error = Store::failed(&store).await.to_string();
    assert!(error.contains("cannot go on: its writer panicked") && error.contains("hint: "), "{error}");
    store.ping().await.unwrap_err();
    drop(store);
    assert!(works(&open(&folder).unwrap()).await, "another process goes on");
}

/// A store in an own file system of so many kB; `None`, loudly, where that cannot be had.
#[expect(clippy::print_stderr, reason = "a test that is left out says so")]
fn on_a_small_disk(kilobytes: u32) -> Option<SmallDisk> {
    let folder = TempDir::new().unwrap();
    let size = format!("size={kilobytes}k");
    let mounted =
        std::process::Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(folder.path()).output();
    match mounted {
        Ok(output) if output.status.success() => Some(SmallDisk { folder }),
        _ => {
            eprintln!("SKIPPED: a tmpfs cannot be mounted here (needs root): what a full disk does is not tested");
            None
        }
    }
}

struct SmallDisk {
    folder: TempDir,
}

impl SmallDisk {
    fn fill(&self) {
        let mut file = fs::File::options().create(true).append(true).open(self.folder.path().join("fill")).unwrap();
        let mut piece: &[u8] = &[7; 4096];
        while !piece.is_empty() {
            if std::io::Write::write_all(&mut file, piece).is_err() {
                piece = &piece[..piece.len() / 2];
            }
        }
    }

    fn make_room(&self) {
        fs::remove_file(self.folder.path().join("fill")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("--lazy").arg(self.folder.path()).output();
    }
}

fn delivered(claim: Claim) -> Settled {
    let policy = crate::retry::Policy::default();
    crate::outbox::settle(claim, crate::outbox::Outcome::Delivered, morning().at, &policy, 0.5)
}

#[tokio::test]
async fn on_a_full_disk_nothing_new_is_taken_in_and_what_is_delivered_is_noted() {
    let Some(disk) = on_a_small_disk(4096) else { return };
    let store = open(&disk.folder).unwrap();
    let rows = (0..300).map(|n| delivery(&format!("c{n}"), "crm"));
    store.commit(batch(rows), morning()).await.unwrap();
    disk.fill();
    let mut error = None;
    // What is left in the last block may take a few.
    for n in 0..100 {
        error = store.commit(batch([delivery(&format!("new {n}"), "crm")]), morning()).await.err();
        if error.is_some() {
            break;
        }
    }
    let error = error.unwrap().to_string();
    assert!(
        error.contains("cannot be written: nothing new is taken in until there is room on the disk")
            || error.contains("No space left"),
        "{error}"
    );
    assert!(store.ping().await.unwrap_err().to_string().contains("No space left"));
    let before = store.list(&|_| true).await.unwrap().len();
    for _ in 0..10 {
        let claims = store.claim_due("crm", 20, Duration::from_secs(60), morning()).await.unwrap();
        assert_eq!(claims.len(), 20);
        let settled: Vec<_> = claims.into_iter().map(delivered).collect();
        store.settle(&settled, morning()).await.unwrap();
    }
    // A crash with the disk still full.
    drop(store);
    let store = open(&disk.folder).unwrap();
    assert!(store.replaces().is_none(), "a full disk is no damage");
    let rows = store.list(&|_| true).await.unwrap();
    assert_eq!(rows.len(), before);
    assert_eq!(rows.iter().filter(|row| row.state != State::Pending).count(), 200);
    disk.make_room();
    assert!(works(&store).await, "there is room again");
    store.ping().await.unwrap();
}

#[tokio::test]
async fn a_store_survives_a_disk_that_fills_up_at_any_moment() {
    let Some(disk) = on_a_small_disk(6144) else { return };
    let mut store = open(&disk.folder).unwrap();
    let (mut acknowledged, mut done) = (HashSet::new(), HashSet::new());
    let mut refused = 0;
    for round in 0..60_u32 {
        if round % 3 == 1 {
            disk.fill();
        }
        for n in 0..40 {
            let row = delivery(&format!("c{round} {n}"), "crm");
            match store.commit(batch([row.clone()]), morning()).await {
                Ok(()) => drop(acknowledged.insert(row.id)),
                Err(_) => refused += 1,
            }
        }
        let claims = store.claim_due("crm", 50, Duration::from_secs(1), morning()).await.unwrap();
        let settled: Vec<_> = claims.into_iter().map(delivered).collect();
        if store.settle(&settled, morning()).await.is_ok() {
            done.extend(settled.iter().map(|settled| settled.delivery.id));
        }
        if round % 3 == 2 {
            // Ends with all in sled where there is room, and with a journal where there is none.
            if round % 2 == 0 {
                drop(store);
                disk.make_room();
            } else {
                disk.make_room();
                drop(store);
            }
            store = open(&disk.folder).unwrap();
            assert_eq!(store.replaces(), None, "round {round}");
            let rows = store.list(&|_| true).await.unwrap();
            let there: HashSet<_> = rows.iter().map(|row| row.id).collect();
            assert!(acknowledged.iter().all(|id| there.contains(id)), "round {round}: lost");
            let finished: HashSet<_> =
                rows.iter().filter(|row| row.state != State::Pending).map(|row| row.id).collect();
            assert!(done.iter().all(|id| finished.contains(id)), "round {round}: would be told twice");
            store.prune(crate::cursor::ahead(morning().at, Duration::from_secs(60))).await.unwrap();
            acknowledged.retain(|id| !finished.contains(id));
            done.clear();
        }
    }
    assert!(refused > 100 && acknowledged.len() < 1000, "{refused} {}", acknowledged.len());
}

#[tokio::test]
async fn a_store_whose_folder_is_a_mount_is_set_aside_within_it() {
    let Some(disk) = on_a_small_disk(16_384) else { return };
    let path = disk.folder.path();
    let store = SledStore::open(path, morning()).unwrap();
    assert!(works(&store).await);
    drop(store);
    fs::write(path.join("db"), "not a store").unwrap();
    let store = SledStore::open(path, morning()).unwrap();
    let aside = PathBuf::from(store.replaces().unwrap());
    assert!(aside.starts_with(path) && aside.join("db").exists());
    assert!(works(&store).await);
}

#[test]
fn what_is_no_folder_is_left_alone() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("store");
    fs::write(&path, "a letter").unwrap();
    let error = open(&folder).err().unwrap().to_string();
    assert!(error.contains("there is something else of that name") && error.contains("hint: "), "{error}");
    assert_eq!(fs::read(&path).unwrap(), b"a letter");
}

#[tokio::test]
async fn every_row_goes_through_an_export_and_its_import() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder).unwrap();
    let source = Source { account: "ev/iş".to_owned(), kind: crate::event::Kind::Voicemail };
    let cursor = Cursor::first(morning().at, Duration::from_secs(60));
    let mut rows = batch(["c1", "c2", "c3"].map(|uuid| delivery(uuid, "crm")));
    rows.cursor = Some((source.clone(), cursor.clone()));
    store.commit(rows, morning()).await.unwrap();
    let claim = store.claim_due("crm", 1, Duration::from_secs(60), morning()).await.unwrap().pop().unwrap();
    store.settle(&[delivered(claim)], morning()).await.unwrap();
    store.note_fetch(event("c1").id, morning()).await.unwrap();
    store.note_summary(DeliveryId::of_notice(&["summary"]), morning().at, morning()).await.unwrap();
    let (exported, unreadable) = store.all_rows().unwrap();
    assert_eq!((exported.len(), unreadable), (9, 0));
    let other = TempDir::new().unwrap();
    let second = open(&other).unwrap();
    second.fill(&exported, morning()).await.unwrap();
    assert!(second.fill(&exported, morning()).await.unwrap_err().to_string().contains("it has rows already"));
    drop(second);
    let second = open(&other).unwrap();
    assert_eq!(second.all_rows().unwrap().0, exported);
    assert_eq!(second.cursor(&source).await.unwrap(), Some(cursor));
    assert_eq!(second.claim_due("crm", 10, Duration::from_secs(1), morning()).await.unwrap().len(), 2);
}

#[tokio::test]
async fn an_export_makes_no_store_and_sets_none_aside() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("store");
    let error = SledStore::open_existing(&path, morning()).err().unwrap().to_string();
    assert!(error.contains("there is none") && !path.exists(), "{error}");
    drop(open(&folder).unwrap());
    fs::write(path.join("db"), "not a store").unwrap();
    SledStore::open_existing(&path, morning()).err().unwrap();
    assert!(set_aside(&folder).is_empty());
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

#[tokio::test]
async fn a_journal_of_rows_that_change_often_does_not_grow_in_a_store_that_is_never_idle() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder).unwrap();
    let events: Vec<_> = (0..400).map(|n| Arc::new(event(&format!("c{n}")))).collect();
    let mut longest = 0;
    for _ in 0..120 {
        store.commit(Batch { events: events.clone(), ..Batch::default() }, morning()).await.unwrap();
        let files = journal::files(&folder.path().join("store")).unwrap();
        // One that was moved a moment ago is gone.
        longest = longest.max(files.iter().filter_map(|(_, path)| Some(fs::metadata(path).ok()?.len())).sum::<u64>());
    }
    assert!((16 << 20..24 << 20).contains(&longest), "{longest}");
    assert!(journal::files(&folder.path().join("store")).unwrap()[0].0 > 1, "none was moved");
    assert_eq!(store.list_events(&|_| true).await.unwrap().len(), events.len());
}
