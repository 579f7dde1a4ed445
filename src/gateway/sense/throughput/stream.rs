//! One connection to the test server: opened over the WAN device, asked, and then kept full or emptied.

use super::head::{HEAD_MOST, Response, Url, response};
use crate::clock;
use linekeeper_contract::units::Span;
use linekeeper_contract::vocabulary::SpeedFailure;
use rustix::fs::{MemfdFlags, memfd_create, sendfile};
use rustix::net::{RecvFlags, recv, sockopt};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::io::{self, ErrorKind, Write as _};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, Interest};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// How long a server may take to accept a connection, and again for TLS: a lost SYN is sent again after 1 s and 3 s.
const CONNECT_LIMIT: Duration = Duration::from_secs(4);

/// How long it may take to answer a request.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

/// An object must have at least this, bytes: below, the connection would wait for requests more than it carries.
const OBJECT_LEAST: u64 = 1_000_000;

/// How much is discarded or sent in one call, bytes. Its pages are never touched where the kernel discards.
const CHUNK: usize = 1024 * 1024;

/// What is uploaded, bytes; sent over and over. Random, so that nothing on the way can press it.
const BODY: usize = 1024 * 1024;

/// After so much without a pause, others get their turn, bytes.
const TURN: usize = 4 * CHUNK;

/// What arrived is fetched by the clock and not when it comes: waking for each packet is what costs a processor most once
/// nothing is copied (unshaped, more than half of all). So long at least; at 1 Gbit/s 500 kB arrive meanwhile, over eight
/// connections 62 kB each: less than the receive buffer that Linux begins with.
const GATHER_LEAST: Duration = Duration::from_millis(4);

/// So long at most: a slow line's packets are few, and two samples have five of these between them.
const GATHER_MOST: Duration = Duration::from_millis(20);

/// Fetched more often when one connection gave more than this in one go, bytes: half of what the window of a fresh
/// connection holds. More seldom below a quarter of it.
const GATHERED: usize = 32 * 1024;

/// From here on there is no pause at all, bytes: the line is faster than any gateway's.
const GATHER_BELOW: usize = 4 * 1024 * 1024;

/// How long an upload waits for its budget to be looked at again.
const BUDGET_WAIT: Duration = Duration::from_millis(50);

/// Why there are no figures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trouble {
    pub reason: SpeedFailure,
    pub detail: String,
    pub retry_after: Option<Span>,
}

impl Trouble {
    pub(super) fn new(reason: SpeedFailure, detail: impl Into<String>) -> Trouble {
        Trouble { reason, detail: detail.into(), retry_after: None }
    }

    fn unreachable(doing: &str, to: &Url, why: impl std::fmt::Display) -> Trouble {
        Trouble::new(SpeedFailure::ServerUnreachable, format!("{doing} {to}: {why}"))
    }
}

/// What all connections of a test share.
#[derive(Debug)]
pub(super) struct Plan {
    /// The object.
    pub url: Url,
    /// Where its server is.
    pub address: SocketAddr,
    /// The WAN device.
    pub device: String,
    /// Present for https.
    pub tls: Option<Arc<ClientConfig>>,
    /// What an upload sends, and where it can be sent from without a copy.
    pub body: Body,
    /// The length that an upload announces.
    pub announced: u64,
    pub books: Mutex<Books>,
}

/// What was read and written, and by whom.
#[derive(Debug, Default)]
pub(super) struct Books {
    /// Payload read, or taken by our end's socket.
    pub payload: u64,
    /// It may not exceed this.
    pub payload_most: u64,
    /// All connections that ever were.
    pub ends: Vec<End>,
}

/// Both ends of a connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct End {
    pub local: SocketAddr,
    pub remote: SocketAddr,
    pub open: bool,
}

impl Plan {
    pub(super) fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How much more may pass, at most a chunk; books it as passed when `done` is told.
    fn room(&self) -> usize {
        let books = self.books();
        usize::try_from(books.payload_most.saturating_sub(books.payload)).unwrap_or(usize::MAX).min(CHUNK)
    }

    fn passed(&self, n: usize) {
        self.books().payload += n as u64;
    }
}

/// What is uploaded.
#[derive(Debug)]
pub(super) struct Body {
    bytes: Vec<u8>,
    /// The same in the page cache.
    file: Option<OwnedFd>,
}

impl Body {
    /// None, for a download.
    pub(super) fn none() -> Body {
        Body { bytes: Vec::new(), file: None }
    }

    /// A megabyte of noise; without a copy of it where the kernel has memory files.
    pub(super) fn noise(plain: bool) -> Body {
        let mut bytes = vec![0; BODY];
        fastrand::fill(&mut bytes);
        let file = memfd_create("linekeeper-upload", MemfdFlags::CLOEXEC).map_err(io::Error::from).and_then(
            |file| {
                let mut file = std::fs::File::from(file);
                file.write_all(&bytes)?;
                Ok(OwnedFd::from(file))
            },
        );
        match file {
            // TLS has to read it anyway.
            Ok(file) if plain => Body { bytes: Vec::new(), file: Some(file) },
            _ => Body { bytes, file: None },
        }
    }
}

/// A connection, plain or not.
pub(super) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    async fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Stream::Plain(tcp) => tcp.write_all(bytes).await,
            Stream::Tls(tls) => {
                tls.write_all(bytes).await?;
                tls.flush().await
            }
        }
    }

    async fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(tcp) => tcp.read(room).await,
            Stream::Tls(tls) => tls.read(room).await,
        }
    }
}

/// Marks the connection as gone when the work on it ends, however it ends.
struct Registered {
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

/// A TCP connection over the WAN device.
pub(in crate::sense) async fn connect_tcp(address: SocketAddr, device: &str) -> io::Result<TcpStream> {
    let socket = if address.is_ipv6() { TcpSocket::new_v6() } else { TcpSocket::new_v4() }?;
    socket.bind_device(Some(device.as_bytes()))?;
    match timeout(CONNECT_LIMIT, socket.connect(address)).await {
        Ok(stream) => stream,
        Err(_) => Err(io::Error::new(ErrorKind::TimedOut, "no answer within 4 s")),
    }
}

/// Trust for https: `ca` alone if it is given, else the system's authorities.
pub(super) fn trust(ca: Option<&Path>) -> Result<Arc<ClientConfig>, Trouble> {
    let local = |why: String| Trouble::new(SpeedFailure::Local, why);
    let file = match ca {
        Some(file) => file,
        None => crate::trust::authorities().ok_or_else(|| {
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

/// Opens one.
async fn open(plan: &Arc<Plan>) -> Result<(Stream, Registered), Trouble> {
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
    // What waits in our buffer when the test is over is not to go out after it.
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

/// What the first answer says.
pub(super) enum First {
    /// Go on there.
    Good,
    Redirect(String),
}

/// Reads the head of an answer; what came with it of the body stays behind it in `room`.
async fn answer(stream: &mut Stream, url: &Url, room: &mut Vec<u8>) -> Result<Response, Trouble> {
    room.clear();
    let reading = async {
        let mut part = [0; 2048];
        loop {
            match response(room) {
                Err(why) => return Err(Trouble::new(SpeedFailure::ServerAnswer, format!("{url}: {why}"))),
                // 100 Continue and its like announce another head.
                Ok(Some(head)) if head.status < 200 => {
                    room.drain(..head.head);
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

/// Whether an answer is one of a speed server.
fn fit(url: &Url, head: &Response) -> Result<First, Trouble> {
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

/// Whether an answer is one to a download.
fn fit_download(url: &Url, head: &Response) -> Result<First, Trouble> {
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

/// Asks once, to see whether and where there is a speed server. A download goes on with `download`, which asks anew.
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
    match ask(url.head()).await? {
        // Does not know HEAD: what comes of the body until we close is lost.
        head if matches!(head.status, 405 | 501) => fit_download(url, &ask(url.get()).await?),
        head => fit_download(url, &head),
    }
}

/// Downloads until told to stop (it is dropped) or the bytes are used up. Returns only for a reason.
pub(super) async fn download(plan: Arc<Plan>) -> Result<(), Trouble> {
    let url = &plan.url;
    let request = url.get();
    let mut room = Vec::new();
    let mut sink = vec![0; CHUNK];
    let mut gather = Gather(GATHER_LEAST);
    loop {
        let (mut stream, _registered) = open(&plan).await?;
        loop {
            stream.write_all(request.as_bytes()).await.map_err(|e| Trouble::unreachable("asking", url, e))?;
            let head = answer(&mut stream, url, &mut room).await?;
            if let First::Redirect(to) = fit_download(url, &head)? {
                return Err(Trouble::new(SpeedFailure::ServerAnswer, format!("{url} now leads to {to:?}")));
            }
            let early = room.len().saturating_sub(head.head);
            plan.passed(early);
            let mut left = head.length.map(|l| l.saturating_sub(early as u64));
            let mut came = early as u64;
            // Out of the runtime's sight while the body comes: it would be woken for each packet.
            let mut source = Source::of(stream).map_err(|e| Trouble::unreachable("downloading", url, e))?;
            while left != Some(0) {
                let most = plan.room().min(usize::try_from(left.unwrap_or(u64::MAX)).unwrap_or(usize::MAX));
                if most == 0 {
                    return Ok(());
                }
                let n = match &mut source {
                    Source::Plain(tcp) => discard(&plan, tcp, &mut sink, left, &mut gather).await,
                    Source::Tls(tls) => {
                        let n = tls.read(&mut sink[..most]).await;
                        n.inspect(|n| plan.passed(*n))
                    }
                };
                match n {
                    Ok(0) if plan.room() == 0 => return Ok(()),
                    Ok(0) if left.is_none() && came >= OBJECT_LEAST => break,
                    Ok(0) => {
                        let all = head.length.map_or_else(|| OBJECT_LEAST.to_string(), |l| l.to_string());
                        return Err(Trouble::unreachable(
                            "downloading",
                            url,
                            format!("it broke off after {came} of {all} bytes"),
                        ));
                    }
                    Ok(n) => {
                        came += n as u64;
                        left = left.map(|l| l.saturating_sub(n as u64));
                    }
                    Err(e) => {
                        return Err(Trouble::unreachable(
                            "downloading",
                            url,
                            format!("{e} after {came} bytes"),
                        ));
                    }
                }
            }
            if head.close || head.length.is_none() {
                break;
            }
            stream = source.stream().map_err(|e| Trouble::unreachable("downloading", url, e))?;
        }
    }
}

/// Where the bytes of a body come from.
enum Source {
    Plain(std::net::TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Source {
    fn of(stream: Stream) -> io::Result<Source> {
        match stream {
            Stream::Plain(tcp) => tcp.into_std().map(Source::Plain),
            Stream::Tls(tls) => Ok(Source::Tls(tls)),
        }
    }

    fn stream(self) -> io::Result<Stream> {
        match self {
            Source::Plain(tcp) => TcpStream::from_std(tcp).map(Stream::Plain),
            Source::Tls(tls) => Ok(Stream::Tls(tls)),
        }
    }
}

/// When a connection is looked at again.
struct Gather(Duration);

impl Gather {
    /// Lets bytes gather, the last time `gone` were there. All connections are looked at in the same moments.
    async fn pause(&mut self, gone: usize) {
        match gone {
            GATHER_BELOW.. => return tokio::task::yield_now().await,
            n if n > GATHERED => self.0 = (self.0 / 2).max(GATHER_LEAST),
            n if n < GATHERED / 4 => self.0 = (self.0 * 2).min(GATHER_MOST),
            _ => {}
        }
        let every = self.0.as_micros().max(1);
        let over = clock::since_boot().as_micros() % every;
        tokio::time::sleep(Duration::from_micros(u64::try_from(every - over).unwrap_or(0))).await;
    }
}

/// Waits for bytes and discards what there is, in the kernel if it can. 0 at the end of the stream or of the budget.
async fn discard(
    plan: &Plan,
    tcp: &std::net::TcpStream,
    sink: &mut [u8],
    left: Option<u64>,
    gather: &mut Gather,
) -> io::Result<usize> {
    let mut gone = 0;
    loop {
        let room = plan
            .room()
            .min(usize::try_from(left.unwrap_or(u64::MAX)).unwrap_or(usize::MAX).saturating_sub(gone));
        if room == 0 {
            return Ok(gone);
        }
        // MSG_TRUNC on TCP: taken out of the queue, copied nowhere.
        let drained = match recv(tcp, &mut sink[..room], RecvFlags::TRUNC) {
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::OPNOTSUPP) => {
                recv(tcp, &mut sink[..room], RecvFlags::empty())
            }
            other => other,
        };
        match drained {
            Ok((_, 0)) => return Ok(gone),
            Ok((_, n)) => {
                plan.passed(n);
                gone += n;
                // Less than there was room for: that was all.
                if n < room {
                    gather.pause(gone).await;
                    return Ok(gone);
                }
                if gone >= TURN {
                    tokio::task::yield_now().await;
                    return Ok(gone);
                }
            }
            Err(rustix::io::Errno::AGAIN) => {
                gather.pause(gone).await;
                if gone > 0 {
                    return Ok(gone);
                }
            }
            Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
}

/// Uploads until told to stop (it is dropped); with the bytes used up, it waits for that. Returns only for a reason.
pub(super) async fn upload(plan: Arc<Plan>) -> Result<(), Trouble> {
    let url = &plan.url;
    let request = url.post(plan.announced);
    loop {
        let (mut stream, _registered) = open(&plan).await?;
        loop {
            stream.write_all(request.as_bytes()).await.map_err(|e| Trouble::unreachable("asking", url, e))?;
            let mut sent = 0;
            let head = match send(&plan, &mut stream, &mut sent).await {
                Ok(Some(head)) => head,
                Ok(None) => answer(&mut stream, url, &mut Vec::new()).await?,
                Err(trouble) => return Err(trouble),
            };
            fit(url, &head)?;
            // A server that answered and then hung up has had enough of this connection: another one, if it took much.
            if sent < plan.announced {
                if sent < OBJECT_LEAST {
                    return Err(Trouble::unreachable(
                        "uploading to",
                        url,
                        format!("it hung up after {sent} bytes"),
                    ));
                }
                break;
            }
            if head.close {
                break;
            }
        }
    }
}

/// Sends one announced body. A server may answer before it has all (nginx does): if that is no refusal, it is kept for the
/// end. `Some` at the end of a connection that had answered.
async fn send(plan: &Plan, stream: &mut Stream, sent: &mut u64) -> Result<Option<Response>, Trouble> {
    let url = &plan.url;
    let mut early: Vec<u8> = Vec::new();
    let mut answered: Option<Response> = None;
    let mut offset = 0u64;
    let mut part = [0; 2048];
    let broke = |e: io::Error, sent: u64| {
        Trouble::unreachable("uploading to", url, format!("{e} after {sent} bytes"))
    };
    while *sent < plan.announced {
        let room = plan.room().min(usize::try_from(plan.announced - *sent).unwrap_or(usize::MAX));
        if room == 0 {
            // What the socket has is still to arrive: whoever counts it ends this. There may be a little more room then.
            tokio::time::sleep(BUDGET_WAIT).await;
            continue;
        }
        let at = offset as usize % BODY;
        let room = room.min(BODY - at);
        // What comes back, if something does; what could be sent, if something could.
        let (mut came, mut went) = (None, 0);
        match stream {
            Stream::Plain(tcp) => {
                let ready =
                    tcp.ready(Interest::READABLE | Interest::WRITABLE).await.map_err(|e| broke(e, *sent))?;
                if ready.is_readable() {
                    match tcp.try_read(&mut part) {
                        Ok(n) => came = Some(Ok(n)),
                        Err(e) if e.kind() == ErrorKind::WouldBlock => {}
                        Err(e) => came = Some(Err(e)),
                    }
                }
                if came.is_none() {
                    match tcp.try_io(Interest::WRITABLE, || put(plan, tcp, at, room)) {
                        Ok(n) => went = n,
                        Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
                        Err(e) => came = Some(Err(e)),
                    }
                }
            }
            Stream::Tls(tls) => {
                let (mut read, mut write) = tokio::io::split(&mut **tls);
                tokio::select! {
                    n = read.read(&mut part) => came = Some(n),
                    n = write.write(&plan.body.bytes[at..at + room]) => match n {
                        Ok(n) => went = n,
                        Err(e) => came = Some(Err(e)),
                    },
                }
            }
        }
        match came {
            None => {}
            // The end of the connection, or its break: fair, if it was answered before.
            Some(Ok(0) | Err(_)) if answered.is_some() => return Ok(answered),
            Some(Ok(0)) => {
                return Err(Trouble::unreachable(
                    "uploading to",
                    url,
                    format!("it hung up after {sent} bytes"),
                ));
            }
            Some(Err(e)) => return Err(broke(e, *sent)),
            Some(Ok(n)) if answered.is_none() => {
                early.extend_from_slice(&part[..n]);
                match response(&early) {
                    Ok(Some(head)) if head.status < 200 => drop(early.drain(..head.head)),
                    Ok(Some(head)) => {
                        if let First::Redirect(to) = fit(url, &head)? {
                            return Err(Trouble::new(
                                SpeedFailure::ServerAnswer,
                                format!("{url} now leads to {to:?}"),
                            ));
                        }
                        answered = Some(head);
                    }
                    Ok(None) => {}
                    Err(why) => {
                        return Err(Trouble::new(SpeedFailure::ServerAnswer, format!("{url}: {why}")));
                    }
                }
            }
            Some(Ok(_)) => {}
        }
        if went > 0 {
            plan.passed(went);
            *sent += went as u64;
            offset += went as u64;
            if offset as usize % TURN < went {
                tokio::task::yield_now().await;
            }
        }
    }
    Ok(answered)
}

/// Gives the socket up to `room` bytes of the body from `at`: out of the page cache if it can.
fn put(plan: &Plan, tcp: &TcpStream, at: usize, room: usize) -> io::Result<usize> {
    match &plan.body.file {
        Some(file) => {
            let mut from = at as u64;
            Ok(sendfile(tcp, file, Some(&mut from), room)?)
        }
        None => tcp.try_write(&plan.body.bytes[at..at + room]),
    }
}
