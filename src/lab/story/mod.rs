//! Plays a minute of a line's life in seven acts, with the real agent.
//!
//! Each act injects a fault, waits for the expected messages of the agent, ends the fault (unless the agent has to repair
//! it) and waits again. It waits for messages with a deadline, not for fixed times. An act that fails reports what was
//! missing, and the next act starts. Only the hours between speed tests are skipped: the agent's clock jumps ahead.

mod act;
mod acts;
mod steps;
mod words;

use crate::agent;
use crate::agent::Agent;
use crate::broker::Broker;
use crate::clock;
use crate::error::Error;
use crate::platform::{Platform, Receipts};
use crate::stage::{Speaker, Stage, Voice};
use crate::world::World;
use serde_json::Value;
use std::path::{Path, PathBuf};
use steps::Story;
use words::format_duration;

/// Builds the world, plays the story, and returns whether every act went as expected.
///
/// # Errors
/// The world itself cannot be built, or a fault cannot be injected.
pub fn play(voice: Voice, keep: Option<&Path>, agent: Option<&Path>) -> Result<bool, Error> {
    let mut stage = Stage::new(voice);
    // A link to ourselves would mean another program once a child follows it.
    let own = std::env::current_exe().map_err(|e| Error::new("finding our own program", e))?;
    let program = agent.map_or_else(|| own.clone(), PathBuf::from);
    stage.act("quiet");
    let began = clock::uptime();
    let world = World::build(&own)?;
    let broker = Broker::start(&world)?;
    let platform =
        Platform::start(Some(crate::world::Host::Platform), Broker::address(), Receipts::Received)?;
    stage.say(
        Speaker::World,
        &format!(
            "nine hosts, a DHCP server and a broker stand after {}; all targets answer",
            format_duration(clock::since(began))
        ),
        &Value::Null,
    );
    let agent = Agent::start(&world, &program, &(agent::configuration(&world) + &agent::promise()))?;
    let mut story = Story { stage, world, _broker: broker, platform, agent, place: 0, rows: Vec::new() };
    let played = story.play();
    if let Some(directory) = keep {
        story.agent.copy_to(directory)?;
    }
    played?;
    Ok(story.print_summary())
}
