//! A signed HTTP request, after Standard Webhooks 1.0 (github.com/standard-webhooks/standard-webhooks).

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::Timestamp;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use schemars::JsonSchema;
use serde::Deserialize;
use sha2::Sha256;

use super::http::{MAX_ANSWER, ask, classify, mask, unanswered};
use super::{Channel, Parcel, wrong_form};
use crate::body::{self, BodyTemplate};
use crate::event::DeliveryId;
use crate::http::exchange;
use crate::message::{ChannelType, Message};
use crate::outbox::{Failure, Outcome};
use crate::private::{Mask, Secret};
use crate::units::{OneOrManySchema, one_or_many};

/// The keys of a channel of type `webhook`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct Config {
    /// Where the request goes. May hold a token, so it is masked like a secret. Or `url_file`.
    pub url: Secret,
    /// The request's method.
    #[serde(default)]
    pub method: Method,
    /// Further headers; their values are masked like secrets.
    #[serde(default)]
    pub headers: BTreeMap<String, Secret>,
    /// `whsec_…`; a list rotates: every one signs, new first. Or `secret_file`.
    #[serde(default, deserialize_with = "one_or_many")]
    #[schemars(with = "Option<OneOrManySchema<String>>")]
    pub secret: Vec<Secret>,
    /// File that replaces the JSON body, or `recipe:` and the name of a built-in one.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub body_template: Option<BodyTemplate>,
    /// What the body is; values in `body_template` are escaped for it. `application/json`, or that of the recipe.
    #[serde(default)]
    pub content_type: Option<String>,
}

impl Config {
    /// What the body is.
    pub fn content_type(&self) -> &str {
        let default = || self.body_template.as_ref().map_or(body::JSON, BodyTemplate::content_type);
        self.content_type.as_deref().unwrap_or_else(default)
    }
}

/// The request's method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// The usual one.
    #[default]
    Post,
    /// For receivers that want it.
    Put,
    /// For receivers that want it.
    Patch,
}

/// Sends to one receiver.
pub struct Webhook {
    client: reqwest::Client,
    url: reqwest::Url,
    method: reqwest::Method,
    headers: HeaderMap,
    /// Ready to sign with, new first.
    signers: Vec<Hmac<Sha256>>,
    mask: Mask,
    timeout: Duration,
}

impl Webhook {
    /// Makes the channel of a configuration.
    ///
    /// # Errors
    /// A sentence that names the key that cannot be used, without its value.
    pub fn new(config: &Config, client: reqwest::Client, timeout: Duration) -> Result<Self, String> {
        let url: reqwest::Url = config.url.expose().parse().map_err(|error| format!("`url` is not a URL: {error}"))?;
        let method = match config.method {
            Method::Post => reqwest::Method::POST,
            Method::Put => reqwest::Method::PUT,
            Method::Patch => reqwest::Method::PATCH,
        };
        let mut headers = HeaderMap::new();
        let content_type = HeaderValue::from_str(config.content_type());
        headers.insert(CONTENT_TYPE, content_type.map_err(|_| "`content_type` cannot be sent as a header")?);
        for (name, value) in &config.headers {
            let wrong = || format!("`headers.{name}` cannot be sent as a header");
            let header = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong())?;
            let mut value = HeaderValue::from_str(value.expose()).map_err(|_| wrong())?;
            value.set_sensitive(true);
            headers.insert(header, value);
        }
        let signers = config.secret.iter().map(signer).collect::<Result<_, _>>()?;
        let secrets: Vec<&str> = config.headers.values().chain(&config.secret).map(Secret::expose).collect();
        let mask = mask(&url, &secrets);
        Ok(Self { client, url, method, headers, signers, mask, timeout })
    }

    fn signature(&self, id: &str, timestamp: &str, body: &[u8]) -> String {
        let mut signatures = String::new();
        for signer in &self.signers {
            let mut mac = signer.clone();
            mac.update(id.as_bytes());
            mac.update(b".");
            mac.update(timestamp.as_bytes());
            mac.update(b".");
            mac.update(body);
            if !signatures.is_empty() {
                signatures.push(' ');
            }
            signatures.push_str("v1,");
            BASE64.encode_string(mac.finalize().into_bytes(), &mut signatures);
        }
        signatures
    }

    fn request(&self, id: DeliveryId, body: Bytes, now: Timestamp) -> reqwest::RequestBuilder {
        let id = id.to_string();
        let timestamp = now.as_second().to_string();
        let mut request = self.client.request(self.method.clone(), self.url.clone()).headers(self.headers.clone());
        if !self.signers.is_empty() {
            request = request.header("webhook-signature", self.signature(&id, &timestamp, &body));
        }
        request.header("webhook-id", id).header("webhook-timestamp", timestamp).body(body)
    }
}

/// `whsec_` and the base64 of the key (Standard Webhooks, "Secret serialization").
fn signer(secret: &Secret) -> Result<Hmac<Sha256>, String> {
    let wrong = "`secret` is not `whsec_` and the base64 of 24 to 64 bytes";
    let key = secret.expose().strip_prefix("whsec_").ok_or(wrong)?;
    let key = BASE64.decode(key).map_err(|_| wrong)?;
    Hmac::new_from_slice(&key).map_err(|_| wrong.to_owned())
}

/// Discord and Telegram say it in the body, Telegram there alone, in seconds: `{"retry_after": 1.5}`, and
/// `{"parameters": {"retry_after": 5}}`.
fn retry_after_in(body: &[u8]) -> Option<Duration> {
    let body: serde_json::Value = serde_json::from_slice(body).ok()?;
    let seconds =
        [&body["parameters"]["retry_after"], &body["retry_after"]].into_iter().find_map(serde_json::Value::as_f64)?;
    Duration::try_from_secs_f64(seconds).ok()
}

#[async_trait]
impl Channel for Webhook {
    fn channel_type(&self) -> ChannelType {
        ChannelType::Webhook
    }

    async fn send(&self, parcel: Parcel<'_>, _memo: &mut Option<String>) -> Outcome {
        let Message::Webhook(message) = parcel.message else { return wrong_form(ChannelType::Webhook) };
        let request = self.request(parcel.id, message.body.clone(), parcel.now);
        match exchange(request, MAX_ANSWER, self.timeout).await {
            Ok(answer) if answer.status.is_success() => Outcome::Delivered,
            Ok(answer) => {
                let in_body = || retry_after_in(&answer.body).filter(|_| answer.status.as_u16() == 429);
                let wait = answer.retry_after(parcel.now).or_else(in_body);
                classify(&answer, wait, &self.mask.and(&message.names))
            }
            Err(error) => unanswered(&error),
        }
    }

    async fn check(&self) -> Result<Option<String>, Failure> {
        // The configured headers may hold what lets us in; ids and signatures would make it look like a message.
        let mut headers = self.headers.clone();
        headers.remove(CONTENT_TYPE);
        ask(self.client.head(self.url.clone()).headers(headers), self.timeout, &self.mask).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn webhook(secrets: &[&str]) -> Webhook {
        let config = Config {
            url: Secret::new("http://127.0.0.1:1/hook"),
            method: Method::Post,
            headers: BTreeMap::new(),
            secret: secrets.iter().map(|secret| Secret::new(*secret)).collect(),
            body_template: None,
            content_type: None,
        };
        Webhook::new(&config, crate::http::client(1).unwrap(), Duration::from_secs(1)).unwrap()
    }

    #[test]
    fn the_signature_is_that_of_the_specifications_own_example() {
        // From the documentation of the Standard Webhooks reference libraries.
        let webhook = webhook(&["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]);
        let signature = webhook.signature("msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", br#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn during_a_rotation_every_secret_signs_the_new_one_first() {
        let (new, old) = ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD");
        let rotating = webhook(&[new, old]).signature("dlv_1", "1", b"{}");
        let expected = [new, old].map(|secret| webhook(&[secret]).signature("dlv_1", "1", b"{}")).join(" ");
        assert_eq!(rotating, expected);
    }

    #[test]
    fn what_the_reference_library_verifies_is_what_was_sent() {
        let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let id = DeliveryId::derive("main", crate::event::EventType::CallMissed, "u1", "crm");
        let body = Bytes::from_static("{\"type\":\"call.missed\",\"ad\":\"Şükrü\"}".as_bytes());
        let now = crate::clock::Clock::system().now();
        let request = webhook(&[secret]).request(id, body.clone(), now).build().unwrap();
        let verifier = standardwebhooks::Webhook::new(secret).unwrap();
        let mut headers = request.headers().clone();
        verifier.verify(&body, &headers).unwrap();
        headers.insert("webhook-id", "dlv_other".parse().unwrap());
        assert!(verifier.verify(&body, &headers).is_err());
        assert!(request.headers()[CONTENT_TYPE] == "application/json");
    }

    #[test]
    fn a_wait_that_stands_in_the_body_is_read() {
        for (body, seconds) in [
            (r#"{"ok":false,"error_code":429,"parameters":{"retry_after":5}}"#, Some(5.0)),
            (r#"{"message":"You are being rate limited.","retry_after":1.5,"global":false}"#, Some(1.5)),
            (r#"{"retry_after":-1}"#, None),
            (r#"{"retry_after":"soon"}"#, None),
            ("slow down", None),
        ] {
            assert_eq!(retry_after_in(body.as_bytes()), seconds.map(Duration::from_secs_f64), "{body}");
        }
    }

    #[test]
    fn without_a_secret_there_is_no_signature_header() {
        let id = DeliveryId::derive("main", crate::event::EventType::CallMissed, "u1", "crm");
        let request = webhook(&[]).request(id, Bytes::new(), Timestamp::UNIX_EPOCH).build().unwrap();
        assert!(!request.headers().contains_key("webhook-signature"));
        assert_eq!(request.headers()["webhook-id"], id.to_string());
    }
}
