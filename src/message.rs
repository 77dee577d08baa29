//! What the renderer makes and a channel sends: the message in the form of its channel.

use bytes::Bytes;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Language of the built-in templates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Locale {
    /// Turkish.
    #[default]
    Tr,
    /// English.
    En,
}

impl Locale {
    /// Every language that the built-in templates speak.
    pub const ALL: [Self; 2] = [Self::Tr, Self::En];

    /// The name in the configuration and of the templates' folder.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tr => "tr",
            Self::En => "en",
        }
    }
}

/// The types of channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChannelType {
    /// A mail by SMTP.
    Email,
    /// A Slack message.
    Slack,
    /// A signed HTTP request.
    Webhook,
}

impl ChannelType {
    /// Every type; tests loop over it so that none can opt out.
    pub const ALL: [Self; 3] = [Self::Email, Self::Slack, Self::Webhook];

    /// The name in the configuration and of the templates' folder.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Slack => "slack",
            Self::Webhook => "webhook",
        }
    }
}

/// A rendered message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// For channels of type `email`.
    Email(Mail),
    /// For channels of type `slack`.
    Slack(SlackMessage),
    /// For channels of type `webhook`: the body.
    Webhook(WebhookMessage),
}

/// A webhook's body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookMessage {
    /// What is sent.
    pub body: Bytes,
    /// The names of people in it, which a receiver that finds fault with it may echo.
    pub names: Vec<String>,
}

impl From<Bytes> for WebhookMessage {
    fn from(body: Bytes) -> Self {
        Self { body, names: Vec::new() }
    }
}

/// A Slack message: Block Kit and `text`, as JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlackMessage {
    /// What is posted.
    pub post: Bytes,
    /// What the earlier message of the same matter becomes, where it can be changed: only with a bot token.
    pub update: Option<Bytes>,
    /// What is posted into the thread of that one instead of `post`, which says more and stands alone.
    pub reply: Option<Bytes>,
}

impl From<Bytes> for SlackMessage {
    fn from(post: Bytes) -> Self {
        Self { post, update: None, reply: None }
    }
}

/// A mail without its addresses, which the channel adds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// One line.
    pub subject: String,
    /// `text/plain`, reads well alone.
    pub text: String,
    /// `text/html`.
    pub html: String,
    /// Mails with the same key are one conversation: `References` to an id made of it.
    pub thread: String,
    /// What comes with it.
    pub attachment: Option<Box<Attachment>>,
}

/// A file that a mail brings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// Name of the file, without folders.
    pub name: String,
    /// Its media type: `audio/wav`.
    pub content_type: String,
    /// What is in it.
    pub bytes: Bytes,
    /// The mail without it, for a server to which it is too big.
    pub instead: Mail,
}
