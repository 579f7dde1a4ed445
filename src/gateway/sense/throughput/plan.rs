//! What all connections of one test share: where the server is, what is sent, and how many bytes may still pass.

use crate::sense::http::Url;
use linekeeper_contract::units::Span;
use linekeeper_contract::vocabulary::SpeedFailure;
use rustix::fs::{MemfdFlags, memfd_create};
use rustls::ClientConfig;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How much is discarded or sent in one call, bytes. Its pages are never touched where the kernel discards.
pub(super) const CHUNK: usize = 1024 * 1024;

/// What is uploaded, bytes; sent over and over. Random, so that nothing on the way can press it.
pub(super) const BODY: usize = 1024 * 1024;

/// After so much without a pause, others get their turn, bytes.
pub(super) const TURN: usize = 4 * CHUNK;

/// What the payload is at least multiplied with, in hundredths, for what it costs at the IP layer with headers (3.6 % at
/// 1448 bytes) and acknowledgements (up to 3.6 %, one for each second segment and more).
pub(super) const OVERHEAD: u64 = 107;

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

    pub(super) fn unreachable(doing: &str, to: &Url, why: impl std::fmt::Display) -> Trouble {
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
    pub(super) fn room(&self) -> usize {
        let books = self.books();
        usize::try_from(books.payload_most.saturating_sub(books.payload)).unwrap_or(usize::MAX).min(CHUNK)
    }

    pub(super) fn passed(&self, n: usize) {
        self.books().payload += n as u64;
    }
}

/// What is uploaded.
#[derive(Debug)]
pub(super) struct Body {
    pub bytes: Vec<u8>,
    /// The same in the page cache.
    pub file: Option<OwnedFd>,
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
