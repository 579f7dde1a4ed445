//! One connection to the test server: opens it over the WAN device, sends the request, validates the answer.

use super::plan::{End, Plan, Trouble};
use crate::sense::http::{HEAD_MOST, Response, Url, parse_response_head};
use crate::sense::wan::{CONNECT_LIMIT, connect_tcp};
use linekeeper_contract::vocabulary::SpeedFailure;
use rustix::net::sockopt;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// How long a server may take to answer a request.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

/// The smallest allowed object, bytes: with a smaller one, the connection would mostly wait for requests.
pub(super) const OBJECT_LEAST: u64 = 1_000_000;

/// A connection, plain or TLS.
pub(super) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    pub(super) async fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Stream::Plain(tcp) => tcp.write_all(bytes).await,
            Stream::Tls(tls) => {
                tls.write_all(bytes).await?;
                tls.flush().await
            }
        }
    }

    pub(super) async fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(tcp) => tcp.read(room).await,
            Stream::Tls(tls) => tls.read(room).await,
        }
    }
}

/// Marks the connection as closed when dropped.
pub(super) struct Registered {
    plan: Arc<Plan>,
    place: usize,
}

impl Drop for Registered {
    fn drop(&mut self) {
        if let Some(end) = self.plan.books().ends.get_mut(self.place) {
            end.open = false;
        }
    }
}

/// The TLS configuration: trusts only `ca` if it is given, else the system's authorities.
pub(super) fn trust(ca: Option<&Path>) -> Result<Arc<ClientConfig>, Trouble> {
    let local = |why: String| Trouble::new(SpeedFailure::Local, why);
    let file = match ca {
        Some(file) => file,
        None => crate::trust::ca_file().ok_or_else(|| {
            local("no certificates of authorities are installed (ca-bundle, ca-certificates): install them, or measure by http".into())
        })?,
    };
    let unreadable = |e: rustls::pki_types::pem::Error| {
        local(format!("certificates of authorities in {}: {e}", file.display()))
    };
    let mut roots = RootCertStore::empty();
    let certificates: Vec<_> = CertificateDer::pem_file_iter(file)
        .map_err(unreadable)?
        .collect::<Result<_, _>>()
        .map_err(unreadable)?;
    if roots.add_parsable_certificates(certificates).0 == 0 {
        return Err(local(format!("{} holds no certificate of an authority", file.display())));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| local(format!("TLS cannot be set up: {e}")))?;
    Ok(Arc::new(config.with_root_certificates(roots).with_no_client_auth()))
}

/// Opens a connection and enters it in the books.
pub(super) async fn open(plan: &Arc<Plan>) -> Result<(Stream, Registered), Trouble> {
    let url = &plan.url;
    let tcp = connect_tcp(plan.address, &plan.device).await.map_err(|e| {
        let doing = format!("connecting over {} ({}) to", plan.device, plan.address.ip());
        match e.raw_os_error() {
            Some(libc::EPERM | libc::EACCES | libc::ENODEV) => {
                Trouble::new(SpeedFailure::Local, format!("{doing} {url}: {e}"))
            }
            _ => Trouble::unreachable(&doing, url, e),
        }
    })?;
    let ends = tcp.local_addr().and_then(|local| Ok((local, tcp.peer_addr()?)));
    let (local, remote) = ends.map_err(|e| Trouble::unreachable("connecting to", url, e))?;
    // Data that waits in our buffer at the end of the test must not be sent afterwards.
    let _ = sockopt::set_socket_linger(&tcp, Some(Duration::ZERO));
    let place = {
        let mut books = plan.books();
        books.ends.push(End { local, remote, open: true });
        books.ends.len() - 1
    };
    let registered = Registered { plan: plan.clone(), place };
    let Some(config) = &plan.tls else { return Ok((Stream::Plain(tcp), registered)) };
    let name = ServerName::try_from(url.host.clone()).map_err(|e| {
        Trouble::new(
            SpeedFailure::ServerCertificate,
            format!("{}: no certificate can carry it: {e}", url.host),
        )
    })?;
    match timeout(CONNECT_LIMIT, TlsConnector::from(config.clone()).connect(name, tcp)).await {
        Ok(Ok(tls)) => Ok((Stream::Tls(Box::new(tls)), registered)),
        Ok(Err(e)) => Err(match e.get_ref().and_then(|e| e.downcast_ref::<rustls::Error>()) {
            Some(rustls::Error::InvalidCertificate(why)) => Trouble::new(
                SpeedFailure::ServerCertificate,
                format!("the certificate of {url} is not to be trusted: {why}; is this gateway's clock set?"),
            ),
            _ => Trouble::unreachable("TLS handshake with", url, e),
        }),
        Err(_) => Err(Trouble::unreachable("TLS handshake with", url, "no answer within 4 s")),
    }
}

/// The meaning of the first answer.
pub(super) enum First {
    /// It is a speed server.
    Good,
    Redirect(String),
}

/// Reads the head of an answer into `room`, followed by the part of the body that arrived with it.
pub(super) async fn answer(stream: &mut Stream, url: &Url, room: &mut Vec<u8>) -> Result<Response, Trouble> {
    room.clear();
    let reading = async {
        let mut part = [0; 2048];
        loop {
            match parse_response_head(room) {
                Err(why) => return Err(Trouble::new(SpeedFailure::ServerAnswer, format!("{url}: {why}"))),
                // An interim response such as 100 Continue is followed by another head.
                Ok(Some(head)) if head.status < 200 => {
                    room.drain(..head.length_bytes);
                    continue;
                }
                Ok(Some(head)) => return Ok(head),
                Ok(None) => {}
            }
            debug_assert!(room.len() <= HEAD_MOST);
            match stream.read(&mut part).await {
                Ok(0) => {
                    return Err(Trouble::unreachable(
                        "asking",
                        url,
                        "it closed the connection without an answer",
                    ));
                }
                Ok(n) => room.extend_from_slice(&part[..n]),
                Err(e) => return Err(Trouble::unreachable("asking", url, e)),
            }
        }
    };
    match timeout(ANSWER_LIMIT, reading).await {
        Ok(read) => read,
        Err(_) => Err(Trouble::unreachable("asking", url, "no answer within 5 s")),
    }
}

/// Validates an answer of a speed server.
pub(super) fn fit(url: &Url, head: &Response) -> Result<First, Trouble> {
    let wrong = |why: String| Trouble::new(SpeedFailure::ServerAnswer, format!("{url} {why}"));
    match (head.status, &head.location) {
        (301 | 302 | 303 | 307 | 308, Some(to)) => return Ok(First::Redirect(to.clone())),
        (429 | 503, _) => {
            let words = format!("{url} is busy ({})", head.status);
            return Err(Trouble {
                retry_after: head.retry_after,
                ..Trouble::new(SpeedFailure::ServerBusy, words)
            });
        }
        (200..=299, _) => {}
        (other, _) => return Err(wrong(format!("answers with {other}; is there a speed server?"))),
    }
    if matches!(head.content_type.as_str(), "text/html" | "application/xhtml+xml") {
        return Err(wrong("answers with a page: is there a portal in between, or another web site?".into()));
    }
    Ok(First::Good)
}

/// Validates the answer to a download.
pub(super) fn fit_download(url: &Url, head: &Response) -> Result<First, Trouble> {
    let first = fit(url, head)?;
    match (&first, head.status, head.length) {
        (First::Good, 200, None) => Ok(first),
        (First::Good, 200, Some(length)) if length >= OBJECT_LEAST => Ok(first),
        (First::Good, 200, Some(length)) => Err(Trouble::new(
            SpeedFailure::ServerAnswer,
            format!("{url} has {length} bytes, a speed server's has {OBJECT_LEAST} at least"),
        )),
        (First::Good, other, _) => Err(Trouble::new(
            SpeedFailure::ServerAnswer,
            format!("{url} answers a request for all with {other}"),
        )),
        (First::Redirect(_), ..) => Ok(first),
    }
}

/// Sends one request to find out whether and where there is a speed server. `download` and `upload` connect again.
pub(super) async fn knock(plan: &Arc<Plan>, upload: bool) -> Result<First, Trouble> {
    let (mut stream, _registered) = open(plan).await?;
    let url = &plan.url;
    let mut ask = async |request: String| {
        stream.write_all(request.as_bytes()).await.map_err(|e| Trouble::unreachable("asking", url, e))?;
        answer(&mut stream, url, &mut Vec::new()).await
    };
    if upload {
        return fit(url, &ask(url.post(0)).await?);
    }
    match ask(url.head_request()).await? {
        // The server does not support HEAD: the part of the body that arrives until we close is wasted.
        head if matches!(head.status, 405 | 501) => fit_download(url, &ask(url.get()).await?),
        head => fit_download(url, &head),
    }
}
