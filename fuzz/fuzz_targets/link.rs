//! Tokens of links and tickets of presses, from whoever sends them.
#![no_main]

use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;
use ringback::event::EventId;
use ringback::link::{Key, Link, LinkError};

fuzz_target!(|given: (&str, [u8; 16], u32, u8)| {
    let (text, event, expires, number) = given;
    let at = |seconds: u32| Timestamp::from_second(i64::from(seconds)).unwrap();
    let key = Key { number, since: Timestamp::UNIX_EPOCH, secret: [7; 32] };
    let keys = [key.clone()];
    // Nobody guesses 128 bits.
    assert_eq!(Link::open(&keys, text, Timestamp::UNIX_EPOCH), Err(LinkError::Forged));

    let link = Link::new(EventId::from_bytes(event), text, at(expires));
    let token = link.seal(&key);
    let opened = Link::open(&keys, &token, Timestamp::UNIX_EPOCH);
    assert_eq!(opened, if expires == 0 { Err(LinkError::Expired) } else { Ok(link) });
    assert!(link.is_for(text));
    assert_eq!(Link::open(&keys, &token, at(expires)), Err(LinkError::Expired));
    assert!(!link.admits(&keys, text, Timestamp::UNIX_EPOCH));
    let ticket = link.ticket(&key, at(expires));
    assert_eq!(link.admits(&keys, &ticket, Timestamp::UNIX_EPOCH), expires > 0);
    assert!(!link.admits(&keys, &ticket, at(expires)));
});
