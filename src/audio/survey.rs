//! How sound would be had here: what was tried, what is used, what there is.

use std::time::Duration;

use serde::Serialize;

use crate::audio::list::{DeviceView, cards};
use crate::audio::pulse::{self, PulseError};

/// Everything that looking around has shown.
#[derive(Clone, Debug, PartialEq)]
pub struct Survey {
    /// Whoever started this came by ssh.
    pub by_ssh: bool,
    pub this_host: String,
    /// Sound servers that were looked for, in their order.
    pub tried: Vec<Attempt>,
    /// The one that is used; without one it is the sound cards of this computer.
    pub server: Option<Used>,
    /// Why the server that was named or found cannot be used.
    pub trouble: Option<String>,
    pub devices: Vec<DeviceView>,
}

impl Survey {
    /// Neither a server nor a sound card.
    pub fn has_nothing(&self) -> bool {
        self.server.is_none() && self.trouble.is_none() && !has_cards(&self.devices)
    }
}

/// A sound server that was looked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Attempt {
    pub address: String,
    /// Why it was looked for there: `the settings`, `PULSE_SERVER`, `ssh`, `custom`.
    pub named_by: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why_not: Option<String>,
}

/// The sound server that calls would use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Used {
    pub address: String,
    pub kind: String,
    pub version: String,
    pub host: String,
    /// As the screen says it.
    pub place: String,
    pub note: Option<String>,
    /// It runs on this computer.
    pub is_here: bool,
    pub round_trip: Duration,
    pub jitter: Duration,
}

/// What ssh has to bring along to another computer so that it can use the sound of this one: the path
/// of a socket, or `HOST:PORT`. The server is not asked.
pub fn local_server() -> Option<String> {
    pulse::to_forward()
}

/// ALSA lists devices that are none where there is no card.
fn has_cards(devices: &[DeviceView]) -> bool {
    match std::fs::read_to_string("/proc/asound/cards") {
        Ok(cards) => !cards.contains("no soundcards"),
        Err(_) => !cfg!(target_os = "linux") && !devices.is_empty(),
    }
}

/// Looks around without opening any device. May take seconds.
pub fn survey(server: Option<&str>) -> Survey {
    let (tried, found) = pulse::report(server);
    let (server, trouble, devices) = match found {
        Ok((used, devices)) => (Some(used), None, devices),
        Err(PulseError::NoServer) => (None, None, cards()),
        Err(error) => (None, Some(error.to_string()), Vec::new()),
    };
    Survey {
        by_ssh: pulse::is_by_ssh(),
        this_host: pulse::this_host(),
        tried,
        server,
        trouble,
        devices,
    }
}
