//! A DHCP client that behaves like busybox's `udhcpc -f`: it tries forever, sets the address and the default route, renews
//! on SIGUSR1, releases and exits on SIGTERM, and writes its process id to a file. It does not watch the carrier.

use super::wire::{CLIENT, LARGEST, SERVER, decode, encode, everyone, message, socket};
use crate::clock;
use crate::command::run;
use crate::error::Error;
use dhcproto::v4::{DhcpOption, Message, MessageType, Opcode, OptionCode};
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Retransmission timeout, doubled from the first value up to the second. RFC 2131 starts with 4 s, which is too long for a
/// demo of one minute.
const RETRY: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(4));

/// Number of renewal requests before the client waits for the lease to expire.
const RENEWALS: u32 = 3;

/// Keeps `device` configured until SIGTERM.
///
/// # Errors
/// The device does not exist, or the socket or the pid file cannot be opened.
pub async fn keep(device: &str, pidfile: Option<&Path>) -> Result<(), Error> {
    let mut client = Client::open(device)?;
    if let Some(path) = pidfile {
        std::fs::write(path, format!("{}\n", std::process::id()))
            .map_err(|e| Error::new(format!("writing {}", path.display()), e))?;
    }
    let result = client.run_until_stopped().await;
    // Only if it is still ours: a successor may have replaced the file.
    if let Some(path) = pidfile {
        let written = std::fs::read_to_string(path).unwrap_or_default();
        if written.trim() == std::process::id().to_string() {
            let _ = std::fs::remove_file(path);
        }
    }
    result
}

struct Client {
    device: String,
    hardware: Vec<u8>,
    socket: UdpSocket,
    /// The id of the last transaction.
    xid: u32,
    renew: Signal,
    end: Signal,
}

/// A lease.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Lease {
    address: Ipv4Addr,
    prefix: u32,
    router: Option<Ipv4Addr>,
    server: Ipv4Addr,
    lasts: Duration,
}

/// The result of a request.
enum Answered {
    Yes(Message),
    No,
    Silence,
    /// SIGUSR1 arrived meanwhile.
    Renew,
    /// SIGTERM arrived meanwhile.
    End,
}

impl Client {
    fn open(device: &str) -> Result<Client, Error> {
        run(Command::new("ip").args(["link", "set", device, "up"]))?;
        let hardware = hardware_address(device)?;
        let wrong = |e| Error::new("listening for signals", e);
        // The process id distinguishes two clients that start at the same time; the time distinguishes restarts of one.
        let xid = (clock::uptime().as_millis() as u32) ^ std::process::id().rotate_left(16);
        Ok(Client {
            device: device.to_owned(),
            hardware,
            socket: socket(device, CLIENT)?,
            xid,
            renew: signal(SignalKind::user_defined1()).map_err(wrong)?,
            end: signal(SignalKind::terminate()).map_err(wrong)?,
        })
    }

    async fn run_until_stopped(&mut self) -> Result<(), Error> {
        loop {
            let Some(mut lease) = self.acquire().await? else { return Ok(()) };
            self.apply(&lease)?;
            // Bound, until the lease expires, is refused, or SIGTERM arrives.
            let mut began = clock::uptime();
            loop {
                let half = lease.lasts / 2;
                let left = half.saturating_sub(clock::since(began));
                tokio::select! {
                    () = tokio::time::sleep(left) => {}
                    _ = self.renew.recv() => {}
                    _ = self.end.recv() => return self.release(&lease).await,
                }
                match self.renewed(&lease).await? {
                    Answered::Yes(ack) => {
                        if let Some(new) = Lease::read(&ack) {
                            lease = new;
                        }
                        began = clock::uptime();
                        self.apply(&lease)?;
                    }
                    Answered::No => break,
                    Answered::End => return self.release(&lease).await,
                    Answered::Silence | Answered::Renew if clock::since(began) >= lease.lasts => break,
                    Answered::Silence | Answered::Renew => {}
                }
            }
            self.clear();
        }
    }

    /// Sends DISCOVER and REQUEST until there is a lease; `None` after SIGTERM.
    async fn acquire(&mut self) -> Result<Option<Lease>, Error> {
        let mut patience = RETRY.0;
        loop {
            let discover = self.question(MessageType::Discover);
            let offer = self.ask(&discover, MessageType::Offer, patience).await?;
            if let Answered::Yes(offer) = &offer
                && let Some(lease) = Lease::read(offer)
            {
                let mut request =
                    message(Opcode::BootRequest, MessageType::Request, offer.xid(), &self.hardware);
                request.opts_mut().insert(DhcpOption::RequestedIpAddress(lease.address));
                request.opts_mut().insert(DhcpOption::ServerIdentifier(lease.server));
                match self.ask(&request, MessageType::Ack, patience).await? {
                    Answered::Yes(ack) => {
                        if let Some(lease) = Lease::read(&ack) {
                            return Ok(Some(lease));
                        }
                    }
                    Answered::End => return Ok(None),
                    Answered::No | Answered::Silence | Answered::Renew => {}
                }
            }
            patience = match offer {
                Answered::End => return Ok(None),
                Answered::Renew => RETRY.0,
                _ => (patience * 2).min(RETRY.1),
            };
        }
    }

    async fn renewed(&mut self, lease: &Lease) -> Result<Answered, Error> {
        for _ in 0..RENEWALS {
            let mut request = self.question(MessageType::Request);
            request.set_ciaddr(lease.address);
            match self.ask(&request, MessageType::Ack, RETRY.0).await? {
                Answered::Silence | Answered::Renew => {}
                other => return Ok(other),
            }
        }
        // Half of the lease may have passed long ago: do not ask again at once.
        tokio::time::sleep(RETRY.1).await;
        Ok(Answered::Silence)
    }

    async fn release(&mut self, lease: &Lease) -> Result<(), Error> {
        let mut release = self.question(MessageType::Release);
        release.set_ciaddr(lease.address);
        release.opts_mut().insert(DhcpOption::ServerIdentifier(lease.server));
        let _ = self.socket.send_to(&encode(&release)?, everyone(SERVER)).await;
        self.clear();
        Ok(())
    }

    fn question(&mut self, kind: MessageType) -> Message {
        self.xid = self.xid.wrapping_add(1);
        message(Opcode::BootRequest, kind, self.xid, &self.hardware)
    }

    /// Sends a request and waits for the wanted kind of answer to it.
    async fn ask(
        &mut self,
        question: &Message,
        wanted: MessageType,
        patience: Duration,
    ) -> Result<Answered, Error> {
        let bytes = encode(question)?;
        // If the device is down this fails; the timeout that follows covers it.
        let _ = self.socket.send_to(&bytes, everyone(SERVER)).await;
        let deadline = tokio::time::sleep(patience);
        tokio::pin!(deadline);
        let mut buffer = [0; LARGEST];
        loop {
            let came = tokio::select! {
                came = self.socket.recv_from(&mut buffer) => came,
                () = &mut deadline => return Ok(Answered::Silence),
                _ = self.renew.recv() => return Ok(Answered::Renew),
                _ = self.end.recv() => return Ok(Answered::End),
            };
            let Ok((length, _)) = came else { continue };
            let Some(answer) = decode(&buffer[..length]) else { continue };
            if answer.xid() != question.xid() || answer.chaddr() != self.hardware {
                continue;
            }
            match answer.opts().msg_type() {
                Some(MessageType::Nak) => return Ok(Answered::No),
                Some(kind) if kind == wanted => return Ok(Answered::Yes(answer)),
                _ => {}
            }
        }
    }

    /// Sets the address, then the route. Errors are ignored: whoever took the device down starts a new client.
    fn apply(&self, lease: &Lease) -> Result<(), Error> {
        let prefix = format!("{}/{}", lease.address, lease.prefix);
        let _ = run(Command::new("ip").args(["addr", "replace", &prefix, "dev", &self.device]));
        if let Some(router) = lease.router {
            let router = router.to_string();
            let words = ["route", "replace", "default", "via", &router, "dev", &self.device];
            let _ = run(Command::new("ip").args(words));
        }
        Ok(())
    }

    fn clear(&self) {
        let _ = run(Command::new("ip").args(["-4", "addr", "flush", "dev", &self.device]));
    }
}

impl Lease {
    fn read(message: &Message) -> Option<Lease> {
        let options = message.opts();
        let server = match options.get(OptionCode::ServerIdentifier)? {
            DhcpOption::ServerIdentifier(server) => *server,
            _ => return None,
        };
        let prefix = match options.get(OptionCode::SubnetMask) {
            Some(DhcpOption::SubnetMask(mask)) => u32::from(*mask).leading_ones(),
            _ => 24,
        };
        let router = match options.get(OptionCode::Router) {
            Some(DhcpOption::Router(routers)) => routers.first().copied(),
            _ => None,
        };
        let lasts = match options.get(OptionCode::AddressLeaseTime)? {
            DhcpOption::AddressLeaseTime(seconds) => Duration::from_secs(u64::from(*seconds)),
            _ => return None,
        };
        Some(Lease { address: message.yiaddr(), prefix, router, server, lasts })
    }
}

/// The device's MAC address. Asked of `ip`: sysfs may still show another network namespace.
fn hardware_address(device: &str) -> Result<Vec<u8>, Error> {
    let out = run(Command::new("ip").args(["-o", "link", "show", "dev", device]))?;
    let text = String::from_utf8_lossy(&out.stdout);
    let written = text.split_whitespace().skip_while(|word| !word.starts_with("link/")).nth(1);
    let bytes: Option<Vec<u8>> =
        written.and_then(|mac| mac.split(':').map(|pair| u8::from_str_radix(pair, 16).ok()).collect());
    bytes
        .filter(|bytes| bytes.len() == 6)
        .ok_or_else(|| Error::new(format!("reading the MAC address of {device}"), "there is none"))
}
