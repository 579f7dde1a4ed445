//! Virtual time around the judge: recorded traces are replayed, worlds that never were are simulated, and logs of real
//! lines are judged as if they happened now.

pub mod ground;
pub mod replay;
pub mod simulate;
