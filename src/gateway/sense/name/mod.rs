//! Checks whether names resolve and whether the answers are genuine. Each resolver is asked over the WAN device for a name
//! that exists and for one that does not.
//!
//! **How.** All resolvers are asked at once. Each question uses its own socket with a random port and a random id: by UDP,
//! three times within the first half of the limit, then by TCP if UDP got no answer or a truncated one. Only an answer with
//! our id and question from the address that was asked counts. Two questions and their answers take about 300 bytes per
//! resolver.
//!
//! **The name that does not exist** is a random label below `invalid`. That domain never exists (RFC 6761, 6.4), and a
//! resolver answers for it without asking others. An address for it was forged on the way.

pub mod message;

use crate::clock;
use crate::sense::wan::{WanDevice, connect_tcp};
use linekeeper_contract::units::Span;
use linekeeper_judge::check::{REPLIES, Reply, Said};
use linekeeper_judge::config;
use linekeeper_judge::config::bounds::RESOLV_CONF;
use linekeeper_judge::config::name::RESOLVERS;
use message::{Answer, Code, Kind, LONGEST, Question, answer};
use std::io::{self, ErrorKind, Read as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::path::Path;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UdpSocket;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// DNS (RFC 1035, 4.2).
const PORT: u16 = 53;

/// How often a question is sent by UDP: two losses in a row are chance, three count as silence.
const SENDINGS: u32 = 3;

/// How much of a file with `nameserver` lines is read, bytes: a hundred times the usual size.
const FILE_MOST: u64 = 64 * 1024;

/// Letters of the label that does not exist: nobody can prepare answers for 26^12 names.
const RANDOM_LETTERS: usize = 12;

/// Asks every resolver of the line and the independent one. Returns one reply per resolver for UDP (`192.0.2.53`) and one
/// for TCP (`192.0.2.53 (TCP)`) if that was tried; at most [`REPLIES`] in total.
///
/// Takes at most `limit`. Nothing is sent if `config.known` is not a valid name.
pub async fn check_resolvers(device: &WanDevice, config: &config::Name, limit: Span) -> Vec<Reply> {
    let (resolvers, mut replies) = resolvers(config, device);
    let questions = match Questions::new(&config.known) {
        Ok(questions) => questions,
        Err(why) => return vec![not_checked("name.exists", why, false)],
    };
    let independent = config.independent.map(|address| (socket_address(address, device.index), true));
    let mut asked = JoinSet::new();
    let all = resolvers.into_iter().map(|place| (place, false)).chain(independent);
    for (order, (place, independent)) in all.enumerate() {
        let (device, questions) = (device.name.clone(), questions.clone());
        asked.spawn(async move {
            (order, ask(place, &device, &questions, Duration::from(limit), independent).await)
        });
    }
    let mut told = Vec::new();
    while let Some(ended) = asked.join_next().await {
        told.extend(ended.ok());
    }
    told.sort_by_key(|(order, _)| *order);
    replies.splice(0..0, told.into_iter().flat_map(|(_, replies)| replies));
    replies.truncate(REPLIES);
    replies
}

/// Looks up a name with the line's resolvers over the WAN device. Returns its IPv4 addresses, or the IPv6 ones if it has
/// no others. The first resolver with an answer counts.
///
/// # Errors
/// Why no resolver returned an address within the limit.
pub async fn lookup(
    device: &WanDevice,
    config: &config::Name,
    host: &str,
    limit: Span,
) -> Result<Vec<IpAddr>, String> {
    let (resolvers, troubles) = resolvers(config, device);
    let (v4, v6) = (Question::new(host, Kind::A)?, Question::new(host, Kind::Aaaa)?);
    let mut why = troubles.first().map_or("no resolver is known".to_owned(), |reply| reply.detail.clone());
    let mut asked = JoinSet::new();
    for place in resolvers {
        let (device, v4, v6) = (device.name.clone(), v4.clone(), v6.clone());
        let each = Duration::from(limit) / 2;
        asked.spawn(async move {
            let (v4, v6) = tokio::join!(by_udp(place, &device, &v4, each), by_udp(place, &device, &v6, each));
            match (addresses(v4), addresses(v6)) {
                (Ok(found), _) | (Err(_), Ok(found)) => Ok(found),
                (Err(why), Err(_)) => Err(format!("{} {why}", place.ip())),
            }
        });
    }
    while let Some(ended) = asked.join_next().await {
        match ended {
            Ok(Ok(found)) => return Ok(found),
            Ok(Err(words)) => why = words,
            Err(_) => {}
        }
    }
    Err(why)
}

fn addresses(outcome: Outcome) -> Result<Vec<IpAddr>, String> {
    match outcome {
        Outcome::Answered(answer, _) if !answer.addresses.is_empty() => Ok(answer.addresses),
        Outcome::Answered(answer, _) if answer.code == Code::Fine => Err("has no address for it".into()),
        Outcome::Answered(answer, _) => Err(format!("says {}", answer.code.name())),
        Outcome::Silent => Err("does not answer".into()),
        Outcome::Closed(why) | Outcome::NotSent(why) => Err(why),
    }
}

fn not_checked(whom: &str, detail: impl Into<String>, independent: bool) -> Reply {
    Reply { whom: whom.to_owned(), said: Said::NotChecked, took_us: None, independent, detail: detail.into() }
}

/// The line's resolvers, and replies for those that cannot be asked.
fn resolvers(config: &config::Name, device: &WanDevice) -> (Vec<SocketAddr>, Vec<Reply>) {
    let index = device.index;
    if !config.resolvers.is_empty() {
        return (
            config.resolvers.iter().map(|address| socket_address(*address, index)).collect(),
            Vec::new(),
        );
    }
    let usual = || RESOLV_CONF.iter().map(Path::new).find(|path| path.exists());
    let Some(file) = config.resolv_conf.as_deref().or_else(usual) else {
        let words = "no file names the line's resolvers; set name.resolvers";
        return (Vec::new(), vec![not_checked("resolvers", words, false)]);
    };
    let mut bytes = Vec::new();
    if let Err(e) = std::fs::File::open(file).and_then(|f| f.take(FILE_MOST).read_to_end(&mut bytes)) {
        let words = format!("cannot read {}: {e}; set name.resolvers", file.display());
        return (Vec::new(), vec![not_checked("resolvers", words, false)]);
    }
    // One wrong byte spoils its own line only.
    let text = String::from_utf8_lossy(&bytes);
    let (own, far): (Vec<IpAddr>, Vec<IpAddr>) = nameservers(&text, device.interface.as_deref())
        .into_iter()
        .partition(|address| address.is_loopback() || address.is_unspecified());
    let mut replies: Vec<Reply> = own
        .iter()
        .map(|address| {
            let words = format!("this gateway's own resolver ({}); set name.resolvers", file.display());
            not_checked(&address.to_string(), words, false)
        })
        .collect();
    if far.is_empty() && own.is_empty() {
        replies.push(not_checked("resolvers", format!("{} names none", file.display()), false));
    }
    (far.into_iter().take(RESOLVERS.most).map(|address| socket_address(address, index)).collect(), replies)
}

/// The addresses in `nameserver` lines (resolv.conf(5)), each once.
///
/// In OpenWrt's file they stand below the name of the interface that they came with (`# Interface wan`). Those of `interface`
/// and of its companions (`wan6`, `wan_6`, `wan6_4`) are taken: another uplink's resolvers do not answer over this line. If there
/// are none of them, or the interface is not known, all are.
pub(super) fn nameservers(text: &str, interface: Option<&str>) -> Vec<IpAddr> {
    let is_ours = |name: &str| {
        let companion = |rest: &str| rest.chars().all(|c| matches!(c, '_' | 'v' | '4' | '6'));
        interface.is_some_and(|ours| name.strip_prefix(ours).is_some_and(companion))
    };
    let (mut all, mut ours) = (Vec::new(), Vec::new());
    let mut in_ours = false;
    for line in text.lines() {
        let mut words = line.split_whitespace();
        match (words.next(), words.next()) {
            (Some("#"), Some("Interface")) => in_ours = words.next().is_some_and(is_ours),
            (Some("nameserver"), Some(word)) => {
                // `fe80::1%eth1`: the zone is dropped, the WAN device's index is used instead.
                let Some(address) = word.split('%').next().and_then(|word| word.parse().ok()) else {
                    continue;
                };
                if !all.contains(&address) {
                    all.push(address);
                }
                if in_ours && !ours.contains(&address) {
                    ours.push(address);
                }
            }
            _ => {}
        }
    }
    if ours.is_empty() { all } else { ours }
}

fn socket_address(address: IpAddr, index: u32) -> SocketAddr {
    match address {
        IpAddr::V6(v6) if v6.is_unicast_link_local() => SocketAddrV6::new(v6, PORT, 0, index).into(),
        other => SocketAddr::new(other, PORT),
    }
}

/// The name that exists and the one that does not.
#[derive(Debug, Clone)]
struct Questions {
    exists: (String, Question),
    absent: (String, Question),
}

impl Questions {
    fn new(exists: &str) -> Result<Questions, String> {
        let letters: String = (0..RANDOM_LETTERS).map(|_| fastrand::lowercase()).collect();
        let absent = format!("{letters}.invalid");
        Ok(Questions {
            exists: (exists.to_owned(), Question::new(exists, Kind::A)?),
            absent: (absent.clone(), Question::new(&absent, Kind::A)?),
        })
    }
}

/// The result of one question.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Outcome {
    Answered(Answer, Duration),
    Silent,
    /// The port is closed, or the connection was closed; why.
    Closed(String),
    /// It was not sent; why.
    NotSent(String),
}

impl Outcome {
    fn truncated(&self) -> bool {
        matches!(self, Outcome::Answered(answer, _) if answer.truncated)
    }
}

async fn ask(
    place: SocketAddr,
    device: &str,
    questions: &Questions,
    limit: Duration,
    independent: bool,
) -> Vec<Reply> {
    let (exists, absent) = (&questions.exists, &questions.absent);
    let each = limit / 2;
    let udp = tokio::join!(by_udp(place, device, &exists.1, each), by_udp(place, device, &absent.1, each));
    let more = udp.0 == Outcome::Silent || udp.0.truncated() || udp.1.truncated();
    let names = (exists.0.as_str(), absent.0.as_str());
    let mut replies = vec![reply_for(place.ip().to_string(), names, udp, independent)];
    if more {
        let tcp =
            tokio::join!(by_tcp(place, device, &exists.1, each), by_tcp(place, device, &absent.1, each));
        replies.push(reply_for(format!("{} (TCP)", place.ip()), names, tcp, independent));
    }
    replies
}

/// The reply for a resolver, from the results of both questions.
fn reply_for(
    whom: String,
    (exists, absent): (&str, &str),
    outcomes: (Outcome, Outcome),
    independent: bool,
) -> Reply {
    let reply = |said, took: Option<Duration>, detail: String| Reply {
        whom: whom.clone(),
        said,
        took_us: took.map(|took| u32::try_from(took.as_micros()).unwrap_or(u32::MAX)),
        independent,
        detail,
    };
    if let Outcome::Answered(answer, took) = &outcomes.1
        && let Some(address) = answer.addresses.first()
    {
        return reply(Said::Forged, Some(*took), format!("{address} for {absent}, which does not exist"));
    }
    match outcomes.0 {
        Outcome::Answered(answer, took) => {
            let took = Some(took);
            match (answer.code, answer.addresses.first()) {
                (Code::Fine, Some(address)) if address.is_loopback() || address.is_unspecified() => {
                    reply(Said::Forged, took, format!("{address} for {exists}, which no host can have"))
                }
                (Code::Fine, _) if answer.truncated => {
                    reply(Said::Answered, took, format!("{exists}: truncated, the rest over TCP"))
                }
                (Code::Fine, Some(address)) => reply(Said::Answered, took, format!("{exists} is {address}")),
                (Code::Fine, None) => {
                    reply(Said::Answered, took, format!("{exists} exists, without an IPv4 address"))
                }
                (code, _) => reply(Said::Refused, took, format!("{} for {exists}", code.name())),
            }
        }
        Outcome::Silent => match outcomes.1 {
            Outcome::Answered(..) => {
                reply(Said::Silent, None, format!("no answer for {exists}, although the resolver answers"))
            }
            Outcome::Silent | Outcome::Closed(_) | Outcome::NotSent(_) => {
                reply(Said::Silent, None, "no answer".into())
            }
        },
        Outcome::Closed(why) => reply(Said::Refused, None, why),
        Outcome::NotSent(why) => reply(Said::NotChecked, None, why),
    }
}

async fn by_udp(place: SocketAddr, device: &str, question: &Question, limit: Duration) -> Outcome {
    let socket = match udp(place, device).await {
        Ok(socket) => socket,
        Err(e) => return Outcome::NotSent(format!("cannot be reached over {device}: {e}")),
    };
    let id = fastrand::u16(..);
    let message = question.message(id);
    let began = clock::since_boot();
    let mut room = vec![0; LONGEST];
    for _ in 0..SENDINGS {
        match socket.send(&message).await {
            Ok(_) => {}
            // An ICMP error for the previous packet.
            Err(e) if e.kind() == ErrorKind::ConnectionRefused => return port_closed(),
            Err(e) => return Outcome::NotSent(format!("cannot be reached over {device}: {e}")),
        }
        let listening = async {
            loop {
                match socket.recv(&mut room).await {
                    Ok(length) => {
                        if let Some(answer) = answer(&room[..length], id, question) {
                            return Some(answer);
                        }
                        // A forgery, or an answer to an earlier socket on this port: keep waiting.
                    }
                    Err(e) if e.kind() == ErrorKind::ConnectionRefused => return None,
                    // The device is gone: the next send reports it, or no answer comes.
                    Err(_) => std::future::pending().await,
                }
            }
        };
        match timeout(limit / SENDINGS, listening).await {
            Ok(Some(answer)) => {
                return Outcome::Answered(answer, clock::since_boot().saturating_sub(began));
            }
            Ok(None) => return port_closed(),
            Err(_) => {}
        }
    }
    Outcome::Silent
}

fn port_closed() -> Outcome {
    Outcome::Closed("nobody listens there (port 53 is closed)".into())
}

/// A UDP socket that is bound to the device and a random port, and connected to `place`.
async fn udp(place: SocketAddr, device: &str) -> io::Result<UdpSocket> {
    let any: IpAddr =
        if place.is_ipv6() { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.bind_device(Some(device.as_bytes()))?;
    socket.connect(place).await?;
    Ok(socket)
}

async fn by_tcp(place: SocketAddr, device: &str, question: &Question, limit: Duration) -> Outcome {
    let began = clock::since_boot();
    let id = fastrand::u16(..);
    match timeout(limit, exchange(place, device, &question.message(id))).await {
        Err(_) => Outcome::Silent,
        Ok(Ok(bytes)) => match answer(&bytes, id, question) {
            Some(answer) => Outcome::Answered(answer, clock::since_boot().saturating_sub(began)),
            None => Outcome::Closed("what answers by TCP does not speak DNS".into()),
        },
        Ok(Err(e)) => match e.kind() {
            ErrorKind::ConnectionRefused => port_closed(),
            ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::UnexpectedEof => {
                Outcome::Closed("it hung up".into())
            }
            ErrorKind::InvalidData => Outcome::Closed(e.to_string()),
            // No host has that address.
            ErrorKind::HostUnreachable | ErrorKind::TimedOut => Outcome::Silent,
            _ => Outcome::NotSent(format!("cannot be reached over {device}: {e}")),
        },
    }
}

/// Sends one message and reads one; each is prefixed with its length (RFC 1035, 4.2.2).
async fn exchange(place: SocketAddr, device: &str, message: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = connect_tcp(place, device).await?;
    let length = u16::try_from(message.len()).unwrap_or(u16::MAX);
    stream.write_all(&[&length.to_be_bytes(), message].concat()).await?;
    let length = usize::from(stream.read_u16().await?);
    if length > LONGEST {
        return Err(io::Error::new(ErrorKind::InvalidData, format!("an answer of {length} bytes")));
    }
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes).await?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn answered(code: Code, addresses: &[&str]) -> Outcome {
        let addresses = addresses.iter().map(|a| a.parse().unwrap()).collect();
        Outcome::Answered(Answer { code, truncated: false, addresses }, Duration::from_millis(3))
    }

    #[test]
    fn reply_follows_from_both_results() {
        let told = |exists, absent| {
            let reply = reply_for("192.0.2.53".into(), ("a.example", "xyz.invalid"), (exists, absent), false);
            (reply.said, reply.detail)
        };
        let none = || answered(Code::NoSuchName, &[]);
        for (exists, absent, said, detail) in [
            (answered(Code::Fine, &["192.0.2.7"]), none(), Said::Answered, "a.example is 192.0.2.7"),
            (answered(Code::Fine, &[]), none(), Said::Answered, "a.example exists, without an IPv4 address"),
            // Some resolvers refuse questions for `invalid`.
            (
                answered(Code::Fine, &["192.0.2.7"]),
                answered(Code::Refused, &[]),
                Said::Answered,
                "a.example is 192.0.2.7",
            ),
            (answered(Code::Fine, &["192.0.2.7"]), Outcome::Silent, Said::Answered, "a.example is 192.0.2.7"),
            (
                answered(Code::Fine, &["192.0.2.7"]),
                answered(Code::Fine, &["192.0.2.66"]),
                Said::Forged,
                "192.0.2.66 for xyz.invalid, which does not exist",
            ),
            (
                Outcome::Silent,
                answered(Code::Fine, &["192.0.2.66"]),
                Said::Forged,
                "192.0.2.66 for xyz.invalid, which does not exist",
            ),
            (
                answered(Code::Fine, &["0.0.0.0"]),
                none(),
                Said::Forged,
                "0.0.0.0 for a.example, which no host can have",
            ),
            (answered(Code::ServerFailure, &[]), none(), Said::Refused, "SERVFAIL for a.example"),
            (answered(Code::Refused, &[]), Outcome::Silent, Said::Refused, "REFUSED for a.example"),
            (none(), none(), Said::Refused, "NXDOMAIN for a.example"),
            (Outcome::Silent, Outcome::Silent, Said::Silent, "no answer"),
            (Outcome::Silent, none(), Said::Silent, "no answer for a.example, although the resolver answers"),
            (Outcome::Closed("x".into()), Outcome::Closed("x".into()), Said::Refused, "x"),
            (Outcome::NotSent("x".into()), Outcome::Silent, Said::NotChecked, "x"),
        ] {
            assert_eq!(
                told(exists.clone(), absent.clone()),
                (said, detail.to_owned()),
                "{exists:?} {absent:?}"
            );
        }
    }

    #[test]
    fn nameserver_lines_of_openwrt_are_parsed() {
        let text = "# Interface wan\nnameserver 192.0.2.53\nnameserver 192.0.2.54\nsearch lan\n# Interface wan6\n\
                    nameserver fe80::1%eth1\n nameserver 192.0.2.53\nnameserver\nnameserver x\n";
        let found = ["192.0.2.53", "192.0.2.54", "fe80::1"].map(|a| a.parse::<IpAddr>().unwrap());
        assert_eq!(nameservers(text, None), found);
        assert_eq!(socket_address(found[2], 7).to_string(), "[fe80::1%7]:53");
    }

    fn wan() -> WanDevice {
        WanDevice { name: "wan".into(), index: 1, interface: Some("wan".into()) }
    }

    #[test]
    fn resolvers_of_another_uplink_are_not_the_lines() {
        let text = "# Interface lte\nnameserver 192.0.2.53\nnameserver 192.0.2.54\nnameserver 192.0.2.55\nsearch lte.test\n\
                    # Interface wan\nnameserver 203.0.113.1\n# Interface wan6\nnameserver 2001:db8::53\n\
                    # Interface wan2\nnameserver 192.0.2.2\n";
        let found =
            |interface| nameservers(text, interface).iter().map(IpAddr::to_string).collect::<Vec<_>>();
        assert_eq!(found(Some("wan")), ["203.0.113.1", "2001:db8::53"]);
        assert_eq!(found(Some("lte")), ["192.0.2.53", "192.0.2.54", "192.0.2.55"]);
        assert_eq!(found(Some("wan2")), ["192.0.2.2"]);
        assert_eq!(found(Some("other")).len(), 6, "nothing is known of it");
        assert_eq!(found(None).len(), 6);
    }

    #[test]
    fn wrong_byte_spoils_its_own_line_only() {
        let room = tempfile::tempdir().unwrap();
        let file = room.path().join("resolv.conf");
        std::fs::write(
            &file,
            b"# Interface wan\nsearch caf\xe9.test\nnameserver \xff\nnameserver 192.0.2.53\n",
        )
        .unwrap();
        let config = config::Name {
            resolvers: Vec::new(),
            resolv_conf: Some(file),
            independent: None,
            known: "a.example".into(),
            every: Span::minutes(5),
        };
        let (found, troubles) = resolvers(&config, &wan());
        assert_eq!(found, ["192.0.2.53:53".parse().unwrap()]);
        assert_eq!(troubles, []);
    }

    #[test]
    fn unusable_resolvers_are_reported() {
        let room = tempfile::tempdir().unwrap();
        let file = room.path().join("resolv.conf");
        let config = |resolvers: &[&str]| config::Name {
            resolvers: resolvers.iter().map(|a| a.parse().unwrap()).collect(),
            resolv_conf: Some(file.clone()),
            independent: None,
            known: "a.example".into(),
            every: Span::minutes(5),
        };
        let (places, replies) = resolvers(&config(&[]), &wan());
        assert!(places.is_empty() && replies[0].detail.contains("cannot read"), "{replies:?}");
        std::fs::write(&file, "nameserver 127.0.0.53\nnameserver 192.0.2.1\n").unwrap();
        let (places, replies) = resolvers(&config(&[]), &wan());
        assert_eq!(places, ["192.0.2.1:53".parse().unwrap()]);
        assert_eq!((replies[0].said, replies[0].whom.as_str()), (Said::NotChecked, "127.0.0.53"));
        std::fs::write(&file, "search x\n").unwrap();
        assert!(resolvers(&config(&[]), &wan()).1[0].detail.ends_with("names none"));
        assert_eq!(
            resolvers(&config(&["192.0.2.9"]), &wan()),
            (vec!["192.0.2.9:53".parse().unwrap()], vec![])
        );
    }

    #[test]
    fn absent_name_is_different_each_time() {
        let absent = || Questions::new("a.example").unwrap().absent.0;
        assert_ne!(absent(), absent());
        assert!(absent().ends_with(".invalid") && Questions::new("a..b").is_err());
    }

    proptest! {
        #[test]
        fn any_file_parses_without_panic(text in "(nameserver|search|\\PC{0,9}|[ \t\n%:.0-9a-f])*") {
            let _ = nameservers(&text, Some("wan"));
        }
    }
}
