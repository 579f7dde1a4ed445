//! Uploads random bytes, from the page cache if possible.

use super::connection::{First, OBJECT_LEAST, Stream, answer, fit, open};
use super::plan::{BODY, Plan, TURN, Trouble};
use crate::sense::http::{Response, parse_response_head};
use linekeeper_contract::vocabulary::SpeedFailure;
use rustix::fs::sendfile;
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, Interest};
use tokio::net::TcpStream;

/// How long an upload without budget waits before it checks again.
const BUDGET_WAIT: Duration = Duration::from_millis(50);

/// Uploads until it is dropped. With the byte budget used up, it waits.
///
/// # Errors
/// Why the server cannot be uploaded to any more.
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
            // The server answered and closed the connection early. If it accepted enough, open another one.
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

/// Sends one announced body. A server may answer before it has received all (nginx does): an answer that is no refusal is
/// returned at the end. `None` if the answer is still to come.
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
            // The socket's data has yet to arrive; the test ends when it has. Until then the budget may grow a little.
            tokio::time::sleep(BUDGET_WAIT).await;
            continue;
        }
        let at = offset as usize % BODY;
        let room = room.min(BODY - at);
        // The result of reading an early answer, if there is one, and the number of bytes sent.
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
            // The connection ended or broke: acceptable after an answer.
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
                match parse_response_head(&early) {
                    Ok(Some(head)) if head.status < 200 => drop(early.drain(..head.length_bytes)),
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
            plan.add_payload(went);
            *sent += went as u64;
            offset += went as u64;
            if offset as usize % TURN < went {
                tokio::task::yield_now().await;
            }
        }
    }
    Ok(answered)
}

/// Writes up to `room` bytes of the body from offset `at` to the socket, from the page cache if possible.
fn put(plan: &Plan, tcp: &TcpStream, at: usize, room: usize) -> io::Result<usize> {
    match &plan.body.file {
        Some(file) => {
            let mut from = at as u64;
            Ok(sendfile(tcp, file, Some(&mut from), room)?)
        }
        None => tcp.try_write(&plan.body.bytes[at..at + room]),
    }
}
