//! Downloads the test object and discards it, inside the kernel if possible.

use super::connection::{First, OBJECT_LEAST, Stream, answer, fit_download, open};
use super::plan::{CHUNK, Plan, TURN, Trouble};
use crate::clock;
use linekeeper_contract::vocabulary::SpeedFailure;
use rustix::net::{RecvFlags, recv};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

/// The shortest time between two reads of a connection. Reads are timed instead of waiting for readiness: without copying,
/// waking for each packet costs most of the processor time (more than half, unshaped). At 1 Gbit/s 500 kB arrive in 4 ms,
/// 62 kB on each of eight connections: less than Linux's initial receive buffer.
const GATHER_LEAST: Duration = Duration::from_millis(4);

/// The longest time between two reads: on a slow line packets are few. Five of these fit between two samples.
const GATHER_MOST: Duration = Duration::from_millis(20);

/// A connection is read more often if one read yields more than this, bytes: half the window of a new connection. It is
/// read less often below a quarter of this.
const GATHERED: usize = 32 * 1024;

/// From this many bytes per read on, there is no pause at all: the line is faster than any gateway.
const GATHER_BELOW: usize = 4 * 1024 * 1024;

/// Downloads until it is dropped or the byte budget is used up (`Ok`).
///
/// # Errors
/// Why the server cannot be downloaded from any more.
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
            let early = room.len().saturating_sub(head.length_bytes);
            plan.add_payload(early);
            let mut left = head.length.map(|l| l.saturating_sub(early as u64));
            let mut came = early as u64;
            // The socket leaves the runtime during the body, otherwise the runtime would wake for each packet.
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
                        n.inspect(|n| plan.add_payload(*n))
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

/// The source of a body.
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

/// The pace of reading a connection: the present time between two reads.
struct Gather(Duration);

impl Gather {
    /// Waits for more bytes to arrive; the last read yielded `gone` bytes. All connections wake at the same moments.
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

/// Waits for bytes and discards them, inside the kernel if possible. Returns 0 at the end of the stream or the budget.
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
        // MSG_TRUNC on TCP removes bytes from the queue without copying them.
        let drained = match recv(tcp, &mut sink[..room], RecvFlags::TRUNC) {
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::OPNOTSUPP) => {
                recv(tcp, &mut sink[..room], RecvFlags::empty())
            }
            other => other,
        };
        match drained {
            Ok((_, 0)) => return Ok(gone),
            Ok((_, n)) => {
                plan.add_payload(n);
                gone += n;
                // Less than requested: the queue is empty.
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
