//! `[web]`: which web page is fetched to detect a login page (captive portal).

use super::bounds::{LONGEST_BODY, within};
use super::host;
use super::kinds::{Count, count, quantity, text};
use super::name::EVERY;
use super::options::{ASKED, Form, Kind, Pattern, Right, options};
use super::reader::{Reader, Section, Show};
use linekeeper_contract::units::Span;
use serde_json::Value;

options! {
    /// Which web page is fetched to detect a login page (captive portal).
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Web = section "web", "Login page" / "登录页面",
        "Which web page is fetched to detect a login page (captive portal). Without url none is fetched." /
        "用哪个网页判断中间是否有人拦截（登录页面）。没有地址则不查询。", check Web::contradictions {
        /// `http://…`. A login page cannot intercept https.
        ///
        /// Default: none, because there is no web server that every gateway may use.
        url: Option<String> = text(Pattern::Page, Show::Secret, url), ASKED,
            "Address" / "地址",
            "http:// only. Any web server will do, for example nginx's `location = /204 { return 204; }`" /
            "仅限 http://；任何 Web 服务器均可，如 nginx 的 `location = /204 { return 204; }`",
            shows "http://speed.isp.example/204";
        /// The expected body, without white space at both ends. `None`: the body is not checked.
        body: Option<String> = text(Pattern::Plain, Show::Open, body), Right::Remote,
            "Expected body" / "应答的内容",
            "The expected body, at most 256 bytes, without white space at both ends. Not allowed with status 204." /
            "应答的内容，最多 256 字节，首尾空白除外。状态码为 204 时不适用。",
            example "success", with "url" [];
        /// The expected HTTP status.
        ///
        /// Default 204: No Content, which servers made for this check answer and no login page does. Bounds: the status codes of HTTP.
        status: u16 = Status(count(within(100, 599), 204)), Right::Remote,
            "Expected status" / "应答的状态码",
            "The expected HTTP status." / "应答的 HTTP 状态码。",
            with "url" [];
        /// How often it is fetched while the line is up.
        ///
        /// Default 15 min: a login page comes with a new session, which is looked at by itself, or with an unpaid bill, which
        /// does not hurry.
        every: Span = quantity(EVERY, Span::minutes(15)), Right::Remote,
            "Query interval" / "询问间隔",
            "How often it is fetched while the line is up." / "线路正常时多久查询一次。",
            with "url" [];
    }
}

impl Web {
    fn contradictions(&mut self, reader: &mut Reader<'_>, section: &Section<'_>) {
        for key in ["status", "body", "every"].into_iter().filter(|key| section.has(key)) {
            if !section.has("url") {
                reader.missing(&section.path("url"), &format!("{} needs it", section.path(key)));
            }
        }
        let status = self.status;
        if self.body.is_some() && (status == 204 || status == 304 || status < 200) {
            reader.fault(
                &section.path("body"),
                format!("must not be set with web.status {status}: such a response has no body"),
            );
        }
    }
}

fn url(text: &str) -> Result<String, String> {
    match host::server(text) {
        Ok(()) if text.starts_with("http://") => Ok(text.to_owned()),
        Ok(()) => Err("an http:// URL: a login page cannot intercept https://".to_owned()),
        Err(words) => Err(format!("an http:// URL: it {words}")),
    }
}

fn body(text: &str) -> Result<String, String> {
    let text = text.trim();
    if !(1..=LONGEST_BODY).contains(&text.len()) {
        return Err(format!("1 to {LONGEST_BODY} bytes, not counting white space at both ends"));
    }
    Ok(text.to_owned())
}

/// A count in the type that HTTP's libraries have for it.
struct Status(Count);

impl Kind for Status {
    type Value = u16;

    fn absent(&self) -> u16 {
        u16::try_from(self.0.absent()).unwrap_or(u16::MAX)
    }

    fn read(&self, reader: &mut Reader<'_>, section: &Section<'_>, key: &str) -> u16 {
        u16::try_from(self.0.read(reader, section, key)).unwrap_or(u16::MAX)
    }

    fn form(&self) -> Form {
        self.0.form()
    }

    fn default(&self) -> Option<Value> {
        self.0.default()
    }
}
