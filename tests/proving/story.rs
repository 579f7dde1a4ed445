//! The demo's story in virtual time: its acts and their messages.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails loudly")]

use crate::common::trial::{Test, here};
use linekeeper_proving::simulate::story::{ACTS, Item, Voice, play};

/// All tests of this module.
pub fn tests() -> Vec<Test> {
    here![story_plays_its_seven_acts_in_order, story_item_survives_json]
}

fn items() -> Vec<Item> {
    let mut items = Vec::new();
    play(1, &mut |item: &Item| items.push(item.clone())).unwrap();
    items
}

fn story_plays_its_seven_acts_in_order() {
    let items = items();
    assert!(items.windows(2).all(|w| w[0].at_ms <= w[1].at_ms || w[1].text.starts_with("act ")));
    let acts: Vec<u8> = items.iter().filter(|i| i.text.starts_with("act ")).map(|i| i.act).collect();
    assert_eq!(acts, (1..=ACTS.len() as u8).collect::<Vec<_>>());
    let contains = |act: u8, voice: Voice, words: &str| {
        let found = items.iter().any(|i| i.act == act && i.voice == voice && i.text.contains(words));
        assert!(found, "act {act}, {voice:?}: {words:?} is not in\n{}", shown(&items, act));
    };
    contains(1, Voice::Gateway, "the line is up");
    contains(2, Voice::Gateway, "renew: could not be carried out");
    contains(2, Voice::Platform, "remedy ended: restart-interface");
    contains(2, Voice::Platform, "incident closed");
    contains(3, Voice::Platform, "incident opened");
    contains(3, Voice::Platform, "incident closed");
    contains(4, Voice::Gateway, "counted, not acted on");
    contains(5, Voice::Gateway, "nothing on this side can mend it");
    contains(5, Voice::Platform, "requested: The line is down: the fault is further up in our network");
    contains(5, Voice::Platform, "received");
    contains(5, Voice::Platform, "withdrawn");
    contains(6, Voice::Gateway, "no remedy is left for now");
    contains(6, Voice::Platform, "late");
    contains(6, Voice::Platform, "withdrawn");
    contains(7, Voice::Gateway, "short: 72 Mbit/s is to be shown");
    contains(7, Voice::Platform, "requested: Download is slower than agreed");
    contains(7, Voice::Platform, "withdrawn");
    for act in [3, 4, 5, 7] {
        let remedy = items.iter().any(|i| i.act == act && i.text.contains("remedy begun"));
        assert!(!remedy, "act {act} needs no remedy:\n{}", shown(&items, act));
    }
}

fn shown(items: &[Item], act: u8) -> String {
    let lines = items.iter().filter(|i| i.act == act);
    lines.map(|i| format!("{:>8} {:?}: {}\n", i.at_ms.0, i.voice, i.text)).collect()
}

fn story_item_survives_json() {
    for item in items() {
        let text = serde_json::to_string(&item).unwrap();
        assert_eq!(serde_json::from_str::<Item>(&text).unwrap(), item);
    }
}
