//! `ringback probe`: the shape of what the PBX answers, for bug reports.

use super::{Failure, say};
use crate::app;
use crate::clock::Clock;
use crate::config::Config;
use crate::http;
use crate::pbx::probe::{Probe, Shape};
use crate::pbx::{Pbx, PbxError};

/// Asks each endpoint of each account once. A key that is refused, or a PBX that is not there, is asked nothing more.
///
/// # Errors
/// When nothing of an account could be asked.
pub(super) async fn probe(config: &Config) -> Result<(), Failure> {
    let client = http::client(1).map_err(|error| Failure::Run(error.to_string()))?;
    let clock = Clock::system();
    let mut silent = Vec::new();
    for account in &config.accounts {
        let pbx = app::pbx(account, client.clone(), &clock)?;
        say(&format!("account {}", account.name));
        if !ask_all(&pbx).await {
            silent.push(account.name.as_str());
        }
    }
    if silent.is_empty() { Ok(()) } else { Err(Failure::Run(format!("no answer for {}", silent.join(", ")))) }
}

async fn ask_all(pbx: &Pbx) -> bool {
    let mut answered = false;
    for probe in Probe::ALL {
        let answer = pbx.probe(probe).await;
        answered |= answer.is_ok();
        show(&format!("GET /{}", probe.path()), &answer);
        match answer {
            Ok(Shape { uuid: Some(uuid), .. }) => {
                show("GET /cdrs/UUID", &pbx.probe_call(&uuid).await);
            }
            Err(PbxError::Auth { .. } | PbxError::Unreachable(_)) => break,
            _ => {}
        }
    }
    answered
}

fn show(what: &str, answer: &Result<Shape, PbxError>) {
    say(&format!("\n{what}"));
    match answer {
        Ok(shape) => shape.text.lines().for_each(|line| say(&format!("  {line}"))),
        Err(error) => say(&format!("  {error}")),
    }
}
