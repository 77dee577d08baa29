//! File systems of the test's own, which can be full or lose their power. They need root.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A mounted file system. Dropping it unmounts it.
pub(crate) struct Disk {
    at: PathBuf,
}

impl Disk {
    /// So many kB of memory, mounted at `at`; `None`, loudly, where that cannot be had.
    pub(crate) fn in_memory(at: &Path, kilobytes: u32) -> Option<Self> {
        Self::mount(at, &["-t", "tmpfs", "-o", &format!("size={kilobytes}k"), "tmpfs"])
    }

    /// The ext4 in an image; `None`, loudly, where that cannot be had. The file system writes by itself as late as it
    /// may: what is on the image was synced.
    pub(crate) fn of_image(at: &Path, image: &Path) -> Option<Self> {
        Self::mount(at, &["-t", "ext4", "-o", "loop,commit=300", &image.to_string_lossy()])
    }

    #[expect(clippy::print_stderr, reason = "a test that is left out says so")]
    fn mount(at: &Path, what: &[&str]) -> Option<Self> {
        fs::create_dir_all(at).unwrap();
        let mounted = Command::new("mount").args(what).arg(at).output().unwrap();
        if !mounted.status.success() {
            let why = String::from_utf8_lossy(&mounted.stderr);
            eprintln!("SKIPPED: cannot mount {what:?} (needs root): {why}");
            return None;
        }
        Some(Self { at: at.to_owned() })
    }

    /// Leaves no byte free.
    pub(crate) fn fill(&self) {
        let mut file = File::options().create(true).append(true).open(self.at.join("fill")).unwrap();
        let mut piece: &[u8] = &[7; 4096];
        while !piece.is_empty() {
            if file.write_all(piece).is_err() {
                piece = &piece[..piece.len() / 2];
            }
        }
    }

    /// Takes back what [`Disk::fill`] has done.
    pub(crate) fn make_room(&self) {
        fs::remove_file(self.at.join("fill")).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // A program that was killed may still be on its way out: then the kernel waits for it.
        let unmounted = Command::new("umount").arg(&self.at).output();
        if !unmounted.is_ok_and(|output| output.status.success()) {
            let _ = Command::new("umount").arg("--lazy").arg(&self.at).output();
        }
    }
}

/// An image of so many MB with an empty ext4.
pub(crate) fn format(image: &Path, megabytes: u64) -> bool {
    File::create(image).unwrap().set_len(megabytes << 20).unwrap();
    // All of it now: what the kernel would write later by itself would blur the moment of a cut.
    let made = Command::new("mkfs.ext4")
        .args(["-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0"])
        .arg(image)
        .output();
    made.is_ok_and(|output| output.status.success())
}

/// What would be left of a disk if its power were cut now.
pub(crate) fn copy(image: &Path, to: &Path) {
    let copied = Command::new("cp").arg("--sparse=always").args([image, to]).status().unwrap();
    assert!(copied.success());
}
