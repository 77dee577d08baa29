//! `ringback demo`
use super::Failure;
#[derive(Debug, clap::Args)]
pub(super) struct Options {}
pub(super) async fn demo(_: &Options) -> Result<(), Failure> {
    Ok(())
}
