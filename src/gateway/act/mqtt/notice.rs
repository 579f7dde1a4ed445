//! The operator's notices for an area: which topics they come on, how they are read, and which one holds.
//!
//! A gateway in `north-3/olt-7` listens for that area and for each that holds it: `linekeeper/v1/area/north-3/olt-7/notice`
//! and `linekeeper/v1/area/north-3/notice`. On each topic the last message holds, as the broker keeps it; an empty one, or
//! one with `ended`, takes it back. Of several areas' notices the one that holds longest is told.
//!
//! Whether a notice is young enough and has not expired is not this side's to judge: the clock may not be set.

use super::receipt::{kind, shown};
use linekeeper_contract::json;
use linekeeper_contract::message::NOTICE_SCHEMA;
use linekeeper_contract::units::{LocalTime, Mono, Span};
use linekeeper_judge::check::AreaNotice;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// The largest notice that is read, in bytes: two dates and some sentences take less than one kilobyte.
pub const LARGEST_NOTICE: usize = 4 * 1024;
/// The longest id of a notice, in bytes.
const LONGEST_ID: usize = 128;
/// The most characters of its text that are kept.
const TEXT_KEPT: usize = 500;
/// The most changes that are told in an hour; of more, the latest waits.
///
/// 12: a change every five minutes is more than people write. Each is written to flash.
const TOLD_PER_HOUR: usize = 12;
/// How long after the broker took the subscription its retained notices have to come. They come at once; after this
/// what did not come again was taken back while we were away.
const RETAINED_WITHIN: Span = Span::seconds(5);

/// What all area topics begin and end with.
const ROOT: &str = "linekeeper/v1/area/";
const LEAF: &str = "/notice";

/// The notices of this gateway's areas.
#[derive(Debug, Default)]
pub struct Notices {
    /// The area and those that hold it, the nearest first.
    areas: Vec<String>,
    /// What the last message on each area's topic said.
    held: BTreeMap<String, AreaNotice>,
    /// Areas whose topic spoke since the last subscription.
    heard: BTreeSet<String>,
    /// Until when retained notices may still come.
    settles: Option<Mono>,
    /// What was told last; `None`: nothing yet.
    told: Option<Option<AreaNotice>>,
    /// When changes were told in the last hour.
    told_at: VecDeque<Mono>,
}

impl Notices {
    /// For a gateway in `area`.
    pub fn new(area: Option<&str>) -> Notices {
        let mut areas = Vec::new();
        let mut rest = area;
        while let Some(area) = rest {
            areas.push(area.to_owned());
            rest = area.rfind('/').map(|at| &area[..at]);
        }
        Notices { areas, ..Notices::default() }
    }

    /// What is to be subscribed to.
    pub fn topics(&self) -> impl Iterator<Item = String> {
        self.areas.iter().map(|area| format!("{ROOT}{area}{LEAF}"))
    }

    /// The area that a topic is about, if it is one of ours.
    pub fn area_of(&self, topic: &str) -> Option<&str> {
        let area = topic.strip_prefix(ROOT)?.strip_suffix(LEAF)?;
        self.areas.iter().map(String::as_str).find(|ours| *ours == area)
    }

    /// The broker took the subscription: its retained notices follow.
    pub fn subscribed(&mut self, now: Mono) {
        if !self.areas.is_empty() {
            self.settles = Some(now + RETAINED_WITHIN);
        }
    }

    /// The connection ended: nothing is concluded from what did not come. On the next one all retained notices come
    /// again, perhaps before the broker's answer to the subscription.
    pub fn disconnected(&mut self) {
        self.settles = None;
        self.heard.clear();
    }

    /// When [`Notices::settle`] has something to do, or a change that waits may be told.
    pub fn settles(&self) -> Option<Mono> {
        let waits =
            self.told_at.front().filter(|_| self.told_at.len() >= TOLD_PER_HOUR && self.changed().is_some());
        [self.settles, waits.map(|first| *first + Span::hours(1))].into_iter().flatten().min()
    }

    /// Drops what the broker no longer has.
    pub fn settle(&mut self, now: Mono) {
        if self.settles.is_some_and(|at| now >= at) {
            self.settles = None;
            self.held.retain(|area, _| self.heard.contains(area));
            // Nothing held, and nothing was told: a life before this one may have been told something.
            if self.held.is_empty() && self.told.is_none() {
                self.told = Some(Some(nothing()));
            }
        }
    }

    /// A message on the topic of `area`.
    ///
    /// # Errors
    /// What is wrong with it and what is expected, in words that follow "notice refused:".
    pub fn came(&mut self, area: &str, payload: &[u8]) -> Result<(), String> {
        let notice = parse(payload, area)?;
        self.heard.insert(area.to_owned());
        match notice.filter(|notice| !notice.ended) {
            Some(notice) => self.held.insert(area.to_owned(), notice),
            None => self.held.remove(area),
        };
        Ok(())
    }

    /// What holds now, if that was not told yet and may be told.
    pub fn news(&mut self, now: Mono) -> Option<Option<AreaNotice>> {
        while self.told_at.front().is_some_and(|at| now.since(*at) >= Span::hours(1)) {
            self.told_at.pop_front();
        }
        if self.told_at.len() >= TOLD_PER_HOUR { None } else { self.changed() }
    }

    fn changed(&self) -> Option<Option<AreaNotice>> {
        let longest = self.held.values().max_by_key(|notice| (notice.expires, notice.issued));
        match &self.told {
            // Nothing is no news.
            None if longest.is_none() => None,
            Some(told) if told.as_ref() == longest => None,
            None | Some(_) => Some(longest.cloned()),
        }
    }

    /// It was told.
    pub fn told(&mut self, now: Mono, notice: Option<AreaNotice>) {
        self.told_at.push_back(now);
        self.told = Some(notice);
    }
}

/// Stands for what a life before this one may have been told: differs from every notice that can be read.
fn nothing() -> AreaNotice {
    AreaNotice {
        id: String::new(),
        area: String::new(),
        issued: 0,
        expires: 0,
        ended: true,
        text: String::new(),
    }
}

/// Reads one notice; `None`: it is taken back.
///
/// # Errors
/// What is wrong and what is expected, in words that follow "notice refused:".
pub fn parse(payload: &[u8], area: &str) -> Result<Option<AreaNotice>, String> {
    if payload.is_empty() {
        return Ok(None);
    }
    if payload.len() > LARGEST_NOTICE {
        return Err(format!("it has {} bytes, expected at most {LARGEST_NOTICE}", payload.len()));
    }
    let value: Value =
        json::parse(payload).map_err(|e| format!("it is not JSON: {e}; expected an object"))?;
    let Value::Object(fields) = &value else {
        return Err(format!("it is {}, expected a JSON object", kind(&value)));
    };
    let field = |name: &str| fields.get(name).filter(|v| !v.is_null());
    let is = |name: &str| field(name).map_or("missing".into(), shown);
    if field("schema").and_then(Value::as_str) != Some(NOTICE_SCHEMA) {
        return Err(format!("schema is {}, expected {NOTICE_SCHEMA:?}", is("schema")));
    }
    let id = match field("id") {
        Some(Value::String(id)) if !id.is_empty() && id.len() <= LONGEST_ID => clean(id, LONGEST_ID),
        _ => return Err(format!("id is {}, expected a text of 1 to {LONGEST_ID} bytes", is("id"))),
    };
    if field("area").and_then(Value::as_str) != Some(area) {
        return Err(format!("area is {}, expected that of its topic, {area:?}", is("area")));
    }
    let moment = |name: &str| {
        let seconds = match field(name) {
            Some(Value::Number(n)) => n.as_u64(),
            Some(Value::String(text)) => {
                LocalTime::parse(text).ok().and_then(|t| u64::try_from(t.wall.0.div_euclid(1_000)).ok())
            }
            _ => None,
        };
        seconds.ok_or_else(|| {
            format!(
                "{name} is {}, expected a date like 2026-11-20T09:00:00+08:00 or seconds since 1970",
                is(name)
            )
        })
    };
    let (issued, expires) = (moment("issued")?, moment("expires")?);
    if expires < issued {
        return Err(format!("expires is {}, expected later than issued, {}", is("expires"), is("issued")));
    }
    let ended = match field("ended") {
        None => false,
        Some(Value::Bool(ended)) => *ended,
        Some(_) => return Err(format!("ended is {}, expected true or false", is("ended"))),
    };
    let text = match field("text") {
        None => String::new(),
        Some(Value::String(text)) => clean(text, TEXT_KEPT),
        Some(_) => return Err(format!("text is {}, expected a text", is("text"))),
    };
    Ok(Some(AreaNotice { id, area: area.to_owned(), issued, expires, ended, text }))
}

/// For logs and messages: no control characters, not too long.
fn clean(text: &str, most: usize) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(most).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notice(area: &str, id: &str, expires: u64) -> Vec<u8> {
        format!(
            r#"{{"schema":"linekeeper.notice.v1","id":"{id}","area":"{area}","issued":1000,"expires":{expires},
               "text":"Fibre cut","eta":"soon","crew":{{"deep":[1]}}}}"#
        )
        .into_bytes()
    }

    #[test]
    fn an_area_listens_for_all_that_hold_it() {
        let notices = Notices::new(Some("north-3/olt-7/pon-2"));
        let topics: Vec<String> = notices.topics().collect();
        assert_eq!(
            topics,
            [
                "linekeeper/v1/area/north-3/olt-7/pon-2/notice",
                "linekeeper/v1/area/north-3/olt-7/notice",
                "linekeeper/v1/area/north-3/notice",
            ]
        );
        assert_eq!(notices.area_of(&topics[1]), Some("north-3/olt-7"));
        assert_eq!(notices.area_of("linekeeper/v1/area/north-33/notice"), None);
        assert_eq!(notices.area_of("linekeeper/v1/gw-0001/callback/receipt"), None);
        assert_eq!(Notices::new(None).topics().count(), 0);
    }

    #[test]
    fn dates_may_be_texts_or_seconds_and_unknown_fields_are_passed_over() {
        let parse = |text: &str| super::parse(text.as_bytes(), "a");
        let of = |issued: &str, expires: &str| {
            parse(&format!(
                r#"{{"schema":"linekeeper.notice.v1","id":"D1","area":"a","issued":{issued},"expires":{expires},"new":1}}"#
            ))
        };
        let wanted = AreaNotice {
            id: "D1".into(),
            area: "a".into(),
            issued: 1_795_141_927,
            expires: 1_795_145_527,
            ended: false,
            text: String::new(),
        };
        assert_eq!(of("1795141927", "1795145527"), Ok(Some(wanted.clone())));
        assert_eq!(of(r#""2026-11-20T10:32:07+08:00""#, r#""2026-11-20T03:32:07Z""#), Ok(Some(wanted)));
        assert_eq!(super::parse(b"", "a"), Ok(None));
    }

    #[test]
    fn what_is_wrong_is_said_with_what_is_expected() {
        let good = r#"{"schema":"linekeeper.notice.v1","id":"D1","area":"a","issued":1,"expires":2}"#;
        assert!(parse(good.as_bytes(), "a").is_ok());
        for (from, to, what) in [
            ("notice.v1", "notice.v2", "schema is \"linekeeper.notice.v2\""),
            ("\"schema\":\"linekeeper.notice.v1\",", "", "schema is missing"),
            ("\"D1\"", "\"\"", "id is \"\""),
            ("\"D1\"", "7", "id is 7"),
            ("\"a\"", "\"b\"", "area is \"b\", expected that of its topic, \"a\""),
            ("\"issued\":1", "\"issued\":-1", "issued is -1"),
            ("\"issued\":1", "\"issued\":\"today\"", "issued is \"today\""),
            ("\"expires\":2", "\"expires\":0", "expires is 0, expected later than issued"),
            (",\"expires\":2", "", "expires is missing"),
            ("\"expires\":2", "\"expires\":2,\"ended\":1", "ended is 1"),
            ("\"expires\":2", "\"expires\":2,\"text\":[]", "text is a list"),
        ] {
            let said = parse(good.replace(from, to).as_bytes(), "a").unwrap_err();
            assert!(said.contains(what) && said.contains("expected"), "{said}");
        }
        assert!(parse(b"\xff", "a").unwrap_err().contains("not JSON"));
        assert!(parse(b"[]", "a").unwrap_err().contains("a list, expected a JSON object"));
        assert!(parse(&[b' '; LARGEST_NOTICE + 1], "a").unwrap_err().contains("4097 bytes"));
        assert!(parse(&[b'['; LARGEST_NOTICE], "a").is_err(), "and the stack holds");
    }

    #[test]
    fn the_one_that_holds_longest_is_told_and_each_change_once() {
        let mut n = Notices::new(Some("n/o"));
        assert_eq!(n.news(Mono(1)), None);
        n.came("n", &notice("n", "wide", 5_000)).unwrap();
        n.came("n/o", &notice("n/o", "near", 9_000)).unwrap();
        let news = n.news(Mono(1)).unwrap();
        assert_eq!(news.as_ref().map(|n| n.id.as_str()), Some("near"));
        n.told(Mono(1), news);
        assert_eq!(n.news(Mono(1)), None);
        n.came("n", &notice("n", "wide", 5_500)).unwrap();
        assert_eq!(n.news(Mono(1)), None, "the other one still holds longer");
        // Shortened: the last message on a topic is what holds there.
        n.came("n/o", &notice("n/o", "near", 2_000)).unwrap();
        assert_eq!(n.news(Mono(1)).unwrap().unwrap().id, "wide");
        n.came("n", b"").unwrap();
        n.came("n/o", &notice("n/o", "near", 2_000)).unwrap();
        assert_eq!(n.news(Mono(1)).unwrap().unwrap().id, "near");
        let ended = String::from_utf8(notice("n/o", "near", 2_000))
            .unwrap()
            .replace("\"eta\"", "\"ended\":true,\"eta\"");
        n.came("n/o", ended.as_bytes()).unwrap();
        assert_eq!(n.news(Mono(1)), Some(None));
    }

    #[test]
    fn changes_are_told_a_limited_number_of_times_an_hour_and_the_latest_is_not_lost() {
        let mut n = Notices::new(Some("n"));
        let mut told = Vec::new();
        for ms in 0..2_000 {
            n.came("n", &notice("n", &format!("N{ms}"), 5_000)).unwrap();
            if let Some(news) = n.news(Mono(ms)) {
                told.push(news.as_ref().unwrap().id.clone());
                n.told(Mono(ms), news);
            }
        }
        assert_eq!(told.len(), TOLD_PER_HOUR);
        let due = n.settles().unwrap();
        assert_eq!((n.news(Mono(due.0 - 1)), due), (None, Mono(3_600_000)));
        assert_eq!(n.news(due).unwrap().unwrap().id, "N1999");
    }

    #[test]
    fn what_the_broker_has_no_more_is_dropped_after_a_new_connection() {
        let mut n = Notices::new(Some("n/o"));
        n.subscribed(Mono(0));
        n.settle(Mono(5_000));
        assert_eq!(
            n.news(Mono(1)),
            Some(None),
            "the first time even nothing is told: another life may know of one"
        );
        n.told(Mono(1), None);
        for area in ["n", "n/o"] {
            n.came(area, &notice(area, area, 9_000)).unwrap();
        }
        let news = n.news(Mono(1)).unwrap();
        n.told(Mono(1), news);
        n.disconnected();
        n.subscribed(Mono(50_000));
        assert_eq!(n.settles(), Some(Mono(55_000)));
        n.came("n", &notice("n", "n", 9_000)).unwrap();
        n.settle(Mono(54_999));
        assert_eq!(n.held.len(), 2);
        n.settle(Mono(55_000));
        assert_eq!(n.held.len(), 1);
        assert_eq!(n.settles(), None);
    }
}
