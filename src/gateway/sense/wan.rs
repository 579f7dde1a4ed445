//! The WAN device as the sensors address it, and TCP connections that leave by it.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

/// How long a server may take to accept a connection, and again for the TLS handshake: a lost SYN is repeated after 1 s
/// and 3 s.
pub(super) const CONNECT_LIMIT: Duration = Duration::from_secs(4);

/// The WAN device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WanDevice {
    /// Its name; connections are bound to it.
    pub name: String,
    /// Its interface index; 0 while there is none.
    pub index: u32,
    /// OpenWrt's name of the interface, if netifd named it.
    pub interface: Option<String>,
}

/// Opens a TCP connection over the WAN device. Fails after [`CONNECT_LIMIT`].
pub(super) async fn connect_tcp(address: SocketAddr, device: &str) -> io::Result<TcpStream> {
    let socket = if address.is_ipv6() { TcpSocket::new_v6() } else { TcpSocket::new_v4() }?;
    socket.bind_device(Some(device.as_bytes()))?;
    match timeout(CONNECT_LIMIT, socket.connect(address)).await {
        Ok(stream) => stream,
        Err(_) => Err(io::Error::new(ErrorKind::TimedOut, "no answer within 4 s")),
    }
}
