//! Broken configurations as an unlucky administrator writes them: each file of `tests/broken` ends `check` with exit
//! code 2, and its snapshot is all that is said.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::binary::{Ended, root, run, start};

/// Whatever the file is, an answer takes moments; the rest is for a machine that builds something else meanwhile.
const QUICKLY: Duration = Duration::from_secs(20);

/// In the files, and in no message.
const SECRETS: [&str; 4] = ["K12345678", "123456789012", "hunter2", "geheim"];

fn check(folder: &Path, name: &str) -> Ended {
    start(folder, &["check", "--config", name], &[]).end(QUICKLY)
}

/// The refusal of a file in `folder`.
fn refused(folder: &Path, name: &str) -> String {
    let ended = check(folder, name);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""), "{name}: {}", ended.stderr);
    for secret in SECRETS {
        assert!(!ended.stderr.contains(secret), "{name}: {}", ended.stderr);
    }
    ended.stderr
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = files.filter(|path| path.extension() == Some(OsStr::new("yaml"))).collect();
    files.sort();
    files
}

#[test]
fn each_broken_file_is_answered_with_its_places_and_what_to_do() {
    let folder = root().join("tests/broken");
    let files = files(&folder);
    assert!(files.len() >= 48, "{files:?}");
    for path in files {
        let name = path.file_name().unwrap().to_str().unwrap();
        let told = refused(&folder, name);
        let placed = |line: &str| {
            let after = line.strip_prefix(&format!("error: {name}:")).unwrap_or_default();
            after.starts_with(|c: char| c.is_ascii_digit() && c != '0')
        };
        let complaints = told.lines().filter(|line| !line.starts_with("  hint: "));
        assert!(complaints.clone().count() > 0 && complaints.clone().all(placed), "{told}");
        let mut settings = insta::Settings::clone_current();
        settings.set_snapshot_path(&folder);
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        settings.bind(|| insta::assert_snapshot!(path.file_stem().unwrap().to_str().unwrap(), told));
    }
}

const GOOD: &str = "accounts: [{name: main, api_key: K12345678}]
channels: [{name: crm, type: webhook, url: 'https://crm.example.com/hook'}]
routes: [{notify: crm}]
";

#[test]
fn a_good_file_is_good_in_whatever_form_an_editor_saves_it() {
    let folder = TempDir::new().unwrap();
    let forms = [
        ("plain.yaml", GOOD.to_owned()),
        ("windows.yaml", GOOD.replace('\n', "\r\n")),
        ("marked.yaml", format!("\u{feff}{GOOD}")),
        ("marked-windows.yaml", format!("\u{feff}{}", GOOD.replace('\n', "\r\n"))),
        ("no-last-line-end.yaml", GOOD.trim_end().to_owned()),
        ("begun-and-ended.yaml", format!("# ringback\n---\n{GOOD}...\n")),
        (
            "config.json",
            serde_json::to_string_pretty(&serde_json::json!({
                "accounts": [{"name": "main", "api_key": "K12345678"}],
                "channels": [{"name": "crm", "type": "webhook", "url": "https://crm.example.com/hook"}],
                "routes": [{"notify": ["crm"]}],
            }))
            .unwrap(),
        ),
    ];
    for (name, text) in forms {
        fs::write(folder.path().join(name), text).unwrap();
        let ended = check(folder.path(), name);
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{name}");
    }
}

#[test]
fn whatever_the_file_turns_out_to_be_it_is_answered_quickly() {
    let folder = TempDir::new().unwrap();
    let write = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).unwrap();
    let utf16 = |mark: [u8; 2], order: fn(u16) -> [u8; 2]| {
        [mark.to_vec(), GOOD.encode_utf16().flat_map(order).collect()].concat()
    };
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let below = format!("*a{}", level - 1);
        writeln!(bomb, "a{level}: &a{level} [{}]", [&*below; 10].join(", ")).unwrap();
    }
    write("bomb.yaml", bomb.as_bytes());
    write("large.yaml", "key: value # and so on\n".repeat(500_000).as_bytes());
    write("binary.yaml", &fs::read(env!("CARGO_BIN_EXE_ringback")).unwrap()[..100_000]);
    write("empty.yaml", b"");
    write("blank.yaml", b"\n \n\n");
    write("comments.yaml", b"# accounts:\n#   - name: main\n");
    write("little.yaml", &utf16([0xFF, 0xFE], u16::to_le_bytes));
    write("big.yaml", &utf16([0xFE, 0xFF], u16::to_be_bytes));
    write("latin.yaml", b"# m\xfcd\xfcr\n");
    write("brackets.yaml", "[".repeat(500_000).as_bytes());
    write("braces.yaml", "{a: ".repeat(200_000).as_bytes());
    write("items.yaml", format!("{}x", "- ".repeat(200_000)).as_bytes());
    write("line.yaml", format!("accounts: \"{}\"\n", "x".repeat(900_000)).as_bytes());
    fs::create_dir(folder.path().join("folder")).unwrap();
    std::os::unix::fs::symlink("/dev/zero", folder.path().join("endless")).unwrap();
    std::os::unix::fs::symlink("loop", folder.path().join("loop")).unwrap();
    assert!(Command::new("mkfifo").arg(folder.path().join("pipe")).status().unwrap().success());
    let names = [
        "bomb.yaml",
        "large.yaml",
        "binary.yaml",
        "empty.yaml",
        "blank.yaml",
        "comments.yaml",
        "little.yaml",
        "big.yaml",
        "latin.yaml",
        "brackets.yaml",
        "braces.yaml",
        "items.yaml",
        "line.yaml",
        "folder",
        "endless",
        "loop",
        "pipe",
        "nowhere.yaml",
    ];
    let told: Vec<String> = names.iter().map(|name| refused(folder.path(), name)).collect();
    insta::assert_snapshot!(told.concat(), @"
    error: bomb.yaml:5:55: holds more than 100000 values when its aliases are expanded
      hint: write the values out instead of using aliases (`*name`)
    error: large.yaml: is larger than 1 MiB
      hint: a configuration is a few kilobytes; is this the right file?
    error: binary.yaml: is not text: it holds zero bytes
      hint: is this the right file?
    error: empty.yaml: the file holds no configuration
      hint: start from config.example.yaml
    error: blank.yaml: the file holds no configuration
      hint: start from config.example.yaml
    error: comments.yaml: the file holds no configuration
      hint: start from config.example.yaml
    error: little.yaml: is UTF-16 text, expected UTF-8
      hint: save it as UTF-8
    error: big.yaml: is UTF-16 text, expected UTF-8
      hint: save it as UTF-8
    error: latin.yaml:1:4: holds bytes that are not UTF-8
      hint: save it as UTF-8
    error: brackets.yaml:1:256: nested more than 100 levels deep
      hint: is this the right file?
    error: braces.yaml:1:1021: nested more than 100 levels deep
      hint: is this the right file?
    error: items.yaml:1:201: nested more than 100 levels deep
      hint: is this the right file?
    error: line.yaml:1:1: channels: is required, but missing
    error: line.yaml:1:1: routes: is required, but missing
    error: line.yaml:1:11: accounts: expected a list, found text
    error: folder: is a folder
      hint: name the file in it
    error: endless: is larger than 1 MiB
      hint: a configuration is a few kilobytes; is this the right file?
    error: loop: cannot be read: Too many levels of symbolic links (os error 40)
    error: pipe: is no plain file, and did not end within 3s
      hint: is it a pipe that nobody writes to?
    error: nowhere.yaml: there is no such file
      hint: start from config.example.yaml
    ");
}

#[test]
fn a_configuration_may_come_through_a_pipe() {
    let folder = TempDir::new().unwrap();
    let pipe = folder.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let writer = std::thread::spawn(move || fs::write(pipe, GOOD).unwrap());
    let ended = check(folder.path(), "pipe");
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    writer.join().unwrap();
}

#[test]
fn a_file_without_permission_is_told_with_what_to_do() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("config.yaml");
    fs::write(&path, GOOD).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    let ended = run(folder.path(), &["check"]);
    // Root may read anything.
    if fs::read(&path).is_ok() {
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        return;
    }
    assert_eq!(ended.code, Some(2));
    assert!(ended.stderr.contains("config.yaml: cannot be read: permission denied\n  hint: "), "{}", ended.stderr);
}

#[test]
fn secret_files_that_cannot_be_taken_are_told_without_what_may_be_the_secret() {
    let folder = TempDir::new().unwrap();
    fs::create_dir(folder.path().join("folder")).unwrap();
    fs::write(folder.path().join("large"), vec![b'x'; 100_000]).unwrap();
    fs::write(folder.path().join("empty"), "\n").unwrap();
    fs::write(folder.path().join("bytes"), [0xFF; 40]).unwrap();
    assert!(Command::new("mkfifo").arg(folder.path().join("pipe")).status().unwrap().success());
    let values =
        ["K12345678-1234", "/nowhere/key", "./folder", "./large", "./empty", "./bytes", "/dev/zero", "./pipe", "''"];
    let told: Vec<String> = values
        .iter()
        .map(|value| {
            let yaml = GOOD.replace("api_key: K12345678", &format!("api_key_file: {value}"));
            fs::write(folder.path().join("config.yaml"), yaml).unwrap();
            refused(folder.path(), "config.yaml")
        })
        .collect();
    insta::assert_snapshot!(told.concat(), @"
    error: config.yaml:1:39: accounts[0].api_key_file: its file: there is no such file
      hint: this key takes the path of a file, from the folder of the configuration on; the secret itself belongs into `api_key`
    error: config.yaml:1:39: accounts[0].api_key_file: `/nowhere/key`: there is no such file
    error: config.yaml:1:39: accounts[0].api_key_file: `./folder`: is a folder
      hint: name the file in it
    error: config.yaml:1:39: accounts[0].api_key_file: `./large` is larger than a secret can be (16 KiB)
    error: config.yaml:1:39: accounts[0].api_key_file: `./empty` is empty
      hint: write the secret into it
    error: config.yaml:1:39: accounts[0].api_key_file: `./bytes` is not UTF-8 text
    error: config.yaml:1:39: accounts[0].api_key_file: `/dev/zero` is larger than a secret can be (16 KiB)
    error: config.yaml:1:39: accounts[0].api_key_file: `./pipe`: is no plain file, and did not end within 3s
      hint: is it a pipe that nobody writes to?
    error: config.yaml:1:39: accounts[0].api_key_file: its file: there is no such file
      hint: this key takes the path of a file, from the folder of the configuration on; the secret itself belongs into `api_key`
    ");
}
