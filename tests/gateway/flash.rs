//! A gateway's flash wears: what a quiet day writes is bounded.

use crate::common::quiet;
use crate::common::trial::{Test, here};

pub fn tests() -> Vec<Test> {
    here![quiet_day_writes_little_to_flash]
}

fn quiet_day_writes_little_to_flash() {
    let day = quiet::day();
    println!("{day:?}");
    assert!(day.writes <= 24.0, "{day:?}");
    assert!(day.kib <= 64.0, "{day:?}");
    assert!(day.writes >= 1.0, "nothing is kept: {day:?}");
}
