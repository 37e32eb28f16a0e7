//! `twocan devices`: microphones and loudspeakers.

use std::fs::OpenOptions;

use twocan::audio::{DeviceView, devices};

use super::fail::Failure;
use super::out;
use super::setup::Setup;

/// Lists the devices of the sound server that a call would use.
///
/// # Errors
/// When nobody reads the list.
pub fn run(setup: &Setup) -> Result<(), Failure> {
    // ALSA prints about every device that it cannot open.
    if let Ok(nowhere) = OpenOptions::new().write(true).open("/dev/null") {
        let _ = out::part_from_noise(&nowhere);
    }
    let devices = devices();
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

fn describe(device: &DeviceView) -> String {
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
