//! Child processes, and what the kernel says of them.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A child that answers each line with a line.
pub(crate) struct Dialogue {
    child: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Dialogue {
    /// This executable again, in another role.
    pub(crate) fn start(role: &str) -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg(role)
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let orders = child.stdin.take().context("no stdin")?;
        let answers = BufReader::new(child.stdout.take().context("no stdout")?);
        Ok(Self { child, orders, answers })
    }

    pub(crate) fn say(&mut self, order: &impl Serialize) -> Result<()> {
        serde_json::to_writer(&mut self.orders, order)?;
        self.orders.write_all(b"\n")?;
        self.orders.flush().context("a child process has gone")
    }

    pub(crate) fn hear<T: DeserializeOwned>(&mut self) -> Result<T> {
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        ensure!(!line.is_empty(), "a child process has gone without an answer");
        serde_json::from_str(&line).context("a child process answers nonsense")
    }

    pub(crate) fn ask<T: DeserializeOwned>(&mut self, order: &impl Serialize) -> Result<T> {
        self.say(order)?;
        self.hear()
    }

    /// One order, one answer, and the end.
    pub(crate) fn ask_once<T: DeserializeOwned>(mut self, order: &impl Serialize) -> Result<T> {
        self.say(order)?;
        let Self { mut child, orders, mut answers } = self;
        drop(orders);
        let answer = serde_json::from_reader(&mut answers).context("a child process answers nonsense");
        child.wait()?;
        answer
    }

    /// It ends when its stdin does.
    pub(crate) fn end(self) -> Result<()> {
        let Self { mut child, orders, answers } = self;
        drop(orders);
        child.wait()?;
        drop(answers);
        Ok(())
    }
}

/// User and system time of a process so far.
pub(crate) fn cpu_seconds(pid: u32) -> Result<f64> {
    /// `USER_HZ`, which is 100 on every architecture that Linux is built for today.
    const TICKS_A_SECOND: f64 = 100.0;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name may hold anything; behind its parenthesis come the fields from the third on.
    let (_, fields) = stat.rsplit_once(") ").context("/proc/PID/stat has no name")?;
    let ticks: Vec<f64> = fields.split(' ').skip(11).take(2).map(str::parse).collect::<Result<_, _>>()?;
    Ok(ticks.iter().sum::<f64>() / TICKS_A_SECOND)
}

/// A line of `/proc/PID/status` that counts in kB, in MB.
pub(crate) fn memory(pid: u32, key: &str) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(key)).with_context(|| format!("no {key}"))?;
    let kb: f64 = line.trim_start_matches(':').trim().trim_end_matches(" kB").parse()?;
    Ok(kb / 1024.0)
}
