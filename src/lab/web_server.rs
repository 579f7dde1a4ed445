//! A small web server with one page, for the check that detects a captive portal.

use crate::error::Error;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

/// How the server behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Manner {
    /// 204.
    Good,
    /// 200 and `success`, in chunks.
    Success,
    /// A captive portal: 302 to its login page.
    Portal,
    /// A captive portal: its login page itself.
    Page,
    /// A broken server: 404 with a page that says so.
    Missing,
    /// A server that its operator moved: 301 to https on the same host.
    Moved,
    /// 503.
    Busy,
    /// Accepts the connection and does not answer.
    Dead,
    /// Accepts the connection and closes it.
    Hangup,
}

impl Manner {
    /// All of them.
    pub const ALL: [(&'static str, Manner); 9] = [
        ("good", Manner::Good),
        ("success", Manner::Success),
        ("portal", Manner::Portal),
        ("page", Manner::Page),
        ("missing", Manner::Missing),
        ("moved", Manner::Moved),
        ("busy", Manner::Busy),
        ("dead", Manner::Dead),
        ("hangup", Manner::Hangup),
    ];

    /// The manner with this name.
    pub fn from_name(name: &str) -> Option<Manner> {
        Self::ALL.iter().find(|(n, _)| *n == name).map(|(_, m)| *m)
    }

    /// Its name.
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(_, m)| *m == self).map_or("good", |(n, _)| n)
    }

    const fn answer(self) -> &'static str {
        match self {
            Manner::Good => "HTTP/1.1 204 No Content\r\n\r\n",
            Manner::Success => {
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nsuc\r\n5\r\ncess\n\r\n0\r\n\r\n"
            }
            Manner::Portal => {
                "HTTP/1.1 302 Found\r\nLocation: http://login.hotel.example/\r\nContent-Length: 0\r\n\r\n"
            }
            Manner::Page => {
                "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<html><head><title>Please log in</title>"
            }
            Manner::Missing => {
                "HTTP/1.1 404 Not Found\r\nContent-Type: text/html\r\n\r\n<html><title>404 Not Found</title>"
            }
            Manner::Moved => {
                "HTTP/1.1 301 Moved Permanently\r\nLocation: https://check.isp.example/204\r\nContent-Length: 0\r\n\r\n"
            }
            Manner::Busy => "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n",
            Manner::Dead | Manner::Hangup => "",
        }
    }
}

/// Serves until the process ends.
///
/// # Errors
/// The server cannot listen there.
pub fn serve(place: SocketAddr, manner: Manner) -> Result<(), Error> {
    let listener =
        TcpListener::bind(place).map_err(|e| Error::new(format!("listening at {place} as web server"), e))?;
    for stream in listener.incoming().flatten() {
        std::thread::spawn(move || one(stream, manner));
    }
    Ok(())
}

/// Answers after the end of the request head and closes the connection.
fn one(mut stream: TcpStream, manner: Manner) {
    let mut head = Vec::new();
    let mut part = [0; 2_048];
    while !head.windows(4).any(|w| w == b"\r\n\r\n") && head.len() < 16 * 1024 {
        match stream.read(&mut part) {
            Ok(n @ 1..) => head.extend_from_slice(&part[..n]),
            Ok(_) | Err(_) => return,
        }
    }
    if manner == Manner::Dead {
        std::thread::sleep(Duration::from_secs(3_600));
    }
    let _ = stream.write_all(manner.answer().as_bytes());
}
