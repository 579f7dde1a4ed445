//! The MQTT broker of the demo: rumqttd in a process of its own, so that the demo needs no installed broker.
//!
//! The integration tests use mosquitto instead; nothing else in the lab depends on this one. rumqttd 0.20
//! supports (according to its source and our observation): wills, retained messages, QoS 1, MQTT 5 sessions that outlive their connection, in memory only.
//! It does not support session expiry (a session that is not clean is kept forever), message expiry, `no local`,
//! retain handling, and a retained message that an existing subscription asks for again.

use crate::clock;
use crate::error::Error;
use crate::world::{Host, PLATFORM, Process, World};
use rumqttd::{ConnectionSettings, RouterConfig, ServerSettings};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::time::Duration;

/// MQTT's port without TLS.
pub const PORT: u16 = 1883;

/// How long the start may take. It takes some 20 ms; the rest is for a loaded machine.
const READY: Duration = Duration::from_secs(20);

/// A broker in the platform's namespace. It ends when dropped, together with all sessions and retained messages.
#[derive(Debug)]
pub struct Broker(Process);

impl Broker {
    /// Starts it, and returns once it accepts connections.
    ///
    /// # Errors
    /// The broker does not accept connections in time.
    pub fn start(world: &World) -> Result<Broker, Error> {
        let mut command = Command::new(world.program());
        command.args(["lab", "broker"]).stdin(Stdio::null()).stdout(Stdio::null());
        let mut process = world.spawn_in(Host::Platform, &mut command)?;
        let address = Broker::address();
        let listens = || TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok();
        let ready =
            world.run_in(Host::Platform, || clock::wait_until(READY, || !process.is_alive() || listens()))?;
        if ready && process.is_alive() {
            Ok(Broker(process))
        } else {
            Err(Error::new("starting the lab's broker", format!("nothing listens on {address}")))
        }
    }

    /// The address on which it listens.
    pub fn address() -> SocketAddr {
        (PLATFORM, PORT).into()
    }

    /// Its process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.0
    }
}

/// Runs the broker until the process ends.
///
/// # Errors
/// The broker cannot listen.
pub fn serve() -> Result<(), Error> {
    let connections = ConnectionSettings {
        connection_timeout_ms: 5_000,
        // A callback with all its evidence is some kB; the agent's own limit is below this.
        max_payload_size: 256 * 1024,
        max_inflight_count: 100,
        auth: None,
        external_auth: None,
        // Without it, a message that nobody subscribed to ends the publisher's connection.
        dynamic_filters: true,
    };
    let server = ServerSettings {
        name: "lab".to_owned(),
        listen: SocketAddr::from(([0, 0, 0, 0], PORT)),
        tls: None,
        next_connection_delay_ms: 1,
        connections,
    };
    let config = rumqttd::Config {
        router: RouterConfig {
            max_connections: 32,
            max_outgoing_packet_count: 200,
            max_segment_size: 1024 * 1024,
            max_segment_count: 4,
            ..RouterConfig::default()
        },
        v5: Some([("lab".to_owned(), server)].into()),
        ..rumqttd::Config::default()
    };
    rumqttd::Broker::new(config).start().map_err(|e| Error::new("running the lab's broker", e))
}
