//! Fetches one small web page whose answer is known, to detect captive portals.
//!
//! A captive portal answers in place of the page's own server. An answer counts as forged only if it shows a third party:
//! a redirect to another host, a page of HTML where none is expected, or a status that only a network in between sends (511,
//! RFC 6585, 6; 407, RFC 9110, 15.5.8). Every other wrong answer is the fault of the page's own server or of the
//! configuration, and counts as refused: otherwise one broken server would look like a login page to all gateways at once.

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
        ErrorKind::InvalidData => (Said::Refused, None, format!("{ip} does not answer as a web server: {e}")),
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
    let is_right_body = web.body.as_ref().is_none_or(|expected| body.trim_ascii() == expected.as_bytes());
    if status == web.status && is_right_body {
        let words = if web.body.is_some() { " and the right body" } else { "" };
        return (Said::Answered, format!("status {status}{words}"));
    }
    let words = if status == web.status {
        format!("status {status}, but another body")
    } else {
        format!("status {status} instead of {}", web.status)
    };
    match (status, &head.location) {
        (407 | 511, _) => (Said::Forged, format!("{words}: a network in between wants a login")),
        (429 | 500..=599, _) => (Said::Refused, format!("{words}: the server cannot answer now")),
        (300..=399, Some(to)) => {
            let shown = sanitised(to);
            if leads_to_another_host(url, to) {
                (Said::Forged, format!("{words}: it leads to {shown}, another host"))
            } else {
                (Said::Refused, format!("{words}: the page's own server leads to {shown}"))
            }
        }
        (200..=299, _) if is_page(head, body) => match title(body) {
            Some(title) => (Said::Forged, format!("{words}: a page {title:?}")),
            None => (Said::Forged, format!("{words}: a page of {} bytes", body.len())),
        },
        (200..=299, _) => (Said::Refused, format!("{words}, of {} bytes and no page", body.len())),
        _ => (Said::Refused, format!("{words}: from the page's own server")),
    }
}

/// Whether a `Location` leads to a host that does not belong to the page's own: neither the same one nor one above or below
/// it in the tree of names, as `www.` is.
fn leads_to_another_host(url: &Url, location: &str) -> bool {
    let Some((_, rest)) = location.split_once("//").filter(|(scheme, _)| {
        scheme.is_empty() || scheme.eq_ignore_ascii_case("http:") || scheme.eq_ignore_ascii_case("https:")
    }) else {
        // A path of the same host, unless it has a scheme of its own, which only an app of somebody else understands.
        let scheme = location.split(['/', '?', '#']).next().unwrap_or_default();
        return scheme.contains(':');
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    let host = match host.strip_prefix('[') {
        Some(inner) => inner.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    let (host, own) = (host.trim_end_matches('.').to_ascii_lowercase(), url.host.to_ascii_lowercase());
    let own = own.trim_end_matches('.');
    let is_below = |name: &str, above: &str| {
        above.contains('.') && name.strip_suffix(above).is_some_and(|rest| rest.ends_with('.'))
    };
    host != own && !is_below(&host, own) && !is_below(own, &host)
}

/// Whether the body is a page for people.
fn is_page(head: &Response, body: &[u8]) -> bool {
    let text = String::from_utf8_lossy(body).to_ascii_lowercase();
    let has_tag = ["<html", "<!doctype", "<head", "<title", "<body", "<script", "<meta", "<form", "<iframe"];
    !body.trim_ascii().is_empty()
        && (head.content_type == "text/html" || has_tag.iter().any(|tag| text.contains(tag)))
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
            (&empty, "HTTP/1.1 407 Proxy\r\n\r\n", Forged, "wants a login"),
            (
                &empty,
                "HTTP/1.1 302 Found\r\nLocation: http://login.hotel.example/\r\n\r\n",
                Forged,
                "it leads to http://login.hotel.example/, another host",
            ),
            (
                &empty,
                "HTTP/1.1 302 Found\r\nLocation: /login\u{1b}[2J\r\n\r\n",
                Refused,
                "status 302 instead of 204: the page's own server leads to /login[2J",
            ),
            (
                &empty,
                "HTTP/1.1 301 Moved\r\nLocation: https://web.example/204\r\n\r\n",
                Refused,
                "own server",
            ),
            (
                &empty,
                "HTTP/1.1 301 Moved\r\nLocation: https://www.web.example/\r\n\r\n",
                Refused,
                "own server",
            ),
            (&empty, "HTTP/1.1 307 Moved\r\n\r\n", Refused, "own server"),
            (&empty, "HTTP/1.1 404 Gone\r\n\r\n<html><title>Not found</title>", Refused, "status 404"),
            (&empty, "HTTP/1.1 403 No\r\n\r\n<html><title>Forbidden</title>", Refused, "status 403"),
            (&empty, "HTTP/1.1 410 Gone\r\n\r\n", Refused, "status 410"),
            (&empty, "HTTP/1.1 401 Who\r\n\r\n", Refused, "status 401"),
            (&empty, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", Refused, "of 0 bytes and no page"),
            (
                &empty,
                "HTTP/1.1 200 OK\r\n\r\n<html><TITLE x=1> Please log in </title>",
                Forged,
                "status 200 instead of 204: a page \"Please log in\"",
            ),
            (&empty, "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\nPay", Forged, "a page of 3 bytes"),
            (&success, "HTTP/1.1 200 OK\r\n\r\nsuccess\n", Answered, "the right body"),
            (&success, "HTTP/1.1 200 OK\r\n\r\nSuccess!", Refused, "another body, of 8 bytes and no page"),
            (&success, "HTTP/1.1 204 None\r\n\r\n", Refused, "status 204 instead of 200"),
            (&success, "HTTP/1.1 200 OK\r\n\r\n<title>Log in", Forged, "a page \"Log in\""),
            (&success, "HTTP/1.1 200 OK\r\n\r\n<script>location='//x'</script>", Forged, "a page of"),
        ] {
            let (got, told) = judged(web, answer);
            assert_eq!(got, said, "{answer}");
            assert!(told.contains(words), "{answer}: {told}");
        }
    }

    #[test]
    fn redirects_show_a_third_party_only_if_they_leave_the_host() {
        let url = Url::parse("http://check.isp.example/204").unwrap();
        for (to, another) in [
            ("/login", false),
            ("login?next=http://a/", false),
            ("?a=b:c", false),
            ("https://check.isp.example/204", false),
            ("HTTPS://CHECK.ISP.EXAMPLE.:8443", false),
            ("//www.check.isp.example/", false),
            ("http://isp.example/", false),
            ("http://login.isp.example/", true),
            ("http://check.isp.example@portal.example/", true),
            ("http://192.168.1.1:8080/login?u=http://check.isp.example/", true),
            ("http://[fe80::1]/", true),
            ("http://example/", true),
            ("http:///", true),
            ("wispr://login", true),
            ("intent:login", true),
            ("http://notcheck.isp.example.portal.example", true),
        ] {
            assert_eq!(leads_to_another_host(&url, to), another, "{to}");
        }
        let by_address = Url::parse("http://192.0.2.1/204").unwrap();
        assert!(!leads_to_another_host(&by_address, "https://192.0.2.1/"));
        assert!(leads_to_another_host(&by_address, "http://10.0.0.1/"));
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
