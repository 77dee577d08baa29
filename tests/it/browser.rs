//! The pages as people use them: a real browser against the real server. `tests/browser/browse.py` does in it what it is
//! told here, line by line. `scripts/setup` brings both; without them the tests are skipped, and say so.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ringback::clock::Clock;
use ringback::sim::pbx::{Endpoint, MarksRead, PbxOptions, SimCall};
use ringback::sim::receiver::Mode;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::mpsc;

use crate::binary::root;
use crate::harness::{MORNING, Office, Running, free_port};
use crate::web::{MINUTE, STEP, TOKEN};

/// A page is there sooner even on a machine that builds something else meanwhile; the browser's own patience is shorter.
const PATIENCE: Duration = Duration::from_secs(90);

/// By this variable the processes of a browser are known as those of its test.
const MARK: &str = "RINGBACK_BROWSER";

/// A browser with one page. Dropping it ends it.
struct Browser {
    child: Child,
    orders: Option<ChildStdin>,
    answers: mpsc::UnboundedReceiver<String>,
    /// Its complaints are here, and its path is the value of [`MARK`].
    folder: TempDir,
}

/// The program of Chromium, and the Python that drives it; or none, loudly.
#[expect(clippy::disallowed_methods, reason = "where the system keeps its programs")]
fn programs() -> Option<(PathBuf, PathBuf)> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let chromium = ["chromium", "chromium-browser", "google-chrome"]
        .iter()
        .find_map(|name| std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file()));
    let venv = root().join("target/browser-venv");
    match chromium {
        Some(chromium) if venv.join("ready").exists() => Some((chromium, venv.join("bin/python"))),
        found => {
            let missing = if found.is_none() { "Chromium" } else { "target/browser-venv/ready" };
            let _ = writeln!(std::io::stderr(), "SKIPPED: no {missing}. hint: run scripts/setup");
            None
        }
    }
}

impl Browser {
    fn start() -> Option<Self> {
        let (chromium, python) = programs()?;
        let folder = TempDir::new().unwrap();
        let mut child = Command::new(python)
            .arg("-B")
            .arg(root().join("tests/browser/browse.py"))
            .args([chromium, root().join("target/browser-shots")])
            .current_dir(folder.path())
            .env(MARK, folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(fs::File::create(folder.path().join("stderr")).unwrap())
            .spawn()
            .unwrap();
        let (said, answers) = mpsc::unbounded_channel();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| said.send(line)));
        Some(Self { orders: child.stdin.take(), child, answers, folder })
    }

    /// Has it do something, and gives what came of it.
    async fn ask(&mut self, order: Value) -> Value {
        writeln!(self.orders.as_ref().unwrap(), "{order}").unwrap();
        let answer = tokio::time::timeout(PATIENCE, self.answers.recv()).await;
        let stderr = || fs::read_to_string(self.folder.path().join("stderr")).unwrap();
        let answer = answer.ok().flatten().unwrap_or_else(|| panic!("no answer to {order}\n{}", stderr()));
        let mut answer: Value = serde_json::from_str(&answer).unwrap();
        assert!(answer["failed"].is_null(), "{order}: {}", answer["failed"].as_str().unwrap_or_default());
        answer["done"].take()
    }

    async fn open(&mut self, url: &str) -> Value {
        self.ask(json!({"do": "open", "url": url})).await
    }

    /// Goes there by the key Tab alone; everything on the way shows that it has the focus.
    async fn tab_to(&mut self, selector: &str) {
        assert_eq!(self.ask(json!({"do": "tab_to", "selector": selector})).await, json!([]), "{selector}");
    }

    async fn press(&mut self, key: &str) {
        self.ask(json!({"do": "press", "key": key})).await;
    }

    /// Presses Enter on what leads to another page.
    async fn enter(&mut self) -> Value {
        self.ask(json!({"do": "press", "key": "Enter", "leads": true})).await
    }

    async fn write(&mut self, text: &str) {
        self.ask(json!({"do": "type", "text": text})).await;
    }

    async fn value(&mut self, script: &str) -> Value {
        self.ask(json!({"do": "value", "script": script})).await
    }

    async fn until(&mut self, script: &str) {
        self.ask(json!({"do": "until", "script": script})).await;
    }

    async fn until_text(&mut self, text: &str) {
        self.until(&format!("document.body.innerText.includes({})", json!(text))).await;
    }

    /// The page can be read, at every width and in the light and the dark, and the console has nothing to say.
    async fn assert_good(&mut self, name: &str) {
        assert_eq!(self.ask(json!({"do": "faults", "name": name})).await, json!([]), "{name}");
        self.assert_quiet(name).await;
    }

    async fn assert_quiet(&mut self, name: &str) {
        assert_eq!(self.ask(json!({"do": "said"})).await, json!([]), "{name}");
    }

    /// Ends it; nothing of it is left.
    async fn end(mut self) {
        self.orders = None;
        let folder = self.folder.path().to_owned();
        let gone = async {
            while self.child.try_wait().unwrap().is_none() || !processes(&folder).is_empty() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        assert!(tokio::time::timeout(PATIENCE, gone).await.is_ok(), "it goes on: {:?}", processes(&folder));
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Both fail when they have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        for process in processes(self.folder.path()) {
            let _ = Command::new("kill").args(["-s", "KILL", &process]).status();
        }
    }
}

/// The ids of what runs with [`MARK`] of this value.
fn processes(value: &Path) -> Vec<String> {
    let mark = [MARK.as_bytes(), b"=", value.as_os_str().as_encoded_bytes()].concat();
    let all = fs::read_dir("/proc").into_iter().flatten().flatten();
    let marked = all.filter(|process| {
        let variables = fs::read(process.path().join("environ")).unwrap_or_default();
        variables.split(|byte| *byte == 0).any(|variable| variable == mark)
    });
    marked.map(|process| process.file_name().to_string_lossy().into_owned()).collect()
}

/// With links, a board and an extension to be rung, behind the path of a proxy.
fn office() -> Office {
    let options = PbxOptions { marks_read: MarksRead::Never, ..PbxOptions::default() };
    let mut office = Office::on(Clock::manual(MORNING.parse().unwrap()), options);
    office.listen = format!("127.0.0.1:{}", free_port());
    office.http = format!(", token: {TOKEN}, public_url: 'http://{}/ringback'", office.listen);
    "callback: {extension: '1001'}".clone_into(&mut office.extra);
    "[{notify: [mail, crm]}]".clone_into(&mut office.routes);
    office
}

/// A ringback that has told of a voicemail and of a call, and the two mails.
async fn told(office: &Office) -> (Running, [String; 2]) {
    office.once().await;
    let running = office.run().await;
    let mut mails = Vec::new();
    for leave in [|office: &Office| office.leave_voicemail("v1"), |office: &Office| office.miss("c1")] {
        leave(office);
        office.pass(&running, 3 * MINUTE, STEP).await;
        mails.push(BASE64.encode(&office.mail.received().last().unwrap().data));
    }
    assert_eq!(office.mail.received().len(), 2);
    (running, mails.try_into().unwrap())
}

fn minted(office: &Office) -> usize {
    office.asked(Endpoint::RecordingUrl).len() + office.asked(Endpoint::VoicemailRecordingUrl).len()
}

#[tokio::test]
async fn a_link_of_a_mail_plays_the_recording_and_mints_once_at_the_press_of_a_key() {
    let Some(mut browser) = Browser::start() else { return };
    let office = office();
    let (running, [mail, _]) = told(&office).await;
    // The URL of the mail itself has died meanwhile.
    office.pass(&running, 2 * 60 * MINUTE, 5 * MINUTE).await;
    let (before, asked) = (minted(&office), office.pbx.requests().len());

    let page = browser.ask(json!({"do": "open_link_of_mail", "mail": mail, "name": "Daha sonra dinle"})).await;
    assert_eq!(page["status"], 200);
    assert!(page["text"].as_str().unwrap().contains("Sesli mesaj"), "{page}");
    browser.assert_good("link-voicemail").await;
    assert_eq!((minted(&office), office.pbx.requests().len()), (before, asked), "opening it asks the PBX nothing");

    browser.tab_to("form[action$='/listen'] button").await;
    assert_eq!(browser.enter().await["status"], 200);
    browser.until("document.querySelector('audio').currentTime > 0.5").await;
    assert_eq!(minted(&office), before + 1);
    let from = browser.value("document.querySelector('audio').currentSrc").await;
    assert!(from.as_str().unwrap().starts_with(office.pbx.base_url()), "{from}: not from the PBX");
    browser.until("document.querySelector('audio').ended").await;
    browser.assert_good("link-playing").await;
    assert_eq!(minted(&office), before + 1, "playing it to its end takes no other");
    browser.end().await;
    running.stop().await;
}

#[tokio::test]
async fn call_back_on_the_page_of_a_link_rings_once_at_the_press_of_a_key() {
    let Some(mut browser) = Browser::start() else { return };
    let office = office();
    let (running, [_, mail]) = told(&office).await;
    let name = "Santral üzerinden geri ara";
    let page = browser.ask(json!({"do": "open_link_of_mail", "mail": mail, "name": name})).await;
    assert_eq!(page["status"], 200);
    browser.assert_good("link-call").await;
    assert!(office.asked(Endpoint::Originate).is_empty());
    browser.tab_to("form[action$='/callback'] button").await;
    let page = browser.enter().await;
    assert!(page["text"].as_str().unwrap().contains("1001 dahilisi çalıyor"), "{page}");
    browser.assert_good("link-ringing").await;
    let rung = office.asked(Endpoint::Originate);
    assert_eq!(rung.len(), 1);
    assert_eq!((&*rung[0].params["extension"], &*rung[0].params["destination"]), ("1001", "903121234567"));
    browser.end().await;
    running.stop().await;
}

#[tokio::test]
async fn a_forged_link_shows_nothing_but_that_it_is_not_valid() {
    let Some(mut browser) = Browser::start() else { return };
    let office = office();
    let (running, [mail, _]) = told(&office).await;
    let page = browser.ask(json!({"do": "open_link_of_mail", "mail": mail, "name": "Daha sonra dinle"})).await;
    let url = page["url"].as_str().unwrap();
    let (head, token) = url.split_once("/l/").unwrap();
    let other = if &token[20..21] == "A" { "B" } else { "A" };
    let forged = browser.open(&format!("{head}/l/{}{other}{}", &token[..20], &token[21..])).await;
    assert_eq!(forged["status"], 404);
    let text = forged["text"].as_str().unwrap();
    assert!(text.contains("Bağlantı geçersiz") && !text.contains("0312") && !text.contains("Dinle"), "{text}");
    assert_eq!(browser.ask(json!({"do": "faults", "name": "link-forged"})).await, json!([]));
    // Chromium says of the page itself that it was a 404, and nothing else.
    let said = browser.ask(json!({"do": "said"})).await;
    assert!(said.as_array().unwrap().iter().all(|line| line.as_str().unwrap().contains("404")), "{said}");
    browser.end().await;
    running.stop().await;
}

#[tokio::test]
async fn the_board_shows_a_call_that_comes_in_without_a_reload_and_is_used_by_keyboard_alone() {
    let Some(mut browser) = Browser::start() else { return };
    let mut office = office();
    office.webhook.set_mode(Mode::Status(410));
    "[{when: {queue: '201'}, notify: mail}, {notify: crm}]".clone_into(&mut office.routes);
    office.once().await;
    let running = office.run().await;
    let call = |uuid: &str, caller: &str| SimCall {
        caller_name: Some(format!("{caller} Şirketi")),
        queue: Some("201".to_owned()),
        ..SimCall::missed(uuid, office.now(), Duration::from_secs(20))
    };
    office.pbx.add_call(call("c1", "Işık"));
    office.pbx.add_call(SimCall { queue: None, caller_number: "05321112233".into(), ..call("c2", "Çağrı") });
    office.pass(&running, 3 * MINUTE, STEP).await;

    // The field of the token has the focus when the page opens.
    let login = browser.open(&format!("http://{}/ringback/", office.listen)).await;
    assert!(login["url"].as_str().unwrap().ends_with("/ringback/login"), "{login}");
    browser.assert_good("login").await;
    browser.write(TOKEN).await;
    let board = browser.enter().await;
    assert!(board["text"].as_str().unwrap().contains("Işık Şirketi"), "{board}");
    browser.until("document.getElementById('link').textContent === document.getElementById('link').dataset.on").await;
    browser.assert_good("board").await;

    // Somebody is writing a note while another call comes in.
    browser.tab_to("summary").await;
    browser.press("Enter").await;
    browser.tab_to("input[name='note']").await;
    browser.write("yarın").await;
    browser.value("window.same = true").await;
    office.pbx.add_call(SimCall { caller_number: "02165556677".into(), ..call("c3", "Yeni") });
    office.pass(&running, 3 * MINUTE, STEP).await;
    browser.until_text("Yeni Şirketi").await;
    assert_eq!(browser.value("window.same").await, true, "it is the same page");
    let writing = browser.value("[document.activeElement.name, document.activeElement.value]").await;
    assert_eq!(writing, json!(["note", "yarın"]));
    browser.assert_good("board-live").await;
    let closed = browser.enter().await;
    assert!(closed["text"].as_str().unwrap().contains("Kapatıldı."), "{closed}");
    browser.assert_good("board-closed").await;

    browser.tab_to("button[id^='call-']").await;
    let rung = browser.enter().await;
    assert_eq!(office.asked(Endpoint::Originate).len(), 1, "{rung}");
    browser.assert_good("board-ringing").await;
    browser.end().await;
    running.stop().await;
}

#[tokio::test]
async fn what_looks_for_faults_of_a_page_finds_them() {
    let Some(mut browser) = Browser::start() else { return };
    let grey = "<p style='color: #888; background: #fff'>hard to read</p>";
    browser.ask(json!({"do": "show", "html": grey})).await;
    let faults = browser.ask(json!({"do": "faults", "name": "fault"})).await;
    assert_eq!(faults[0], "360 light: contrast 3.54, not 4.5: \"hard to read\"", "{faults}");
    for (html, fault) in [
        ("<p>x<div style='width: 400px'>wide</div>", "360 light: 408 pixels wide"),
        ("<p style='opacity: 0.5; color: #555'>pale</p>", "pale"),
        ("<style>p::before { content: '✓'; color: #eee }</style><p>x", "✓"),
        ("<input name=edge style='border: 1px solid #ddd'>x", "edge of a field"),
        ("", "no text at all"),
    ] {
        let html = format!("<meta name=viewport content='width=device-width'><body style='background: #fff'>{html}");
        browser.ask(json!({"do": "show", "html": html})).await;
        let faults = browser.ask(json!({"do": "faults", "name": "fault"})).await.to_string();
        assert!(faults.contains(fault), "{html}: {faults}");
    }
    for (style, fault) in [("outline: none", "does not show"), ("outline: 3px solid #eee", "mark of the focus")] {
        let html =
            format!("<body style='background: #fff'><style>:focus {{ {style} }}</style><button id=b>go</button>");
        browser.ask(json!({"do": "show", "html": html})).await;
        let faults = browser.ask(json!({"do": "tab_to", "selector": "#b"})).await.to_string();
        assert!(faults.contains(fault), "{faults}");
    }
    browser.value("console.error('broken')").await;
    assert_eq!(browser.ask(json!({"do": "said"})).await, json!(["broken"]));
    browser.end().await;
}
