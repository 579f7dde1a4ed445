//! Every parser of bytes that come from outside, as a function of bytes. What it does with them is its own tests' part; here
//! it must come back, without a panic, in bounded time.
//!
//! One line for each; its folder in `corpus` has the same name.

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
];

fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

fn config_toml(bytes: &[u8]) {
    use linekeeper::config::{Format, load_text};
    if let Some(Err(faults)) = text(bytes).map(|text| load_text(text, Format::Toml)) {
        assert!(!faults.to_string().is_empty());
    }
}

fn config_json(bytes: &[u8]) {
    use linekeeper::config::{Format, load_text};
    if let Some(Err(faults)) = text(bytes).map(|text| load_text(text, Format::Json)) {
        assert!(!faults.to_string().is_empty());
    }
}

fn world(bytes: &[u8]) {
    use linekeeper::config::toml;
    use linekeeper::simulate::plan::Plan;
    use linekeeper::units::Span;
    let tree = text(bytes).filter(|text| text.len() < 64 * 1024).and_then(|text| toml::parse(text).ok());
    if let Some(Ok(plan)) = tree.map(|(tree, places)| Plan::read(&tree, &places)) {
        plan.world(1, Span::days(1));
    }
}

fn trace(bytes: &[u8]) {
    let mut replay = linekeeper::replay::Replay::new();
    for line in text(bytes).unwrap_or_default().lines() {
        if let Err(fault) = replay.line(line) {
            assert!(!fault.to_string().is_empty());
        }
    }
}

fn log(bytes: &[u8]) {
    use linekeeper::simulate::log::Log;
    match text(bytes).map(Log::read) {
        Some(Err(faults)) => assert!(faults.iter().all(|f| f.line > 0)),
        Some(Ok(log)) => assert!(log.rows > 1 && log.points.len() == log.rows),
        None => {}
    }
}

fn receipt(bytes: &[u8]) {
    if let Err(words) = linekeeper::act::mqtt::receipt::read(bytes) {
        assert!(!words.is_empty());
    }
}

fn http_head(bytes: &[u8]) {
    if let Err(words) = linekeeper::sense::throughput::head::response(bytes) {
        assert!(!words.is_empty());
    }
}

fn http_url(bytes: &[u8]) {
    use linekeeper::sense::throughput::head::Url;
    if let Some(Ok(url)) = text(bytes).map(Url::parse) {
        // What ends up in our own requests holds no line of somebody else's.
        for request in [url.get(), url.head(), url.post(1), url.object("download").get()] {
            assert!(request.ends_with("\r\n\r\n"), "{request:?}");
            assert!(request.lines().count() < 12, "{request:?}");
        }
        if let Ok(other) = url.redirected(text(bytes).unwrap_or_default()) {
            other.get();
        }
    }
}

fn netlink(bytes: &[u8]) {
    linekeeper::sense::link::swallow(bytes);
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
    use linekeeper::act::mqtt::command::{Envelope, Read, read};
    // A key that is one (RFC 8032, test 1).
    const KEY: [u8; 32] = [
        0xd7, 0x5a, 0x98, 0x01, 0x82, 0xb1, 0x0a, 0xb7, 0xd5, 0x4b, 0xfe, 0xd3, 0xc9, 0x64, 0x07, 0x3a, 0x0e,
        0xe1, 0x72, 0xf3, 0xda, 0xa6, 0x23, 0x25, 0xaf, 0x02, 0x1a, 0x68, 0xf7, 0x07, 0x51, 0x1a,
    ];
    for (retained, key) in [(false, Some(&KEY)), (true, None)] {
        let correlation = bytes.get(..bytes.len().min(100));
        let envelope = Envelope { retained, correlation, expiry_s: Some(bytes.len() as u32) };
        match read(bytes, envelope, "gw-0001", key) {
            Read::Unreadable(words) => assert!(!words.is_empty()),
            Read::Refused(refused) => assert!(!refused.detail.is_empty()),
            // The judge refuses it.
            Read::Command(came) => assert_eq!(came.retained, retained),
        }
    }
}

fn notice(bytes: &[u8]) {
    if let Err(words) = linekeeper::act::mqtt::notice::read(bytes, "north-3/olt-7") {
        assert!(!words.is_empty());
    }
}

fn desired(bytes: &[u8]) {
    use linekeeper::config::desired::{lay, message};
    match message(bytes) {
        Err(words) => assert!(!words.is_empty()),
        Ok(Some(desired)) => {
            let own = serde_json::json!({ "device": { "id": "gw-0001" }, "line": { "device": "wan0" } });
            if let Err(faults) = lay(&own, &desired.config) {
                assert!(!faults.to_string().is_empty());
            }
        }
        Ok(None) => {}
    }
}
