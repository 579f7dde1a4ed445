//! Round-trip times before and during a test, by TCP handshakes.

use super::tcp::Diag;
use crate::clock;
use crate::sense::wan::{WanDevice, connect_tcp};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

/// Time between two handshakes under load. Four per second take 10 kbit/s.
const LOADED_EVERY: Duration = Duration::from_millis(250);

/// The duration of one TCP handshake, microseconds: the kernel's own measurement if available. `None` if it failed.
pub(super) async fn round_trip(diag: &mut Option<Diag>, to: SocketAddr, device: &WanDevice) -> Option<u32> {
    let before = clock::since_boot();
    let stream = connect_tcp(to, &device.name).await.ok()?;
    let took = clock::since_boot().saturating_sub(before);
    let _ = rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO));
    let asked = diag.as_mut().and_then(|diag| diag.ask(stream.local_addr().ok()?, to, device.index).ok());
    match asked {
        Some(now) if now.rtt_us > 0 => Some(now.rtt_us),
        _ => u32::try_from(took.as_micros()).ok(),
    }
}

/// Measures the round-trip time every [`LOADED_EVERY`] until the receiver is gone.
pub(super) async fn ping_on(to: SocketAddr, device: WanDevice, told: mpsc::Sender<u32>) {
    let mut diag = Diag::connect().ok();
    let mut tick = tokio::time::interval(LOADED_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // Skip the immediate first tick: the line is not loaded yet.
    tick.tick().await;
    loop {
        tick.tick().await;
        if let Some(us) = round_trip(&mut diag, to, &device).await
            && told.send(us).await.is_err()
        {
            return;
        }
    }
}
