//! Fetches one small web page whose answer is known, to detect captive portals.
//!
//! A captive portal answers for every host: with a page of its own, with a redirect to it, or with 511 (RFC 6585, 6).
//! So every answer other than the known one counts as forged. The exceptions are the answers of a busy or broken server
//! (429, and 5xx except 511): these count as refused.

use crate::clock;
use crate::sense::http::{HEAD_MOST, Response, Url, parse_response_head};
use crate::sense::name;
use crate::sense::wan::{WanDevice, connect_tcp};
use linekeeper_contract::units::Span;
use linekeeper_judge::check::{Reply, Said};
use linekeeper_judge::config;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How much of a body is read, bytes: several times the longest body that may be configured, so that a longer one is
/// recognised as different.
const BODY_MOST: usize = 4 * 1024;

/// Addresses of the name that are tried.
const ADDRESSES: usize = 2;

/// The most characters of a forged answer that are quoted.
const SHOWN: usize = 120;

/// Fetches the configured page over the WAN device and returns one reply within `limit`.
///
/// The host name is looked up with the line's resolvers (`names`). If they fail, the page is not checked. If they give a
/// forged address, the server at that address answers.
pub async fn check_page(device: &WanDevice, web: &config::Web, names: &config::Name, limit: Span) -> Reply {
    let reply = |whom: &str, said, took: Option<Duration>, detail: String| Reply {
        whom: whom.to_owned(),
        said,
        took_us: took.map(|took| u32::try_from(took.as_micros()).unwrap_or(u32::MAX)),
        independent: false,
        detail,
    };
    let Some(address) = &web.url else {
        return reply("web", Said::NotChecked, None, "no web.url is configured".into());
    };
    let url = match Url::parse(address) {
        Ok(url) if !url.tls => url,
        Ok(_) => return reply(address, Said::NotChecked, None, "https is not asked for this".into()),
        Err(why) => return reply(address, Said::NotChecked, None, why),
    };
    let began = clock::since_boot();
    let half = Span(limit.0 / 2);
    let places: Vec<SocketAddr> = match url.host.parse() {
        Ok(ip) => vec![SocketAddr::new(ip, url.port)],
        Err(_) => match name::lookup(device, names, &url.host, half).await {
            Ok(found) => found.into_iter().take(ADDRESSES).map(|ip| SocketAddr::new(ip, url.port)).collect(),
            Err(why) => {
                return reply(address, Said::NotChecked, None, format!("looking up {}: {why}", url.host));
            }
        },
    };
    let left = Duration::from(limit).saturating_sub(clock::since_boot().saturating_sub(began));
    let each = left / u32::try_from(places.len()).unwrap_or(1).max(1);
    let mut last = (Said::NotChecked, None, "its name has no address".to_owned());
    for place in places {
        let began = clock::since_boot();
        let fetched = timeout(each, fetch(&url, place, &device.name)).await;
        let took = clock::since_boot().saturating_sub(began);
        last = match fetched {
            Err(_) => (Said::Silent, None, format!("no answer from {}", place.ip())),
            Ok(Err(e)) => describe_failure(&e, place, &device.name),
            Ok(Ok((head, body))) => {
                let (said, words) = judge_answer(&url, web, &head, &body);
                (said, Some(took), words)
            }
        };
        if last.1.is_some() {
            break;
        }
    }
    let (said, took, words) = last;
    reply(address, said, took, words)
}

fn describe_failure(e: &io::Error, place: SocketAddr, device: &str) -> (Said, Option<Duration>, String) {
    let ip = place.ip();
    match e.kind() {
        ErrorKind::ConnectionRefused => (Said::Refused, None, format!("{ip} refuses the connection")),
        ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::BrokenPipe => {
            (Said::Refused, None, format!("{ip} broke the connection"))
        }
        ErrorKind::UnexpectedEof => (Said::Refused, None, format!("{ip} hung up without an answer")),
        // What answered is not a web server, although one is expected there.
        ErrorKind::InvalidData => (Said::Forged, None, format!("{ip}: {e}")),
        ErrorKind::TimedOut | ErrorKind::HostUnreachable => {
            (Said::Silent, None, format!("no answer from {ip}"))
        }
        _ => (Said::NotChecked, None, format!("{ip} cannot be reached over {device}: {e}")),
    }
}

async fn fetch(url: &Url, place: SocketAddr, device: &str) -> io::Result<(Response, Vec<u8>)> {
    let mut stream = connect_tcp(place, device).await?;
    stream.write_all(url.get_once().as_bytes()).await?;
    let mut room = Vec::new();
    let head = loop {
        match parse_response_head(&room).map_err(|why| io::Error::new(ErrorKind::InvalidData, why))? {
            // An interim response such as 100 Continue is followed by another head.
            Some(head) if head.status < 200 => {
                room.drain(..head.length_bytes);
                continue;
            }
            Some(head) => break head,
            None if room.len() > HEAD_MOST => {
                return Err(io::Error::new(ErrorKind::InvalidData, "a head without an end"));
            }
            None => {}
        }
        if !read_more(&mut stream, &mut room).await? {
            return Err(ErrorKind::UnexpectedEof.into());
        }
    };
    room.drain(..head.length_bytes);
    let wanted = head.length.and_then(|n| usize::try_from(n).ok()).unwrap_or(usize::MAX).min(BODY_MOST);
    let bodiless = matches!(head.status, 204 | 304);
    while !bodiless && room.len() < wanted {
        // If the connection ends early, what has arrived is compared.
        if !read_more(&mut stream, &mut room).await.unwrap_or(false)
            || (head.chunked && room.ends_with(b"0\r\n\r\n"))
        {
            break;
        }
    }
    room.truncate(wanted);
    let body = if head.chunked { unchunked(&room) } else { room };
    Ok((head, body))
}

/// Reads more bytes into `room`; false at the end of the stream.
async fn read_more(stream: &mut TcpStream, room: &mut Vec<u8>) -> io::Result<bool> {
    let mut part = [0; 2048];
    let n = stream.read(&mut part).await?;
    room.extend_from_slice(&part[..n]);
    Ok(n > 0)
}

/// Decodes a chunked body (RFC 9112, 7.1), up to the first invalid chunk.
pub fn unchunked(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let Some(end) = rest.windows(2).position(|w| w == b"\r\n") else { return body };
        let size = String::from_utf8_lossy(&rest[..end]);
        let size = usize::from_str_radix(size.split(';').next().unwrap_or_default().trim(), 16);
        rest = &rest[end + 2..];
        match size {
            Ok(size @ 1..) if size <= rest.len() => {
                body.extend_from_slice(&rest[..size]);
                rest = rest.get(size + 2..).unwrap_or_default();
            }
            Ok(1..) => {
                body.extend_from_slice(rest);
                return body;
            }
            Ok(0) | Err(_) => return body,
        }
    }
}

/// Compares the answer with the expected one and describes the result.
fn judge_answer(url: &Url, web: &config::Web, head: &Response, body: &[u8]) -> (Said, String) {
    let status = head.status;
    if status != web.status {
        let words = format!("status {status} instead of {}", web.status);
        if status == 429 || (500..=599).contains(&status) && status != 511 {
            return (Said::Refused, format!("{words}: the server cannot answer now"));
        }
        let words = match (&head.location, title(body)) {
            (Some(to), _) => {
                let to = sanitised(to);
                match url.redirected(to.as_str()) {
                    Ok(other) if other.host != url.host => format!("{words}: it leads to {to}, another host"),
                    Ok(_) | Err(_) => format!("{words}: it leads to {to}"),
                }
            }
            (None, Some(title)) => format!("{words}: a page {title:?}"),
            (None, None) => words,
        };
        return (Said::Forged, words);
    }
    let Some(expected) = &web.body else { return (Said::Answered, format!("status {status}")) };
    if body.trim_ascii() == expected.as_bytes() {
        return (Said::Answered, format!("status {status} and the right body"));
    }
    let words = match title(body) {
        Some(title) => format!("status {status}, but another body: a page {title:?}"),
        None => format!("status {status}, but another body, of {} bytes", body.len()),
    };
    (Said::Forged, words)
}

/// The title of a page, which lets people recognise a login page.
fn title(body: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(body);
    let small = text.to_ascii_lowercase();
    let begin = small.find("<title")?;
    let begin = begin + small[begin..].find('>')? + 1;
    let end = small[begin..].find('<').map_or(text.len(), |at| begin + at);
    let title = sanitised(text.get(begin..end)?.trim());
    (!title.is_empty()).then_some(title)
}

/// A foreign text, shortened and without control characters.
fn sanitised(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(SHOWN).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn page(status: u16, body: Option<&str>) -> config::Web {
        config::Web { url: None, status, body: body.map(str::to_owned), every: Span::minutes(15) }
    }

    fn judged(web: &config::Web, answer: &str) -> (Said, String) {
        let url = Url::parse("http://web.example/204").unwrap();
        let head = parse_response_head(answer.as_bytes()).unwrap().unwrap();
        judge_answer(&url, web, &head, &answer.as_bytes()[head.length_bytes..])
    }

    #[test]
    fn answers_are_judged() {
        use Said::{Answered, Forged, Refused};
        let (empty, success) = (page(204, None), page(200, Some("success")));
        for (web, answer, said, words) in [
            (&empty, "HTTP/1.1 204 No Content\r\n\r\n", Answered, "status 204"),
            (&empty, "HTTP/1.1 503 Busy\r\n\r\n", Refused, "cannot answer now"),
            (&empty, "HTTP/1.1 429 Slow\r\n\r\n", Refused, "cannot answer now"),
            (&empty, "HTTP/1.1 511 Login\r\n\r\n", Forged, "status 511 instead of 204"),
            (
                &empty,
                "HTTP/1.1 302 Found\r\nLocation: http://login.hotel.example/\r\n\r\n",
                Forged,
                "it leads to http://login.hotel.example/, another host",
            ),
            (
                &empty,
                "HTTP/1.1 302 Found\r\nLocation: /login\u{1b}[2J\r\n\r\n",
                Forged,
                "status 302 instead of 204: it leads to /login[2J",
            ),
            (
                &empty,
                "HTTP/1.1 200 OK\r\n\r\n<html><TITLE x=1> Please log in </title>",
                Forged,
                "status 200 instead of 204: a page \"Please log in\"",
            ),
            (&success, "HTTP/1.1 200 OK\r\n\r\nsuccess\n", Answered, "the right body"),
            (&success, "HTTP/1.1 200 OK\r\n\r\nsuccess, please log in", Forged, "another body, of 22 bytes"),
            (&success, "HTTP/1.1 200 OK\r\n\r\n<title>Log in", Forged, "a page \"Log in\""),
        ] {
            let (got, told) = judged(web, answer);
            assert_eq!(got, said, "{answer}");
            assert!(told.contains(words), "{answer}: {told}");
        }
    }

    #[test]
    fn chunked_body_is_decoded() {
        assert_eq!(unchunked(b"3\r\nsuc\r\n4;x=y\r\ncess\r\n0\r\n\r\n"), b"success");
        assert_eq!(unchunked(b"ffffffff\r\nsuc"), b"suc");
        assert_eq!(unchunked(b"x\r\nsuc"), b"");
    }

    proptest! {
        #[test]
        fn any_body_is_accepted_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), text in "(<title|>|</|\\PC)*") {
            let _ = (unchunked(&bytes), title(&bytes), title(text.as_bytes()));
        }
    }
}
