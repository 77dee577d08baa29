//! The rows that are acknowledged and not in sled yet, by key: what a reader must see before it asks sled. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::store::index::IdMap;

/// A row, or `None` when it was removed.
pub(super) type Value = Option<Arc<[u8]>>;

/// Two generations: changes go into the newer one while the older one is written into sled.
#[derive(Debug, Default)]
pub(super) struct Overlay {
    newer: IdMap<Vec<u8>, Value>,
    older: IdMap<Vec<u8>, Value>,
    /// Of keys and values in the newer generation.
    bytes: usize,
}

impl Overlay {
    /// What is known of a key here; `None` when sled knows.
    pub(super) fn get(&self, key: &[u8]) -> Option<&Value> {
        self.newer.get(key).or_else(|| self.older.get(key))
    }

    /// Takes a change in.
    pub(super) fn put(&mut self, key: Vec<u8>, value: Value) {
        let size = |key: &[u8], value: &Value| key.len() + value.as_ref().map_or(0, |value| value.len());
        self.bytes += size(&key, &value);
        let key_length = key.len();
        if let Some(old) = self.newer.insert(key, value) {
            self.bytes -= key_length + old.map_or(0, |old| old.len());
        }
    }

    /// How much the newer generation holds.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether nothing has changed since the last [`Overlay::freeze`].
    pub(super) fn is_unchanged(&self) -> bool {
        self.newer.is_empty()
    }

    /// Makes the newer generation the older one, which must have been [`Overlay::forget`]ten, and returns its rows.
    pub(super) fn freeze(&mut self) -> Vec<(Vec<u8>, Value)> {
        self.older = std::mem::take(&mut self.newer);
        self.bytes = 0;
        self.older.iter().map(|(key, value)| (key.clone(), value.clone())).collect()
    }

    /// The older generation is in sled, durably.
    pub(super) fn forget(&mut self) {
        self.older = IdMap::default();
    }

    /// Every row here whose key begins with `prefix`, removed ones too.
    pub(super) fn scan(&self, prefix: &[u8]) -> BTreeMap<Vec<u8>, Value> {
        let rows = self.older.iter().chain(&self.newer).filter(|(key, _)| key.starts_with(prefix));
        rows.map(|(key, value)| (key.clone(), value.clone())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::unnecessary_wraps, reason = "a Value is what the overlay takes")]
    fn value(text: &str) -> Value {
        Some(text.as_bytes().into())
    }

    #[test]
    fn the_newer_generation_hides_the_older_and_both_hide_sled() {
        let mut overlay = Overlay::default();
        overlay.put(b"a".to_vec(), value("1"));
        overlay.put(b"b".to_vec(), value("1"));
        assert_eq!(overlay.freeze().len(), 2);
        assert!(overlay.is_unchanged());
        overlay.put(b"a".to_vec(), None);
        overlay.put(b"c".to_vec(), value("2"));
        assert_eq!(overlay.get(b"a"), Some(&None));
        assert_eq!(overlay.get(b"b"), Some(&value("1")));
        assert_eq!(overlay.get(b"d"), None);
        let rows: Vec<_> = overlay.scan(b"").into_iter().collect();
        assert_eq!(rows, [(b"a".to_vec(), None), (b"b".to_vec(), value("1")), (b"c".to_vec(), value("2"))]);
        overlay.forget();
        assert_eq!(overlay.get(b"b"), None, "sled has it");
        assert_eq!(overlay.get(b"a"), Some(&None));
    }

    #[test]
    fn a_row_that_changes_often_is_counted_once() {
        let mut overlay = Overlay::default();
        for n in 0..100 {
            overlay.put(b"key".to_vec(), value(&"x".repeat(n)));
        }
        assert_eq!(overlay.bytes(), 3 + 99);
        overlay.put(b"key".to_vec(), None);
        assert_eq!(overlay.bytes(), 3);
        overlay.freeze();
        assert_eq!(overlay.bytes(), 0);
    }
}
