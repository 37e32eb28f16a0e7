//! What a sound server offers, and how the one that is used was found.

use std::ffi::CString;

use pulseaudio::protocol::{Command, ServerInfo, SinkInfoList, SourceInfoList};

use super::client::{Server, kind, text};
use super::search::{Origin, Surroundings, search};
use super::{PulseError, is_far, place};
use crate::audio::list::DeviceView;
use crate::audio::survey::{Attempt, Used};

/// The devices of the server; what only records a loudspeaker is left out.
pub(in crate::audio) fn devices(server: Option<&str>) -> Result<Vec<DeviceView>, PulseError> {
    let here = Surroundings::here(server);
    let mut found = search(&here, &mut Vec::new())?;
    let info: ServerInfo = found.server.ask(&Command::GetServerInfo)?;
    listed(&mut found.server, &info)
}

/// What the first server that answers is and has, or why there is none.
pub(in crate::audio) type Described = Result<(Used, Vec<DeviceView>), PulseError>;

/// Which servers were tried, and what came of it.
pub(in crate::audio) fn report(server: Option<&str>) -> (Vec<Attempt>, Described) {
    let here = Surroundings::here(server);
    let mut tried = Vec::new();
    let found = search(&here, &mut tried);
    let attempts = tried.into_iter().map(|tried| Attempt {
        address: tried.text,
        named_by: match tried.origin {
            Origin::Settings => "the settings",
            Origin::Environment => "PULSE_SERVER",
            Origin::Forwarded => "ssh",
            Origin::Usual => "custom",
        },
        why_not: tried.why,
    });
    let attempts = attempts.collect();
    let described = found.and_then(|mut found| {
        let about = found.server.about()?;
        let is_far = is_far(&found, &about);
        let place = place(&found, &about, is_far);
        let views = listed(&mut found.server, &about.info)?;
        let used = Used {
            address: found.server.name.clone(),
            kind: kind(&about.info).to_owned(),
            version: text(about.info.server_version.as_ref()),
            host: text(about.info.host_name.as_ref()),
            place: place.words,
            note: place.note,
            is_here: !is_far,
            round_trip: about.line.round_trip,
            jitter: about.line.jitter,
        };
        Ok((used, views))
    });
    (attempts, described)
}

fn listed(server: &mut Server, info: &ServerInfo) -> Result<Vec<DeviceView>, PulseError> {
    let sources: SourceInfoList = server.ask(&Command::GetSourceInfoList)?;
    let sinks: SinkInfoList = server.ask(&Command::GetSinkInfoList)?;
    let view =
        |name: &CString, description: &Option<CString>, default: &Option<CString>| DeviceView {
            name: text(Some(name)),
            description: text(description.as_ref()),
            host: kind(info).to_owned(),
            input: false,
            output: false,
            default: default.as_ref() == Some(name),
        };
    let mics = sources
        .iter()
        .filter(|source| source.monitor_of_sink_index.is_none())
        .map(|source| DeviceView {
            input: true,
            ..view(&source.name, &source.description, &info.default_source_name)
        });
    let speakers = sinks.iter().map(|sink| DeviceView {
        output: true,
        ..view(&sink.name, &sink.description, &info.default_sink_name)
    });
    Ok(mics.chain(speakers).collect())
}
