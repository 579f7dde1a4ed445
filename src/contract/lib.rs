//! The contract between linekeeper and the operator's platform: messages, vocabulary, units and their JSON.
//!
//! The crate depends on serde and serde_json alone, so a platform can read and write the same types. Its modules build
//! on each other in one direction: [`units`] and [`vocabulary`] at the bottom, then [`stamp`] and [`recording`], then
//! [`message`]. [`json`] is the one reader and writer for all of them. `config/asyncapi.json` and `config/schemas` describe
//! the same messages for other languages.

pub mod json;
pub mod message;
pub mod recording;
pub mod stamp;
pub mod units;
pub mod vocabulary;
