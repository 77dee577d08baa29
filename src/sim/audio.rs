//! A recording to listen to: WAV files with a tone, made from nothing.

use std::f64::consts::TAU;
use std::time::Duration;

/// Telephone quality, as a PBX records.
const RATE: u32 = 8_000;

/// A WAV file (RIFF, PCM, mono, 16 bit, 8 kHz) of `length` with a sine of `hertz`; at most a minute.
pub fn tone(length: Duration, hertz: f64) -> Vec<u8> {
    let samples = u32::try_from(length.min(Duration::from_secs(60)).as_millis()).unwrap_or_default() * (RATE / 1000);
    let size = samples * 2;
    let mut wav = Vec::with_capacity(44 + size as usize);
    wav.extend_from_slice(b"RIFF");
    wav.extend_from_slice(&(36 + size).to_le_bytes());
    wav.extend_from_slice(b"WAVEfmt ");
    wav.extend_from_slice(&16_u32.to_le_bytes());
    // PCM, one channel.
    wav.extend_from_slice(&1_u16.to_le_bytes());
    wav.extend_from_slice(&1_u16.to_le_bytes());
    wav.extend_from_slice(&RATE.to_le_bytes());
    // Bytes a second, bytes a sample, bits a sample.
    wav.extend_from_slice(&(RATE * 2).to_le_bytes());
    wav.extend_from_slice(&2_u16.to_le_bytes());
    wav.extend_from_slice(&16_u16.to_le_bytes());
    wav.extend_from_slice(b"data");
    wav.extend_from_slice(&size.to_le_bytes());
    for n in 0..samples {
        let wave = (f64::from(n) / f64::from(RATE) * hertz * TAU).sin();
        #[expect(clippy::cast_possible_truncation, reason = "a sine times 12,000 fits into 16 bits")]
        let sample = (wave * 12_000.0) as i16;
        wav.extend_from_slice(&sample.to_le_bytes());
    }
    wav
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_tells_the_true_length_and_the_tone_is_not_silence() {
        let wav = tone(Duration::from_millis(1500), 440.0);
        assert_eq!(wav.len(), 44 + 8_000 * 2 * 3 / 2);
        assert_eq!((&wav[..4], &wav[8..16], &wav[36..40]), (&b"RIFF"[..], &b"WAVEfmt "[..], &b"data"[..]));
        let number = |at: usize| u32::from_le_bytes(wav[at..at + 4].try_into().unwrap()) as usize;
        assert_eq!((number(4), number(40)), (wav.len() - 8, wav.len() - 44));
        assert!(wav[44..].chunks(2).any(|pair| i16::from_le_bytes([pair[0], pair[1]]) > 11_000));
    }
}
