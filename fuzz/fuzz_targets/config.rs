//! The configuration: any bytes make a configuration or problems that have a place and show no secret.
#![no_main]

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use libfuzzer_sys::{Corpus, fuzz_target};
use ringback::config;

/// Empty: a `…_file` that is found there would be one that the fuzzer made.
static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
    let folder = std::env::temp_dir().join(format!("ringback-fuzz-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    folder
});

/// What the environment holds that no message may show.
const SECRET: &str = "hunter2hunter2";

fn env(name: &str) -> Option<String> {
    match name {
        "KEY" => Some(SECRET.to_owned()),
        "EMPTY" => Some(String::new()),
        "PORT" => Some("2525".to_owned()),
        "LINES" => Some(format!("{SECRET}\nroutes: []")),
        _ => None,
    }
}

/// Whether it could name a file outside of the folder. An escape can spell every letter of either.
fn leaves_the_folder(text: &[u8]) -> bool {
    let has = |needle: &[u8]| text.windows(needle.len()).any(|window| window == needle);
    let spelled = [b"\\x".as_slice(), b"\\u", b"\\U", b"\\\n", b"\\\r", b"\\/"].into_iter().any(has);
    spelled || (has(b"_file") && has(b"/")) || (has(b"templates") && has(b"/"))
}

fn run(text: &[u8]) -> Corpus {
    if leaves_the_folder(text) {
        return Corpus::Reject;
    }
    match config::parse("config.yaml", text, Path::new(&*FOLDER), &env) {
        Ok(config) => {
            assert!(!config.accounts.is_empty() && !config.channels.is_empty() && !config.routes.is_empty());
            assert!(config.accounts.iter().all(|account| !account.api_key.expose().trim().is_empty()));
        }
        Err(problems) => {
            assert!(!problems.0.is_empty());
            let lines = text.split(|byte| matches!(byte, b'\n' | b'\r')).count();
            for problem in &problems.0 {
                assert_eq!(problem.file, "config.yaml");
                assert!(!problem.message.is_empty());
                assert!(problem.line <= lines + 1, "{problem}");
                assert!((problem.line == 0) == (problem.column == 0), "{problem}");
            }
            let order: Vec<_> = problems.0.iter().map(|problem| (problem.line, problem.column)).collect();
            assert!(order.is_sorted());
            // Of a value from the environment nothing is shown: who knows which key it was meant for.
            assert!(!problems.to_string().contains(SECRET), "{problems}");
        }
    }
    Corpus::Keep
}

fuzz_target!(|text: &[u8]| -> Corpus { run(text) });
