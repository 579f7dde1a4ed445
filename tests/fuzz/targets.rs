//! Every parser of bytes that come from outside, as a function of bytes. What it does with them is its own tests' part; here
//! it must come back, without a panic, in bounded time.
//!
//! One line for each; its folder in `corpus` has the same name.

use std::path::Path;

/// A parser.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: &[Target] = &[
    ("config_toml", config_toml),
    ("config_json", config_json),
    ("world", world),
    ("trace", trace),
    ("log", log),
    ("receipt", receipt),
    ("http_head", http_head),
    ("http_url", http_url),
    ("netlink", netlink),
    ("arp", arp),
    ("advertisement", advertisement),
    ("dhcp_frame", dhcp_frame),
    ("dhcp_message", dhcp_message),
    ("pppoe_frame", pppoe_frame),
    ("dns_answer", dns_answer),
    ("command", command),
    ("notice", notice),
    ("desired", desired),
    ("outbox", outbox),
    ("snapshot", snapshot),
    ("taken", taken),
    ("trial", trial),
    ("heartbeat", heartbeat),
    ("request", request),
    ("netifd", netifd),
    ("system", system),
    ("pem", pem),
    ("chunks", chunks),
];

fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

fn config_toml(bytes: &[u8]) {
    use linekeeper::config_text::{Format, load_text};
    if let Some(Err(faults)) = text(bytes).map(|text| load_text(text, Format::Toml)) {
        assert!(!faults.to_string().is_empty());
    }
}

fn config_json(bytes: &[u8]) {
    use linekeeper::config_text::{Format, load_text};
    if let Some(Err(faults)) = text(bytes).map(|text| load_text(text, Format::Json)) {
        assert!(!faults.to_string().is_empty());
    }
}

fn world(bytes: &[u8]) {
    use linekeeper::config_text::toml;
    use linekeeper_contract::units::Span;
    use linekeeper_proving::simulate::plan::Plan;
    let tree = text(bytes).filter(|text| text.len() < 64 * 1024).and_then(|text| toml::parse(text).ok());
    if let Some(Ok(plan)) = tree.map(|(tree, places)| Plan::read(&tree, &places)) {
        plan.world(1, Span::days(1));
    }
}

fn trace(bytes: &[u8]) {
    let mut replay = linekeeper_proving::replay::Replay::new();
    for line in text(bytes).unwrap_or_default().lines() {
        if let Err(fault) = replay.process_line(line) {
            assert!(!fault.to_string().is_empty());
        }
    }
}

fn log(bytes: &[u8]) {
    use linekeeper_proving::backtest::log::Log;
    match text(bytes).map(Log::read) {
        Some(Err(faults)) => assert!(faults.iter().all(|f| f.line > 0)),
        Some(Ok(log)) => assert!(log.rows > 1 && log.points.len() == log.rows),
        None => {}
    }
}

fn receipt(bytes: &[u8]) {
    if let Err(words) = linekeeper::act::mqtt::receipt::parse(bytes) {
        assert!(!words.is_empty());
    }
}

fn http_head(bytes: &[u8]) {
    if let Err(words) = linekeeper::sense::http::parse_response_head(bytes) {
        assert!(!words.is_empty());
    }
}

fn http_url(bytes: &[u8]) {
    use linekeeper::sense::http::Url;
    if let Some(Ok(url)) = text(bytes).map(Url::parse) {
        // What ends up in our own requests holds no line of somebody else's.
        for request in [url.get(), url.head_request(), url.post(1), url.object("download").get()] {
            assert!(request.ends_with("\r\n\r\n"), "{request:?}");
            assert!(request.lines().count() < 12, "{request:?}");
        }
        if let Ok(other) = url.redirected(text(bytes).unwrap_or_default()) {
            other.get();
        }
    }
}

fn netlink(bytes: &[u8]) {
    linekeeper::sense::link::parse_and_discard(bytes);
}

fn arp(bytes: &[u8]) {
    if let Err(words) = linekeeper::sense::access::neighbour::parse_arp(bytes) {
        assert!(!words.is_empty());
    }
}

fn advertisement(bytes: &[u8]) {
    if let Err(words) = linekeeper::sense::access::neighbour::parse_advertisement(bytes) {
        assert!(!words.is_empty());
    }
}

fn dhcp_frame(bytes: &[u8]) {
    if let Err(words) = linekeeper::sense::access::dhcp::parse_frame(bytes) {
        assert!(!words.is_empty());
    }
}

fn dhcp_message(bytes: &[u8]) {
    use linekeeper::sense::access::dhcp::{Answer, parse_message};
    if let Ok(heard) = parse_message(bytes)
        && let Answer::Offer(offer) = heard.answer
    {
        assert!(!offer.address.is_unspecified());
    }
}

fn pppoe_frame(bytes: &[u8]) {
    if let Ok(heard) = linekeeper::sense::access::pppoe::parse_frame(bytes) {
        // What goes to the log and into messages.
        let said = heard.name.iter().chain(&heard.services);
        assert!(said.into_iter().all(|text| !text.contains(char::is_control)));
    }
}

fn dns_answer(bytes: &[u8]) {
    use linekeeper::sense::name::message::{Kind, Question, answer};
    for kind in [Kind::A, Kind::Aaaa] {
        if let Ok(question) = Question::new("www.isp.example", kind) {
            answer(bytes, 0x1234, &question);
        }
    }
}

fn command(bytes: &[u8]) {
    use linekeeper::act::mqtt::command::{Envelope, Parsed, parse};
    // A key that is one (RFC 8032, test 1).
    const KEY: [u8; 32] = [
        0xd7, 0x5a, 0x98, 0x01, 0x82, 0xb1, 0x0a, 0xb7, 0xd5, 0x4b, 0xfe, 0xd3, 0xc9, 0x64, 0x07, 0x3a, 0x0e,
        0xe1, 0x72, 0xf3, 0xda, 0xa6, 0x23, 0x25, 0xaf, 0x02, 0x1a, 0x68, 0xf7, 0x07, 0x51, 0x1a,
    ];
    for (retained, key) in [(false, Some(&KEY)), (true, None)] {
        let correlation = bytes.get(..bytes.len().min(100));
        let envelope = Envelope { retained, correlation, expiry_s: Some(bytes.len() as u32) };
        match parse(bytes, envelope, "gw-0001", key) {
            Parsed::Unreadable(words) => assert!(!words.is_empty()),
            Parsed::Refused(refused) => assert!(!refused.detail.is_empty()),
            // The judge refuses it.
            Parsed::Command(came) => assert_eq!(came.retained, retained),
        }
    }
}

fn notice(bytes: &[u8]) {
    if let Err(words) = linekeeper::act::mqtt::notice::parse(bytes, "north-3/olt-7") {
        assert!(!words.is_empty());
    }
}

fn desired(bytes: &[u8]) {
    use linekeeper_judge::config::desired::{lay, message};
    match message(bytes) {
        Err(words) => assert!(!words.is_empty()),
        Ok(Some(desired)) => {
            let own = serde_json::json!({ "device": { "id": "gw-0001" }, "line": { "device": "wan0" } });
            let signed = bytes.len().is_multiple_of(2);
            if let Err(faults) = lay(&own, &desired.config, signed) {
                assert!(!faults.to_string().is_empty());
            }
        }
        Ok(None) => {}
    }
}

/// The parser of files: each run has this directory, in memory where there is such a place.
fn with_room(act: impl FnOnce(&Path)) {
    thread_local! {
        static ROOM: tempfile::TempDir =
            tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a directory");
    }
    ROOM.with(|room| act(room.path()));
}

/// The least that a configuration needs.
fn gateway() -> serde_json::Value {
    serde_json::json!({
        "device": { "id": "gw-0001" }, "line": { "device": "wan0" },
        "probe": { "targets": [{ "host": "198.51.100.1", "role": "anchor" }] },
        "remedies": { "driver": "none" },
    })
}

/// A file of ours is believed when its checksum is right: here it always is, so that more than that is tried.
fn summed(format: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("{format} {:08x}\n", crc32fast::hash(body));
    [head.as_bytes(), body, b"\n"].concat()
}

fn outbox(bytes: &[u8]) {
    use linekeeper::act::outbox::{Known, Outbox};
    let mut content = Vec::new();
    for line in bytes.split(|b| *b == b'\n') {
        // A line that begins with ! stays as it is: damaged.
        if !line.starts_with(b"!") {
            content.extend_from_slice(format!("{:08x} ", crc32fast::hash(line)).as_bytes());
        }
        content.extend_from_slice(line);
        content.push(b'\n');
    }
    with_room(|room| {
        let write = std::fs::write(room.join("outbox.log"), &content);
        write.expect("the directory can be written");
        let (mut opened, troubles) = Outbox::open(room, 16_000, Known::default());
        assert!(opened.bytes() <= 16_000 && troubles.iter().all(|t| !t.is_empty()));
        let mut place = None;
        let mut found = Vec::new();
        while let Some((next, message)) = opened.after(place) {
            found.push(message);
            place = Some(next);
        }
        assert_eq!(found.len(), opened.len());
        let _ = opened.append(&found);
        let after = (opened.len(), opened.dropped(), opened.highest_number());
        drop(opened);
        let (again, troubles) = Outbox::open(room, 16_000, Known::default());
        // What was written out of rubbish is none.
        assert_eq!((troubles.len(), (again.len(), again.dropped(), again.highest_number())), (0, after));
    });
}

fn snapshot(bytes: &[u8]) {
    use linekeeper::act::store::Store;
    use linekeeper_judge::Judge;
    use std::sync::OnceLock;
    static CONFIG: OnceLock<linekeeper_judge::config::Config> = OnceLock::new();
    let config = CONFIG.get_or_init(|| {
        linekeeper_judge::config::read(&gateway(), &Default::default()).expect("a configuration")
    });
    with_room(|room| {
        let content = summed("linekeeper.state.v1", bytes);
        std::fs::write(room.join("state.json"), content).expect("the directory can be written");
        let (_, found) = Store::open(room);
        assert_eq!(found.kept.is_none(), !found.troubles.is_empty());
        if let Some(kept) = found.kept
            && let Err(words) = Judge::restore(config.clone(), &kept.judge)
        {
            assert!(!words.is_empty());
        }
    });
}

fn taken(bytes: &[u8]) {
    use linekeeper::act::store::Store;
    with_room(|room| {
        let _ = std::fs::remove_file(room.join("state.json"));
        let content = summed("linekeeper.taken.v1", bytes);
        std::fs::write(room.join("taken.json"), content).expect("the directory can be written");
        let (_, found) = Store::open(room);
        assert_eq!(found.taken.is_none(), !found.troubles.is_empty());
        let _ = std::fs::remove_file(room.join("taken.json"));
    });
}

/// The configuration of the platform that is kept on flash.
fn trial(bytes: &[u8]) {
    use linekeeper::run::desired::Desk;
    use linekeeper_judge::config::read;
    with_room(|room| {
        let mut own = gateway();
        own["store"] = serde_json::json!({ "directory": room });
        own["desired"] = serde_json::json!({ "accept": true });
        let config = read(&own, &Default::default()).expect("a configuration");
        let content = summed("linekeeper.desired.v1", bytes);
        std::fs::write(room.join("desired.json"), content).expect("the directory can be written");
        let mut desk = Desk::open(own, &config, false);
        if let Err(words) = desk.in_force() {
            assert!(!words.is_empty());
        }
        desk.report("gw-0001");
    });
}

fn heartbeat(bytes: &[u8]) {
    use linekeeper::run::heartbeat::Heartbeat;
    with_room(|room| {
        std::fs::write(room.join("linekeeper.alive"), bytes).expect("the directory can be written");
        Heartbeat::start(&room.join("linekeeper.sock"), "boot");
    });
}

fn request(bytes: &[u8]) {
    use linekeeper::run::socket::Request;
    if let Some(Ok(request)) = text(bytes).map(serde_json::from_str::<Request>) {
        let line = serde_json::to_string(&request).expect("a request is JSON");
        assert_eq!(serde_json::from_str::<Request>(&line).ok(), Some(request));
    }
}

fn netifd(bytes: &[u8]) {
    linekeeper::netifd::parse_and_discard(bytes);
    if let Ok(status) = serde_json::from_slice(bytes) {
        linekeeper::sense::interface::devices(
            "wan",
            &status,
            &linekeeper::sense::interface::Named::default(),
        );
    }
}

fn system(bytes: &[u8]) {
    linekeeper::sense::parse_and_discard(bytes);
}

fn pem(bytes: &[u8]) {
    use linekeeper::act::mqtt::tls;
    use linekeeper_contract::units::Span;
    use linekeeper_judge::config::{Mqtt, TlsVersion};
    with_room(|room| {
        let file = room.join("file.pem");
        std::fs::write(&file, bytes).expect("the directory can be written");
        for client in [None, Some((file.clone(), file.clone()))] {
            let mqtt = Mqtt {
                brokers: Vec::new(),
                ca: Some(file.clone()),
                client,
                login: None,
                tls: TlsVersion::V12,
                keep_alive: Span::seconds(30),
                reconnect: Span::seconds(1),
                session: Span::days(1),
            };
            if let Err(words) = tls::configuration(&mqtt) {
                assert!(words.contains("file.pem"), "{words}");
            }
        }
    });
}

fn chunks(bytes: &[u8]) {
    let body = linekeeper::sense::web::unchunked(bytes);
    assert!(body.len() <= bytes.len());
}
