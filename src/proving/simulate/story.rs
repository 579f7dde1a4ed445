//! The demo's story in virtual time, for machines that do not allow namespaces: seven acts on one line.

use super::drive::run;
use super::report::Delivery;
use super::spectator::{Moment, Spectator};
use super::world::{Trouble, World};
use linekeeper_contract::message::{CallbackState, Message};
use linekeeper_contract::units::{Permille, Span};
use linekeeper_contract::vocabulary::Rung;
use linekeeper_judge::action::{Action, Level};
use linekeeper_judge::config::{Config, Faults, Places, read};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// A delivery this long after its fact is shown as late: the contract with the platform allows 5 s.
const LATE: Span = Span::seconds(5);

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Voice {
    /// The simulated truth.
    World,
    /// The gateway's decisions.
    Gateway,
    /// The messages that reach the platform.
    Platform,
}

/// One line of the story.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// Since the beginning, in milliseconds.
    pub at_ms: Span,
    /// The act, from 1.
    pub act: u8,
    /// Who speaks.
    pub voice: Voice,
    /// For people, English.
    pub text: String,
}

/// The acts: start time and title.
pub const ACTS: [(Span, &str); 7] = [
    (Span::ZERO, "a quiet line"),
    (Span::seconds(20), "a wedged interface: the address is gone and no DHCP client is running"),
    (Span::seconds(60), "the cable is out for three seconds"),
    (Span::seconds(90), "a hiccup of 1.2 seconds"),
    (Span::seconds(120), "silent loss beyond the access router, which no remedy can repair"),
    (Span::seconds(200), "dead access that no remedy repairs, and a dead backup"),
    (Span::seconds(280), "half of the promised rate for a while"),
];
/// How long the line is slow: the first test may come after half an hour, and three more must confirm it.
const SLOW: Span = Span::minutes(100);
/// When the story ends. There is one test an hour while the promise is broken, and six good ones prove the recovery. They
/// count only in the same quarter of the day as the low ones.
pub const ENDS: Span = Span::hours(6);

/// The configuration for the story: the defaults, with shorter delays for an audience.
///
/// # Errors
/// The errors in it, if the rules of the reader have changed.
pub fn config() -> Result<Config, Faults> {
    let tree = json!({
        "device": { "id": "gw-0001", "customer": "CUST1001", "area": "north-3/olt-7" },
        "probe": { "targets": [
            { "host": "198.51.100.10", "role": "anchor" },
            { "host": "203.0.113.53", "role": "world" },
            { "host": "203.0.113.54", "role": "world" },
        ] },
        "outage": { "hold_down": "10 s" },
        "callback": { "after": "15 s", "receipt": "10 s" },
        "remedies": { "driver": "script", "program": "/usr/lib/linekeeper/remedy" },
        "promise": { "download": { "normal": "90 Mbit/s" } },
        "speed": { "servers": ["http://speed.isp.example/"], "per_day": 48, "seconds": "5 s",
            "budget": { "day": "4 GB", "month": "100 GB" } },
    });
    read(&tree, &Places::default())
}

/// The story's world.
pub fn world() -> World {
    let mut world = World::quiet()
        .until_healed(ACTS[1].0, Trouble::Address, &[Rung::RestartInterface])
        .with_trouble(ACTS[2].0, Span::seconds(3), Trouble::Carrier)
        .with_trouble(ACTS[3].0, Span::millis(1_200), Trouble::Upstream)
        .with_trouble(ACTS[4].0, Span::seconds(40), Trouble::Upstream)
        .with_trouble(ACTS[5].0, Span::seconds(60), Trouble::BackupLost)
        .with_trouble(ACTS[5].0, Span::seconds(60), Trouble::Access)
        .with_trouble(ACTS[6].0, SLOW, Trouble::Slow(Permille(500)));
    world.cannot.insert(Rung::Renew, "no DHCP client runs".into());
    world.failover = true;
    world
}

/// Plays the story and passes each line to `show`, in the order of time.
///
/// # Errors
/// As [`config`].
pub fn play(seed: u64, show: &mut impl FnMut(&Item)) -> Result<(), Faults> {
    let config = config()?;
    let mut narrator = Narrator { show, act: 0 };
    run(&config, &world(), seed, ENDS, &mut narrator);
    Ok(())
}

struct Narrator<'t, F: FnMut(&Item)> {
    show: &'t mut F,
    act: usize,
}

impl<F: FnMut(&Item)> Narrator<'_, F> {
    fn say(&mut self, at: Span, voice: Voice, text: String) {
        while let Some((begins, title)) = ACTS.get(self.act).filter(|(begins, _)| *begins <= at) {
            self.act += 1;
            let text = format!("act {}: {title}", self.act);
            (self.show)(&Item { at_ms: *begins, act: self.act as u8, voice: Voice::World, text });
        }
        (self.show)(&Item { at_ms: at, act: self.act as u8, voice, text });
    }
}

impl<F: FnMut(&Item)> Spectator for Narrator<'_, F> {
    fn on_fault(&mut self, at: Moment, trouble: &Trouble, begins: bool) {
        let text = match (trouble, begins) {
            (Trouble::Upstream, true) => "packets beyond the access router are lost silently",
            (Trouble::Upstream, false) => "the path beyond the access router works again",
            (Trouble::Access, true) => "the access router stops responding",
            (Trouble::Access, false) => "the access router responds again",
            (Trouble::Carrier, true) => "the cable is pulled",
            (Trouble::Carrier, false) => "the cable is plugged in again",
            (Trouble::Address, true) => "the address is lost",
            (Trouble::Address, false) => "the address is back",
            (Trouble::Slow(_), true) => "the line is slow: half of the promised rate",
            (Trouble::Slow(_), false) => "the line has its full rate again",
            (Trouble::BackupLost, true) => "the backup is dead too",
            (Trouble::BackupLost, false) => "the backup is back",
            (other, true) => return self.say(at.world, Voice::World, format!("{other:?} begins")),
            (other, false) => return self.say(at.world, Voice::World, format!("{other:?} ends")),
        };
        self.say(at.world, Voice::World, text.into());
    }

    fn on_action(&mut self, at: Moment, action: &Action) {
        if let Action::Note { level: Level::Info | Level::Warn, text } = action {
            self.say(at.world, Voice::Gateway, text.clone());
        }
    }

    fn on_delivery(&mut self, delivery: &Delivery) {
        let what = match &delivery.message.message {
            Message::Event(e) => {
                let name = serde_json::to_value(e.event).ok();
                let name = name.as_ref().and_then(|n| n.as_str()).unwrap_or_default().replace('_', " ");
                match (&e.remedy, e.event) {
                    (Some(remedy), _) => format!("{name}: {} ({})", remedy.name.as_str(), e.incident.id),
                    (None, _) => format!("{name}: {}", e.incident.id),
                }
            }
            Message::CommandResult(r) => format!("command {} {}", r.command_id, r.state.as_str()),
            Message::Callback(c) => {
                let words = c.issues.last().map_or("", |i| &i.description);
                match c.state {
                    CallbackState::Requested => format!("callback {} requested: {words}", c.callback_id),
                    state => {
                        format!("callback {} {state:?}", c.callback_id).to_lowercase().replace("cb", "CB")
                    }
                }
            }
        };
        let age = Span(delivery.at.0.saturating_sub(delivery.published.0));
        let late = if age > LATE { format!(" ({age} late)") } else { String::new() };
        self.say(delivery.at, Voice::Platform, format!("{what}{late}"));
    }
}
