//! Which data may leave the gateway, and which may appear in its log.
//!
//! Policy:
//!
//! * Customer data are the customer reference, the customer's own words (`linekeeper callback --reason`), and every
//!   address that was observed and not configured: WAN and LAN addresses, resolvers and gateways learned by DHCP, and all
//!   link-layer addresses, whoever owns the machine. Addresses are not sorted by owner, so they cannot be sorted wrongly.
//! * Hosts in the operator's configuration belong to the operator. They stay readable, otherwise nobody could see which
//!   target is silent. Loopback and unspecified addresses identify nobody and stay readable too.
//! * The customer reference appears only in `customer_id` of callbacks. The customer's words appear only in the
//!   description of the callback that the customer requested.
//! * A masked address keeps the part that tells an engineer the network: 24 bits of IPv4, 48 bits of IPv6, the vendor of
//!   a link-layer address. Web statistics keep as much of a visitor. Addresses are always masked in logs, and in messages
//!   unless `privacy.addresses` is `full`.
//! * Masking happens in one place for all messages, right before they are sent. It covers every text except identifiers
//!   that machines compare ([`UNMASKED_FIELDS`]), so a new field is masked unless it is listed there.
//! * Anyone with access to the gateway sees everything: `status`, `diagnose`, hooks, `--verbose` and the trace of
//!   `run --record`.
//!
//! An address written without its dots or colons is not recognised.

use linekeeper_judge::config::{Config, Shared};
use serde_json::{Value, json};
use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Range;

/// Message fields that machines compare byte by byte, and dates. Their values are never masked.
pub const UNMASKED_FIELDS: &[&str] = &[
    "schema",
    "id",
    "device_id",
    "boot_id",
    "started_boot_id",
    "session_id",
    "callback_id",
    "incident_id",
    "command_id",
    "customer_id",
    "area",
    "covered_by",
    "correlation",
    "version",
    "desired",
    "wall",
];

/// The longest written form of an IPv6 address, characters: one that ends with an IPv4 address.
const MAX_IPV6_LENGTH: usize = 45;

/// What one configuration allows to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Privacy {
    /// Whether addresses in messages stay unmasked.
    full: bool,
    /// Addresses from the configuration: the operator's own, never masked.
    own: Vec<IpAddr>,
    /// The groups of fields that are sent.
    fields: Vec<Shared>,
}

/// The default configuration, without any configured host.
impl Default for Privacy {
    fn default() -> Privacy {
        Privacy { full: false, own: Vec::new(), fields: Shared::ALL.to_vec() }
    }
}

impl Privacy {
    /// The rules of this configuration.
    pub fn new(config: &Config) -> Privacy {
        let hosts = config.probe.targets.iter().map(|t| t.host.as_str());
        let brokers = config.mqtt.iter().flat_map(|m| m.brokers.iter().map(|b| b.host.as_str()));
        let urls = config.speed.servers.iter().chain(&config.web.url).map(String::as_str);
        let resolvers = config.name.resolvers.iter().chain(&config.name.independent).copied();
        let mut own: Vec<IpAddr> = resolvers.collect();
        for text in hosts.chain(brokers).chain(urls) {
            let mut from = 0;
            while let Some((at, found)) = next_address(text, from) {
                from = at.end;
                own.extend(found.ip());
            }
        }
        Privacy { full: config.privacy.full_addresses, own, fields: config.privacy.fields.clone() }
    }

    /// The text with its addresses masked, as a log may show it.
    pub fn mask_addresses<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let mut out = String::new();
        let (mut done, mut from) = (0, 0);
        while let Some((at, found)) = next_address(text, from) {
            from = at.end;
            let masked = match found {
                Address::Mac => {
                    let kept = &text[at.start..at.start + 8];
                    let between = &text[at.start + 2..at.start + 3];
                    format!("{kept}{between}xx{between}xx{between}xx")
                }
                Address::Ip(ip) if self.stays_readable(ip) => continue,
                Address::Ip(IpAddr::V4(ip)) => {
                    let [a, b, c, _] = ip.octets();
                    format!("{a}.{b}.{c}.x")
                }
                Address::Ip(IpAddr::V6(ip)) => {
                    let [a, b, c, ..] = ip.segments();
                    format!("{a:x}:{b:x}:{c:x}:x")
                }
            };
            out.push_str(&text[done..at.start]);
            out.push_str(&masked);
            done = at.end;
        }
        if done == 0 {
            return Cow::Borrowed(text);
        }
        out.push_str(&text[done..]);
        Cow::Owned(out)
    }

    fn stays_readable(&self, ip: IpAddr) -> bool {
        ip.is_loopback() || ip.is_unspecified() || self.own.contains(&ip)
    }

    /// Removes from a message for `topic` (the last part of its name) everything that may not be sent.
    pub fn redact(&self, topic: &str, message: &mut Value) {
        let sent = |group| self.fields.contains(&group);
        let mut leave_out = |group: Shared, pointer: &str, with: Value| {
            if !sent(group)
                && let Some(value) = message.pointer_mut(pointer)
            {
                *value = with;
            }
        };
        match topic {
            "callback" => {
                leave_out(Shared::Customer, "/customer_id", Value::Null);
                leave_out(Shared::Facts, "/evidence/facts", json!([]));
                leave_out(Shared::Samples, "/evidence/samples", json!([]));
                leave_out(Shared::Recorder, "/evidence/recorder", Value::Null);
                leave_out(Shared::Remedies, "/remedies", json!([]));
            }
            "event" => leave_out(Shared::Recorder, "/recorder", Value::Null),
            "command/result" => {
                leave_out(Shared::Facts, "/result/facts", json!([]));
                leave_out(Shared::Remedies, "/result/remedies", json!([]));
                leave_out(Shared::Troubles, "/result/troubles", json!({}));
            }
            "state" => leave_out(Shared::Troubles, "/troubles", json!({})),
            _ => {}
        }
        if !self.full {
            self.mask_texts(message);
        }
    }

    fn mask_texts(&self, value: &mut Value) {
        match value {
            Value::String(text) => {
                if let Cow::Owned(masked) = self.mask_addresses(text) {
                    *text = masked;
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.mask_texts(item)),
            Value::Object(map) => {
                for (key, value) in map {
                    // Only texts are exempt: an object or list under such a key is masked.
                    if !(value.is_string() && UNMASKED_FIELDS.contains(&key.as_str())) {
                        self.mask_texts(value);
                    }
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
}

/// An address found in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Address {
    Ip(IpAddr),
    /// Six pairs of hexadecimal digits.
    Mac,
}

impl Address {
    fn ip(self) -> Option<IpAddr> {
        match self {
            Address::Ip(ip) => Some(ip),
            Address::Mac => None,
        }
    }
}

/// The next address in `text` at byte `from` or later, and its byte range.
fn next_address(text: &str, from: usize) -> Option<(Range<usize>, Address)> {
    let bytes = text.as_bytes();
    (from..bytes.len()).find_map(|at| {
        let byte = bytes[at];
        if !byte.is_ascii_hexdigit() && byte != b':' {
            return None;
        }
        let before = at.checked_sub(1).map(|i| bytes[i]);
        let begins = !before.is_some_and(|b| b.is_ascii_alphanumeric() || b == b':');
        let rest = &bytes[at..];
        let mac = || mac_length(rest).map(|long| (long, Address::Mac));
        let v6 = || longest_ipv6(rest).map(|(long, ip)| (long, Address::Ip(ip)));
        let v4 = || leading_ipv4(rest).map(|(long, ip)| (long, Address::Ip(ip.into())));
        let found = if begins { mac().or_else(v6) } else { None };
        let digit = before.is_some_and(|b| b.is_ascii_digit());
        let (long, found) = found.or_else(|| if digit { None } else { v4() })?;
        Some((at..at + long, found))
    })
}

/// The length of the link-layer address that `bytes` begin with: `02:42:ac:11:00:02`, or with dashes.
fn mac_length(bytes: &[u8]) -> Option<usize> {
    const LONG: usize = 17;
    let pairs = bytes.get(..LONG)?;
    let between = pairs[2];
    let fits = |(i, b): (usize, &u8)| if i % 3 == 2 { *b == between } else { b.is_ascii_hexdigit() };
    let whole = matches!(between, b':' | b'-') && pairs.iter().enumerate().all(fits);
    // Eight groups are an IPv6 address, and more groups are some other number.
    let goes_on = bytes.get(LONG).is_some_and(|b| b.is_ascii_hexdigit() || *b == between);
    (whole && !goes_on).then_some(LONG)
}

/// The longest IPv6 address that `bytes` begin with, and its length.
fn longest_ipv6(bytes: &[u8]) -> Option<(usize, IpAddr)> {
    let run = bytes.iter().take_while(|b| b.is_ascii_hexdigit() || matches!(b, b':' | b'.')).count();
    let run = run.min(MAX_IPV6_LENGTH);
    if bytes[..run].iter().filter(|b| **b == b':').count() < 2 {
        return None;
    }
    // A port, a full stop or a zone may follow an address: it begins with one of these characters or ends the run.
    (2..=run).rev().filter(|&end| end == run || matches!(bytes[end], b':' | b'.')).find_map(|end| {
        let ip: Ipv6Addr = std::str::from_utf8(&bytes[..end]).ok()?.parse().ok()?;
        Some((end, IpAddr::V6(ip).to_canonical()))
    })
}

/// The IPv4 address that `bytes` begin with, and its length.
fn leading_ipv4(bytes: &[u8]) -> Option<(usize, Ipv4Addr)> {
    let mut octets = [0; 4];
    let mut at = 0;
    for (i, octet) in octets.iter_mut().enumerate() {
        if i > 0 {
            at += (bytes.get(at) == Some(&b'.')).then_some(1)?;
        }
        let digits = bytes[at..].iter().take(4).take_while(|b| b.is_ascii_digit()).count();
        let text = std::str::from_utf8(&bytes[at..at + digits]).ok()?;
        *octet = text.parse().ok()?;
        at += digits;
    }
    Some((at, octets.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn masked(text: &str) -> String {
        let own = vec!["198.51.100.1".parse().unwrap(), "2001:db8::53".parse().unwrap()];
        Privacy { own, ..Privacy::default() }.mask_addresses(text).into_owned()
    }

    #[test]
    fn masked_addresses_keep_only_their_network() {
        for (text, wanted) in [
            ("198.18.100.10", "198.18.100.x"),
            (
                "offers 198.18.100.10 for 2 h, router 198.18.100.1.",
                "offers 198.18.100.x for 2 h, router 198.18.100.x.",
            ),
            ("looking up: 198.18.100.1:53 says no", "looking up: 198.18.100.x:53 says no"),
            (
                "http://10.0.0.1/?mac=02:42:AC:11:00:02&ip=10.0.0.5",
                "http://10.0.0.x/?mac=02:42:AC:xx:xx:xx&ip=10.0.0.x",
            ),
            ("02-42-ac-11-00-02", "02-42-ac-xx-xx-xx"),
            ("is at e6:3f:a5:f2:0c:ef (1 ms)", "is at e6:3f:a5:xx:xx:xx (1 ms)"),
            ("[2001:db8:1:2::9]:443", "[2001:db8:1:x]:443"),
            ("fe80::1%wan0: no", "fe80:0:0:x%wan0: no"),
            ("from 2001:db8:1:2:3:4:5:6.", "from 2001:db8:1:x."),
            ("ask 2001:db8:7::1: no answer", "ask 2001:db8:7:x: no answer"),
            ("::ffff:10.1.2.3", "10.1.2.x"),
            ("via10.1.2.3/24", "via10.1.2.x/24"),
            ("客户10.1.2.3的", "客户10.1.2.x的"),
            ("10.1.2.3,10.1.2.4", "10.1.2.x,10.1.2.x"),
        ] {
            assert_eq!(masked(text), wanted, "{text}");
            assert_eq!(masked(wanted), wanted, "twice");
        }
    }

    #[test]
    fn other_text_and_configured_addresses_stay_readable() {
        for text in [
            "",
            "198.51.100.1: anchor target",
            "[2001:db8::53]:53 and 2001:db8:0::53",
            "127.0.0.1:8883, ::1 and 0.0.0.0",
            "2026-11-20T10:32:07+08:00",
            "12:30:07.250",
            "linekeeper 0.1.0, 6.1.0-18",
            "1.2.3 and 256.1.1.1 and 1.2.3.1000",
            "std::io::Error, dead beef: cafe",
            "01:02:03:04:05:06:07",
            "IN20261120-001 03e8d1f2-aaaa-bbbb-cccc-0123456789ab",
            "::: a:b :c ...",
            "电话：139 5550 1234",
        ] {
            assert_eq!(masked(text), text);
        }
    }

    #[test]
    fn every_text_of_a_message_is_masked_except_identifiers() {
        let privacy = Privacy::default();
        let mut message = json!({
            "id": "10.0.0.1/1", "device_id": "10.0.0.1", "why": "10.0.0.1", "n": 7,
            "deep": [{ "detail": ["10.0.0.1"], "version": { "subject": "10.0.0.1" } }],
        });
        privacy.redact("event", &mut message);
        let wanted = json!({
            "id": "10.0.0.1/1", "device_id": "10.0.0.1", "why": "10.0.0.x", "n": 7,
            "deep": [{ "detail": ["10.0.0.x"], "version": { "subject": "10.0.0.x" } }],
        });
        assert_eq!(message, wanted);
        let full = Privacy { full: true, ..privacy };
        let mut message = json!({ "why": "10.0.0.1" });
        full.redact("event", &mut message);
        assert_eq!(message, json!({ "why": "10.0.0.1" }));
    }

    #[test]
    fn groups_not_configured_are_removed() {
        let callback = json!({
            "customer_id": "C", "remedies": [1],
            "evidence": { "facts": [1], "samples": [1], "recorder": {}, "rule": "r" },
        });
        let state = json!({ "troubles": { "mqtt": "x" }, "line": "up" });
        let event = json!({ "recorder": {}, "remedy": 1 });
        let result =
            json!({ "result": { "facts": [1], "remedies": [1], "troubles": { "x": "y" }, "line": "up" } });
        let all =
            [("callback", &callback), ("state", &state), ("event", &event), ("command/result", &result)];
        let kept = |fields: Vec<Shared>| {
            let privacy = Privacy { fields, ..Privacy::default() };
            all.map(|(topic, message)| {
                let mut message = message.clone();
                privacy.redact(topic, &mut message);
                message
            })
        };
        assert_eq!(kept(Shared::ALL.to_vec()), all.map(|(_, m)| m.clone()));
        let evidence = json!({ "facts": [], "samples": [], "recorder": null, "rule": "r" });
        let least = [
            json!({ "customer_id": null, "remedies": [], "evidence": evidence }),
            json!({ "troubles": {}, "line": "up" }),
            json!({ "recorder": null, "remedy": 1 }),
            json!({ "result": { "facts": [], "remedies": [], "troubles": {}, "line": "up" } }),
        ];
        assert_eq!(kept(Vec::new()), least);
        for group in Shared::ALL {
            let changed = kept(vec![group]).iter().zip(&least).filter(|(is, was)| is != was).count();
            let once = matches!(group, Shared::Customer | Shared::Samples);
            assert_eq!(changed, if once { 1 } else { 2 }, "{group:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn every_address_is_masked_in_any_context(
            before in "[ -~\\PC]{0,12}[ =(\"/\\[,;]",
            after in "([^0-9A-Fa-f:.\\-x][\\PC]{0,12})?",
            v4 in any::<[u8; 4]>(),
            v6 in any::<[u16; 8]>(),
            mac in any::<[u8; 6]>(),
        ) {
            let v4 = Ipv4Addr::from(v4);
            let v6 = Ipv6Addr::from(v6);
            let mac = mac.map(|b| format!("{b:02x}")).join(":");
            let privacy = Privacy::default();
            for address in [v4.to_string(), v6.to_string(), mac] {
                let text = format!("{before}{address}{after}");
                let masked = privacy.mask_addresses(&text).into_owned();
                let open = address.parse().is_ok_and(|ip: IpAddr| ip.is_loopback() || ip.is_unspecified());
                prop_assert!(open || !masked.contains(&address), "{text} became {masked}");
                prop_assert_eq!(privacy.mask_addresses(&masked), masked.as_str());
            }
        }

        #[test]
        fn masking_accepts_any_text(text in "[0-9a-f:.\\- x\\PC]{0,60}") {
            let privacy = Privacy::default();
            let once = privacy.mask_addresses(&text).into_owned();
            let _ = privacy.mask_addresses(&once);
        }
    }
}
