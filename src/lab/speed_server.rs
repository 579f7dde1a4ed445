//! A small speed server: `download` is served from memory, `upload` is discarded. It can misbehave on request.
//!
//! It is meant for tests and the demo; an operator uses any web server (see `sense::throughput`).

use crate::error::Error;
use rustix::fs::{MemfdFlags, ftruncate, memfd_create, sendfile};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

/// Size of `download`, bytes.
const OBJECT: u64 = 100_000_000;

/// The longest accepted request head, bytes.
const HEAD_MOST: usize = 16 * 1024;

/// How a server behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Manner {
    /// Correctly.
    Good,
    /// Serves 4 Mbit/s in total, for any number of connections.
    Slow,
    /// Accepts connections and does not answer.
    Dead,
    /// Starts normally and stops sending after one megabyte.
    Stall,
    /// Closes each connection after two megabytes.
    Truncate,
    /// Sends endlessly, without a content length.
    Forever,
    /// Sends endless headers.
    Heads,
    /// Redirects to `/moved/`, which works.
    Redirect,
    /// Redirects to itself.
    Circle,
    /// Answers 200 with a web page.
    Page,
    /// Answers 503 with a retry after two minutes.
    Busy,
    /// Answers 404.
    Absent,
    /// Answers in another protocol.
    Foreign,
}

impl Manner {
    /// All of them.
    pub const ALL: [(&'static str, Manner); 13] = [
        ("good", Manner::Good),
        ("slow", Manner::Slow),
        ("dead", Manner::Dead),
        ("stall", Manner::Stall),
        ("truncate", Manner::Truncate),
        ("forever", Manner::Forever),
        ("heads", Manner::Heads),
        ("redirect", Manner::Redirect),
        ("circle", Manner::Circle),
        ("page", Manner::Page),
        ("busy", Manner::Busy),
        ("absent", Manner::Absent),
        ("foreign", Manner::Foreign),
    ];

    /// The manner with this name.
    pub fn from_name(name: &str) -> Option<Manner> {
        Self::ALL.iter().find(|(n, _)| *n == name).map(|(_, m)| *m)
    }

    /// Its name.
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(_, m)| *m == self).map_or("good", |(n, _)| n)
    }
}

/// Serves until the process ends.
///
/// # Errors
/// The server cannot listen there.
pub fn serve(place: SocketAddr, manner: Manner) -> Result<(), Error> {
    let listening = |e| Error::new(format!("listening at {place} as speed server"), e);
    let listener = TcpListener::bind(place).map_err(listening)?;
    let object = memfd_create("linekeeper-object", MemfdFlags::CLOEXEC)
        .and_then(|file| ftruncate(&file, OBJECT).map(|()| file))
        .map_err(|e| Error::new("making the object to download", e))?;
    let object = Arc::new(object);
    // The slow ones share one bucket.
    let turn = Arc::new(std::sync::Mutex::new(()));
    loop {
        let (stream, _) = listener.accept().map_err(listening)?;
        let (object, turn) = (object.clone(), turn.clone());
        std::thread::spawn(move || {
            let mut one = Connection { stream, object, turn, manner, early: Vec::new() };
            while let Ok(true) = one.answer() {}
        });
    }
}

struct Connection {
    stream: TcpStream,
    object: Arc<OwnedFd>,
    turn: Arc<std::sync::Mutex<()>>,
    manner: Manner,
    early: Vec<u8>,
}

impl Connection {
    /// Answers one request; returns whether the connection stays open.
    fn answer(&mut self) -> std::io::Result<bool> {
        let Some((method, path, length)) = self.request()? else { return Ok(false) };
        let say = |mut stream: &TcpStream, text: &str| stream.write_all(text.as_bytes());
        match self.manner {
            Manner::Dead => std::thread::sleep(Duration::from_secs(3600)),
            Manner::Foreign => say(&self.stream, "SSH-2.0-lab\r\n")?,
            Manner::Heads => {
                say(&self.stream, "HTTP/1.1 200 OK\r\n")?;
                loop {
                    say(&self.stream, "X-More: and more\r\n")?;
                }
            }
            Manner::Page => say(
                &self.stream,
                "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 6\r\nConnection: close\r\n\r\n<html>",
            )?,
            Manner::Busy => say(
                &self.stream,
                "HTTP/1.1 503 Busy\r\nRetry-After: 120\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            )?,
            Manner::Absent => {
                say(
                    &self.stream,
                    "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
                )?;
            }
            Manner::Circle => say(
                &self.stream,
                &format!(
                    "HTTP/1.1 302 Found\r\nLocation: {path}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                ),
            )?,
            Manner::Redirect if !path.starts_with("/moved/") => say(
                &self.stream,
                &format!(
                    "HTTP/1.1 307 Moved\r\nLocation: /moved{path}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                ),
            )?,
            _ if path.ends_with("/upload") => {
                self.take(length)?;
                say(&self.stream, "HTTP/1.1 204 No Content\r\n\r\n")?;
                return Ok(true);
            }
            _ if path.ends_with("/download") => {
                let length = match self.manner {
                    Manner::Forever => String::new(),
                    _ => format!("Content-Length: {OBJECT}\r\n"),
                };
                let head =
                    format!("HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n{length}\r\n");
                say(&self.stream, &head)?;
                return Ok(method == "HEAD" || self.give()?);
            }
            _ => say(&self.stream, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")?,
        }
        Ok(false)
    }

    /// Method, path and announced length.
    fn request(&mut self) -> std::io::Result<Option<(String, String, u64)>> {
        let mut part = [0; 4096];
        loop {
            if let Some(end) = self.early.windows(4).position(|w| w == b"\r\n\r\n") {
                let head = String::from_utf8_lossy(&self.early[..end]).into_owned();
                self.early.drain(..end + 4);
                let mut words = head.split(' ');
                let method = words.next().unwrap_or_default().to_owned();
                let path = words.next().unwrap_or_default().to_owned();
                let length = head.lines().filter_map(|l| l.split_once(':')).find_map(|(name, value)| {
                    name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
                });
                return Ok(Some((method, path, length.unwrap_or(0))));
            }
            let n = self.stream.read(&mut part)?;
            if n == 0 || self.early.len() > HEAD_MOST {
                return Ok(None);
            }
            self.early.extend_from_slice(&part[..n]);
        }
    }

    /// Sends 20 kB every 40 ms, one connection at a time.
    fn slowly(&self) {
        let _turn = self.turn.lock();
        std::thread::sleep(Duration::from_millis(40));
    }

    fn give(&mut self) -> std::io::Result<bool> {
        let mut offset = 0;
        let mut given = 0u64;
        loop {
            let most = match self.manner {
                Manner::Slow => 20_000,
                _ => 1_000_000,
            };
            let left = match self.manner {
                Manner::Truncate => 2_000_000 - offset,
                _ => OBJECT - offset,
            };
            if left == 0 {
                match self.manner {
                    Manner::Truncate => return Ok(false),
                    Manner::Forever => offset = 0,
                    _ => return Ok(true),
                }
                continue;
            }
            match self.manner {
                Manner::Slow => self.slowly(),
                Manner::Stall if given >= 1_000_000 => std::thread::sleep(Duration::from_secs(3600)),
                _ => {}
            }
            given +=
                sendfile(&self.stream, &*self.object, Some(&mut offset), left.min(most) as usize)? as u64;
        }
    }

    fn take(&mut self, length: u64) -> std::io::Result<()> {
        let mut left = length.saturating_sub(self.early.len() as u64);
        let mut taken = 0u64;
        self.early.clear();
        let mut room = vec![0; 256 * 1024];
        while left > 0 {
            let most = if self.manner == Manner::Slow { 20_000 } else { room.len() };
            match self.manner {
                Manner::Slow => self.slowly(),
                Manner::Stall if taken >= 1_000_000 => std::thread::sleep(Duration::from_secs(3600)),
                Manner::Truncate if taken >= 2_000_000 => {
                    return Err(std::io::ErrorKind::ConnectionAborted.into());
                }
                _ => {}
            }
            let n = self.stream.read(&mut room[..most.min(left as usize)])?;
            if n == 0 {
                break;
            }
            left -= n as u64;
            taken += n as u64;
        }
        Ok(())
    }
}
