//! Stamps and durations of the PBX, and durations of the configuration.
#![no_main]

use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;
use ringback::pbx::stamps;
use ringback::units;

fuzz_target!(|text: &str| {
    if let Some(at) = stamps::timestamp(text) {
        assert_eq!(stamps::timestamp(text.trim()), Some(at), "white space around it changes nothing");
        // What we write, we read: a cursor is asked for in this form. Years of four digits are all there are.
        let whole = Timestamp::from_second(at.as_second()).unwrap();
        assert_eq!(stamps::timestamp(&stamps::query(whole)), Some(whole));
    }
    if let Some(seconds) = stamps::seconds(text) {
        assert!(text.trim().starts_with(|c: char| c.is_ascii_digit()));
        assert_eq!(stamps::seconds(&seconds.to_string()), Some(seconds));
    }
    match units::parse_duration(text) {
        Ok(duration) => {
            assert_eq!(units::parse_duration(&units::format_duration(duration)), Ok(duration));
            assert!(duration.as_secs() <= 1000 * 366 * 86_400);
            // Every sum with a timestamp that can come up stays in range.
            assert!(Timestamp::UNIX_EPOCH.checked_add(duration).is_ok());
        }
        Err(message) => assert!(!message.is_empty()),
    }
});
