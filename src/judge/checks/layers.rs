//! What is asked of the layers, and what came back. The policy stands in [`super`].

use crate::action::Action;
use crate::check::{Ask, CheckId, CheckOrder, Checked, REPLIES, Reply, Said};
use crate::config::Config;
use crate::diagnosis::{GatewayEcho, Seen};
use crate::outage::line::{Cause, LineState};
use crate::text::short;
use linekeeper_contract::units::{Mono, Span};
use linekeeper_contract::vocabulary::Protocol;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};

/// How long a silence lasts before the gateway's address is asked: on a line that loses a fifth, sixteen echoes in a
/// row are not lost by chance, and one round trip of ARP fits into the rest of the patience.
pub const SUSPECTED_FOR: Span = Span::seconds(1);
/// DHCP and PPPoE questions in any hour. Six: at the break, and after half a minute, 1.5, 3.5, 7.5 and 15.5 min; a client
/// that looks for a lease by RFC 2131 asks some sixty times in that hour.
pub const ACCESS_PER_HOUR: usize = 6;
/// How many times as seldom on a metered line: names once an hour, some 200 kB a month.
pub const METERED: u64 = 12;
/// How soon after the line's return names and the web are asked: the resolver's way may be a second behind.
pub const AFTER_RETURN: Span = Span::seconds(10);
/// Returns that follow each other sooner than this are not each looked at.
pub const APART: Span = Span::minutes(1);
/// How soon what is wrong is asked again.
pub const CONFIRM: Span = Span::seconds(10);
/// Wrong answers in a row that count. Two, [`CONFIRM`] apart: a resolver that restarts is back within seconds.
pub const CONFIRMED: u8 = 2;
/// How long after a check's time limit its word is waited for.
pub const WORD_LATE: Span = Span::seconds(3);
/// How long the ladder waits, from when a break may be worked on, for answers that may place it. Eight seconds: two
/// checks with their time limits.
pub const PLACE_MOST: Span = Span::seconds(8);
/// What a resolver's name ends with where it was asked by TCP.
const BY_TCP: &str = "(TCP)";
/// As many of an hour's questions to the access network are kept for a break: who only wants to know asks while more are left.
const ACCESS_KEPT: usize = ACCESS_PER_HOUR / 2;
/// How long answers are waited for at most that somebody asked for: the longest check, and its late word.
pub const ASKED_MOST: Span = Span::seconds(12);
/// An hour.
const HOUR: Span = Span::hours(1);

/// From one question to the next while a break lasts, at first.
const FIRST: [Span; 5] = [Span::seconds(5), Span::seconds(30), Span::seconds(30), CONFIRM, CONFIRM];
/// The same, at most. A DHCP question three times an hour tells when a server is back.
const MOST: [Span; 5] =
    [Span::minutes(5), Span::minutes(20), Span::minutes(20), Span::minutes(5), Span::minutes(5)];
/// How long each may take. ARP is asked three times within it, DHCP and PPPoE twice (RFC 2131 has 4 s between), three
/// resolvers side by side over UDP and then TCP, and a page over a slow line.
const LIMIT: [Span; 5] =
    [Span::millis(1_500), Span::seconds(4), Span::seconds(4), Span::seconds(5), Span::seconds(8)];

/// What came back of one layer.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// When it was asked.
    pub asked: Mono,
    /// What it did, all replies taken together.
    pub said: Said,
    /// Whose reply decided.
    pub whom: String,
    /// In words.
    pub detail: String,
    /// Of names: a resolver that answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolver: Option<IpAddr>,
}

#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Layer {
    last: Option<Verdict>,
    /// Under way: its number, when it was asked, until when its word is waited for.
    asked: Option<(CheckId, Mono, Mono)>,
    next: Mono,
    wait: Span,
    /// Wrong answers in a row (names and web), and when the first of them was asked.
    wrong: u8,
    wrong_since: Mono,
}

/// What is asked, and what came back.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checks {
    number: u64,
    layers: [Layer; 5],
    /// When DHCP or PPPoE were asked in the last hour.
    access: VecDeque<Mono>,
    /// A resolver of the line's own has answered at some time.
    #[serde(default)]
    named: bool,
    /// The break that is being placed began then.
    of: Option<Mono>,
    /// The ladder waits for what is under way.
    #[serde(default)]
    pub awaited: bool,
    /// Before this nothing is to be done on a line that is up.
    quiet: Mono,
}

// It is shown to the other concerns whenever it changes: what is there already is overwritten, and nothing allocated.
impl Clone for Verdict {
    fn clone(&self) -> Verdict {
        let Verdict { asked, said, whom, detail, resolver } = self;
        Verdict {
            asked: *asked,
            said: *said,
            whom: whom.clone(),
            detail: detail.clone(),
            resolver: *resolver,
        }
    }

    fn clone_from(&mut self, from: &Verdict) {
        let Verdict { asked, said, whom, detail, resolver } = from;
        (self.asked, self.said, self.resolver) = (*asked, *said, *resolver);
        self.whom.clone_from(whom);
        self.detail.clone_from(detail);
    }
}

impl Clone for Layer {
    fn clone(&self) -> Layer {
        Layer { last: self.last.clone(), ..*self }
    }

    fn clone_from(&mut self, from: &Layer) {
        let Layer { last, asked, next, wait, wrong, wrong_since } = from;
        self.last.clone_from(last);
        (self.asked, self.next, self.wait) = (*asked, *next, *wait);
        (self.wrong, self.wrong_since) = (*wrong, *wrong_since);
    }
}

impl Clone for Checks {
    fn clone(&self) -> Checks {
        Checks { layers: self.layers.clone(), access: self.access.clone(), ..*self }
    }

    fn clone_from(&mut self, from: &Checks) {
        let Checks { number, layers, access, named, of, awaited, quiet } = from;
        self.layers.clone_from(layers);
        self.access.clone_from(access);
        (self.number, self.named, self.of) = (*number, *named, *of);
        (self.awaited, self.quiet) = (*awaited, *quiet);
    }
}

/// The rest of the judge's world, as far as it matters here.
#[derive(Debug, Clone, Copy)]
pub struct Scene {
    /// The line.
    pub line: LineState,
    /// A break, or a silence that is suspected to be one: since when.
    pub broken: Option<Mono>,
    /// What the link says is wrong.
    pub link: Option<Cause>,
    /// Echoes of the gateway since then.
    pub gateway: GatewayEcho,
    /// A default gateway is known.
    pub gateway_known: bool,
    /// A remedy is being carried out (`Some(false)`) or settles (`Some(true)`).
    pub remedy: Option<bool>,
    /// Names or the web are an incident.
    pub unserved: bool,
    /// How the line gets its address.
    pub protocol: Protocol,
    /// Each byte costs money.
    pub metered: bool,
    /// How often names and the web are asked on a line that is up.
    pub every: (Span, Span),
    /// Spreads a fleet.
    pub phase: u64,
}

const fn slot(ask: Ask) -> usize {
    match ask {
        Ask::Neighbour => 0,
        Ask::Dhcp => 1,
        Ask::Pppoe => 2,
        Ask::Name => 3,
        Ask::Web => 4,
    }
}

impl Checks {
    /// A new life of the process: what was under way is void. `lost`: how often the access was asked is not known. `every`: how
    /// often names are.
    pub fn started(&mut self, now: Mono, lost: bool, every: Span) {
        for layer in &mut self.layers {
            layer.asked = None;
            layer.last = None;
            layer.wrong = 0;
            // Names and the web wait for the line.
            layer.next = now + every;
        }
        self.of = None;
        self.quiet = now;
        if lost {
            self.access = std::iter::repeat_n(now, ACCESS_PER_HOUR).collect();
        }
    }

    /// Whether nothing is to be done now on a line that is up and not suspected.
    pub fn is_quiet(&self, now: Mono) -> bool {
        now < self.quiet
    }

    /// When something is to be asked, or a word is overdue, on a line that is up.
    pub fn quiet_until(&self) -> Mono {
        self.quiet
    }

    /// For simulators: nothing is under way, and names and the web were answered last: they will be again.
    pub fn rests(&self) -> bool {
        let well = |ask| self.layers[slot(ask)].last.as_ref().is_some_and(|v| v.said == Said::Answered);
        self.layers.iter().all(|l| l.asked.is_none()) && well(Ask::Name) && well(Ask::Web)
    }

    /// For simulators: until `now` names and the web were asked at their moments and answered as before.
    pub fn rested(&mut self, now: Mono, config: &Config) {
        for (ask, every) in [(Ask::Name, config.name.every), (Ask::Web, config.web.every)] {
            let every = if config.line.metered { every.times(METERED) } else { every };
            let layer = &mut self.layers[slot(ask)];
            if now < layer.next {
                continue;
            }
            let times = now.since(layer.next).0 / every.0;
            let asked = layer.next + every.times(times);
            layer.next = asked + every;
            layer.last.iter_mut().for_each(|v| v.asked = asked);
            self.number += times + 1;
        }
        self.quiet = now;
    }

    /// When a word is overdue.
    pub fn overdue(&self) -> Option<Mono> {
        self.layers.iter().filter_map(|l| l.asked.map(|(_, _, until)| until)).min()
    }

    /// The line came back. `phase` spreads a district that came back as one.
    pub fn returned(&mut self, now: Mono, phase: u64) {
        for ask in [Ask::Name, Ask::Web] {
            let layer = &mut self.layers[slot(ask)];
            layer.wrong = 0;
            let soon = now + AFTER_RETURN + Span(phase % AFTER_RETURN.0);
            layer.next = soon.max(layer.last.as_ref().map_or(soon, |v| v.asked + APART));
        }
        self.quiet = now;
    }

    /// A remedy begins: what is under way says nothing.
    pub fn disturbed(&mut self, now: Mono) {
        for (at, layer) in self.layers.iter_mut().enumerate() {
            if layer.asked.take().is_some() {
                layer.next = now + FIRST[at];
            }
        }
        self.quiet = now;
    }

    /// A remedy for names was carried out: asked anew at once. Its predecessor's wrong answers stay counted.
    pub fn prove(&mut self, now: Mono) {
        let layer = &mut self.layers[slot(Ask::Name)];
        (layer.next, layer.wait) = (now, Span::seconds(2));
        self.quiet = now;
    }

    /// What a break that began at `since` is placed by.
    pub fn seen(&self, since: Mono, link: Option<Cause>, gateway: GatewayEcho, protocol: Protocol) -> Seen {
        let said = |ask| self.since(ask, since).map(|v| v.said);
        Seen {
            link,
            protocol,
            gateway,
            neighbour: said(Ask::Neighbour),
            dhcp: said(Ask::Dhcp),
            pppoe: said(Ask::Pppoe),
            ill_set: false,
        }
    }

    /// The last that a layer did, if it was asked at `since` or later.
    pub fn since(&self, ask: Ask, since: Mono) -> Option<&Verdict> {
        self.layers[slot(ask)].last.as_ref().filter(|v| v.asked >= since)
    }

    /// The last that a layer of the service did, if it is confirmed; a good answer needs no second.
    pub fn confirmed(&self, ask: Ask) -> Option<&Verdict> {
        let layer = &self.layers[slot(ask)];
        let verdict = layer.last.as_ref().filter(|v| !is_wrong(ask, v.said) || layer.wrong >= CONFIRMED)?;
        let dead = ask == Ask::Name && matches!(verdict.said, Said::Silent | Said::Refused);
        let known = self.named || verdict.resolver.is_some();
        (!dead || known).then_some(verdict)
    }

    /// Since when a layer of the service is wrong.
    pub fn wrong_since(&self, ask: Ask) -> Option<Mono> {
        let layer = &self.layers[slot(ask)];
        (layer.wrong > 0).then_some(layer.wrong_since)
    }

    /// Takes in what came back. Gives the layer and whether it differs from what it did before; `None`: not awaited.
    pub fn checked(&mut self, now: Mono, checked: &Checked) -> Option<bool> {
        let at = slot(checked.ask);
        let layer = &mut self.layers[at];
        let (_, asked, _) = layer.asked.take_if(|(number, _, _)| *number == checked.check)?;
        let verdict = sum_up(checked, asked);
        self.named |= checked.ask == Ask::Name && verdict.said == Said::Answered;
        let differs = layer
            .last
            .as_ref()
            .is_none_or(|v| v.said != verdict.said || v.asked < self.of.unwrap_or(v.asked));
        if matches!(checked.ask, Ask::Name | Ask::Web) {
            match verdict.said {
                said if is_wrong(checked.ask, said) => {
                    layer.wrong = layer.wrong.saturating_add(1);
                    if layer.wrong == 1 {
                        layer.wait = FIRST[at];
                        layer.wrong_since = asked;
                    }
                    layer.next = now + layer.wait;
                    layer.wait = (layer.wait + layer.wait).min(MOST[at]);
                }
                Said::NotChecked => {}
                _ => layer.wrong = 0,
            }
        }
        layer.last = Some(verdict);
        // A login page may answer for every name: the web tells it from resolvers that are dead or lie.
        if checked.ask == Ask::Name
            && let Some(since) = self.wrong_since(Ask::Name)
        {
            let web = &mut self.layers[slot(Ask::Web)];
            let known = web.last.as_ref().is_some_and(|v| v.asked >= since);
            if web.asked.is_none() && !known {
                web.next = now;
            }
        }
        self.quiet = now;
        Some(differs)
    }

    /// Whether what is wrong with the names may yet turn out to be a login page: the web was not asked since they are wrong, or
    /// its wrong answer is not confirmed.
    pub fn may_be_a_page(&self) -> bool {
        let Some(since) = self.wrong_since(Ask::Name) else { return false };
        let web = &self.layers[slot(Ask::Web)];
        let asked = web.last.as_ref().is_some_and(|v| v.asked >= since);
        web.asked.is_some() || !asked || (1..CONFIRMED).contains(&web.wrong)
    }

    /// Lets time pass: gives up what is overdue, and orders what is to be asked.
    pub fn advance(&mut self, now: Mono, scene: &Scene, out: &mut Vec<Action>) {
        for layer in &mut self.layers {
            if let Some((_, asked, _)) = layer.asked.take_if(|(_, _, until)| now >= *until) {
                layer.last = Some(Verdict {
                    asked,
                    said: Said::NotChecked,
                    whom: String::new(),
                    detail: "no word came of it".into(),
                    resolver: None,
                });
            }
        }
        match scene.broken {
            Some(since) if self.of != Some(since) => {
                self.of = Some(since);
                for ask in [Ask::Neighbour, Ask::Dhcp, Ask::Pppoe] {
                    let layer = &mut self.layers[slot(ask)];
                    (layer.next, layer.wait) = (now, FIRST[slot(ask)]);
                }
            }
            Some(_) | None => {}
        }
        for ask in Ask::ALL {
            if self.wanted(now, ask, scene) {
                self.order(now, ask, scene, out);
            }
        }
        self.quiet = self.overdue().unwrap_or(Mono(u64::MAX));
        for ask in [Ask::Name, Ask::Web] {
            let layer = &self.layers[slot(ask)];
            if layer.asked.is_none() {
                self.quiet = self.quiet.min(layer.next.max(now + Span::seconds(1)));
            }
        }
    }

    /// Asks what can be asked now, for who wants to know how each layer does.
    pub fn ask_all(&mut self, now: Mono, scene: &Scene, out: &mut Vec<Action>) {
        for ask in Ask::ALL {
            if self.answers_now(now, ask, scene) {
                self.order(now, ask, scene, out);
            }
        }
        self.quiet = now;
    }

    /// How often anything was asked, and what is under way: where neither differs, nobody was asked and nobody given up.
    pub fn course(&self) -> (u64, usize) {
        (self.number, self.layers.iter().filter(|l| l.asked.is_some()).count())
    }

    /// Whether anything is under way.
    pub fn asks(&self) -> bool {
        self.layers.iter().any(|l| l.asked.is_some())
    }

    fn answers_now(&self, now: Mono, ask: Ask, scene: &Scene) -> bool {
        let layer = &self.layers[slot(ask)];
        let fresh = |v: &Verdict| v.said != Said::NotChecked && now.since(v.asked) < CONFIRM;
        let busy = layer.asked.is_some() || layer.last.as_ref().is_some_and(fresh);
        if busy || scene.remedy == Some(false) || !ask.is_of(scene.protocol) {
            return false;
        }
        match scene.link {
            // A session's device goes with its session.
            Some(Cause::NoDevice) if ask != Ask::Pppoe => return false,
            Some(Cause::AdminDown | Cause::NoCarrier) => return false,
            Some(Cause::NoDevice | Cause::NoAddress | Cause::NoRoute | Cause::Silence) | None => {}
        }
        match ask {
            Ask::Neighbour => scene.gateway_known,
            Ask::Dhcp | Ask::Pppoe => {
                let recent = self.access.iter().filter(|at| now.since(**at) < HOUR).count();
                recent < ACCESS_PER_HOUR - ACCESS_KEPT
            }
            Ask::Name | Ask::Web => scene.line == LineState::Up && scene.broken.is_none(),
        }
    }

    /// Whether a layer makes sense to be asked now.
    fn wanted(&self, now: Mono, ask: Ask, scene: &Scene) -> bool {
        let layer = &self.layers[slot(ask)];
        if layer.asked.is_some() || now < layer.next || scene.remedy == Some(false) {
            return false;
        }
        match ask {
            Ask::Neighbour | Ask::Dhcp | Ask::Pppoe => self.places(ask, scene) && self.may(now, ask),
            Ask::Name | Ask::Web => {
                let proves = scene.unserved || scene.remedy.is_none();
                scene.line == LineState::Up && scene.broken.is_none() && proves
            }
        }
    }

    /// Whether a layer may place the break as it shows now.
    fn places(&self, ask: Ask, scene: &Scene) -> bool {
        let Some(since) = scene.broken else { return false };
        if !ask.is_of(scene.protocol) {
            return false;
        }
        match scene.link {
            // A session's device goes with its session.
            Some(Cause::NoDevice) => ask == Ask::Pppoe,
            Some(Cause::AdminDown | Cause::NoCarrier) => false,
            Some(Cause::NoAddress | Cause::NoRoute) => match ask {
                Ask::Dhcp | Ask::Pppoe => true,
                Ask::Neighbour | Ask::Name | Ask::Web => false,
            },
            Some(Cause::Silence) | None => {
                if scene.gateway == GatewayEcho::Answers {
                    return false;
                }
                let neighbour = self.since(Ask::Neighbour, since).map(|v| v.said);
                match ask {
                    Ask::Neighbour => scene.gateway_known,
                    // Only once it is an outage: a DHCP question is dear.
                    Ask::Pppoe => scene.line == LineState::Down,
                    Ask::Dhcp => {
                        scene.line == LineState::Down && (neighbour.is_some() || !scene.gateway_known)
                    }
                    Ask::Name | Ask::Web => false,
                }
            }
        }
    }

    fn may(&self, now: Mono, ask: Ask) -> bool {
        let recent = || self.access.iter().filter(|at| now.since(**at) < HOUR).count();
        !matches!(ask, Ask::Dhcp | Ask::Pppoe) || recent() < ACCESS_PER_HOUR
    }

    fn order(&mut self, now: Mono, ask: Ask, scene: &Scene, out: &mut Vec<Action>) {
        let at = slot(ask);
        if matches!(ask, Ask::Dhcp | Ask::Pppoe) {
            if self.access.len() >= ACCESS_PER_HOUR {
                self.access.pop_front();
            }
            self.access.push_back(now);
        }
        self.number += 1;
        let check = CheckId(self.number);
        let layer = &mut self.layers[at];
        layer.asked = Some((check, now, now + LIMIT[at] + WORD_LATE));
        match ask {
            Ask::Neighbour | Ask::Dhcp | Ask::Pppoe => {
                layer.next = now + layer.wait;
                layer.wait = (layer.wait + layer.wait).min(MOST[at]);
            }
            Ask::Name | Ask::Web => {
                let every = if ask == Ask::Name { scene.every.0 } else { scene.every.1 };
                let every = if scene.metered { every.times(METERED) } else { every };
                // The next multiple of the period, moved by the device's phase.
                let phase = scene.phase % every.0;
                let next = Mono((now.0 - now.0 % every.0).saturating_add(phase));
                layer.next = if next > now { next } else { next + every };
            }
        }
        out.push(Action::Check(CheckOrder { check, ask, limit: LIMIT[at] }));
    }

    /// Whether an answer is awaited that may still place the break as it shows now, or that is its evidence.
    pub fn places_soon(&self, now: Mono, scene: &Scene) -> bool {
        let Some(since) = scene.broken else { return false };
        if scene.gateway == GatewayEcho::Answers {
            return false;
        }
        let comes = |ask: Ask| {
            let layer = &self.layers[slot(ask)];
            let fresh = layer.asked.is_some_and(|(_, asked, _)| asked >= since);
            self.since(ask, since).is_none()
                && (fresh || self.places(ask, scene) && self.may(now, ask) && now >= layer.next)
        };
        match scene.link {
            Some(Cause::AdminDown | Cause::NoCarrier) => return false,
            // What the kernel says stands, whatever is answered; but a restart would take the answer away, and whoever is
            // handed the incident wants to know it.
            Some(Cause::NoDevice | Cause::NoAddress | Cause::NoRoute) => {
                return comes(Ask::Dhcp) || comes(Ask::Pppoe);
            }
            Some(Cause::Silence) | None => {}
        }
        let alive = self.since(Ask::Neighbour, since).is_some_and(|v| v.said == Said::Answered);
        comes(Ask::Neighbour) || comes(Ask::Pppoe) || alive && comes(Ask::Dhcp)
    }
}

/// Whether this is wrong, of names or the web. A web server that is silent is its own trouble.
const fn is_wrong(ask: Ask, said: Said) -> bool {
    match (ask, said) {
        (_, Said::Forged) => true,
        (Ask::Name, Said::Silent | Said::Refused) => true,
        (Ask::Web, Said::Silent | Said::Refused) => false,
        (Ask::Neighbour | Ask::Dhcp | Ask::Pppoe, Said::Silent | Said::Refused) => true,
        (_, Said::Answered | Said::NotChecked) => false,
    }
}

/// All replies taken together.
///
/// One that answers is enough to show a layer at work, except that a resolver which makes answers up spoils the
/// names: which one a customer's device asks is not ours to choose. The independent resolver shows nothing about the
/// line's own.
pub fn sum_up(checked: &Checked, asked: Mono) -> Verdict {
    let replies = &checked.replies[..checked.replies.len().min(REPLIES)];
    // By UDP everybody asks: who answers by TCP alone is of no use.
    let by_udp = |r: &&Reply| checked.ask != Ask::Name || !r.whom.ends_with(BY_TCP);
    let own = |r: &&Reply| (!r.independent || checked.ask != Ask::Name) && by_udp(r);
    let order: [Said; 5] = match checked.ask {
        Ask::Name => [Said::Forged, Said::Answered, Said::Refused, Said::Silent, Said::NotChecked],
        Ask::Web => [Said::Answered, Said::Forged, Said::Refused, Said::Silent, Said::NotChecked],
        Ask::Neighbour | Ask::Dhcp | Ask::Pppoe => {
            [Said::Answered, Said::Refused, Said::Silent, Said::Forged, Said::NotChecked]
        }
    };
    let decides = order.iter().find_map(|said| replies.iter().filter(own).find(|r| r.said == *said));
    let answers = |r: &&&Reply| r.said == Said::Answered;
    let mut resolver = None;
    if checked.ask == Ask::Name {
        let by =
            |independent: bool| replies.iter().filter(by_udp).filter(move |r| r.independent == independent);
        let chosen = by(false).collect::<Vec<_>>();
        let other = by(true).collect::<Vec<_>>();
        resolver = chosen.iter().chain(&other).filter(answers).find_map(|r| address(&r.whom));
    }
    match decides {
        Some(reply) => Verdict {
            asked,
            said: reply.said,
            whom: short(&reply.whom).to_string(),
            detail: match reply.took_us {
                Some(us) => {
                    format!("{} ({} ms)", short(&reply.detail), us.div_ceil(1_000))
                }
                None => short(&reply.detail).to_string(),
            },
            resolver,
        },
        None => Verdict {
            asked,
            said: Said::NotChecked,
            whom: String::new(),
            detail: "nobody was asked".into(),
            resolver,
        },
    }
}

/// The address at the beginning of a resolver's name; with or without its port.
fn address(whom: &str) -> Option<IpAddr> {
    let first = whom.split_whitespace().next()?;
    first.parse().ok().or_else(|| first.parse::<SocketAddr>().ok().map(|s| s.ip()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(checks: &mut Checks, at: u64, own: Said, independent: Said) -> Option<Said> {
        let reply = |whom: &str, said, independent| Reply {
            whom: whom.into(),
            said,
            took_us: None,
            independent,
            detail: String::new(),
        };
        let number = CheckId(at);
        checks.layers[slot(Ask::Name)].asked = Some((number, Mono(at), Mono(at + 1_000)));
        let replies = vec![reply("192.0.2.53", own, false), reply("203.0.113.53", independent, true)];
        checks.checked(Mono(at + 1), &Checked { check: number, ask: Ask::Name, replies });
        checks.confirmed(Ask::Name).map(|v| v.said)
    }

    #[test]
    fn resolvers_that_never_answered_are_no_fault_of_the_line() {
        let mut checks = Checks::default();
        for at in 1..=5 {
            let said = names(&mut checks, at * 10_000, Said::Silent, Said::Silent);
            assert_eq!(said, None, "they may be configured wrongly");
        }
        assert_eq!(names(&mut checks, 60_000, Said::Answered, Said::Silent), Some(Said::Answered));
        assert_eq!(names(&mut checks, 70_000, Said::Silent, Said::Silent), None, "once is not enough");
        assert_eq!(names(&mut checks, 80_000, Said::Silent, Said::Silent), Some(Said::Silent));
    }

    #[test]
    fn an_independent_answer_or_a_forged_one_shows_it_at_once() {
        let mut checks = Checks::default();
        for at in 1..=u64::from(CONFIRMED) {
            names(&mut checks, at * 10_000, Said::Silent, Said::Answered);
        }
        assert_eq!(checks.confirmed(Ask::Name).map(|v| v.said), Some(Said::Silent));
        let mut checks = Checks::default();
        for at in 1..=u64::from(CONFIRMED) {
            names(&mut checks, at * 10_000, Said::Forged, Said::Silent);
        }
        assert_eq!(checks.confirmed(Ask::Name).map(|v| v.said), Some(Said::Forged));
    }
}
