//! Calls of which the PBX has said that they ended, and when the newest page is read for their sake. Pure.
//!
//! A call becomes visible a moment after its end, so the first look waits for that moment, in which further calls can end:
//! one read is for all of them. What it does not show is looked for once more, and then left to the regular reads.

use std::collections::BTreeMap;
use std::time::Duration;

/// How long after its end a call is looked for. The vendor does not say when it becomes visible; half a second was seen.
const FIRST_LOOK: Duration = Duration::from_millis(750);

/// How long after the first look that did not show it a call is looked for again.
const SECOND_LOOK: Duration = Duration::from_secs(5);

/// So many calls are remembered; what ends besides is shown by the looks for these.
const MOST: usize = 256;

/// The calls that have not been seen yet, by their ids.
#[derive(Debug, Default)]
pub(super) struct Pushed(BTreeMap<String, Look>);

#[derive(Debug, Clone, Copy)]
struct Look {
    due: Duration,
    last: bool,
}

impl Pushed {
    /// A call has ended at tick `at`. Hearing of it again changes nothing.
    pub(super) fn hear(&mut self, uuid: String, at: Duration) {
        if self.0.len() < MOST {
            self.0.entry(uuid).or_insert(Look { due: at.saturating_add(FIRST_LOOK), last: false });
        }
    }

    /// The tick of the next look.
    pub(super) fn due(&self) -> Option<Duration> {
        self.0.values().map(|look| look.due).min()
    }

    /// The newest page was read, by a request at tick `began`, and showed what `seen` says.
    pub(super) fn looked(&mut self, began: Duration, seen: impl Fn(&str) -> bool) {
        self.0.retain(|uuid, look| {
            if seen(uuid) || (look.due <= began && look.last) {
                return false;
            }
            if look.due <= began {
                *look = Look { due: began.saturating_add(SECOND_LOOK), last: true };
            }
            true
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn a_call_is_looked_for_twice_and_then_left_to_the_regular_reads() {
        let mut pushed = Pushed::default();
        pushed.hear("a".to_owned(), ms(1000));
        pushed.looked(ms(1400), |_| false);
        assert_eq!(pushed.due(), Some(ms(1750)), "a regular read before its time does not count");
        pushed.looked(ms(1750), |_| false);
        assert_eq!(pushed.due(), Some(ms(6750)));
        pushed.looked(ms(6750), |_| false);
        assert_eq!(pushed.due(), None);
    }

    #[test]
    fn one_look_is_for_all_that_have_ended_meanwhile() {
        let mut pushed = Pushed::default();
        pushed.hear("a".to_owned(), ms(1000));
        pushed.hear("b".to_owned(), ms(1700));
        pushed.hear("a".to_owned(), ms(1740));
        assert_eq!(pushed.due(), Some(ms(1750)));
        pushed.looked(ms(1750), |uuid| uuid == "a" || uuid == "b");
        assert_eq!(pushed.due(), None);
    }

    #[test]
    fn a_storm_is_remembered_to_a_limit() {
        let mut pushed = Pushed::default();
        for n in 0..10_000 {
            pushed.hear(n.to_string(), ms(n));
        }
        assert_eq!(pushed.0.len(), MOST);
        assert_eq!(pushed.due(), Some(ms(750)));
    }
}
