//! Whether what is to be rung can be.

use super::super::problems::Findings;
use super::super::shape::Config;
use crate::number::is_extension;

pub(super) fn check(config: &Config, findings: &mut Findings<'_>) {
    let own = config.callback.extension.as_deref().map(|extension| ("callback.extension".to_owned(), extension));
    let of_channels = config.channels.iter().enumerate().filter_map(|(index, channel)| {
        let extension = channel.common.callback_extension.as_deref()?;
        Some((format!("channels[{index}].callback_extension"), extension))
    });
    for (path, extension) in own.into_iter().chain(of_channels) {
        if !is_extension(extension) {
            findings.at(&path, "expected an extension of 1 to 10 digits", Some("for example \"1001\"".to_owned()));
        }
    }
    if let Some(number) = &config.callback.caller_id
        && !(number.len() >= 10 && number.len() <= 15 && number.bytes().all(|b| b.is_ascii_digit()))
    {
        let hint = Some("as the PBX has it: \"908505320000\"".to_owned());
        findings.at(
            "callback.caller_id",
            "expected a number of 10 to 15 digits, with the country and without a plus",
            hint,
        );
    }
}
