//! ringback
fn main() {}
