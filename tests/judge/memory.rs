//! Memory of the judge: bounded over a bad year, and no allocation in an ordinary step. Counted at the allocator, per
//! thread.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![expect(
    unsafe_code,
    reason = "who counts allocations has to stand between them and the system's allocator"
)]

use crate::common::judge::{Keeper, config};
use crate::common::proof;
use linekeeper_contract::units::{Permille, Rate, Span};
use linekeeper_judge::Judge;
use linekeeper_judge::observation::Observation;
use linekeeper_proving::simulate::random::Random;
use linekeeper_proving::simulate::{Simulation, Trouble, World, run};
use serde_json::json;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    /// Bytes that this thread took and did not give back, and how often it took some.
    static COUNT: Cell<(i64, u64)> = const { Cell::new((0, 0)) };
}

struct Counting;

fn count(bytes: i64, times: u64) {
    // A thread that ends has no counter any more.
    let _ = COUNT.try_with(|c| c.set((c.get().0 + bytes, c.get().1 + times)));
}

// SAFETY: each call is handed on as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as i64, 1);
        // SAFETY: as this function's.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        count(-(layout.size() as i64), 0);
        // SAFETY: as this function's.
        unsafe { System.dealloc(at, layout) }
    }
    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size as i64 - layout.size() as i64, 1);
        // SAFETY: as this function's.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What a value holds on the heap: what a copy of it takes.
fn held<T: Clone>(value: &T) -> i64 {
    let before = COUNT.get().0;
    let copy = value.clone();
    let held = COUNT.get().0 - before;
    drop(copy);
    held
}

/// A year in which everything befalls the line again and again.
fn bad_year(seed: u64) -> World {
    let mut random = Random::new(seed);
    let mut world = World::quiet();
    world.platform.calls = Some(Span::minutes(20));
    for _ in 0..3_000 {
        let at = Span::minutes(u64::from(random.below(364 * 1_440)));
        let lasts = Span::seconds(u64::from(3 + random.below(1_200)));
        let trouble = match random.below(12) {
            0 | 1 => Trouble::Upstream,
            2 | 3 => Trouble::Access,
            4 => Trouble::Carrier,
            5 => Trouble::Address,
            6 => Trouble::Bursts { loss: Permille(150), mean: Span::millis(200) },
            7 => Trouble::Breaks { length: Span::seconds(5), every: Span::seconds(47) },
            8 => Trouble::DeadTarget(random.below(4) as u8),
            9 => Trouble::NamesDead,
            10 => Trouble::Slow(Permille(400)),
            _ => Trouble::Uses(Rate(30_000_000)),
        };
        world = world.with_trouble(at, lasts, trouble);
    }
    world
}

#[test]
fn memory_does_not_grow_over_a_bad_year() {
    let config = config(json!({
        "remedies": { "ladder": ["renew", "restart-interface", "power-modem", "reboot"] },
        "promise": { "download": { "normal": "90 Mbit/s" }, "upload": { "normal": "18 Mbit/s" } },
        "speed": { "servers": ["http://a.example/", "http://b.example/"] },
        "device": { "installed": "2026-11-01T00:00:00Z" },
    }));
    let seed = 4;
    let mut simulation =
        Simulation::new(&config, &bad_year(seed), seed).without_deliveries().skipping_quiet_time();
    let mut most = Vec::new();
    let months = proof(6, 12);
    for month in 1..=months {
        let mut month_most = 0;
        for day in 1..=30 {
            simulation.run(Span::days((month - 1) * 30 + day), &mut ());
            month_most = month_most.max(simulation.judge().map_or(0, held));
        }
        most.push(month_most);
    }
    println!("bytes on the heap, most of each month: {most:?}");
    let incidents = simulation.report().published;
    assert!(incidents > 250 * months, "{incidents} messages are no bad year");
    // The flight recorder alone is 14 400, the configuration some 3 000.
    let third = most.len() / 3;
    let early = most[..third].iter().max().unwrap();
    let late = most[2 * third..].iter().max().unwrap();
    assert!(*late <= 131_072, "{late} bytes");
    assert!(*late <= early + early / 4, "{early} bytes in the first months, {late} in the last");
}

#[test]
fn ordinary_step_allocates_nothing() {
    let config = config(json!({}));
    let mut keeper = Keeper::default();
    run(&config, &World::quiet(), 1, Span::minutes(40), &mut keeper);
    let (snapshot, entries) = &keeper.lives[0];
    assert!(snapshot.is_none());
    let mut judge = Judge::new(config);
    let mut out = Vec::new();
    let (mut steps, mut allocations) = (0u64, 0);
    for (n, entry) in entries.iter().enumerate() {
        let ordinary = matches!(
            entry.observation,
            Observation::Ticked | Observation::EchoAnswered { .. } | Observation::Counted(_)
        );
        let before = COUNT.get().1;
        judge.step_into(entry.at, &entry.observation, &mut out);
        let _ = judge.next_deadline();
        // The first half fills the rings.
        if ordinary && n > entries.len() / 2 {
            steps += 1;
            allocations += COUNT.get().1 - before;
        }
    }
    assert!(steps > 4_000, "{steps}");
    // Names are asked each five minutes, and a summary is told each hour.
    assert!(allocations * 200 < steps, "{allocations} allocations in {steps} steps");
}
