//! How fast a lane goes: its rate, how many attempts at once, and when it waits as a whole. Pure.
//!
//! A receiver in trouble is probed: one attempt at a time, with growing waits, whatever the size of the backlog. When it
//! answers again the attempts under way double with each success, so that it is not overrun as soon as it stands up.

use std::time::Duration;

use crate::outbox::{self, FailureKind, Outcome};
use crate::retry;

/// The longest wait between two probes: a backlog should not wait much longer than the outage.
const LONGEST_PROBE: Duration = Duration::from_secs(60);

/// With so many failures in a row it was an outage rather than one message that the receiver stumbles over: when it is
/// over, what waits because of it need not wait any longer.
const OUTAGE: u32 = 2;

/// The pace of one lane, and what it knows of its receiver's patience: taken up by the lane of the next configuration,
/// which would else begin with what the receiver cannot bear, or has asked us not to do. All times are ticks.
#[derive(Debug, Clone)]
pub struct Pace {
    concurrency: usize,
    rate: Option<f64>,
    /// Attempts that may be under way now.
    window: usize,
    /// Counts the setbacks: an attempt that began before the last one tells nothing new.
    step: u64,
    /// Failures of the receiver in a row; those of attempts that were under way together are one.
    streak: u32,
    /// Pauses in a row.
    pauses: u32,
    /// The receiver asked for no message before.
    paused_until: Duration,
    /// No probe before.
    probe_at: Duration,
    /// With a rate: when the next message may go.
    next_turn: Duration,
}

/// What the end of an attempt has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum News {
    /// Nothing that anybody need be told.
    None,
    /// The receiver asks for a pause.
    Asked(Duration),
    /// The receiver refuses the credentials.
    Refused(Duration),
    /// The receiver is in trouble, this many times in a row.
    Trouble {
        /// Failures in a row.
        streak: u32,
        /// Until the next probe.
        wait: Duration,
    },
    /// It works again, after an outage.
    Recovered,
}

impl Pace {
    pub(super) fn new(concurrency: usize, rate: Option<f64>) -> Self {
        Self {
            concurrency,
            rate,
            window: concurrency,
            step: 0,
            streak: 0,
            pauses: 0,
            paused_until: Duration::ZERO,
            probe_at: Duration::ZERO,
            next_turn: Duration::ZERO,
        }
    }

    /// Goes on where the lane that served the same receiver has stopped. What that one has under way tells this one
    /// nothing.
    pub(super) fn take_up(&mut self, before: &Self) {
        let Self { window, streak, pauses, paused_until, probe_at, next_turn, .. } = *before;
        if window < before.concurrency {
            self.window = window.min(self.concurrency);
        }
        *self = Self { streak, pauses, paused_until, probe_at, next_turn, ..*self };
    }

    /// The receiver has asked the process before this one for no message before tick `until`.
    pub(super) fn resume(&mut self, until: Duration) {
        self.paused_until = self.paused_until.max(until);
        self.window = 1;
    }

    /// Until when the lane waits as a whole, if it does.
    pub(super) fn waits(&self, now: Duration) -> Option<Duration> {
        let until = self.paused_until.max(self.probe_at);
        (until > now).then_some(until)
    }

    /// Attempts that may begin now, with so many under way.
    pub(super) fn free(&self, under_way: usize, now: Duration) -> usize {
        let free = self.window.saturating_sub(under_way);
        match self.rate {
            None => free,
            Some(_) if self.next_turn <= now => free.min(1),
            Some(_) => 0,
        }
    }

    /// When the rate allows the next message, when it is the rate that holds it back.
    pub(super) fn held_by_rate(&self, now: Duration) -> Option<Duration> {
        (self.next_turn > now).then_some(self.next_turn)
    }

    /// An attempt begins. What is returned goes into [`Pace::ended`] when it ends.
    pub(super) fn begin(&mut self, now: Duration) -> u64 {
        if let Some(rate) = self.rate {
            self.next_turn = now + Duration::from_secs_f64(1.0 / rate);
        }
        self.step
    }

    /// Learns from the end of an attempt that began at `step`. `draw` is the one that jitters the wait of its delivery,
    /// so that the one which failed is due when the lane probes.
    pub(super) fn ended(
        &mut self,
        step: u64,
        outcome: &Outcome,
        policy: &retry::Policy,
        draw: f64,
        now: Duration,
    ) -> News {
        let fresh = step == self.step;
        match outcome {
            Outcome::Delivered => {
                self.pauses = 0;
                self.works(fresh)
            }
            Outcome::Permanent(failure) if failure.kind == FailureKind::Internal => News::None,
            Outcome::Permanent(_) => self.works(fresh),
            Outcome::RetryAfter { failure, wait } if failure.kind.pauses_channel() => {
                let refused = failure.kind == FailureKind::Unauthorized;
                self.pauses = self.pauses.saturating_add(u32::from(fresh));
                let pause = outbox::pause(failure, *wait, self.pauses).unwrap_or_default();
                self.paused_until = self.paused_until.max(now + pause);
                match (self.set_back(fresh), refused) {
                    (false, _) => News::None,
                    (true, true) => News::Refused(pause),
                    (true, false) => News::Asked(pause),
                }
            }
            Outcome::RetryAfter { failure, wait } if failure.kind.is_trouble() => {
                self.paused_until = self.paused_until.max(now + outbox::asked(*wait));
                if !self.set_back(fresh) {
                    return News::None;
                }
                self.streak = self.streak.saturating_add(1);
                self.probe_at = now + policy.wait(self.streak, draw).min(LONGEST_PROBE);
                News::Trouble { streak: self.streak, wait: self.waits(now).unwrap_or(now).saturating_sub(now) }
            }
            Outcome::RetryAfter { .. } => News::None,
        }
    }

    fn set_back(&mut self, fresh: bool) -> bool {
        if fresh {
            self.step += 1;
            self.window = 1;
        }
        fresh
    }

    fn works(&mut self, fresh: bool) -> News {
        let outage = self.streak >= OUTAGE;
        self.streak = 0;
        self.probe_at = Duration::ZERO;
        if fresh {
            self.window = (self.window * 2).min(self.concurrency);
        }
        if outage { News::Recovered } else { News::None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outbox::Failure;

    const SECOND: Duration = Duration::from_secs(1);

    fn policy() -> retry::Policy {
        retry::Policy { jitter: 0.0, ..retry::Policy::default() }
    }

    fn again(kind: FailureKind, wait: Option<Duration>) -> Outcome {
        Outcome::RetryAfter { failure: Failure::new(kind, "it did not work"), wait }
    }

    fn refused() -> Outcome {
        Outcome::Permanent(Failure::new(FailureKind::Rejected, "HTTP 410 Gone"))
    }

    /// One attempt from beginning to end, as soon as the lane may.
    fn probe(pace: &mut Pace, outcome: &Outcome, now: &mut Duration) -> News {
        *now = pace.waits(*now).unwrap_or(*now);
        let step = pace.begin(*now);
        pace.ended(step, outcome, &policy(), 0.5, *now)
    }

    #[test]
    fn a_receiver_in_trouble_is_probed_by_one_at_a_time_with_growing_waits_up_to_a_minute() {
        for kind in [FailureKind::Timeout, FailureKind::Unreachable, FailureKind::Tls, FailureKind::Receiver] {
            let (mut pace, mut now) = (Pace::new(16, None), SECOND);
            let mut waits = Vec::new();
            for streak in 1..=5 {
                let news = probe(&mut pace, &again(kind, None), &mut now);
                let until = pace.waits(now).unwrap();
                let wait = until.saturating_sub(now);
                assert_eq!(news, News::Trouble { streak, wait });
                assert_eq!((pace.free(0, until), pace.free(1, until)), (1, 0));
                waits.push(wait.as_secs_f64());
            }
            assert_eq!(waits, [5.0, 12.5, 31.25, 60.0, 60.0]);
        }
    }

    #[test]
    fn attempts_that_fail_together_are_one_step() {
        let mut pace = Pace::new(16, None);
        let steps: Vec<u64> = (0..16).map(|_| pace.begin(SECOND)).collect();
        let trouble = again(FailureKind::Receiver, None);
        let news: Vec<News> =
            steps.into_iter().map(|step| pace.ended(step, &trouble, &policy(), 0.5, SECOND)).collect();
        assert_eq!(news[0], News::Trouble { streak: 1, wait: 5 * SECOND });
        assert!(news[1..].iter().all(|news| *news == News::None));
        assert_eq!(pace.waits(SECOND), Some(6 * SECOND));
    }

    #[test]
    fn a_receiver_that_is_well_again_gets_twice_as_many_at_once_with_each_success() {
        for answer in [Outcome::Delivered, refused()] {
            let (mut pace, mut now) = (Pace::new(16, None), SECOND);
            for _ in 0..3 {
                probe(&mut pace, &again(FailureKind::Timeout, None), &mut now);
            }
            assert_eq!(probe(&mut pace, &answer, &mut now), News::Recovered);
            let mut windows = vec![pace.free(0, now)];
            for _ in 0..4 {
                assert_eq!(probe(&mut pace, &answer, &mut now), News::None);
                windows.push(pace.free(0, now));
            }
            assert_eq!(windows, [2, 4, 8, 16, 16]);
            assert_eq!(probe(&mut pace, &again(FailureKind::Timeout, None), &mut now), {
                News::Trouble { streak: 1, wait: 5 * SECOND }
            });
        }
    }

    #[test]
    fn one_message_that_the_receiver_stumbles_over_holds_the_others_up_once_and_briefly() {
        let mut pace = Pace::new(16, None);
        let (bad, good) = (pace.begin(SECOND), pace.begin(SECOND));
        pace.ended(bad, &again(FailureKind::Receiver, None), &policy(), 0.5, SECOND);
        assert_eq!(pace.waits(SECOND), Some(6 * SECOND));
        // Sent before the failure and taken after it: the receiver works.
        assert_eq!(pace.ended(good, &Outcome::Delivered, &policy(), 0.5, SECOND), News::None);
        assert_eq!((pace.waits(SECOND), pace.free(0, SECOND)), (None, 1));
    }

    #[test]
    fn what_the_receiver_asks_for_is_kept_to_also_when_others_arrive() {
        for kind in [FailureKind::Receiver, FailureKind::RateLimited] {
            let mut pace = Pace::new(16, None);
            let (first, second) = (pace.begin(SECOND), pace.begin(SECOND));
            pace.ended(first, &again(kind, Some(90 * SECOND)), &policy(), 0.5, SECOND);
            pace.ended(second, &Outcome::Delivered, &policy(), 0.5, SECOND);
            assert_eq!(pace.waits(SECOND), Some(91 * SECOND), "{kind:?}");
        }
    }

    #[test]
    fn refused_credentials_pause_longer_each_time_and_those_of_one_moment_count_once() {
        let (mut pace, mut now) = (Pace::new(16, None), Duration::ZERO);
        let refusal = again(FailureKind::Unauthorized, None);
        let (first, second) = (pace.begin(now), pace.begin(now));
        assert_eq!(pace.ended(first, &refusal, &policy(), 0.5, now), News::Refused(60 * SECOND));
        assert_eq!(pace.ended(second, &refusal, &policy(), 0.5, now), News::None);
        assert_eq!(pace.waits(now), Some(60 * SECOND));
        assert_eq!(probe(&mut pace, &refusal, &mut now), News::Refused(120 * SECOND));
        assert_eq!(probe(&mut pace, &Outcome::Delivered, &mut now), News::None);
        assert_eq!(probe(&mut pace, &refusal, &mut now), News::Refused(60 * SECOND));
    }

    #[test]
    fn a_failure_of_our_own_says_nothing_of_the_receiver() {
        let (mut pace, mut now) = (Pace::new(16, None), SECOND);
        probe(&mut pace, &again(FailureKind::Timeout, None), &mut now);
        let ours = Failure::new(FailureKind::Internal, "a bug");
        for outcome in [again(FailureKind::Internal, None), Outcome::Permanent(ours)] {
            assert_eq!(probe(&mut pace, &outcome, &mut now), News::None);
            assert_eq!(pace.free(0, now), 1);
        }
        let news = probe(&mut pace, &again(FailureKind::Timeout, None), &mut now);
        assert!(matches!(news, News::Trouble { streak: 2, .. }));
    }

    #[test]
    fn a_new_configuration_goes_on_at_the_pace_that_the_receiver_can_bear() {
        let (mut before, mut now) = (Pace::new(16, None), SECOND);
        probe(&mut before, &again(FailureKind::Timeout, None), &mut now);
        let (mut after, mut well) = (Pace::new(4, None), Pace::new(4, None));
        after.take_up(&before);
        assert_eq!((after.waits(now), after.free(0, now)), (before.waits(now), 1));
        let news = probe(&mut after, &again(FailureKind::Timeout, None), &mut now);
        assert!(matches!(news, News::Trouble { streak: 2, .. }));
        well.take_up(&Pace::new(16, None));
        assert_eq!((well.waits(now), well.free(0, now)), (None, 4));
    }

    #[test]
    fn a_receiver_that_says_now_and_does_not_mean_it_is_asked_ever_less_often() {
        let (mut pace, mut now) = (Pace::new(16, None), SECOND);
        let limited = again(FailureKind::RateLimited, Some(Duration::ZERO));
        let waits: Vec<News> = (0..4).map(|_| probe(&mut pace, &limited, &mut now)).collect();
        assert_eq!(waits, [1, 2, 4, 8].map(|wait| News::Asked(wait * SECOND)));
        probe(&mut pace, &Outcome::Delivered, &mut now);
        assert_eq!(probe(&mut pace, &limited, &mut now), News::Asked(SECOND));
    }

    #[test]
    fn a_pause_from_before_the_start_is_kept_and_ends_with_one_attempt() {
        let mut pace = Pace::new(16, None);
        pace.resume(90 * SECOND);
        assert_eq!((pace.waits(SECOND), pace.waits(90 * SECOND)), (Some(90 * SECOND), None));
        assert_eq!(pace.free(0, 90 * SECOND), 1);
    }

    #[test]
    fn a_rate_lets_one_go_at_a_time() {
        let mut pace = Pace::new(16, Some(2.0));
        assert_eq!(pace.free(3, SECOND), 1);
        pace.begin(SECOND);
        assert_eq!((pace.free(0, SECOND), pace.held_by_rate(SECOND)), (0, Some(Duration::from_millis(1500))));
        assert_eq!(pace.free(0, Duration::from_millis(1500)), 1);
    }
}
