//! Flash writes on a quiet day: `benches/figures flash`.
//!
//! The judge runs fifty quiet days in virtual time; the real store and outbox write its snapshots and messages. The bytes
//! are those passed to the kernel, each write rounded up to whole pages of 4 KiB.

#[path = "../tests/common/mod.rs"]
mod common;

fn main() {
    let day = common::quiet::day();
    println!("a quiet line, tested ten times a day, with a broker; the last 10 of 50 days");
    println!(
        "largest snapshot: {} bytes; passed to the kernel: {:.1} KiB a day",
        day.snapshot, day.given_kib
    );
    println!("figure flash.writes_day {:.1} writes", day.writes);
    println!("figure flash.kib_day {:.1} KiB", day.kib);
}
