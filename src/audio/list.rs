//! The sound devices there are.

use cpal::traits::{DeviceTrait, HostTrait};
use serde::Serialize;

use crate::audio::device::DeviceError;
use crate::audio::pulse::{self, PulseError};

/// One sound device that a call could use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DeviceView {
    /// The name to give in the settings.
    pub name: String,
    /// What a person would call it.
    pub description: String,
    /// Who serves it: `PulseAudio`, `PipeWire`, `ALSA`.
    pub host: String,
    /// It has a microphone.
    pub input: bool,
    /// It has a loudspeaker.
    pub output: bool,
    /// It is used when none is named.
    pub default: bool,
}

/// The devices of the sound server if one answers (`server` is the address of the only one that will
/// do), else of the sound cards. May take seconds.
///
/// # Errors
/// When a server was named or found that cannot be used.
pub fn devices(server: Option<&str>) -> Result<Vec<DeviceView>, DeviceError> {
    match pulse::devices(server) {
        Ok(devices) => Ok(devices),
        Err(PulseError::NoServer) => Ok(cards()),
        Err(error) => Err(DeviceError::Failed(error.to_string())),
    }
}

pub(super) fn cards() -> Vec<DeviceView> {
    let host = cpal::default_host();
    let name_of = |device: cpal::Device| Some(device.id().ok()?.id().to_owned());
    let default_input = host.default_input_device().and_then(name_of);
    let default_output = host.default_output_device().and_then(name_of);
    let Ok(devices) = host.devices() else {
        return Vec::new();
    };
    let view = |device: cpal::Device| {
        let description = device.to_string();
        let (input, output) = (device.supports_input(), device.supports_output());
        let name = name_of(device)?;
        Some(DeviceView {
            default: [&default_input, &default_output].contains(&&Some(name.clone())),
            name,
            description,
            host: host.id().name().to_owned(),
            input,
            output,
        })
    };
    let mut views: Vec<_> = devices.filter_map(view).collect();
    views.retain(|view| view.input || view.output);
    views
}
