//! The keys that sign links: made at the first start, kept in the store's folder for its owner alone, renewed every month.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;

use crate::clock::Clock;
use crate::link::{KEY_BYTES, Key, Keys, renewed};

/// How long a key signs.
const ROTATE: Duration = Duration::from_secs(30 * 86_400);

/// How often it is looked whether one has signed long enough.
const LOOK: Duration = Duration::from_secs(3600);

/// Reads the keys of the store in `folder`, and renews them when it is time. Without any, which is said, messages go
/// without links.
pub(super) fn refresh(keys: &Keys, folder: &Path, ttl: Duration, now: Timestamp) {
    let path = folder.join("links.key");
    let result = read(&path).and_then(|known| {
        let mut fresh = [0; KEY_BYTES];
        getrandom::fill(&mut fresh).map_err(|error| io::Error::other(error.to_string()))?;
        let Some(renewed) = renewed(&known, now, ROTATE, ttl, fresh) else { return Ok(known) };
        write(&path, &renewed)?;
        Ok(renewed)
    });
    match result {
        Ok(found) => keys.set(found),
        Err(error) => {
            let known = keys.now().len();
            tracing::error!(file = %path.display(), %error, known, "the keys of links cannot be read or renewed");
        }
    }
}

/// Looks after them for as long as ringback runs.
pub(super) async fn keep(keys: Keys, folder: PathBuf, ttl: Duration, clock: Clock) {
    loop {
        clock.sleep(LOOK).await;
        refresh(&keys, &folder, ttl, clock.now());
    }
}

/// One key to a line: its number, since when it signs, and the secret in hex. What cannot be read is set aside: its links
/// are dead either way, and new ones are better than none.
fn read(path: &Path) -> io::Result<Vec<Key>> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let keys: Option<Vec<Key>> = text.lines().map(parse).collect();
    if keys.is_none() {
        let aside = path.with_extension("key.broken");
        fs::rename(path, &aside)?;
        tracing::error!(
            file = %path.display(), aside = %aside.display(),
            "the keys of links cannot be understood: new ones are made, and the links in earlier messages are dead"
        );
    }
    Ok(keys.unwrap_or_default())
}

fn parse(line: &str) -> Option<Key> {
    let mut parts = line.split(' ');
    let (number, since, hex) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?, parts.next()?);
    let mut secret = [0; KEY_BYTES];
    if hex.len() != 2 * KEY_BYTES || !hex.is_ascii() || parts.next().is_some() {
        return None;
    }
    for (byte, digits) in secret.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(Key { number, since, secret })
}

/// In one step: a crash leaves the old file or the new one.
fn write(path: &Path, keys: &[Key]) -> io::Result<()> {
    use std::fmt::Write as _;

    let mut text = String::new();
    for Key { number, since, secret } in keys {
        let hex = secret.iter().fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        });
        let _ = writeln!(text, "{number} {since} {hex}");
    }
    let new = path.with_extension("key.new");
    // One of an interrupted attempt has no mode that can be relied on.
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    File::open(path.parent().unwrap_or(path))?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    fn at(days: i64) -> Timestamp {
        Timestamp::from_second(1_795_000_000 + days * 86_400).unwrap()
    }

    fn refreshed(folder: &Path, days: i64) -> Vec<Key> {
        let keys = Keys::default();
        refresh(&keys, folder, 7 * DAY, at(days));
        keys.now().to_vec()
    }

    #[test]
    fn the_keys_are_made_once_kept_for_the_owner_alone_and_renewed_with_an_overlap() {
        let folder = tempfile::tempdir().unwrap();
        let first = refreshed(folder.path(), 0);
        assert_eq!(first.len(), 1);
        assert_eq!(fs::metadata(folder.path().join("links.key")).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(refreshed(folder.path(), 29), first);
        let both = refreshed(folder.path(), 30);
        assert_eq!((both.len(), &both[1]), (2, &first[0]));
        assert_ne!(both[0].secret, first[0].secret);
        assert_eq!(refreshed(folder.path(), 38), both[..1]);
    }

    #[test]
    fn a_file_that_is_damaged_is_set_aside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("links.key");
        for damage in ["", "0 2026-11-22T00:00:00Z abc", "nonsense\n", "0 2026-11-22T00:00:00Z €€€€€€€€"]
        {
            fs::write(&path, damage).unwrap();
            assert_eq!(refreshed(folder.path(), 0).len(), 1, "{damage}");
        }
        assert!(folder.path().join("links.key.broken").exists());
    }
}
