//! Servers that speak TLS, with certificates of every kind, on loopback.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;

/// What is wrong with a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Certificate {
    /// Nothing: it is for 127.0.0.1, and of the authority.
    Good,
    /// As good, but of the past.
    Expired,
    /// As good, but for pbx.example.com.
    OtherName,
    /// Signed by itself, as `openssl req -x509` does.
    SelfSigned,
    /// Of another authority.
    Stranger,
}

/// Somebody who issues certificates.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(crate) fn new() -> Self {
        Self::named("The authority of the office")
    }

    fn named(name: &str) -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// A file for `SSL_CERT_FILE`, by which a process trusts this authority and no other.
    pub(crate) fn trusted(&self, folder: &Path) -> PathBuf {
        let path = folder.join("authority.pem");
        fs::write(&path, self.0.pem()).unwrap();
        path
    }

    /// A certificate and its key, for a server that reads files.
    pub(crate) fn pem(&self, kind: Certificate) -> (String, String) {
        let (certificate, key) = self.issue(kind);
        (certificate.pem(), key.serialize_pem())
    }

    fn issue(&self, kind: Certificate) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let name = if kind == Certificate::OtherName { "pbx.example.com" } else { "127.0.0.1" };
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        let certificate = match kind {
            Certificate::SelfSigned => {
                params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
                params.self_signed(&key).unwrap()
            }
            Certificate::Stranger => params.signed_by(&key, &*Self::named("Somebody").0).unwrap(),
            Certificate::Expired => {
                params.not_before = date_time_ymd(2020, 1, 1);
                params.not_after = date_time_ymd(2021, 1, 1);
                params.signed_by(&key, &*self.0).unwrap()
            }
            Certificate::Good | Certificate::OtherName => params.signed_by(&key, &*self.0).unwrap(),
        };
        (certificate, key)
    }

    fn acceptor(&self, kind: Certificate) -> TlsAcceptor {
        let (certificate, key) = self.issue(kind);
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        let config = ServerConfig::builder().with_no_client_auth();
        let config = config.with_single_cert(vec![certificate.der().clone()], key.into()).unwrap();
        TlsAcceptor::from(Arc::new(config))
    }
}

/// A port that speaks TLS before a server that does not. Dropping it closes the port.
pub(crate) struct Front {
    task: JoinHandle<()>,
    pub(crate) address: SocketAddr,
}

impl Drop for Front {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Front {
    /// TLS from the first byte.
    pub(crate) async fn start(authority: &Authority, kind: Certificate, behind: SocketAddr) -> Self {
        let acceptor = authority.acceptor(kind);
        Self::serve(move |stream| {
            let acceptor = acceptor.clone();
            async move { pass_on(acceptor, stream, behind).await }
        })
        .await
    }

    /// A mail server that goes over to TLS on STARTTLS, or answers it with a refusal; what follows, another one takes.
    pub(crate) async fn starttls(
        authority: &Authority,
        kind: Certificate,
        reply: &'static str,
        behind: SocketAddr,
    ) -> Self {
        let acceptor = authority.acceptor(kind);
        Self::serve(move |stream| {
            let acceptor = acceptor.clone();
            async move {
                let mut stream = BufReader::new(stream);
                stream.write_all(b"220 front ESMTP\r\n").await.ok()?;
                let mut line = String::new();
                while stream.read_line(&mut line).await.ok()? > 0 {
                    let command = std::mem::take(&mut line);
                    let answer = if command.starts_with("EHLO") { "250-front\r\n250 STARTTLS" } else { reply };
                    stream.write_all(format!("{answer}\r\n").as_bytes()).await.ok()?;
                    if command.starts_with("STARTTLS") && reply.starts_with("220") {
                        // The client has had its greeting.
                        let mut server = BufReader::new(TcpStream::connect(behind).await.ok()?);
                        server.read_line(&mut line).await.ok()?;
                        let mut client = acceptor.accept(stream.into_inner()).await.ok()?;
                        tokio::io::copy_bidirectional(&mut client, &mut server).await.ok()?;
                        return None;
                    }
                }
                None
            }
        })
        .await
    }

    async fn serve<C>(serve: impl Fn(TcpStream) -> C + Send + 'static) -> Self
    where
        C: Future<Output = Option<()>> + Send + 'static,
    {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                // Ends when the program that the test started leaves.
                tokio::spawn(serve(stream));
            }
        });
        Self { task, address }
    }
}

async fn pass_on(acceptor: TlsAcceptor, stream: TcpStream, behind: SocketAddr) -> Option<()> {
    let mut client = acceptor.accept(stream).await.ok()?;
    let mut server = TcpStream::connect(behind).await.ok()?;
    tokio::io::copy_bidirectional(&mut client, &mut server).await.ok()?;
    Some(())
}
