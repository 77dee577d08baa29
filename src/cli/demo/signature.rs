//! What a receiver of webhooks does before it believes one: the signature of Standard Webhooks 1.0.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::sim::receiver::Received;

/// Whether one of the request's signatures is that of `secret` (`whsec_…`). The age of the time stamp is not looked at.
pub(super) fn holds(received: &Received, secret: &str) -> bool {
    let header = |name| received.header(name).unwrap_or_default();
    let Some(Ok(key)) = secret.strip_prefix("whsec_").map(|key| BASE64_STANDARD.decode(key)) else { return false };
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&key) else { return false };
    mac.update(format!("{}.{}.", header("webhook-id"), header("webhook-timestamp")).as_bytes());
    mac.update(&received.body);
    header("webhook-signature").split(' ').any(|signature| {
        let given = signature.strip_prefix("v1,").and_then(|text| BASE64_STANDARD.decode(text).ok());
        given.is_some_and(|given| mac.clone().verify_slice(&given).is_ok())
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::Timestamp;

    use super::*;
    use crate::clock::Moment;

    #[test]
    fn the_specifications_own_example_holds_and_another_body_does_not() {
        let headers = [
            ("Webhook-Id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
            ("Webhook-Timestamp", "1614265330"),
            ("Webhook-Signature", "v1,bm9uZQ== v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
        ];
        let mut received = Received {
            method: "POST".to_owned(),
            path: "/hook".to_owned(),
            headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            body: br#"{"test": 2432232314}"#.to_vec().into(),
            at: Moment { at: Timestamp::UNIX_EPOCH, tick: Duration::ZERO },
            answered: 200,
        };
        let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        assert!(holds(&received, secret));
        assert!(!holds(&received, "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"));
        received.body = br#"{"test": 2432232315}"#.to_vec().into();
        assert!(!holds(&received, secret));
    }
}
