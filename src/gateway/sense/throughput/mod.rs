//! How fast the line is: a download from, or an upload to, a web server of the operator's.
//!
//! The server's address names a directory with two objects: `download`, a file of at least 1 MB (better 100 MB; it is
//! fetched again when it ends), and `upload`, which takes a POST and throws it away. Any web server can be one; nginx:
//!
//! ```text
//! # truncate -s 100M /srv/speed/download
//! server {
//!     listen 80;
//!     listen [::]:80;
//!     server_name speed.isp.example;
//!     root /srv/speed;
//!     default_type application/octet-stream;
//!     sendfile on;
//!     access_log off;
//!     location = /upload { client_max_body_size 0; return 204; }
//! }
//! ```
//!
//! (nginx answers 204 before the body comes and then discards it, for 30 s, `lingering_time`.)
//!
//! **How.** One to eight TCP connections, bound to the WAN device, as many as the rate needs. Every 100 ms the device's
//! counters and TCP's own (`TCP_INFO`) are read together; [`figures`] makes of them what the line carried, what of it was
//! ours and what the customer's, the best sustained second, and what limited it. Before and during the test a TCP handshake
//! now and then tells the round-trip time; it waits in the same queue as everything else.
//!
//! **What it costs.** It stops as soon as a sustained second shows that the line is good enough, and never takes more
//! seconds or bytes than it was given, whatever the server does. What was received is discarded in the kernel, what is
//! sent comes out of the page cache: a plain test copies nothing. By https every byte is decrypted here and copied: on a
//! router's processor that is most often the limit, and then said so ([`Limit::GatewayCpu`](linekeeper_contract::vocabulary::Limit)).
//! Measure by http where the operator's own network lies between.

mod connection;
pub(super) mod cpu;
mod download;
mod figures;
mod gauge;
mod latency;
mod measure;
mod plan;
mod rates;
mod tcp;
mod upload;

pub use crate::sense::http as head;
pub use crate::sense::http::Url;
pub use crate::sense::wan::Device;
pub use measure::{CONNECTIONS_MOST, Progress, Server, Stop, measure};
