//! What a quiet day costs the flash: `benches/figures flash`.
//!
//! The judge lives fifty quiet days in virtual time; what it wants kept is written by the real store and outbox. Bytes
//! are those that the kernel was given, each write rounded up to whole pages of 4 KiB.

#[path = "../tests/common/mod.rs"]
mod common;

fn main() {
    let day = common::quiet::day();
    println!("a quiet line, tested ten times a day, with a broker; the last 10 of 50 days");
    println!("largest snapshot: {} bytes; given to the kernel: {:.1} KiB a day", day.snapshot, day.given_kib);
    println!("figure flash.writes_day {:.1} writes", day.writes);
    println!("figure flash.kib_day {:.1} KiB", day.kib);
}
