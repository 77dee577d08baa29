//! Where damaged files go: under another name, beside what takes their place. Nothing is ever deleted.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

const MARK: &str = ".broken-";

/// Moves a store away whole, and says where to. One that cannot be renamed, since its folder is a mount point, is moved
/// into a folder of itself.
pub(super) fn set_aside(path: &Path, now: Timestamp) -> io::Result<PathBuf> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let aside = free(|stamp| path.with_file_name(format!("{name}{MARK}{stamp}")), now);
    match fs::rename(path, &aside) {
        Ok(()) => Ok(aside),
        Err(_) => set_contents_aside(path, now),
    }
}

fn set_contents_aside(path: &Path, now: Timestamp) -> io::Result<PathBuf> {
    let aside = free(|stamp| path.join(format!("store{MARK}{stamp}")), now);
    fs::create_dir(&aside)?;
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let name = entry.file_name();
        // What stands there since an earlier time, and what a file system keeps in its root.
        if name.to_string_lossy().contains(MARK) || name == "lost+found" {
            continue;
        }
        fs::rename(entry.path(), aside.join(name))?;
    }
    Ok(aside)
}

/// Copies a damaged file beside itself, and says where to.
pub(super) fn keep_copy(file: &Path, now: Timestamp) -> io::Result<PathBuf> {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let kept = free(|stamp| file.with_file_name(format!("{name}{MARK}{stamp}")), now);
    fs::copy(file, &kept)?;
    Ok(kept)
}

/// A name that nothing has, also when something was set aside in the same second.
fn free(named: impl Fn(&str) -> PathBuf, now: Timestamp) -> PathBuf {
    let stamp = now.strftime("%Y%m%dT%H%M%SZ").to_string();
    let mut path = named(&stamp);
    for n in 2.. {
        if !path.exists() {
            break;
        }
        path = named(&format!("{stamp}-{n}"));
    }
    path
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn a_folder_that_cannot_be_renamed_is_emptied_into_one_of_itself() {
        let folder = TempDir::new().unwrap();
        let now = "2026-11-22T05:00:00Z".parse().unwrap();
        for name in ["db", "conf", "lost+found"] {
            fs::write(folder.path().join(name), name).unwrap();
        }
        let first = set_contents_aside(folder.path(), now).unwrap();
        fs::write(folder.path().join("db"), "fresh").unwrap();
        let second = set_contents_aside(folder.path(), now).unwrap();
        assert_ne!(first, second);
        assert_eq!(fs::read(first.join("conf")).unwrap(), b"conf");
        assert_eq!(fs::read(second.join("db")).unwrap(), b"fresh");
        assert!(!folder.path().join("db").exists() && folder.path().join("lost+found").exists());
    }

    #[test]
    fn two_stores_that_break_in_the_same_second_are_both_kept() {
        let folder = TempDir::new().unwrap();
        let (path, now) = (folder.path().join("store"), "2026-11-22T05:00:00Z".parse().unwrap());
        let aside = ["one", "two"].map(|text| {
            fs::create_dir(&path).unwrap();
            fs::write(path.join("db"), text).unwrap();
            set_aside(&path, now).unwrap()
        });
        assert_eq!(aside.map(|aside| fs::read_to_string(aside.join("db")).unwrap()), ["one", "two"]);
    }
}
