//! The configuration: what the file holds, how it is read, and what can be wrong with it.
//!
//! Bytes become a tree that knows every place (`load`, `places`, `node`); variables, secret files and keys of other
//! versions are settled on the tree (`interpolate`, `secrets`, `unsupported`); then it is read into the types of
//! `shape` (`read`), and their values are checked (`check`). Every step adds to the same list of problems, so that
//! one run tells all of them.

mod check;
mod files;
mod interpolate;
mod load;
mod misfit;
mod node;
mod places;
mod problems;
mod read;
mod schema;
mod secrets;
mod shape;
mod syntax;
mod unknown;
mod unsupported;

#[cfg(test)]
mod tests;

use std::path::{Component, Path, PathBuf};

pub(crate) use check::unmatched;
pub use problems::{Problem, Problems};
pub use schema::schema;
pub use shape::*;

use crate::body::BodyTemplate;
use node::Data;
use problems::{Findings, Place};

/// A configuration as far as it can be read, and what is wrong with it so far.
pub struct Examined<'f> {
    config: Option<Config>,
    findings: Findings<'f>,
}

impl Examined<'_> {
    /// The configuration. Good for further checks, and for use when it is sound.
    pub fn config(&self) -> Option<&Config> {
        self.config.as_ref()
    }

    /// Whether nothing is wrong so far.
    pub fn is_sound(&self) -> bool {
        self.findings.is_empty()
    }

    /// Whether the value of `path` is the one that was written, and not a filler in the place of what cannot be read.
    pub fn is_read(&self, path: &str) -> bool {
        !self.findings.is_spoiled(path)
    }

    /// Adds a problem that somebody else has found with the value of `path`. A hint may follow the message on a line of
    /// its own: `hint: …`.
    pub fn add(&mut self, path: &str, problem: &str) {
        let (message, hint) = match problem.split_once("\nhint: ") {
            Some((message, hint)) => (message, Some(hint.to_owned())),
            None => (problem, None),
        };
        self.findings.at(path, message, hint);
    }

    /// The end.
    ///
    /// # Errors
    /// With everything that is wrong, in order of place.
    pub fn into_result(self) -> Result<Config, Problems> {
        let file = self.findings.file();
        self.findings.into_result()?;
        let cannot = || Findings::only(file, Place::default(), "cannot be read as a configuration", None);
        self.config.ok_or_else(cannot)
    }
}

/// Reads the file at `path`, asking `env` for the variables that it names.
///
/// # Errors
/// With everything that is wrong with it, in order of place.
pub fn load(path: &Path, env: &dyn Fn(&str) -> Option<String>) -> Result<Config, Problems> {
    examine(&path.display().to_string(), path, env)?.into_result()
}

/// The same, for whoever goes on looking for problems. `file_name` is what problems call the file.
///
/// # Errors
/// When it is not such that its parts could be looked at.
pub fn examine<'f>(
    file_name: &'f str,
    path: &Path,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Examined<'f>, Problems> {
    let bytes = load::read_file(file_name, path)?;
    examine_text(file_name, &bytes, path.parent().unwrap_or(Path::new("")), env)
}

/// Reads a configuration from memory. `file_name` is what problems call it; relative paths in it start at `base`, but
/// for `store.path`: data belongs where the daemon runs, not beside its configuration.
/// Touches nothing but the files that `…_file` keys name.
///
/// # Errors
/// With everything that is wrong with it, in order of place.
pub fn parse(
    file_name: &str,
    text: &[u8],
    base: &Path,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Config, Problems> {
    examine_text(file_name, text, base, env)?.into_result()
}

fn examine_text<'f>(
    file_name: &'f str,
    text: &[u8],
    base: &Path,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Examined<'f>, Problems> {
    let text = load::text(file_name, text)?;
    let mut findings = Findings::new(file_name);
    let mut root = load::tree(file_name, text, &mut findings)?;
    if matches!(root.data, Data::Null) {
        let hint = Some("start from config.example.yaml".to_owned());
        return Err(Findings::only(file_name, Place::default(), "the file holds no configuration", hint));
    }
    unsupported::refuse(&mut root, &mut findings);
    interpolate::interpolate(&mut root, env, &mut findings);
    secrets::read_files(&mut root, base, &mut findings);
    let mut config = read::config(&mut root, &mut findings);
    if let Some(config) = &mut config {
        check::check(config, &mut findings);
        resolve_paths(config, base);
    }
    Ok(Examined { config, findings })
}

fn resolve_paths(config: &mut Config, base: &Path) {
    config.templates = config.templates.take().map(|folder| resolve(base, &folder));
    for channel in &mut config.channels {
        if let ChannelKind::Webhook(keys) = &mut channel.kind
            && let Some(BodyTemplate::File(file)) = &mut keys.body_template
        {
            *file = resolve(base, file);
        }
    }
}

/// A path of the configuration, which starts at the folder of its file; without `.` in its middle.
fn resolve(base: &Path, path: &Path) -> PathBuf {
    base.join(path).components().filter(|part| *part != Component::CurDir).collect()
}
