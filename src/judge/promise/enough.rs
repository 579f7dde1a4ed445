//! What a test has to show under each rule.

use super::rule::{normal, part};
use super::{bnetza, ctu, fcc};
use crate::config::{Promise, Rates, Rule};
use linekeeper_contract::units::Rate;

/// At this line rate, sustained, a test has shown all that the rule asks of one; below it the test is short.
/// `None`: nothing was sold in this direction.
pub fn enough(promise: &Promise, rates: &Rates) -> Option<Rate> {
    let usual = normal(rates)?;
    let bar = match promise.rule {
        Rule::Sequential | Rule::Share { .. } => Some(part(usual, promise.threshold)),
        Rule::Bnetza2021 => rates.maximum.map(|m| part(m, bnetza::OF_MAXIMUM)).max(rates.normal),
        Rule::Ctu2021 => Some(ctu::normal(rates)?),
        Rule::Fcc8080 => Some(part(fcc::sold(rates)?, fcc::OF_RATE)),
    };
    bar.max(rates.minimum)
}
