//! How the gateway's own DHCP client identifies itself to the server, read from its command line.
//!
//! The check sends the same options. Otherwise a server that goes by the client identifier would offer a different
//! address, and one that requires a vendor class or a login in an option (some operators do) would answer the client but
//! not the check. OpenWrt's netifd starts `udhcpc` with `-C` (no identifier) or `-x 0x3d:…`, with `-V` and further `-x` as
//! configured.

use pnet::util::MacAddr;
use std::fs::{self, File};
use std::io::Read as _;

/// The most processes that are examined: a gateway has about 100.
const PROCESSES_MOST: usize = 2_048;

/// How much of a command line is read, bytes.
const COMMAND_MOST: u64 = 4_096;

/// The most bytes of options that are sent: with our own options they have to fit the 312 bytes that every server accepts
/// (RFC 2131).
const OPTIONS_MOST: usize = 240;

/// Option codes of RFC 2132.
const HOST_NAME: u8 = 12;
const VENDOR_CLASS: u8 = 60;
const CLIENT_IDENTIFIER: u8 = 61;

/// The options by which a client identifies itself, each once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identity {
    pub options: Vec<(u8, Vec<u8>)>,
}

/// The options of the `udhcpc` that runs on this device; if none runs, those of one started without arguments.
pub(super) fn identity(device: &str, mac: MacAddr) -> Identity {
    let found =
        fs::read_dir("/proc").into_iter().flatten().take(PROCESSES_MOST).flatten().find_map(|entry| {
            if !entry.file_name().as_encoded_bytes().first()?.is_ascii_digit() {
                return None;
            }
            let mut command = Vec::new();
            File::open(entry.path().join("cmdline"))
                .ok()?
                .take(COMMAND_MOST)
                .read_to_end(&mut command)
                .ok()?;
            parse_command_line(&command, device, mac)
        });
    found.unwrap_or_else(|| Identity { options: vec![hardware_identifier(mac)] })
}

/// The client identifier made of the Ethernet address.
fn hardware_identifier(mac: MacAddr) -> (u8, Vec<u8>) {
    (CLIENT_IDENTIFIER, [&[1], &mac.octets()[..]].concat())
}

/// Parses a command line in /proc's form; `None` if it is not a `udhcpc` on this device.
fn parse_command_line(command: &[u8], device: &str, mac: MacAddr) -> Option<Identity> {
    let mut words = command.split(|byte| *byte == 0).map(String::from_utf8_lossy);
    let name = |word: &str| word.rsplit('/').next() == Some("udhcpc");
    let mut program = words.next()?;
    if program.ends_with("busybox") {
        program = words.next()?;
    }
    if !name(&program) {
        return None;
    }
    // udhcpc's default.
    let mut interface = "eth0".to_owned();
    let (mut by_mac, mut options) = (true, Vec::<(u8, Vec<u8>)>::new());
    while let Some(word) = words.next() {
        let (letter, rest) = word.split_at_checked(2).unwrap_or((&word, ""));
        let mut value =
            || if rest.is_empty() { words.next().unwrap_or_default().into_owned() } else { rest.into() };
        let option = match letter {
            "-C" => {
                by_mac = false;
                None
            }
            "-i" => {
                interface = value();
                None
            }
            "-V" => Some((VENDOR_CLASS, value().into_bytes())),
            "-x" => option(&value()),
            _ => None,
        };
        if let Some((code, value)) = option {
            options.retain(|(other, _)| *other != code);
            options.push((code, value));
        }
    }
    if interface != device {
        return None;
    }
    // A configured identifier replaces the one made of the Ethernet address.
    if by_mac && options.iter().all(|(code, _)| *code != CLIENT_IDENTIFIER) {
        options.insert(0, hardware_identifier(mac));
    }
    let mut room = OPTIONS_MOST;
    options.retain(|(_, value)| {
        let fits = !value.is_empty() && value.len() <= 255 && value.len() + 2 <= room;
        room -= if fits { value.len() + 2 } else { 0 };
        fits
    });
    Some(Identity { options })
}

/// Parses a command line and discards the result: for tests with hostile input.
pub(super) fn parse_and_discard(command: &[u8]) {
    parse_command_line(command, "eth1", MacAddr(2, 0, 0, 0, 0, 1));
}

/// `0x3d:0102beef`, `61:0102beef`, `60:"text"`, `hostname:text`. Other options that udhcpc knows by name are ignored.
fn option(text: &str) -> Option<(u8, Vec<u8>)> {
    let (code, value) = text.split_once(':')?;
    if code == "hostname" {
        return Some((HOST_NAME, value.into()));
    }
    let code = match code.strip_prefix("0x") {
        Some(hex) => u8::from_str_radix(hex, 16).ok()?,
        None => code.parse().ok()?,
    };
    // Padding, end, and the options that make up a DISCOVER are written by us.
    if matches!(code, 0 | 50..=57 | 255) {
        return None;
    }
    if let Some(quoted) = value.strip_prefix('"') {
        return Some((code, quoted.strip_suffix('"').unwrap_or(quoted).into()));
    }
    let digits: Vec<u8> = value.bytes().filter(|byte| *byte != b':').collect();
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    let bytes: Option<Vec<u8>> =
        digits.chunks(2).map(|two| if two.len() == 2 { pair(two) } else { None }).collect();
    Some((code, bytes?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MAC: MacAddr = MacAddr(2, 0, 0, 0, 0, 1);

    fn options_of(words: &str) -> Option<Vec<(u8, Vec<u8>)>> {
        let command = words.replace(' ', "\0") + "\0";
        parse_command_line(command.as_bytes(), "eth1", MAC).map(|identity| identity.options)
    }

    #[test]
    fn options_of_usual_command_lines_are_read() {
        let hardware = (61, vec![1, 2, 0, 0, 0, 0, 1]);
        assert_eq!(options_of("udhcpc -f -i eth1"), Some(vec![hardware.clone()]));
        assert_eq!(
            options_of("/sbin/udhcpc -p /var/run/udhcpc-eth1.pid -f -t 0 -i eth1 -C -R -O 121"),
            Some(vec![])
        );
        assert_eq!(
            options_of("udhcpc -ieth1 -x hostname:gw -V vendor -x 0x3d:ff00Be -x 77:\"+FSVDSL\" -C"),
            Some(vec![
                (12, b"gw".to_vec()),
                (60, b"vendor".to_vec()),
                (61, vec![0xff, 0, 0xbe]),
                (77, b"+FSVDSL".to_vec())
            ])
        );
        assert_eq!(options_of("busybox udhcpc -i eth1"), Some(vec![hardware]));
    }

    #[test]
    fn other_programs_and_devices_are_ignored() {
        for other in
            ["udhcpc -i eth2", "udhcpc", "udhcpc6 -i eth1", "sh -c udhcpc -i eth1", "busybox ntpd", ""]
        {
            assert_eq!(options_of(other), None, "{other}");
        }
    }

    #[test]
    fn reserved_and_invalid_options_are_left_out() {
        let options =
            options_of("udhcpc -C -i eth1 -x 53:07 -x 0xff:00 -x 0:00 -x 80:0 -x 80:zz -x lease:60 -x x -V")
                .unwrap();
        assert_eq!(options, []);
        let long = format!("udhcpc -C -i eth1 -x 80:{} -x 81:00", "00".repeat(250));
        assert_eq!(options_of(&long), Some(vec![(81, vec![0])]));
    }

    proptest! {
        #[test]
        fn any_command_line_parses_without_panic(words in proptest::collection::vec("(-[xiVC]|[ -~]{0,12}|0x3[a-f]:[0-9é]{0,9})", 0..9)) {
            let command = format!("udhcpc\0-i\0eth1\0{}", words.join("\0"));
            let found = parse_command_line(command.as_bytes(), "eth1", MAC);
            if let Some(found) = found {
                prop_assert!(found.options.iter().map(|(_, value)| value.len() + 2).sum::<usize>() <= OPTIONS_MOST);
            }
        }
    }
}
