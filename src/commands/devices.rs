//! `twocan devices`: microphones and loudspeakers.

use std::fs::OpenOptions;

use twocan::api;
use twocan::audio::{DeviceView, devices};
use twocan::cli::{DevicesCommand, Exit};

use super::fail::Failure;
use super::setup::Setup;
use super::{host, out, steer};

/// Lists the devices that a call would use, or changes those of the running phone.
///
/// # Errors
/// When nobody reads the list, the named sound server cannot be used, or no phone runs to change
/// its devices.
pub async fn run(setup: &Setup, command: Option<DevicesCommand>) -> Result<(), Failure> {
    match command {
        None => list(setup),
        Some(DevicesCommand::Use {
            microphone,
            speaker,
        }) => {
            let command = api::Command::Sound {
                microphone,
                speaker,
            };
            steer::run(setup, command).await
        }
    }
}

fn list(setup: &Setup) -> Result<(), Failure> {
    let config = setup.config()?;
    part_from_noise();
    let found = devices(host::sound_server(&config).as_deref());
    let devices = found.map_err(|error| Failure::new(Exit::Audio, error))?;
    if setup.global.json {
        return out::json(&serde_json::json!({ "devices": devices }));
    }
    if devices.is_empty() {
        out::say("no sound device was found, and no sound server answered");
    }
    for device in &devices {
        out::line(describe(device))?;
    }
    Ok(())
}

/// ALSA prints about every device that it cannot open.
pub fn part_from_noise() {
    if let Ok(nowhere) = OpenOptions::new().write(true).open("/dev/null") {
        let _ = out::part_from_noise(&nowhere);
    }
}

/// One device in words.
pub fn describe(device: &DeviceView) -> String {
    let ends = match (device.input, device.output) {
        (true, true) => "microphone and loudspeaker",
        (true, false) => "microphone",
        _ => "loudspeaker",
    };
    let chosen = if device.default {
        ", used by default"
    } else {
        ""
    };
    format!(
        "{}\n    {}: {ends}, {}{chosen}",
        device.name, device.description, device.host
    )
}
