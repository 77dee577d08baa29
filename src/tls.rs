//! Why a TLS connection did not come about, in words for whoever has to mend it. Pure.

use std::error::Error;
use std::io;

use rustls::CertificateError;

/// What is wrong, and what to do, when TLS is what went wrong anywhere in the chain of `error`.
pub fn explain(error: &(dyn Error + 'static)) -> Option<String> {
    find(error).map(in_words)
}

fn find<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e rustls::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<rustls::Error>() {
            return Some(found);
        }
        // An io::Error shows the error within it through get_ref only.
        if let Some(inner) = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref)
            && let Some(found) = find(inner)
        {
            return Some(found);
        }
        next = error.source();
    }
    None
}

fn in_words(error: &rustls::Error) -> String {
    match error {
        rustls::Error::InvalidCertificate(fault) => certificate(fault),
        rustls::Error::NoCertificatesPresented => "the server shows no TLS certificate".to_owned(),
        rustls::Error::InvalidMessage(_) => "the server answers with something that is not TLS".to_owned(),
        rustls::Error::AlertReceived(alert) => format!("the server refuses TLS with us ({alert:?})"),
        rustls::Error::PeerIncompatible(why) => format!("the server speaks no TLS that is safe ({why:?})"),
        other => format!("TLS: {other}"),
    }
}

fn certificate(fault: &CertificateError) -> String {
    match fault {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "the server's TLS certificate has expired; hint: whoever runs the server must renew it; \
             if it is new, look at this machine's clock"
                .to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "the server's TLS certificate is not valid yet; hint: look at this machine's clock".to_owned()
        }
        CertificateError::NotValidForName => {
            "the server's TLS certificate is for another name; hint: configure the name that it is for".to_owned()
        }
        CertificateError::NotValidForNameContext { expected, presented } => format!(
            "the server's TLS certificate is not for `{}` but for {}; hint: configure the name that it is for",
            expected.to_str(),
            presented_names(presented)
        ),
        CertificateError::BadSignature => {
            "the server's TLS certificate was not signed by the authority that it names".to_owned()
        }
        CertificateError::Revoked => "the server's TLS certificate was revoked".to_owned(),
        CertificateError::UnknownIssuer => unknown_issuer(),
        // What `openssl req -x509` makes: an authority that serves as its own server.
        CertificateError::Other(other) if format!("{other:?}").contains("CaUsedAsEndEntity") => unknown_issuer(),
        other => format!("the server's TLS certificate cannot be accepted: {other}"),
    }
}

fn unknown_issuer() -> String {
    "the server's TLS certificate was issued by nobody whom this machine trusts; hint: for an authority of your own, \
     add it to the system's certificates, or name its file in SSL_CERT_FILE"
        .to_owned()
}

/// At most three: a certificate may hold hundreds.
fn presented_names(names: &[String]) -> String {
    // As rustls writes them: `DnsName("a.example.com")`.
    let plain = |name: &String| name.split('"').nth(1).unwrap_or(name).to_owned();
    match names {
        [] => "no name at all".to_owned(),
        [first @ .., _] if first.len() > 2 => {
            names[..3].iter().map(plain).collect::<Vec<_>>().join(", ") + " and others"
        }
        _ => names.iter().map(plain).collect::<Vec<_>>().join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(fault: CertificateError) -> String {
        explain(&rustls::Error::InvalidCertificate(fault)).unwrap()
    }

    #[test]
    fn each_fault_of_a_certificate_has_words_of_its_own() {
        let faults = [
            CertificateError::Expired,
            CertificateError::NotValidYet,
            CertificateError::NotValidForName,
            CertificateError::Revoked,
            CertificateError::UnknownIssuer,
            CertificateError::BadSignature,
            CertificateError::BadEncoding,
        ];
        let words: std::collections::BTreeSet<String> = faults.iter().cloned().map(told).collect();
        assert_eq!(words.len(), faults.len());
    }

    #[test]
    fn the_names_of_a_certificate_are_told_but_not_hundreds_of_them() {
        let name = |presented: &[&str]| {
            let presented = presented.iter().map(|name| format!("DnsName(\"{name}\")")).collect();
            told(CertificateError::NotValidForNameContext { expected: "a.example".try_into().unwrap(), presented })
        };
        assert!(name(&[]).contains("for no name at all;"));
        assert!(name(&["b.example"]).contains("not for `a.example` but for b.example;"));
        assert!(name(&["b", "c", "d"]).contains("for b, c, d;"));
        assert!(name(&["b", "c", "d", "e"]).contains("for b, c, d and others;"));
    }

    #[test]
    fn tls_is_found_however_deep_it_lies() {
        let inner =
            io::Error::new(io::ErrorKind::InvalidData, rustls::Error::InvalidCertificate(CertificateError::Expired));
        assert!(explain(&io::Error::other(inner)).unwrap().contains("has expired"));
        assert_eq!(explain(&io::Error::other("connection reset")), None);
    }
}
