//! Logs of real lines as the world: what would have been found on them.

mod figures;
mod judged;
pub mod log;
mod plot;
mod run;

pub use figures::{json, show};
pub use judged::{Found, Judged};
pub use run::{Options, backtest, load};
