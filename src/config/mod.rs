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

pub(crate) use check::some_match_nothing;
pub use problems::{Problem, Problems};
pub use schema::schema;
pub use shape::*;

use crate::body::BodyTemplate;
use node::Data;
use problems::{Findings, Place};

/// Reads the file at `path`, asking `env` for the variables that it names.
///
/// # Errors
/// With everything that is wrong with it, in order of place.
pub fn load(path: &Path, env: &dyn Fn(&str) -> Option<String>) -> Result<Config, Problems> {
    let file = path.display().to_string();
    let bytes = load::read_file(&file, path)?;
    parse(&file, &bytes, path.parent().unwrap_or(Path::new("")), env)
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
    let config = read::config(&mut root, &mut findings);
    if let Some(config) = &config {
        check::check(config, &mut findings);
    }
    findings.into_result()?;
    let Some(mut config) = config else {
        return Err(Findings::only(file_name, Place::default(), "cannot be read as a configuration", None));
    };
    config.templates = config.templates.map(|folder| resolve(base, &folder));
    for channel in &mut config.channels {
        if let ChannelKind::Webhook(keys) = &mut channel.kind
            && let Some(BodyTemplate::File(file)) = &mut keys.body_template
        {
            *file = resolve(base, file);
        }
    }
    Ok(config)
}

/// A path of the configuration, which starts at the folder of its file; without `.` in its middle.
fn resolve(base: &Path, path: &Path) -> PathBuf {
    base.join(path).components().filter(|part| *part != Component::CurDir).collect()
}
