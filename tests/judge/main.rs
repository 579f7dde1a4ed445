//! The judge: observations in, actions out.

mod callback_record;
mod commands;
#[path = "../common/mod.rs"]
mod common;
mod defaults;
mod fault_table;
mod flight;
mod golden;
mod informs;
mod interface;
mod judge_properties;
mod judge_scenarios;
mod judge_truth;
mod ledger;
mod memory;
mod programme;
mod promise_lines;
mod promise_rules;
mod promise_scenarios;
mod quality;
mod stale;
mod telemetry;
