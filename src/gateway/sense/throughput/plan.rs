//! What all connections of one test share: the server, the body to send, and the byte budget.

use crate::sense::http::Url;
use linekeeper_contract::units::Span;
use linekeeper_contract::vocabulary::SpeedFailure;
use rustix::fs::{MemfdFlags, memfd_create};
use rustls::ClientConfig;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How much is discarded or sent in one call, bytes. If the kernel discards, the buffer's pages are never touched.
pub(super) const CHUNK: usize = 1024 * 1024;

/// The size of the upload body, bytes; it is sent repeatedly. Random, so that nothing on the path can compress it.
pub(super) const BODY: usize = 1024 * 1024;

/// After this many bytes without a pause, a connection yields to other tasks.
pub(super) const TURN: usize = 4 * CHUNK;

/// The assumed ratio of bytes at the IP layer to payload, percent: headers (3.6 % at 1448 bytes) and acknowledgements (up to
/// 3.6 %, one for at least every second segment).
pub(super) const OVERHEAD: u64 = 107;

/// Why a test failed.
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

    pub(super) fn unreachable(doing: &str, to: &Url, why: impl std::fmt::Display) -> Trouble {
        Trouble::new(SpeedFailure::ServerUnreachable, format!("{doing} {to}: {why}"))
    }
}

/// What all connections of a test share.
#[derive(Debug)]
pub(super) struct Plan {
    /// The URL of the object.
    pub url: Url,
    /// The address of its server.
    pub address: SocketAddr,
    /// The WAN device.
    pub device: String,
    /// The TLS configuration, for https.
    pub tls: Option<Arc<ClientConfig>>,
    /// The body of an upload.
    pub body: Body,
    /// The `Content-Length` of an upload.
    pub announced: u64,
    pub books: Mutex<Books>,
}

/// The payload so far, its limit, and all connections.
#[derive(Debug, Default)]
pub(super) struct Books {
    /// Payload read from, or accepted by, our sockets, bytes.
    pub payload: u64,
    /// The limit of `payload`, bytes.
    pub payload_most: u64,
    /// All connections of the test, closed ones included.
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

    /// How many bytes may still pass, at most [`CHUNK`].
    pub(super) fn room(&self) -> usize {
        let books = self.books();
        usize::try_from(books.payload_most.saturating_sub(books.payload)).unwrap_or(usize::MAX).min(CHUNK)
    }

    pub(super) fn add_payload(&self, n: usize) {
        self.books().payload += n as u64;
    }
}

/// The body of an upload.
#[derive(Debug)]
pub(super) struct Body {
    pub bytes: Vec<u8>,
    /// The same bytes in the page cache, for sendfile(2).
    pub file: Option<OwnedFd>,
}

impl Body {
    /// An empty body, for a download.
    pub(super) fn none() -> Body {
        Body { bytes: Vec::new(), file: None }
    }

    /// A megabyte of random bytes, kept in a memory file if the kernel has those and the connection is plain.
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
            // TLS has to read the bytes anyway.
            Ok(file) if plain => Body { bytes: Vec::new(), file: Some(file) },
            _ => Body { bytes, file: None },
        }
    }
}
