//! The configuration: what the file holds, how it is read, and what can be wrong with it.

mod shape;

pub use shape::*;
