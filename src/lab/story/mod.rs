//! A minute of a line's life in seven acts, told with the real agent.
//!
//! Each act breaks something, waits for what the agent must say of it, mends it (where that is not the agent's part)
//! and waits again. It waits for messages with deadlines, not for fixed times; an act that does not go as told says
//! what was missing, and the next one begins. Only the hours between speed tests are not waited for: the agent's clock
//! leaps over them.

mod act;
mod acts;
mod telling;
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
use telling::Story;
use words::words;

/// Builds the world, plays the story, and says whether every act went as told.
///
/// # Errors
/// When the world itself cannot be built or broken.
pub fn tell(voice: Voice, keep: Option<&Path>, agent: Option<&Path>) -> Result<bool, Error> {
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
            words(clock::since(began))
        ),
        &Value::Null,
    );
    let agent = Agent::start(&world, &program, &(agent::configuration(&world) + &agent::promise()))?;
    let mut story = Story { stage, world, _broker: broker, platform, agent, place: 0, rows: Vec::new() };
    let played = story.play();
    if let Some(directory) = keep {
        story.agent.keep(directory)?;
    }
    played?;
    Ok(story.sum_up())
}
