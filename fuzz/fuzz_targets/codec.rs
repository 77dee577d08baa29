//! Rows of the store: what can be read is written again and read back the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ringback::cursor::Cursor;
use ringback::event::Event;
use ringback::outbox::Delivery;
use ringback::store::codec::{MAX_ROW, RowError, decode, encode};
use serde::{Serialize, de::DeserializeOwned};

fn round<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(bytes: &[u8]) {
    let Ok(row) = decode::<T>(bytes) else { return };
    match encode(&row) {
        Ok(written) => {
            assert!(written.len() <= MAX_ROW);
            assert_eq!(decode::<T>(&written).as_ref(), Ok(&row));
        }
        Err(RowError::TooLarge(size)) => assert!(size > MAX_ROW),
        Err(error) => panic!("{error}"),
    }
}

fuzz_target!(|data: &[u8]| {
    // The first byte is the version; the rest is one kind of row only, told by its first keys.
    round::<Event>(data);
    round::<Delivery>(data);
    round::<Cursor>(data);
});
