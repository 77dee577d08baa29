//! The vendor's HTTP API: what may be asked, how often, and what its answers mean.

pub mod audio;
pub mod budget;
pub mod client;
pub mod crm;
pub mod error;
mod json;
mod mend;
pub mod names;
pub mod originate;
pub mod probe;
pub mod report;
mod row;
pub mod stamps;
pub mod wire;

pub use audio::{Audio, MOST_AUDIO};
pub use client::{CallQuery, PAGE_ROWS, Pbx, VoicemailQuery};
pub use error::PbxError;
pub use names::{NameList, NamePage};
pub use originate::{Call, destination};
pub use wire::Page;
