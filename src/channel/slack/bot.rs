//! Posting as a bot, by the Web API: what was posted can be changed later, and answered in its thread.

use jiff::Timestamp;
use reqwest::RequestBuilder;
use serde_json::{Map, Value, json};

use super::answer::{Meaning, Refusal, Speaker};
use super::{Line, object};
use crate::channel::Parcel;
use crate::message::SlackMessage;
use crate::outbox::{Failure, FailureKind, Outcome};
use crate::private::Secret;

/// A token, and the channel that it posts to.
pub(super) struct Bot {
    /// Base URL of the Web API, without a slash at its end.
    pub(super) api: String,
    pub(super) token: Secret,
    /// An id or a name.
    pub(super) channel: String,
}

/// Where a message stands: the memo of its delivery, as words with a blank between them.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    /// The channel's id: `chat.update` takes no name.
    channel: String,
    /// Slack's name for the message.
    ts: String,
    /// The first message of the thread that it stands in.
    thread: Option<String>,
}

impl Place {
    fn of_memo(memo: &str) -> Option<Self> {
        let mut words = memo.split(' ').map(str::to_owned);
        Some(Self { channel: words.next()?, ts: words.next()?, thread: words.next() })
    }

    /// `None` when the answer does not name it.
    fn of_answer(answer: &Value, thread: Option<&str>) -> Option<Self> {
        let word = |key: &str| answer[key].as_str().filter(|text| !text.contains(' ')).map(str::to_owned);
        Some(Self { channel: word("channel")?, ts: word("ts")?, thread: thread.map(str::to_owned) })
    }

    fn memo(&self) -> String {
        let words = [Some(&self.channel), Some(&self.ts), self.thread.as_ref()];
        words.into_iter().flatten().map(String::as_str).collect::<Vec<_>>().join(" ")
    }

    /// What its answers name: "use the parent instead" of a reply (docs.slack.dev, chat.postMessage).
    fn root(&self) -> &str {
        self.thread.as_deref().unwrap_or(&self.ts)
    }
}

impl Bot {
    /// Posts a message; one that follows another changes that one and goes into its thread.
    ///
    /// The change comes first: made twice by a retry, it is the same. The answer that the reply was taken ends the
    /// attempt, so that no retry posts it again.
    pub(super) async fn send(
        &self,
        line: &Line,
        parcel: &Parcel<'_>,
        message: &SlackMessage,
        memo: &mut Option<String>,
    ) -> Outcome {
        let mut posted = None;
        if let Some(place) = parcel.earlier.and_then(|earlier| earlier.memo).and_then(Place::of_memo) {
            match self.follow(line, parcel, message, &place).await {
                Err(refusal) if leaves_the_earlier(&refusal) => {
                    if let Outcome::Permanent(failure) | Outcome::RetryAfter { failure, .. } = &refusal.outcome {
                        let (delivery, reason) = (parcel.id, &failure.text);
                        tracing::info!(%delivery, reason, "the earlier message cannot be changed or answered: this one stands alone");
                    }
                }
                done => posted = Some(done),
            }
        }
        let posted = match posted {
            Some(posted) => posted,
            None => self.post(line, parcel, message, None).await,
        };
        match posted {
            Ok(place) => {
                *memo = place.map(|place| place.memo());
                Outcome::Delivered
            }
            Err(refusal) => refusal.outcome,
        }
    }

    async fn follow(
        &self,
        line: &Line,
        parcel: &Parcel<'_>,
        message: &SlackMessage,
        place: &Place,
    ) -> Result<Option<Place>, Box<Refusal>> {
        // A message that tells of several matters stays as it is.
        let shared = parcel.earlier.is_some_and(|earlier| earlier.shared);
        if let Some(update) = message.update.as_ref().filter(|_| !shared) {
            let mut body = object(update)?;
            body.insert("channel".to_owned(), place.channel.as_str().into());
            body.insert("ts".to_owned(), place.ts.as_str().into());
            // chat.update would find names and channels in the text by itself, unlike chat.postMessage.
            body.insert("parse".to_owned(), "none".into());
            line.tell(|| self.ask(line, "chat.update"), Speaker::Api, body, parcel).await?;
        }
        self.post(line, parcel, message, Some(place)).await
    }

    /// Posts into the thread of `under`, or on its own.
    async fn post(
        &self,
        line: &Line,
        parcel: &Parcel<'_>,
        message: &SlackMessage,
        under: Option<&Place>,
    ) -> Result<Option<Place>, Box<Refusal>> {
        let mut body = object(message.reply.as_ref().filter(|_| under.is_some()).unwrap_or(&message.post))?;
        let channel = under.map_or(&self.channel, |place| &place.channel);
        body.insert("channel".to_owned(), channel.as_str().into());
        if let Some(place) = under {
            body.insert("thread_ts".to_owned(), place.root().into());
        }
        let answer = line.tell(|| self.ask(line, "chat.postMessage"), Speaker::Api, body, parcel).await?;
        Ok(Place::of_answer(&answer, under.map(Place::root)))
    }

    fn ask(&self, line: &Line, method: &str) -> RequestBuilder {
        line.client.post(format!("{}/{method}", self.api)).bearer_auth(self.token.expose())
    }

    /// Whether the token is good and may write, and whether it finds the channel. Nothing is posted.
    pub(super) async fn check(&self, line: &Line) -> Result<Option<String>, Failure> {
        let failed = |refusal: Box<Refusal>| match refusal.outcome {
            Outcome::RetryAfter { failure, .. } | Outcome::Permanent(failure) => failure,
            Outcome::Delivered => Failure::new(FailureKind::Internal, "a refusal that is none; this is a bug"),
        };
        // Waits do not count here, so neither does the time.
        let now = Timestamp::UNIX_EPOCH;
        let (_, headers) = line.ask(self.ask(line, "auth.test"), Speaker::Api, now).await.map_err(failed)?;
        // Which rights the token has; Slack says so with every answer.
        let scopes = headers.get("x-oauth-scopes").and_then(|value| value.to_str().ok());
        let has = |scope: &str| scopes.is_some_and(|scopes| scopes.split(',').any(|found| found.trim() == scope));
        if scopes.is_some() && !has("chat:write") && !has("chat:write:bot") {
            let text = "the token may not write; hint: give the app the scope `chat:write`, and install it once more";
            return Err(Failure::new(FailureKind::Unauthorized, text));
        }
        let unknown = |why: &str| Ok(Some(format!("whether it may write to `channel` is not known: {why}")));
        if !is_channel_id(&self.channel) {
            return unknown("Slack tells that of an id (C0123456789) only");
        }
        // An id needs no encoding.
        let info = format!("{}/conversations.info?channel={}", self.api, self.channel);
        let info = line.client.get(info).bearer_auth(self.token.expose());
        let channel = match line.ask(info, Speaker::Api, now).await {
            Ok((mut answer, _)) => answer["channel"].take(),
            Err(refusal) => {
                let failure = failed(refusal);
                return match failure.kind {
                    // These belong to looking up, which posting does not need.
                    _ if failure.text.contains("missing_scope") => unknown("the token has no scope `channels:read`"),
                    _ if failure.text.contains("channel_not_found") && !has("groups:read") => {
                        unknown("it is none, or a private one, which the token has no scope `groups:read` to see")
                    }
                    _ => Err(failure),
                };
            }
        };
        if channel["is_archived"] == true {
            let text = "the channel is archived; hint: name another `channel`, or bring this one back";
            return Err(Failure::new(FailureKind::Unauthorized, text));
        }
        if channel["is_member"] == false && !has("chat:write.public") {
            let text = "the bot is not in the channel; hint: write `/invite @its-name` there";
            return Err(Failure::new(FailureKind::Unauthorized, text));
        }
        Ok(None)
    }
}

/// Whether a follow-up that was refused like this may still arrive as a message of its own. A token that is not taken, a
/// pause and trouble of Slack's hold for that one too.
fn leaves_the_earlier(refusal: &Refusal) -> bool {
    use Meaning::{Alone, Destination, Plain, Rejected};
    matches!(refusal.meaning, Some(Alone | Destination | Plain | Rejected))
}

/// `C` a channel, `G` a private one of old, `D` a conversation with one person.
fn is_channel_id(text: &str) -> bool {
    text.len() >= 9
        && text.starts_with(['C', 'G', 'D'])
        && text.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit())
}

/// The body without what may be refused of it, when there is such a thing. A change must say that there are no blocks:
/// those that it does not name stay.
pub(super) fn plain(body: &Map<String, Value>) -> Option<Map<String, Value>> {
    let mut plain = body.clone();
    let removed = ["blocks", "attachments", "metadata"].map(|key| plain.remove(key).is_some());
    if plain.contains_key("ts") {
        plain.insert("blocks".to_owned(), json!([]));
    }
    removed.contains(&true).then_some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_memo_is_the_place_of_its_message() {
        for (memo, root) in [("C1 17.1", "17.1"), ("C1 18.2 17.1", "17.1")] {
            let place = Place::of_memo(memo).unwrap();
            assert_eq!((place.memo().as_str(), place.root()), (memo, root));
        }
        assert_eq!(Place::of_memo("C1"), None);
        assert_eq!(Place::of_answer(&json!({"ok": true, "channel": "C1"}), None), None);
    }

    #[test]
    fn ids_are_told_from_names() {
        assert!(["C0123456789", "G01234567", "D0123ABCDEF"].into_iter().all(is_channel_id));
        assert!(
            ["#sales", "sales", "CALLS", "C012345678é", "U0123456789"].into_iter().all(|name| !is_channel_id(name))
        );
    }
}
