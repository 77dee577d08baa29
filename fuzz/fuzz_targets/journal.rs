//! The frames of a journal, whole, cut, damaged, and with a good checksum over nonsense.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ringback::store::sled::journal_frames;

const MAGIC: &[u8] = b"ringjnl1";

/// A file whose frames have checksums that are right: no mutation would ever make one.
fn file(data: &[u8]) -> Vec<u8> {
    let mut file = MAGIC.to_vec();
    for body in data.split(|byte| *byte == 0xFE) {
        file.extend_from_slice(&u32::try_from(body.len()).unwrap().to_le_bytes());
        file.extend_from_slice(&crc32fast::hash(body).to_le_bytes());
        file.extend_from_slice(body);
    }
    file
}

fn check(bytes: &[u8]) -> usize {
    let Some((frames, behind)) = journal_frames(bytes) else {
        assert!(!bytes.starts_with(MAGIC));
        return 0;
    };
    assert!(behind <= bytes.len());
    let read: usize = frames.iter().flatten().map(|(key, value)| key.len() + value.as_ref().map_or(0, Vec::len)).sum();
    assert!(read + behind <= bytes.len(), "no byte is read twice");
    frames.len()
}

fuzz_target!(|data: &[u8]| {
    check(data);
    let whole = file(data);
    let frames = check(&whole);
    // Cut anywhere, it holds no more than before; appended to, no less.
    let cut = data.first().map_or(0, |byte| usize::from(*byte)) % whole.len();
    assert!(check(&whole[..cut]) <= frames);
    let mut damaged = whole.clone();
    damaged.extend_from_slice(data);
    assert!(check(&damaged) >= frames);
});
