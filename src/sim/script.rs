//! What is to go wrong, in order: each entry applies to so many occasions, then the next one does.

use std::collections::VecDeque;

#[derive(Debug)]
pub(crate) struct Script<T>(VecDeque<(T, usize)>);

impl<T> Default for Script<T> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<T: Clone> Script<T> {
    /// `times` may be `usize::MAX`, which stands for ever.
    pub(crate) fn push(&mut self, entry: T, times: usize) {
        if times > 0 {
            self.0.push_back((entry, times));
        }
    }

    pub(crate) fn next(&mut self) -> Option<T> {
        let (entry, times) = self.0.front_mut()?;
        if *times == usize::MAX {
            return Some(entry.clone());
        }
        *times -= 1;
        if *times == 0 { self.0.pop_front().map(|(entry, _)| entry) } else { Some(entry.clone()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_apply_in_order_and_as_often_as_was_said() {
        let mut script = Script::default();
        script.push('a', 2);
        script.push('x', 0);
        script.push('b', 1);
        assert_eq!(std::iter::from_fn(|| script.next()).collect::<String>(), "aab");
    }

    #[test]
    fn the_greatest_number_stands_for_ever() {
        let mut script = Script::default();
        script.push('a', usize::MAX);
        assert_eq!(std::iter::from_fn(|| script.next()).take(50).count(), 50);
    }
}
