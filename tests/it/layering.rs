//! The arrows between the modules, read from the sources: who may know whom, and which crate is fenced into which file.

use std::fs;
use std::path::{Path, PathBuf};

use crate::binary::root;

/// A source file without its tests.
pub(crate) struct Source {
    /// `store/sled/mod.rs`.
    pub(crate) path: String,
    /// Modules of this crate that it names: `pbx::wire`.
    imports: Vec<String>,
    pub(crate) code: String,
}

pub(crate) fn sources() -> Vec<Source> {
    let src = root().join("src");
    let mut files = Vec::new();
    collect(&src, &mut files);
    let sources: Vec<Source> = files.iter().filter_map(|file| source(&src, file)).collect();
    assert!(sources.len() > 50, "the sources are read");
    sources
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// `None` for files of tests.
fn source(src: &Path, file: &Path) -> Option<Source> {
    let path = file.strip_prefix(src).unwrap().to_string_lossy().into_owned();
    let is_test = path.ends_with("tests.rs") || path.contains("/tests/") || path.ends_with("/contract.rs");
    if is_test {
        return None;
    }
    let text = fs::read_to_string(file).unwrap();
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    let code = lines.collect::<Vec<_>>().join("\n");
    let imports = code.match_indices("crate::").flat_map(|(at, name)| named(&code[at + name.len()..])).collect();
    Some(Source { path, imports, code })
}

/// What `a::b` or `{a, b::c}` names, to the second level.
fn named(rest: &str) -> Vec<String> {
    let path = |text: &str| {
        let end = text.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')).unwrap_or(text.len());
        text[..end].split("::").take(2).collect::<Vec<_>>().join("::")
    };
    match rest.strip_prefix('{') {
        Some(list) => list[..list.find("};").unwrap_or(list.len())].split(',').map(|item| path(item.trim())).collect(),
        None => vec![path(rest)],
    }
}

impl Source {
    /// Whether it is `module` or lies in it.
    fn within(&self, module: &str) -> bool {
        self.path == format!("{module}.rs") || self.path.starts_with(&format!("{module}/"))
    }

    fn imports(&self, module: &str) -> bool {
        self.imports.iter().any(|import| import == module || import.starts_with(&format!("{module}::")))
    }

    /// Whether the code names `word`. One that ends in `::` is a crate, and begins its path: `sled::`, not `store::sled::`.
    fn names(&self, word: &str) -> bool {
        let goes_on = |c: char| c.is_alphanumeric() || c == '_' || (c == ':' && word.ends_with("::"));
        self.code.match_indices(word).any(|(at, _)| !self.code[..at].ends_with(goes_on))
    }
}

/// `modules` import none of `strangers` but themselves.
fn assert_strangers(modules: &[&str], strangers: &[&str]) {
    let sources = sources();
    for module in modules {
        let inside: Vec<&Source> = sources.iter().filter(|source| source.within(module)).collect();
        assert!(!inside.is_empty(), "there is no module {module}");
        for source in inside {
            for stranger in strangers.iter().filter(|stranger| *stranger != module) {
                assert!(!source.imports(stranger), "src/{} imports {stranger}", source.path);
            }
        }
    }
}

/// Only `places` name `word`, and they do.
fn assert_fenced(word: &str, places: &[&str]) {
    let sources = sources();
    let naming: Vec<&Source> = sources.iter().filter(|source| source.names(word)).collect();
    for source in &naming {
        assert!(places.iter().any(|place| source.within(place)), "src/{} names {word}", source.path);
    }
    assert!(!naming.is_empty(), "nobody names {word}: the fence guards nothing");
}

#[test]
fn an_arrow_against_the_order_is_seen_in_every_spelling() {
    let source = |code: &str| {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("a.rs");
        fs::write(&path, format!("//! crate::app\n{code}\n#[cfg(test)]\nmod tests {{\nuse crate::cli;\n}}")).unwrap();
        source(folder.path(), &path).unwrap()
    };
    for code in [
        "use crate::pbx::wire::Page;",
        "use crate::{event, pbx};",
        "fn f() { crate::pbx::stamps::query(1) }",
        "use crate::{\n    event::Kind,\n    pbx::wire,\n};",
    ] {
        let source = source(code);
        assert!(source.imports("pbx") && !source.imports("app") && !source.imports("cli"), "{code}");
    }
    assert!(!source("use crate::pbxes;").imports("pbx"));
    assert!(source("let now = jiff::Timestamp::now();").names("Timestamp::now"));
    assert!(source("use sled::Tree;").names("sled::"));
    assert!(!source("use crate::store::sled::SledStore;").names("sled::"));
}

#[test]
fn the_edges_are_strangers_to_each_other() {
    assert_strangers(&["pbx", "store", "channel", "render"], &["pbx", "store", "channel", "render", "recording"]);
}

#[test]
fn a_channel_and_the_pbx_do_not_know_the_configuration() {
    assert_strangers(&["pbx", "channel", "store", "render"], &["config", "cli", "app"]);
}

#[test]
fn only_the_top_reaches_the_parts_that_run() {
    let sources = sources();
    let top = ["main", "cli", "app", "server", "dispatch", "watch", "watchdog", "heartbeat", "summary"];
    let top = |source: &Source| top.iter().any(|module| source.within(module));
    for source in sources.iter().filter(|source| !top(source)) {
        for part in ["server", "dispatch", "watch", "watchdog", "heartbeat", "summary", "app", "cli"] {
            assert!(!source.imports(part), "src/{} imports {part}", source.path);
        }
    }
    let running = ["server", "dispatch", "watch", "watchdog", "heartbeat", "summary"];
    assert_strangers(&running, &[&running[..], &["app", "cli"]].concat());
}

#[test]
fn the_pure_modules_do_nothing_but_think() {
    let pure = [
        "track",
        "tally",
        "route",
        "outbox",
        "retry",
        "event",
        "condition",
        "message",
        "body",
        "number",
        "private",
        "tls",
        "cursor",
        "units",
        "watch/plan",
        "watch/walk",
        "config/check/reach",
    ];
    let sources = sources();
    for module in pure {
        let source = sources.iter().find(|source| source.within(module)).unwrap_or_else(|| panic!("no {module}"));
        for word in ["tokio", "reqwest", "sled::", "std::fs", "std::net", "std::env", "std::process"] {
            assert!(!source.names(word), "src/{} names {word}", source.path);
        }
        let impure: &[&str] = if module.starts_with("watch/") { &[] } else { &["pbx"] };
        for edge in ["store", "channel", "render", "http", "clock"].iter().chain(impure) {
            // A moment is two numbers; the clock that reads them is not named.
            assert!(!source.imports(edge), "src/{} imports {edge}", source.path);
        }
    }
}

#[test]
fn the_simulators_are_written_from_the_vendors_pages_alone() {
    let pipeline = [
        "pbx",
        "store",
        "channel",
        "render",
        "recording",
        "track",
        "route",
        "outbox",
        "watch",
        "dispatch",
        "config",
        "server",
        "app",
        "http",
        "cursor",
    ];
    assert_strangers(&["sim"], &pipeline);
    let sources = sources();
    for source in sources.iter().filter(|source| !["sim", "cli/demo"].iter().any(|module| source.within(module))) {
        assert!(!source.imports("sim"), "src/{} imports sim: it is never reachable from run", source.path);
    }
}

#[test]
fn every_crate_that_is_hard_to_hold_is_fenced() {
    assert_fenced("sled::", &["store/sled"]);
    assert_fenced("serde_yaml", &["config"]);
    assert_fenced("backoff::", &["retry"]);
    assert_fenced("phonenumber::", &["number"]);
    // The configuration asks it what an address is.
    assert_fenced("lettre::", &["channel/email", "channel/smtp", "config/check"]);
    assert_fenced("handlebars::", &["render", "server/page", "server/links/page", "cli/demo/page"]);
    assert_fenced("Client::builder", &["http"]);
    assert_fenced("sd_notify::", &["cli/systemd"]);
    // The pipeline draws its jitter in one place. The simulators make up ids, and the demo a new story each time: nothing
    // that is decided for a user hangs on either.
    assert_fenced("fastrand::", &["dispatch", "sim", "cli/demo"]);
}

#[test]
fn one_file_reads_the_time() {
    for word in ["Timestamp::now", "Instant::now"] {
        assert_fenced(word, &["clock"]);
    }
    for word in ["SystemTime", "Zoned::now"] {
        assert!(sources().iter().all(|source| !source.names(word)), "{word}");
    }
}
