//! Checks the hosts and URLs of a configuration: targets, DNS servers, brokers and test servers.

use super::bounds::LONGEST_URL;
use std::net::IpAddr;

/// The default port of MQTT, registered with IANA.
const MQTT_PORT: u16 = 1883;
/// The default port of MQTT over TLS, registered with IANA.
const MQTTS_PORT: u16 = 8883;
/// The longest name that DNS carries (RFC 1035, 2.3.4, less the length bytes).
const LONGEST_NAME: usize = 253;
/// The longest label of one (RFC 1035, 2.3.4).
const LONGEST_LABEL: usize = 63;

/// Whether `text` is an address or a name of a single other host; says what it must be where it is not.
///
/// Names are as RFC 1123 wants them. `own` allows this gateway itself (loopback).
pub(super) fn check(text: &str, own: bool) -> Result<(), &'static str> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return check_address(address.to_canonical(), own);
    }
    const NAME: &str = "an IPv4 or IPv6 address or a DNS name";
    if text.is_empty() || text.len() > LONGEST_NAME {
        return Err(NAME);
    }
    let label = |l: &str| {
        (1..=LONGEST_LABEL).contains(&l.len())
            && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !l.starts_with('-')
            && !l.ends_with('-')
    };
    if !text.split('.').all(label) {
        return Err(NAME);
    }
    // No top-level domain is a number: this is an address with a slip in it.
    if text.rsplit('.').next().is_some_and(|l| l.bytes().all(|b| b.is_ascii_digit())) {
        return Err(NAME);
    }
    let ours = text.eq_ignore_ascii_case("localhost") || text.to_ascii_lowercase().ends_with(".localhost");
    if ours && !own {
        return Err("a host other than this gateway");
    }
    Ok(())
}

/// The address of a single host beyond this link, as resolvers are given; says what it must be where it is none.
pub(super) fn address(text: &str) -> Result<IpAddr, &'static str> {
    let address = text.parse::<IpAddr>().map_err(|_| "an IPv4 or IPv6 address")?;
    check_address(address.to_canonical(), false)?;
    Ok(address)
}

/// Whether `text` is a DNS name and no address.
pub(super) fn name(text: &str) -> Result<(), &'static str> {
    if text.parse::<IpAddr>().is_ok() || check(text, false).is_err() {
        return Err("a DNS name");
    }
    Ok(())
}

/// The host of a URL that [`server`] took.
pub(super) fn of_url(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("://")?;
    let authority = rest.split(['/', '?']).next()?;
    if authority.starts_with('[') { None } else { authority.split(':').next() }
}

/// Equal for two ways of writing one host.
pub(super) fn canonical(host: &str) -> String {
    match host.parse::<IpAddr>() {
        Ok(address) => address.to_canonical().to_string(),
        Err(_) => host.to_ascii_lowercase(),
    }
}

fn check_address(address: IpAddr, own: bool) -> Result<(), &'static str> {
    let broadcast = matches!(address, IpAddr::V4(v4) if v4.is_broadcast());
    if address.is_multicast() || broadcast {
        return Err("the address of a single host");
    }
    if address.is_unspecified() {
        return Err("the address of a host");
    }
    if address.is_loopback() && !own {
        return Err("a host other than this gateway");
    }
    if matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local()) {
        // It has a meaning only together with a device, and the default gateway is asked anyway.
        return Err("an address that is valid beyond one link");
    }
    Ok(())
}

/// The address of a broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broker {
    /// Name or address.
    pub host: String,
    /// 1883 or 8883 if the URL names none.
    pub port: u16,
    /// `mqtts`.
    pub tls: bool,
}

/// Reads `mqtts://host:8883`; says what it must be where it is not.
///
/// The words never repeat the text: it may hold a password.
pub(super) fn broker(text: &str) -> Result<Broker, String> {
    let shape = || "must be like \"mqtts://broker.isp.example:8883\"".to_owned();
    let (scheme, rest) = text.split_once("://").ok_or_else(shape)?;
    let tls = match scheme {
        "mqtts" => true,
        "mqtt" => false,
        _ => return Err("must start with mqtts:// or mqtt://".to_owned()),
    };
    if rest.contains('@') {
        return Err(
            "must not contain a user name or password; set mqtt.username and mqtt.password_file".to_owned()
        );
    }
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    if rest.contains(['/', '?', '#']) {
        return Err("must end with the port; MQTT has no path".to_owned());
    }
    let (host, port) = match rest.strip_prefix('[') {
        Some(inner) => {
            let (host, after) = inner.split_once(']').ok_or_else(shape)?;
            if host.parse::<std::net::Ipv6Addr>().is_err() {
                return Err("must have an IPv6 address between the brackets".to_owned());
            }
            match after.strip_prefix(':') {
                Some(port) => (host, Some(port)),
                None if after.is_empty() => (host, None),
                None => return Err(shape()),
            }
        }
        None => match rest.split_once(':') {
            Some((_, port)) if port.contains(':') => {
                return Err(
                    "must have the IPv6 address in brackets, as in \"mqtts://[2001:db8::1]:8883\"".to_owned()
                );
            }
            Some((host, port)) => (host, Some(port)),
            None => (rest, None),
        },
    };
    check(host, true).map_err(|what| format!("must have as its host {what}"))?;
    let port = match port {
        None if tls => MQTTS_PORT,
        None => MQTT_PORT,
        Some(digits) => digits
            .parse::<u16>()
            .ok()
            .filter(|port| *port > 0 && digits.bytes().all(|b| b.is_ascii_digit()))
            .ok_or("must have a port of 1 to 65535")?,
    };
    Ok(Broker { host: host.to_owned(), port, tls })
}

/// Whether `text` is the URL of a test server; says what it must be where it is not.
///
/// The words never repeat the text: it may hold a password.
pub(super) fn server(text: &str) -> Result<(), String> {
    let shape = || "must be like \"http://speed.isp.example/\"".to_owned();
    if text.len() > LONGEST_URL {
        return Err(format!("must be at most {LONGEST_URL} bytes"));
    }
    let rest = match text.split_once("://") {
        Some(("http" | "https", rest)) => rest,
        Some(_) => return Err("must start with http:// or https://".to_owned()),
        None => return Err(shape()),
    };
    if !rest.bytes().all(|b| b.is_ascii_graphic()) {
        return Err("must contain only printable ASCII; percent-encode everything else, as in %20".to_owned());
    }
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    if authority.contains('@') {
        return Err("must not contain a user name or password".to_owned());
    }
    if path.contains('#') {
        return Err("must not have a fragment (#): servers never receive it".to_owned());
    }
    let (host, port) = match authority.strip_prefix('[') {
        Some(inner) => {
            let (host, after) = inner.split_once(']').ok_or_else(shape)?;
            if host.parse::<std::net::Ipv6Addr>().is_err() {
                return Err("must have an IPv6 address between the brackets".to_owned());
            }
            (host, if after.is_empty() { None } else { Some(after.strip_prefix(':').ok_or_else(shape)?) })
        }
        None => match authority.split_once(':') {
            Some((_, port)) if port.contains(':') => {
                return Err(
                    "must have the IPv6 address in brackets, as in \"http://[2001:db8::1]/\"".to_owned()
                );
            }
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    check(host, true).map_err(|what| format!("must have as its host {what}"))?;
    let good = |port: &str| {
        port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0)
    };
    if port.is_some_and(|port| !good(port)) {
        return Err("must have a port of 1 to 65535".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_accepts_addresses_and_names() {
        for good in
            ["192.0.2.1", "2001:db8::1", "a", "ping.isp.example", "4.example", "x-1.example", "xn--p1ai"]
        {
            assert_eq!(check(good, false), Ok(()), "{good}");
        }
        let long = "a.".repeat(127) + "aa";
        for bad in [
            "",
            " ",
            ".",
            "a.",
            ".a",
            "a..b",
            "-a",
            "a-",
            "a_b",
            "ä",
            "192.0.2",
            "192.0.2.256",
            "192.0.2.1/24",
            "192.0.2.1:80",
            "[2001:db8::1]",
            "fe80::1%eth0",
            "http://a",
            "a b",
            "a\0",
            &long,
            &"a".repeat(64),
        ] {
            assert_eq!(check(bad, true), Err("an IPv4 or IPv6 address or a DNS name"), "{bad}");
        }
    }

    #[test]
    fn check_rejects_addresses_of_no_single_other_host() {
        for bad in ["224.0.0.1", "ff02::1", "255.255.255.255", "0.0.0.0", "::", "fe80::1", "::ffff:224.0.0.1"]
        {
            assert!(check(bad, true).is_err(), "{bad}");
        }
        for own in
            ["127.0.0.1", "127.9.9.9", "::1", "localhost", "LocalHost", "a.localhost", "::ffff:127.0.0.1"]
        {
            assert_eq!(check(own, false), Err("a host other than this gateway"), "{own}");
            assert_eq!(check(own, true), Ok(()), "{own}");
        }
    }

    #[test]
    fn broker_parses_urls() {
        let is = |text: &str, host: &str, port, tls| {
            assert_eq!(broker(text), Ok(Broker { host: host.into(), port, tls }), "{text}");
        };
        is("mqtts://broker.isp.example:8883", "broker.isp.example", 8883, true);
        is("mqtts://broker.isp.example", "broker.isp.example", 8883, true);
        is("mqtt://192.0.2.1/", "192.0.2.1", 1883, false);
        is("mqtts://[2001:db8::1]:1", "2001:db8::1", 1, true);
        is("mqtt://[2001:db8::1]", "2001:db8::1", 1883, false);
        is("mqtt://localhost:65535", "localhost", 65535, false);
    }

    #[test]
    fn broker_rejects_other_texts_without_repeating_them() {
        for bad in [
            "",
            "hunter2",
            "broker.isp.example:8883",
            "tcp://hunter2",
            "mqtts://",
            "mqtts://:8883",
            "mqtts://hunter2:",
            "mqtts://hunter2:0",
            "mqtts://hunter2:+1",
            "mqtts://hunter2:65536",
            "mqtts://hunter2:8883/path",
            "mqtts://hunter2?x",
            "mqtts://user:hunter2@broker.isp.example",
            "mqtts://user:hunter2@[::1]:99",
            "mqtts://2001:db8::1",
            "mqtts://[2001:db8::1",
            "mqtts://[hunter2]:8883",
            "mqtts://[2001:db8::1]x",
            "mqtts://224.0.0.1",
        ] {
            let words = broker(bad).unwrap_err();
            assert!(words.starts_with("must "), "{bad}: {words}");
            assert!(!words.contains("hunter2"), "{bad}: {words}");
        }
    }

    #[test]
    fn server_accepts_http_urls_only() {
        for good in [
            "http://speed.isp.example",
            "http://speed.isp.example/",
            "https://192.0.2.1:8443/garbage?ckSize=100",
            "http://[2001:db8::1]:8080/a%20b",
            "http://localhost:8080/",
        ] {
            assert_eq!(server(good), Ok(()), "{good}");
        }
        let long = format!("http://a.example/{}", "x".repeat(240));
        for bad in [
            "",
            "speed.hunter2.example",
            "ftp://hunter2",
            "HTTP://hunter2",
            "http://",
            "http:///hunter2",
            "http://hunter2:",
            "http://hunter2:0/",
            "http://hunter2:+80/",
            "http://hunter2:65536/",
            "http://user:hunter2@speed.example/",
            "http://hunter2/ x",
            "http://hunter2/#x",
            "http://2001:db8::1/",
            "http://[hunter2]/",
            "http://[2001:db8::1]80/",
            "http://hunter2/\u{e9}",
            "http://0.0.0.0/",
            &long,
        ] {
            let words = server(bad).unwrap_err();
            assert!(words.starts_with("must "), "{bad}: {words}");
            assert!(!words.contains("hunter2"), "{bad}: {words}");
        }
    }
}
