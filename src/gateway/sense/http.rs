//! HTTP/1.1 heads: parses a URL, writes a request, parses a response. Pure, with bounds on everything it reads.
//!
//! Own code instead of a client library: copying the body is what costs a router's processor, and to discard it in the
//! kernel we need the socket itself after the head. hyper, reqwest and ureq read the body through their own buffer and
//! offer no way around it. A speed test needs only two requests and the head of the answer.

use linekeeper_contract::units::{LocalTime, Span, Wall};
use std::fmt;

/// The longest head of a response that is read, bytes.
///
/// 16 KiB: the limit of common servers and proxies. It stops a server that sends headers without end.
pub const HEAD_MOST: usize = 16 * 1024;

/// The longest URL, bytes: the same as in the configuration, and far above any that is typed.
const URL_MOST: usize = 1024;

/// The longest `Retry-After`, seconds; a longer one is shortened to it.
///
/// A day: a test server that is away for longer needs an operator's attention.
const RETRY_MOST: u64 = 86_400;

/// A URL such as `http://host/` or `https://host:port/directory/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    /// Whether it is https.
    pub tls: bool,
    /// Name or address; an IPv6 address without its brackets.
    pub host: String,
    /// 80 or 443 by default.
    pub port: u16,
    /// From the first slash on, with the query, without the fragment.
    pub path: String,
}

impl Url {
    /// Parses a URL.
    ///
    /// # Errors
    /// What is wrong with it, and how it should look.
    pub fn parse(text: &str) -> Result<Url, String> {
        let wrong = |why: &str| {
            Err(format!("{text:?} {why}; a test server is http://HOST/ or https://HOST:PORT/DIRECTORY/"))
        };
        if text.len() > URL_MOST {
            return Err(format!("an address of {} bytes is too long, {URL_MOST} are the most", text.len()));
        }
        let (tls, rest) = match text.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => (false, rest),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => (true, rest),
            _ => return wrong("does not begin with http:// or https://"),
        };
        // Any other byte would end up in the head of our request.
        if !rest.bytes().all(|b| b.is_ascii_graphic()) {
            return wrong("holds a space, a control character or one that is not ASCII");
        }
        let rest = rest.split('#').next().unwrap_or_default();
        let (authority, path) = match rest.find(['/', '?']) {
            Some(at) => rest.split_at(at),
            None => (rest, "/"),
        };
        if authority.contains('@') {
            return wrong("holds a user name, which is not sent");
        }
        let (host, port) = match authority.strip_prefix('[') {
            Some(v6) => match v6.split_once(']') {
                Some((host, "")) => (host, None),
                Some((host, port)) if port.starts_with(':') => (host, Some(&port[1..])),
                _ => return wrong("has an IPv6 address without its brackets"),
            },
            None => match authority.rsplit_once(':') {
                Some((host, _)) if host.contains(':') => {
                    return wrong("has an IPv6 address without its brackets");
                }
                Some((host, port)) => (host, Some(port)),
                None => (authority, None),
            },
        };
        if host.is_empty() {
            return wrong("names no host");
        }
        let port = match port {
            None => {
                if tls {
                    443
                } else {
                    80
                }
            }
            Some(port) => match port.parse() {
                Ok(port) if port != 0 => port,
                _ => return wrong("has a port outside 1 to 65535"),
            },
        };
        let path = if path.starts_with('?') { format!("/{path}") } else { path.to_owned() };
        Ok(Url { tls, host: host.to_owned(), port, path })
    }

    /// The object `name` in the directory of this URL.
    pub fn object(&self, name: &str) -> Url {
        let directory = self.path.split('?').next().unwrap_or_default();
        let slash = if directory.ends_with('/') { "" } else { "/" };
        Url { path: format!("{directory}{slash}{name}"), ..self.clone() }
    }

    /// Resolves a `Location` header that a server sent for this URL.
    ///
    /// # Errors
    /// When it is not a URL, or leads from https to http.
    pub fn redirected(&self, location: &str) -> Result<Url, String> {
        if let Some(rest) = location.strip_prefix("//") {
            return Url::parse(&format!("{}://{rest}", if self.tls { "https" } else { "http" }));
        }
        if location.starts_with('/')
            && location.len() <= URL_MOST
            && location.bytes().all(|b| b.is_ascii_graphic())
        {
            return Ok(Url { path: location.to_owned(), ..self.clone() });
        }
        let to = Url::parse(location)?;
        if self.tls && !to.tls {
            return Err(format!("{location:?} leads from https to http"));
        }
        Ok(to)
    }

    /// The value of the `Host` header.
    fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        if self.port == if self.tls { 443 } else { 80 } { host } else { format!("{host}:{}", self.port) }
    }

    /// The head of a GET request for the object.
    pub fn get(&self) -> String {
        self.ask("GET")
    }

    /// The head of a HEAD request for the object.
    pub fn head_request(&self) -> String {
        self.ask("HEAD")
    }

    fn ask(&self, method: &str) -> String {
        format!(
            "{method} {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: linekeeper/{}\r\nAccept: */*\r\nAccept-Encoding: identity\r\n\r\n",
            self.path,
            self.authority(),
            env!("CARGO_PKG_VERSION")
        )
    }

    /// The head of a GET request after which the server closes the connection.
    pub fn get_once(&self) -> String {
        format!(
            "GET {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: linekeeper/{}\r\nAccept: */*\r\nConnection: close\r\n\r\n",
            self.path,
            self.authority(),
            env!("CARGO_PKG_VERSION")
        )
    }

    /// The head of a POST request with a body of `length` bytes.
    pub fn post(&self, length: u64) -> String {
        format!(
            "POST {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: linekeeper/{}\r\nAccept: */*\r\n\
             Content-Type: application/octet-stream\r\nContent-Length: {length}\r\n\r\n",
            self.path,
            self.authority(),
            env!("CARGO_PKG_VERSION")
        )
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", if self.tls { "https" } else { "http" }, self.authority(), self.path)
    }
}

/// The parts of a response's head that matter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// 100 to 599.
    pub status: u16,
    /// The length of the body, bytes; `None` if it ends with the connection or comes in chunks.
    pub length: Option<u64>,
    /// In lower case, without parameters; empty if there is none.
    pub content_type: String,
    /// The `Location` header.
    pub location: Option<String>,
    /// After what time to try again; at most a day.
    pub retry_after: Option<Span>,
    /// Whether the body comes in chunks.
    pub chunked: bool,
    /// Whether the connection ends after the body.
    pub close: bool,
    /// The length of the head itself, bytes.
    pub length_bytes: usize,
}

/// Parses the head of a response; `None` while it is incomplete.
///
/// # Errors
/// Why the bytes are not the beginning of a valid response.
pub fn parse_response_head(bytes: &[u8]) -> Result<Option<Response>, String> {
    let seen = &bytes[..bytes.len().min(HEAD_MOST)];
    let shown = || String::from_utf8_lossy(&seen[..seen.len().min(40)]).escape_debug().to_string();
    let start = b"HTTP/1.";
    let compared = seen.len().min(start.len());
    if seen[..compared] != start[..compared] {
        return Err(format!("what answers does not speak HTTP/1.1 (it begins with \"{}\")", shown()));
    }
    let Some(end) = seen.windows(4).position(|w| w == b"\r\n\r\n") else {
        if bytes.len() >= HEAD_MOST {
            return Err(format!("the head of the answer is longer than {HEAD_MOST} bytes"));
        }
        return Ok(None);
    };
    let text = String::from_utf8_lossy(&seen[..end]);
    let mut lines = text.split("\r\n");
    let first = lines.next().unwrap_or_default();
    let status = first.split(' ').nth(1).filter(|s| s.len() == 3).and_then(|s| s.parse::<u16>().ok());
    let Some(status @ 100..=599) = status else {
        return Err(format!("the answer has no status (it begins with \"{}\")", shown()));
    };
    let mut response = Response {
        status,
        length: None,
        content_type: String::new(),
        location: None,
        retry_after: None,
        chunked: false,
        close: first.starts_with("HTTP/1.0"),
        length_bytes: end + 4,
    };
    let (mut later, mut date) = (None, None);
    for line in lines {
        let Some((name, value)) = line.split_once(':') else {
            return Err(format!(
                "the answer has a header without a colon: {:?}",
                line.chars().take(40).collect::<String>()
            ));
        };
        let value = value.trim();
        match name.to_ascii_lowercase().as_str() {
            "content-length" => {
                let digits = !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit());
                response.length = match value.parse() {
                    Ok(length) if digits => Some(length),
                    _ => {
                        return Err(format!(
                            "the answer's Content-Length is {:?}",
                            value.chars().take(40).collect::<String>()
                        ));
                    }
                };
            }
            "content-type" => {
                response.content_type =
                    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
            }
            "location" => response.location = Some(value.to_owned()),
            "retry-after" => match value.parse::<u64>() {
                Ok(seconds) => response.retry_after = Some(Span::seconds(seconds.min(RETRY_MOST))),
                Err(_) => later = moment(value),
            },
            "date" => date = moment(value),
            "transfer-encoding" => response.chunked |= value.to_ascii_lowercase().contains("chunked"),
            "connection" => response.close |= value.to_ascii_lowercase().contains("close"),
            _ => {}
        }
    }
    if response.chunked {
        response.length = None;
    }
    // A date is compared with the server's own clock, because ours may not be set.
    if let (Some(later), Some(date)) = (later, date) {
        let wait = u64::try_from(later.0.saturating_sub(date.0)).unwrap_or(0);
        response.retry_after = Some(Span(wait.min(RETRY_MOST * 1_000)));
    }
    Ok(Some(response))
}

/// Parses an HTTP date (IMF-fixdate, RFC 9110): `Sun, 06 Nov 1994 08:49:37 GMT`.
fn moment(text: &str) -> Option<Wall> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let words: Vec<&str> = text.split(' ').collect();
    let [_, day, month, year, time, "GMT"] = words[..] else { return None };
    let month = MONTHS.iter().position(|m| *m == month)? + 1;
    LocalTime::parse(&format!("{year}-{month:02}-{day}T{time}Z")).ok().map(|t| t.wall)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn addresses() {
        let url = |text: &str| Url::parse(text).unwrap();
        let plain = url("http://speed.isp.example/");
        assert_eq!((plain.tls, plain.port, plain.path.as_str()), (false, 80, "/"));
        assert_eq!(plain.object("download").to_string(), "http://speed.isp.example/download");
        assert_eq!(url("http://h").object("upload").path, "/upload");
        assert_eq!(url("https://h:8443/a/b?x#y").object("upload").to_string(), "https://h:8443/a/b/upload");
        let six = url("http://[2001:db8::1]:8080/t/");
        assert_eq!((six.host.as_str(), six.port), ("2001:db8::1", 8080));
        assert!(six.get().contains("Host: [2001:db8::1]:8080\r\n"));
        for (wrong, why) in [
            ("ftp://h/", "does not begin"),
            ("h/", "does not begin"),
            ("http:///x", "names no host"),
            ("http://h:0/", "a port"),
            ("http://h:99999/", "a port"),
            ("http://2001:db8::1/", "brackets"),
            ("http://[2001:db8::1/", "brackets"),
            ("http://me@h/", "a user name"),
            ("http://h/a b", "a space"),
            ("http://h/\r\nEvil: 1", "a space"),
        ] {
            let refused = Url::parse(wrong).unwrap_err();
            assert!(refused.contains(why), "{wrong}: {refused}");
        }
    }

    #[test]
    fn redirections() {
        let from = Url::parse("https://h/a/download").unwrap();
        assert_eq!(from.redirected("/b").unwrap().to_string(), "https://h/b");
        assert_eq!(from.redirected("//k/b").unwrap().to_string(), "https://k/b");
        assert_eq!(from.redirected("https://k:9/b").unwrap().to_string(), "https://k:9/b");
        assert!(from.redirected("http://k/b").is_err());
        assert!(from.redirected("b").is_err());
        assert!(from.redirected("/b\r\nX: 1").is_err());
    }

    #[test]
    fn heads() {
        let read = |text: &str| parse_response_head(text.as_bytes());
        let whole = "HTTP/1.1 200 OK\r\nContent-Type: Text/HTML; charset=x\r\ncontent-length: 12\r\n\r\nbody";
        let head = read(whole).unwrap().unwrap();
        assert_eq!((head.status, head.length, head.content_type.as_str()), (200, Some(12), "text/html"));
        assert_eq!((head.length_bytes, head.close), (whole.len() - 4, false));
        for cut in 0..head.length_bytes {
            assert_eq!(read(&whole[..cut]), Ok(None), "{cut}");
        }
        let busy = read("HTTP/1.0 503 No\r\nRetry-After: 120\r\n\r\n").unwrap().unwrap();
        assert_eq!((busy.status, busy.retry_after, busy.close), (503, Some(Span::seconds(120)), true));
        let date = |after: &str| {
            let head = format!(
                "HTTP/1.1 429 No\r\nDate: Fri, 20 Nov 2026 23:59:00 GMT\r\nRetry-After: {after}\r\n\r\n"
            );
            parse_response_head(head.as_bytes()).unwrap().unwrap().retry_after
        };
        assert_eq!(
            date("Sat, 21 Nov 2026 00:04:00 GMT"),
            Some(Span::minutes(5)),
            "by the server's own clock"
        );
        assert_eq!(date("Fri, 20 Nov 2026 00:00:00 GMT"), Some(Span::ZERO), "in the past");
        assert_eq!(date("Fri, 20 Nov 2099 00:00:00 GMT"), Some(Span::days(1)), "too far");
        for strange in ["soon", "Saturday, 21-Nov-26 00:04:00 GMT", "Sat, 31 Feb 2026 00:04:00 GMT", "-1", ""]
        {
            assert_eq!(date(strange), None, "{strange:?}");
        }
        let undated = read("HTTP/1.1 429 No\r\nRetry-After: Sat, 21 Nov 2026 00:04:00 GMT\r\n\r\n");
        assert_eq!(undated.unwrap().unwrap().retry_after, None);
        let chunked = read("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n");
        assert_eq!(chunked.unwrap().unwrap().length, None);
        for wrong in [
            "SSH-2.0-x",
            "HTTP/1.1 abc\r\n\r\n",
            "HTTP/1.1 2000 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        ] {
            assert!(read(wrong).is_err(), "{wrong:?}");
        }
        let endless = format!("HTTP/1.1 200 OK\r\n{}", "X: y\r\n".repeat(HEAD_MOST / 6));
        assert!(read(&endless).unwrap_err().contains("longer than"));
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_strange(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            let _ = parse_response_head(&bytes);
            let _ = parse_response_head(&[b"HTTP/1.1 200 OK\r\n".as_slice(), &bytes, b"\r\n\r\n"].concat());
            let _ = Url::parse(&String::from_utf8_lossy(&bytes));
        }

        #[test]
        fn no_address_breaks_the_head(text in "http://[ -~\r\n]{1,60}") {
            if let Ok(url) = Url::parse(&text) {
                prop_assert_eq!(url.object("download").get().matches("\r\n").count(), 6);
            }
        }
    }
}
