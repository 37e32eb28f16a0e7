//! PulseAudio, and PipeWire that speaks the same: both streams over one socket.
//!
//! The protocol is the `pulseaudio` crate's; its client and cpal's host are not used, because they
//! clear a megabyte for every message and ask the server for the time at every callback: together
//! ten times the processor time of the voice itself. They also know one form of address only, and
//! would play at the wrong end of an ssh connection.

mod address;
mod client;
mod flow;
mod geometry;
mod pace;
mod probe;
mod report;
mod search;

use std::ffi::{CStr, CString};
use std::thread::Thread;
use std::time::Duration;

use pulseaudio::protocol::{
    self as wire, ChannelMap, Command, CorkStreamParams, CreatePlaybackStreamReply,
    CreateRecordStreamReply, PlaybackStreamParams, Prop, Props, RecordStreamParams, SampleSpec,
    ServerInfo, SubscriptionMask,
    stream::{BufferAttr, StreamFlags},
};

use crate::audio::codec::RATE;
use crate::audio::device::{Open, Streams, Wish, stand_in};
use crate::audio::ends::{Link, MicEnd, Names, SpeakerEnd};
use crate::audio::rings::{VoiceSide, rings};
use crate::audio::{Place, now};
use client::{About, Server, kind, text};
use flow::IN;
use geometry::Geometry;
use pace::Pace;
use probe::Probe;
use search::{Found, Origin, Surroundings};

pub(super) use flow::Flow;
pub(super) use geometry::STEPS;
pub(super) use report::{devices, report};
pub(super) use search::to_forward;

/// A sound server cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(super) enum PulseError {
    #[error("no sound server was found")]
    NoServer,
    #[error("there is no sound device called {0:?}")]
    NoSuchDevice(String),
    #[error("the sound server at {server} {why}")]
    Server { server: String, why: String },
}

/// Opens what is wished for, on the first server that answers.
pub(super) fn open(wish: &Wish, voice: Thread) -> Result<(Streams, VoiceSide), PulseError> {
    let here = Surroundings::here(wish.server.as_deref());
    let mut found = search::search(&here, &mut Vec::new())?;
    let about = found.server.about()?;
    let is_far = is_far(&found, &about);
    let geometry = match is_far {
        true => Geometry::far(about.line, wish.step),
        false => Geometry::near(wish.step),
    };
    let server = &mut found.server;
    let or_default = |error: PulseError, is_named: bool| match error {
        PulseError::NoSuchDevice(_) if is_named && !wish.is_strict => Ok(()),
        error => Err(error),
    };
    let recording = match record(server, wish, &geometry) {
        Ok(recording) => recording,
        Err(error) => {
            or_default(error, wish.microphone.is_some())?;
            let microphone = None;
            let other = Wish {
                microphone,
                ..wish.clone()
            };
            record(server, &other, &geometry)?
        }
    };
    let playing = match play(server, wish.speaker.as_deref(), &geometry) {
        Ok(playing) => playing,
        Err(error) => {
            or_default(error, wish.speaker.is_some())?;
            play(server, None, &geometry)?
        }
    };
    let names = Names {
        microphone: recording
            .as_ref()
            .map_or(String::new(), |stream| name(stream.sink_name.as_ref())),
        speaker: name(playing.sink_name.as_ref()),
    };
    let mut place = place(&found, &about, is_far);
    if wish.misses(&names) {
        place.note = Some(stand_in(wish, &names));
    }
    place.microphone = names.microphone;
    place.speaker = names.speaker;
    start(
        found.server,
        &about,
        place,
        geometry,
        recording,
        &playing,
        voice,
    )
}

/// Lets the streams run.
fn start(
    mut server: Server,
    about: &About,
    place: Place,
    geometry: Geometry,
    recording: Option<CreateRecordStreamReply>,
    playing: &CreatePlaybackStreamReply,
    voice: Thread,
) -> Result<(Streams, VoiceSide), PulseError> {
    server.send(&Command::Subscribe(
        SubscriptionMask::SINK | SubscriptionMask::SOURCE,
    ))?;
    if let Some(recording) = &recording {
        server.send(&Command::CorkRecordStream(uncork(recording.channel)))?;
    }
    server.send(&Command::CorkPlaybackStream(uncork(playing.channel)))?;
    server
        .socket
        .do_not_wait()
        .map_err(|error| server.broken(&error))?;
    let (device, voice_side) = rings(RATE, RATE).expect("our own rate needs no conversion");
    let link = Link::new(voice);
    if let Some(time) = place.link {
        link.set_round_trip(time);
    }
    let is_near = place.link.is_none();
    let mut flow = Flow {
        link: link.clone(),
        speaker: SpeakerEnd::new(device.speaker, link.clone(), RATE),
        playing: playing.channel,
        version: server.version,
        format: geometry.format,
        request: samples(geometry.request),
        probe: (!is_near).then(|| Probe::new(about.line, server.last_asked(), now())),
        pace: is_near.then(|| Pace::new(recording.is_some(), now())),
        mic: recording.map(|stream| (stream.channel, MicEnd::new(device.mic, link.clone(), RATE))),
        ahead: -(playing.requested_bytes as i64 / geometry.format.bytes_per_sample() as i64),
        piece: 0,
        change: 0,
        read_at: now(),
        moved: (0, 0),
        held: vec![0; IN],
        filled: 0,
        out: Vec::new(),
        socket: server.socket,
    };
    // For what has been said before is not to be heard.
    flow.hush();
    let streams = Streams::new(place, link, Open::Server(Box::new(flow)));
    Ok((streams, voice_side))
}

/// On another computer, by all that can be known of it.
fn is_far(found: &Found, about: &About) -> bool {
    let address = address::Address::parse(&found.server.name);
    let names_other = address.is_ok_and(|address| address.is_elsewhere());
    names_other
        || found.origin == Origin::Forwarded
        || !is_this_computer(&about.info)
        || about.line.round_trip > FAR
}

fn is_this_computer(info: &ServerInfo) -> bool {
    let label = |name: &str| {
        let label = name.split('.').next().unwrap_or(name);
        label.to_lowercase()
    };
    match (&info.host_name, search::host_name()) {
        (Some(theirs), Some(ours)) => label(&theirs.to_string_lossy()) == label(&ours),
        // Who does not say is taken to be here: so it is with the usual sockets.
        _ => true,
    }
}

fn place(found: &Found, about: &About, is_far: bool) -> Place {
    let host = text(about.info.host_name.as_ref());
    let mut words = format!("{} at {host}", kind(&about.info));
    let is_wrong = found.by_ssh && !is_far;
    if found.origin == Origin::Forwarded || (found.by_ssh && is_far) {
        words.push_str(" by ssh");
    } else if is_wrong {
        words.push_str(", not your computer");
    }
    Place {
        words,
        note: is_wrong.then(|| wrong_computer(&host)),
        link: is_far.then_some(about.line.round_trip),
        ..Place::default()
    }
}

/// What to say to who came by ssh and would be heard by an empty room.
pub(super) fn wrong_computer(host: &str) -> String {
    format!("sound comes out of {host}, not your computer: there, start with `twocan ssh`")
}

/// This process was started by somebody who came by ssh.
pub(super) fn is_by_ssh() -> bool {
    Surroundings::here(None).by_ssh
}

pub(super) fn this_host() -> String {
    search::host_name().unwrap_or_else(|| "this computer".to_owned())
}

/// Nothing if no microphone is wished for.
fn record(
    server: &mut Server,
    wish: &Wish,
    geometry: &Geometry,
) -> Result<Option<CreateRecordStreamReply>, PulseError> {
    if !wish.records {
        return Ok(None);
    }
    let name = wish.microphone.as_deref();
    let params = RecordStreamParams {
        sample_spec: spec(geometry),
        channel_map: ChannelMap::mono(),
        source_name: Some(device_name(name, wire::DEFAULT_SOURCE)),
        buffer_attr: BufferAttr {
            fragment_size: bytes(geometry.fragment, geometry),
            ..Default::default()
        },
        // One that nobody asks to be quick may deliver every two seconds.
        flags: flags(true),
        props: props(),
        ..Default::default()
    };
    let reply = server.ask(&Command::CreateRecordStream(params));
    reply.map(Some).map_err(|error| error.about(name))
}

fn play(
    server: &mut Server,
    name: Option<&str>,
    geometry: &Geometry,
) -> Result<CreatePlaybackStreamReply, PulseError> {
    let params = PlaybackStreamParams {
        sample_spec: spec(geometry),
        channel_map: ChannelMap::mono(),
        sink_name: Some(device_name(name, wire::DEFAULT_SINK)),
        buffer_attr: BufferAttr {
            target_length: bytes(geometry.target, geometry),
            minimum_request_length: bytes(geometry.request, geometry),
            pre_buffering: 0,
            ..Default::default()
        },
        flags: flags(geometry.turns_speaker),
        props: props(),
        ..Default::default()
    };
    let reply = server.ask(&Command::CreatePlaybackStream(params));
    reply.map_err(|error| error.about(name))
}

impl PulseError {
    fn about(self, name: Option<&str>) -> PulseError {
        match self {
            PulseError::NoSuchDevice(_) => {
                PulseError::NoSuchDevice(name.unwrap_or("the default one").to_owned())
            }
            other => other,
        }
    }
}

fn uncork(channel: u32) -> CorkStreamParams {
    CorkStreamParams {
        channel,
        cork: false,
    }
}

fn flags(turns_device: bool) -> StreamFlags {
    StreamFlags {
        start_corked: true,
        adjust_latency: turns_device,
        ..Default::default()
    }
}

fn props() -> Props {
    let mut props = Props::new();
    props.set(Prop::MediaName, c"call");
    props.set(Prop::MediaRole, c"phone");
    props
}

fn device_name(name: Option<&str>, default: &CStr) -> CString {
    name.and_then(|name| CString::new(name).ok())
        .unwrap_or(default.to_owned())
}

fn name(name: Option<&CString>) -> String {
    name.map_or(String::new(), |name| name.to_string_lossy().into_owned())
}

fn spec(geometry: &Geometry) -> SampleSpec {
    SampleSpec {
        format: geometry.format,
        channels: 1,
        sample_rate: RATE,
    }
}

/// As many bytes as sound of this length has.
fn bytes(time: Duration, geometry: &Geometry) -> u32 {
    let bytes = samples(time) * geometry.format.bytes_per_sample();
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

fn samples(time: Duration) -> usize {
    (time.as_micros() * u128::from(RATE) / 1_000_000) as usize
}

/// A server that takes longer to answer is not on this computer, whatever it says.
const FAR: Duration = Duration::from_millis(4);
