//! What keeps a read from its end, and how long the next one waits for it.

use std::time::Duration;

use super::Watcher;
use super::plan::Step;
use crate::condition::PbxTrouble;
use crate::outbox::FailureKind;
use crate::pbx::PbxError;
use crate::store::StoreError;

/// The longest wait after a failure of the PBX: a missed call should not wait much longer than the outage.
const LONGEST_BACKOFF: Duration = Duration::from_secs(120);

/// The longest wait after the store could not take what was read.
const LONGEST_STORE_PAUSE: Duration = Duration::from_secs(30);

/// The longest wait after a refused key: a person must act, and a storm of requests would not help them.
const LONGEST_REFUSAL: Duration = Duration::from_secs(300);

/// Why a read ended early.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    #[error(transparent)]
    Pbx(#[from] PbxError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Watcher {
    /// Waits longer after each failure, and says why.
    pub(super) fn back_off(&mut self, step: Step, trouble: &Trouble) {
        let now = self.context.clock.tick();
        self.failures = self.failures.saturating_add(1);
        let doubled = self.settings.every.saturating_mul(1 << (self.failures.clamp(1, 8) - 1));
        let wait = match trouble {
            Trouble::Pbx(PbxError::Auth { .. }) => {
                doubled.max(Duration::from_secs(60)).min(LONGEST_REFUSAL.max(self.settings.every))
            }
            Trouble::Pbx(PbxError::RateLimited { wait }) => rate_limit_wait(*wait),
            // It costs nobody anything, and what waits here is told as soon as there is room.
            Trouble::Store(_) => doubled.min(LONGEST_STORE_PAUSE.max(self.settings.every)),
            Trouble::Pbx(_) => doubled.min(LONGEST_BACKOFF.max(self.settings.every)),
        };
        match (trouble, step) {
            (Trouble::Pbx(PbxError::RateLimited { .. }), _) => self.budget.exhaust(now + wait),
            (Trouble::Pbx(PbxError::Auth { .. }) | Trouble::Store(_), _) | (_, Step::Head | Step::Wait(_)) => {
                self.agenda.not_before = now + wait;
            }
            // Deep and dated pages are slow and may time out: the newest page is not late because of them.
            (_, Step::FollowUp) => self.agenda.follow_up = now + wait.max(Duration::from_secs(60)),
            (_, Step::CatchUp) => self.agenda.catch_up = now + wait.max(Duration::from_secs(60)),
        }
        let (account, source) = (self.source.account.as_str(), self.source.kind.as_str());
        let again_in = crate::units::format_duration(Duration::from_secs(wait.as_secs().max(1)));
        if self.failures > 1 {
            let failures = self.failures;
            tracing::debug!(account, source, again_in, failures, error = %trouble, "still cannot be read");
        } else if let Trouble::Pbx(PbxError::Auth { .. }) = trouble {
            tracing::error!(
                account, source, again_in, error = %trouble,
                "the PBX refuses the API key: nothing is seen until it is mended; check `api_key` of this account"
            );
        } else if let Trouble::Store(_) = trouble {
            tracing::error!(account, source, again_in, error = %trouble, "what was read could not be stored; it is read again");
        } else {
            tracing::warn!(account, source, again_in, error = %trouble, "the PBX could not be read");
        }
    }
}

/// The vendor names no wait with a 429; when it does, it is kept to, within reason.
pub(super) fn rate_limit_wait(named: Option<Duration>) -> Duration {
    named.unwrap_or(Duration::from_secs(30)).min(Duration::from_secs(3600))
}

pub(super) fn outcome(result: &Result<(), Trouble>) -> &'static str {
    match result {
        Ok(()) => "ok",
        Err(Trouble::Store(_)) => "store",
        Err(Trouble::Pbx(error)) => match error {
            PbxError::Auth { .. } => "auth",
            PbxError::RateLimited { .. } => "rate_limited",
            PbxError::Unreachable(_) => "unreachable",
            PbxError::NotFound | PbxError::Refused { .. } => "refused",
            PbxError::Trouble { .. } => "trouble",
            PbxError::Garbled { .. } => "garbled",
        },
    }
}

/// By what a person does about it.
pub(super) fn condition(error: &PbxError) -> PbxTrouble {
    match error {
        PbxError::Auth { .. } => PbxTrouble::WrongKey,
        PbxError::RateLimited { .. } => PbxTrouble::RateLimited,
        PbxError::Unreachable(error) if error.kind == FailureKind::Tls => PbxTrouble::Tls,
        PbxError::Unreachable(_) => PbxTrouble::Unreachable,
        PbxError::NotFound | PbxError::Refused { .. } => PbxTrouble::Refused,
        PbxError::Trouble { .. } => PbxTrouble::Trouble,
        PbxError::Garbled { .. } => PbxTrouble::Garbled,
    }
}
