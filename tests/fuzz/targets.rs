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
    // Answers of DHCP and PPPoE (`sense::access`), of ARP and DNS (`sense::name`): add theirs here.
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
