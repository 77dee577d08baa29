//! How the messages of one channel look: what of its configuration matters here.

use crate::body::Body;
use crate::message::{ChannelType, Locale};

/// How the messages of one channel look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// The form of the message.
    pub channel: ChannelType,
    /// Its language.
    pub locale: Locale,
    /// Whether telephone numbers are starred in all of it.
    pub mask_numbers: bool,
    /// A webhook's body, when it is not the default one. The renderer must know it: [`super::Renderer::with_bodies`].
    pub body: Option<Body>,
}

impl Look {
    /// With everything in clear, and the default body.
    pub fn new(channel: ChannelType, locale: Locale) -> Self {
        Self { channel, locale, mask_numbers: false, body: None }
    }
}
