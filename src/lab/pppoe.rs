//! A PPPoE access concentrator (RFC 2516) for the lab, in the discovery stage only: no session is ever opened.

use crate::error::Error;
use linekeeper::sense::access::pppoe::DISCOVERY;
use linekeeper::sense::access::wire::Wire;
use rustix::net::{AddressFamily, SocketType, netdevice, socket};
use std::io::Write as _;

/// Its name.
pub const NAME: &str = "lab-bng-1";
/// The service name that it offers.
pub const SERVICE: &str = "internet";
/// The error text when it refuses.
pub const REFUSAL: &str = "no session available";

const HEADER: usize = 20;
const PADI: u8 = 0x09;
const PADO: u8 = 0x07;
const PADR: u8 = 0x19;

/// How the concentrator behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// Offers a session to every client.
    Good,
    /// Does not answer.
    Silent,
    /// Answers with an error, `AC-System-Error`.
    Refusing,
}

impl Manner {
    /// `good`, `silent`, `refusing`.
    pub fn from_name(name: &str) -> Option<Manner> {
        match name {
            "good" => Some(Manner::Good),
            "silent" => Some(Manner::Silent),
            "refusing" => Some(Manner::Refusing),
            _ => None,
        }
    }
}

/// Serves `device` until the process ends. Prints `serving` on standard output when it is ready, and the kind of every
/// discovery frame that it receives: `PADI`, `PADR` or the code.
///
/// # Errors
/// The device does not exist, or a raw socket on it cannot be opened.
pub async fn serve(device: &str, manner: Manner) -> Result<(), Error> {
    let wrong = |e| Error::new(format!("serving PPPoE on {device}"), e);
    let any = socket(AddressFamily::INET, SocketType::DGRAM, None).map_err(|e| wrong(e.into()))?;
    let index = netdevice::name_to_index(&any, device).map_err(|e| wrong(e.into()))?;
    let mut wire = Wire::open(index, DISCOVERY, &[]).map_err(wrong)?;
    say("serving");
    loop {
        let Ok(frame) = wire.receive().await else { continue }; // the device went down for a moment
        let Some(&code) = frame.get(15) else { continue };
        match code {
            PADI => say("PADI"),
            PADR => say("PADR"),
            other => say(&format!("{other:#04x}")),
        }
        if let Some(answer) = answer(frame, manner, MAC) {
            // The client repeats its request if this cannot be sent.
            let _ = wire.send(&answer);
        }
    }
}

/// The source address of its frames, independent of the device's address.
const MAC: [u8; 6] = [2, 0x50, 0x50, 0x50, 0, 1];

fn say(words: &str) {
    let mut out = std::io::stdout().lock();
    // Nobody may be reading the output.
    let _ = writeln!(out, "{words}").and_then(|()| out.flush());
}

/// The answer to a PADI. It repeats all tags of the request, as RFC 2516 requires for Service-Name and Host-Uniq.
fn answer(asked: &[u8], manner: Manner, mac: [u8; 6]) -> Option<Vec<u8>> {
    if asked.get(15) != Some(&PADI) {
        return None;
    }
    let length = usize::from(u16::from_be_bytes([*asked.get(18)?, *asked.get(19)?]));
    let mut tags = asked.get(HEADER..HEADER + length)?.to_vec();
    let mut tag = |kind: u16, value: &str| {
        tags.extend(kind.to_be_bytes());
        tags.extend((value.len() as u16).to_be_bytes());
        tags.extend(value.as_bytes());
    };
    tag(0x0102, NAME);
    match manner {
        Manner::Silent => return None,
        Manner::Good => tag(0x0101, SERVICE),
        Manner::Refusing => tag(0x0202, REFUSAL),
    }
    let mut frame = asked.get(6..12)?.to_vec();
    frame.extend(mac);
    frame.extend(DISCOVERY.to_be_bytes());
    frame.extend([0x11, PADO, 0, 0]);
    frame.extend((tags.len() as u16).to_be_bytes());
    frame.extend(tags);
    Some(frame)
}
