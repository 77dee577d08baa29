//! What to ask the PBX next. Pure: from the times, the budget and what is open to one step.
//!
//! In this order: the newest page, then open calls that may have been returned, then catching up after a pause, the last
//! two only with requests that the newest page does not need.

use std::time::Duration;

/// The next thing to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Read the newest window.
    Head,
    /// One page of the wider read that finds returned calls.
    FollowUp,
    /// One page of a window that a pause left unread.
    CatchUp,
    /// Nothing before this tick.
    Wait(Duration),
}

/// What is due when, in ticks of the monotonic clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Agenda {
    /// The next regular read of the newest window.
    pub head: Duration,
    /// The earliest waiting event is to be announced then, and is looked at once more just before.
    pub confirm: Option<Duration>,
    /// The next wider read, or the next page of the one under way.
    pub follow_up: Duration,
    /// The next page of what a pause left unread.
    pub catch_up: Duration,
    /// Whether a pause left something unread.
    pub gaps: bool,
    /// When the newest window was last read.
    pub last_head: Option<Duration>,
    /// Nothing is asked before: the PBX has refused, or is not there.
    pub not_before: Duration,
}

/// Two reads of the newest window are never closer than this for the sake of confirming: a burst of calls must not spend
/// the budget on each of them.
const SPACING: Duration = Duration::from_secs(5);

/// The next step. `free_at(n)` is the tick at which `n` requests are free; `limit` is how many there are a minute.
pub(super) fn next(agenda: &Agenda, limit: u32, now: Duration, free_at: impl Fn(u32) -> Duration) -> Step {
    let spaced = agenda.last_head.map_or(Duration::ZERO, |last| last + SPACING);
    let head = agenda.confirm.map_or(agenda.head, |confirm| agenda.head.min(confirm.max(spaced)));
    // The newest window takes two requests a minute and one for each confirmation: what is left over for the others
    // must leave it those. With a lower limit than the vendor's six the others keep their share, or returned calls would
    // never be noticed.
    let (for_follow_up, for_catch_up) = (limit.div_ceil(2).min(3), (limit * 2 / 3).clamp(1, 4));
    let steps = [
        (Some(head), 1, Step::Head),
        (Some(agenda.follow_up), for_follow_up, Step::FollowUp),
        (agenda.gaps.then_some(agenda.catch_up), for_catch_up, Step::CatchUp),
    ];
    let mut wake = Duration::MAX;
    for (due, requests, step) in steps {
        let Some(due) = due else { continue };
        let due = due.max(agenda.not_before).max(free_at(requests));
        if due <= now {
            return step;
        }
        wake = wake.min(due);
    }
    Step::Wait(wake)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn secs(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    fn agenda() -> Agenda {
        Agenda {
            head: secs(130),
            confirm: None,
            follow_up: secs(100),
            catch_up: Duration::ZERO,
            gaps: true,
            last_head: Some(secs(100)),
            not_before: Duration::ZERO,
        }
    }

    fn free(n: u32) -> impl Fn(u32) -> Duration {
        move |want| if want <= n { Duration::ZERO } else { secs(160) }
    }

    #[test]
    fn the_newest_page_comes_before_everything_else() {
        assert_eq!(next(&Agenda { head: secs(120), ..agenda() }, 6, secs(120), free(6)), Step::Head);
        assert_eq!(next(&agenda(), 6, secs(120), free(6)), Step::FollowUp);
        assert_eq!(next(&Agenda { follow_up: secs(900), ..agenda() }, 6, secs(120), free(6)), Step::CatchUp);
    }

    #[test]
    fn catching_up_takes_only_what_the_others_leave() {
        assert_eq!(next(&Agenda { follow_up: secs(900), ..agenda() }, 6, secs(120), free(3)), Step::Wait(secs(130)));
        assert_eq!(next(&agenda(), 6, secs(120), free(2)), Step::Wait(secs(130)));
        assert_eq!(next(&Agenda { head: secs(120), ..agenda() }, 6, secs(120), free(1)), Step::Head);
    }

    #[test]
    fn with_four_requests_a_minute_the_two_that_the_newest_page_leaves_are_used() {
        assert_eq!(next(&agenda(), 4, secs(120), free(2)), Step::FollowUp);
        assert_eq!(next(&Agenda { follow_up: secs(900), ..agenda() }, 4, secs(120), free(2)), Step::CatchUp);
        assert_eq!(next(&agenda(), 4, secs(120), free(1)), Step::Wait(secs(130)));
    }

    #[test]
    fn an_event_about_to_be_announced_is_looked_at_just_then_but_not_twice_within_the_spacing() {
        let quiet = Agenda { follow_up: secs(900), gaps: false, ..agenda() };
        assert_eq!(next(&Agenda { confirm: Some(secs(110)), ..quiet }, 6, secs(110), free(6)), Step::Head);
        assert_eq!(next(&Agenda { confirm: Some(secs(101)), ..quiet }, 6, secs(101), free(6)), Step::Wait(secs(105)));
    }

    #[test]
    fn nothing_is_asked_of_a_pbx_that_has_refused_until_its_time_has_come() {
        let refused = Agenda { not_before: secs(400), ..agenda() };
        assert_eq!(next(&refused, 6, secs(200), free(6)), Step::Wait(secs(400)));
    }

    proptest! {
        #[test]
        fn a_wait_always_ends_later_than_now_and_not_after_the_newest_page_could_be_read(
            head in 0_u64..500, confirm in prop::option::of(0_u64..500), follow_up in 0_u64..500,
            gaps: bool, not_before in 0_u64..500, now in 0_u64..500, limit in 1_u32..10, left in 0_u32..10,
        ) {
            let agenda = Agenda {
                head: secs(head), confirm: confirm.map(secs), follow_up: secs(follow_up), catch_up: Duration::ZERO, gaps,
                last_head: None, not_before: secs(not_before),
            };
            let free_at = |want: u32| if want <= left.min(limit) { Duration::ZERO } else { secs(now + 30) };
            if let Step::Wait(until) = next(&agenda, limit, secs(now), free_at) {
                prop_assert!(until > secs(now));
                prop_assert!(until <= secs(head.max(not_before).max(now + 30)));
            }
        }
    }
}
