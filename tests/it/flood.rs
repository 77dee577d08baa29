//! Ten thousand connections at once against the built program, which has the usual 1,024 file descriptors, while others
//! ask it how it is. The long form is `scripts/flood`: it wants a file descriptor for each connection here.

use std::fs;
use std::io::Write as _;
use std::process::Command;
use std::time::Duration;

use ringback::clock::Clock;
use ringback::sim::pbx::PbxOptions;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use crate::binary::{Program, configure, program, start_as};
use crate::harness::{Office, free_port, in_time};

/// How many a few clients open at once, without waiting for each other.
const OPENERS: usize = 50;

/// Whoever asks meanwhile.
const ASKERS: usize = 4;

/// What was asked meanwhile.
#[derive(Debug, Default)]
struct Asked {
    /// How long each answer took from the first attempt on, in order.
    took: Vec<Duration>,
    /// Attempts that were not answered, after which was asked again.
    refused: usize,
}

impl Asked {
    fn quantile(&self, share: f64) -> Duration {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place in the list")]
        let place = ((self.took.len() - 1) as f64 * share) as usize;
        self.took[place]
    }
}

/// What is sent in place of a request: nothing, half a head, a body that does not end.
fn half(n: usize) -> &'static [u8] {
    let halves: [&[u8]; 3] =
        [b"", b"GET / HTTP/1.1\r\nHost:", b"POST /login HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\nx"];
    halves[n % halves.len()]
}

/// Opens connections, says half of something, and keeps them all.
async fn open(port: u16, connections: usize) -> Vec<TcpStream> {
    let mut held = Vec::with_capacity(connections);
    for n in 0..connections {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        // Given up by the server meanwhile, perhaps.
        let _ = stream.write_all(half(n)).await;
        held.push(stream);
    }
    held
}

/// Whether `/healthz` answers, on a connection of its own.
async fn is_well(port: u16) -> bool {
    let mut answer = Vec::new();
    let asked = async {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await?;
        stream.read_to_end(&mut answer).await
    };
    asked.await.is_ok() && answer.ends_with(b"ok\n")
}

async fn ask(port: u16, clock: Clock, enough: CancellationToken) -> Asked {
    let mut asked = Asked::default();
    while !enough.is_cancelled() {
        let began = clock.tick();
        while !in_time(is_well(port)).await {
            asked.refused += 1;
        }
        asked.took.push(clock.tick() - began);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    asked
}

/// A line of /proc/PID/status, in kB.
fn memory(program: &Program, what: &str) -> String {
    let status = fs::read_to_string(format!("/proc/{}/status", program.id())).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(what)).unwrap_or("?");
    line.trim_start_matches(':').trim().to_owned()
}

async fn flood(connections: usize) {
    let clock = Clock::system();
    let mut office = Office::on(clock.clone(), PbxOptions::default());
    let port = free_port();
    office.listen = format!("127.0.0.1:{port}");
    let folder = office.folder.path();
    configure(folder, &office.yaml());
    let few = ["-c", "ulimit -n 1024 && exec \"$0\" run"];
    let ringback = start_as(Command::new("sh").args(few).arg(program()), folder, &[]);
    in_time(async {
        while !is_well(port).await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    let at_first = memory(&ringback, "VmRSS");

    let enough = CancellationToken::new();
    let askers = (0..ASKERS).map(|_| tokio::spawn(ask(port, clock.clone(), enough.clone())));
    let askers: Vec<_> = askers.collect();
    let began = clock.tick();
    let openers: Vec<_> = (0..OPENERS).map(|_| tokio::spawn(open(port, connections / OPENERS))).collect();
    let mut held = Vec::new();
    for opener in openers {
        held.extend(opener.await.unwrap());
    }
    let opened = clock.tick() - began;
    // With every seat taken by somebody who does not ask.
    tokio::time::sleep(Duration::from_secs(2)).await;
    enough.cancel();
    let mut all = Asked::default();
    for asker in askers {
        let asked = asker.await.unwrap();
        all.took.extend(asked.took);
        all.refused += asked.refused;
    }
    all.took.sort_unstable();
    let _ = writeln!(
        std::io::stderr(),
        "{} connections in {opened:.2?}; /healthz asked {} times meanwhile: median {:.1?}, 99 % {:.1?}, longest {:.1?}, {} \
         asked again; memory {at_first} before, {} at most",
        held.len(),
        all.took.len(),
        all.quantile(0.5),
        all.quantile(0.99),
        all.quantile(1.0),
        all.refused,
        memory(&ringback, "VmHWM"),
    );
    assert_eq!(held.len(), connections);
    assert!(all.took.len() > 50, "it was asked");
    assert!(all.quantile(1.0) < Duration::from_secs(10), "{:?}", all.quantile(1.0));
    ringback.signal("TERM");
    drop(held);
    let ended = ringback.end(crate::binary::LIMIT);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_connections_that_do_not_ask_keep_nobody_from_asking() {
    flood(1000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "wants more than ten thousand file descriptors: scripts/flood"]
async fn ten_thousand_connections_that_do_not_ask_keep_nobody_from_asking() {
    flood(10_000).await;
}
