//! Reading a file that a person has named, whatever it turns out to be: bounded in size and in time.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::units::format_duration;

/// For a pipe to be written to: a program that makes a configuration needs no longer.
const PATIENCE: Duration = Duration::from_secs(3);

/// What cannot be read, in words, and what to do.
pub(super) struct Unreadable {
    pub(super) message: String,
    pub(super) hint: Option<&'static str>,
}

impl Unreadable {
    fn new(message: impl Into<String>, hint: Option<&'static str>) -> Self {
        Self { message: message.into(), hint }
    }
}

/// At most `limit` bytes and one more, which tells that there are more.
///
/// A pipe is good: `--config <(sops decrypt config.yaml)`. One that nobody writes to would be waited for for ever, so
/// whatever is no plain file is read beside, and given up in time; that thread then ends with the process.
pub(super) fn read(path: &Path, limit: usize) -> Result<Vec<u8>, Unreadable> {
    let kind = fs::metadata(path).map_err(|error| in_words(&error))?;
    if kind.is_dir() {
        return Err(Unreadable::new("is a folder", Some("name the file in it")));
    }
    if kind.is_file() {
        return bounded(path, limit).map_err(|error| in_words(&error));
    }
    let (sender, receiver) = mpsc::channel();
    let path = path.to_owned();
    // Whoever waited may be gone by then.
    thread::spawn(move || sender.send(bounded(&path, limit)));
    let too_late = |_| {
        let message = format!("is no plain file, and did not end within {}", format_duration(PATIENCE));
        Unreadable::new(message, Some("is it a pipe that nobody writes to?"))
    };
    receiver.recv_timeout(PATIENCE).map_err(too_late)?.map_err(|error| in_words(&error))
}

fn bounded(path: &Path, limit: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(limit as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn in_words(error: &io::Error) -> Unreadable {
    match error.kind() {
        io::ErrorKind::NotFound => Unreadable::new("there is no such file", None),
        io::ErrorKind::PermissionDenied => Unreadable::new(
            "cannot be read: permission denied",
            Some("ringback's user must be allowed to read it, and to enter the folders above it"),
        ),
        _ => Unreadable::new(format!("cannot be read: {error}"), None),
    }
}
