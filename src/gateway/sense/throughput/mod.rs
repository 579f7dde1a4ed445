//! Measures the speed of the line by a download from, or an upload to, a web server of the operator.
//!
//! The server's URL is a directory with two objects: `download`, a file of at least 1 MB (better 100 MB; it is fetched
//! again when it ends), and `upload`, which accepts a POST and discards it. Any web server will do; with nginx:
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
//! (nginx answers 204 before the body arrives and then discards the body for up to 30 s, `lingering_time`.)
//!
//! **How.** One to eight TCP connections, bound to the WAN device, as many as the rate needs. Every 100 ms the counters of
//! the device and of TCP (`TCP_INFO`) are read together. [`figures`] computes from them what the line carried, how much of
//! it was the test's and how much the customer's, the best sustained second, and what limited the rate. Before and during
//! the test, TCP handshakes measure the round-trip time; they wait in the same queue as all other traffic.
//!
//! **Cost.** The test stops as soon as a sustained second shows that the line is good enough. It never exceeds its limits
//! of seconds and bytes, whatever the server does. Received bytes are discarded in the kernel and sent bytes come from the
//! page cache, so a test over http copies nothing. Over https every byte is decrypted and copied: on a router that is
//! usually the limit, and it is reported as such ([`Limit::GatewayCpu`](linekeeper_contract::vocabulary::Limit)). Use http
//! where the path lies within the operator's own network.

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

pub use crate::sense::http::Url;
pub use crate::sense::wan::WanDevice;
pub use measure::{CONNECTIONS_MOST, Progress, Server, Stop, measure};
