//! Runs the judge on logs of real lines and shows what it would have found.
//!
//! [`log`] reads a log and turns it into a world for the simulator. The judge then runs on it with one configuration, or with
//! two for comparison. The result is printed as a table, as JSON or as an SVG plot.

mod figures;
mod judged;
pub mod log;
mod plot;
mod run;

pub use figures::{json, show};
pub use judged::{Found, Judged};
pub use run::{Options, backtest, load};
