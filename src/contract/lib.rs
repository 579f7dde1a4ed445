//! What linekeeper and the operator's platform say to each other: messages, ids, vocabulary, units and their JSON.
//!
//! It depends on serde and serde_json alone, so that a platform can read and write the same types.

pub mod json;
pub mod message;
pub mod recording;
pub mod stamp;
pub mod units;
pub mod vocabulary;
