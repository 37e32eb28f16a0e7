//! PulseAudio, and PipeWire that speaks the same: both streams over one socket, in one thread.
//!
//! The protocol is the `pulseaudio` crate's; its client and cpal's host are not used, because they
//! clear a megabyte for every message and ask the server for the time at every callback: together
//! ten times the processor time of the voice itself.

use std::ffi::CString;
use std::io::{Cursor, Read, Write};
use std::thread::{self, JoinHandle, Thread};
use std::time::Duration;

use pulseaudio::protocol::{
    self as wire, AuthParams, AuthReply, ChannelMap, Command, CommandReply, CorkStreamParams,
    CreatePlaybackStreamReply, CreateRecordStreamReply, DESCRIPTOR_SIZE, Descriptor,
    DescriptorFlags, PlaybackStreamParams, Prop, Props, ProtocolError, PulseError as Code,
    RecordStreamParams, SampleFormat, SampleSpec, ServerInfo, SetClientNameReply, SinkInfoList,
    SourceInfoList, TagStructReader,
    stream::{BufferAttr, StreamFlags},
};

use crate::audio::codec::RATE;
use crate::audio::device::{Link, MicEnd, SpeakerEnd, Streams};
use crate::audio::list::DeviceView;
use crate::audio::pulse_server::{self, Socket};
use crate::audio::rings::{VoiceSide, rings};

/// A sound server cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(super) enum PulseError {
    #[error("no sound server was found")]
    NoServer,
    #[error("there is no sound device called {0:?}")]
    NoSuchDevice(String),
    #[error("the sound server at {server}: {why}")]
    Server { server: String, why: String },
}

/// Opens microphone and loudspeaker by name, or the server's default ones.
pub(super) fn open(
    input: Option<&str>,
    output: Option<&str>,
    voice: Thread,
) -> Result<(Streams, VoiceSide), PulseError> {
    let mut server = Server::connect()?;
    let info: ServerInfo = server.ask(&Command::GetServerInfo)?;
    let recording = server.record(input)?;
    let playing = server.play(output)?;
    for command in [
        Command::CorkRecordStream(uncork(recording.channel)),
        Command::CorkPlaybackStream(uncork(playing.channel)),
    ] {
        server.send(&command)?;
    }
    let place = format!("{} at {}", kind(&info), text(info.host_name.as_ref()));
    let (device, voice_side) = rings(RATE, RATE).expect("our own rate needs no conversion");
    let link = Link::new(voice);
    let mut flow = Flow {
        mic: MicEnd::new(device.mic, link.clone(), RATE),
        speaker: SpeakerEnd::new(device.speaker, link.clone(), RATE),
        recording: recording.channel,
        playing: playing.channel,
        version: server.version,
        out: Vec::with_capacity(OUT),
    };
    let error = |error: std::io::Error| server.failed(error.to_string());
    let stop = server.socket.duplicate().map_err(error)?;
    let mut socket = server.socket.duplicate().map_err(error)?;
    flow.give(&mut socket, playing.requested_bytes as usize)
        .map_err(error)?;
    let told = link.clone();
    let thread = thread::Builder::new()
        .name("pulse".to_owned())
        .spawn(move || flow.run(socket, &told))
        .map_err(error)?;
    let running = Running {
        socket: stop,
        thread: Some(thread),
    };
    let streams = Streams::new(place, link, running);
    Ok((streams, voice_side))
}

/// The devices of the server; what only records a loudspeaker is left out.
pub(super) fn devices() -> Result<Vec<DeviceView>, PulseError> {
    let mut server = Server::connect()?;
    let info: ServerInfo = server.ask(&Command::GetServerInfo)?;
    let sources: SourceInfoList = server.ask(&Command::GetSourceInfoList)?;
    let sinks: SinkInfoList = server.ask(&Command::GetSinkInfoList)?;
    let view =
        |name: &CString, description: &Option<CString>, default: &Option<CString>| DeviceView {
            name: text(Some(name)),
            description: text(description.as_ref()),
            host: kind(&info).to_owned(),
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

/// A connection before its streams run: questions and answers.
pub(super) struct Server {
    socket: Socket,
    name: String,
    version: u16,
    asked: u32,
}

impl Server {
    pub(super) fn connect() -> Result<Server, PulseError> {
        let (socket, name) = pulse_server::connect()?;
        let mut server = Server {
            socket,
            name,
            version: wire::MAX_VERSION,
            asked: 0,
        };
        let auth = AuthParams {
            version: wire::MAX_VERSION,
            supports_shm: false,
            supports_memfd: false,
            cookie: pulse_server::cookie(),
        };
        let reply: AuthReply = server.ask(&Command::Auth(auth))?;
        server.version = reply.version.min(wire::MAX_VERSION);
        let mut props = Props::new();
        props.set(Prop::ApplicationName, c"twocan");
        let _: SetClientNameReply = server.ask(&Command::SetClientName(props))?;
        Ok(server)
    }

    /// Asks and waits for the answer; whatever else the server says meanwhile is skipped.
    pub(super) fn ask<R: CommandReply>(&mut self, command: &Command) -> Result<R, PulseError> {
        let asked = self.send(command)?;
        loop {
            let payload = self.receive()?;
            let Some(payload) = payload else { continue };
            let mut cursor = Cursor::new(payload.as_slice());
            match Command::read_tag_prefixed(&mut cursor, self.version) {
                Ok((seq, Command::Reply)) if seq == asked => {
                    return TagStructReader::new(&mut cursor, self.version)
                        .read()
                        .map_err(|error: ProtocolError| self.failed(error.to_string()));
                }
                Ok((seq, Command::Error(code))) if seq == asked => return Err(self.refused(code)),
                _ => {}
            }
        }
    }

    fn send(&mut self, command: &Command) -> Result<u32, PulseError> {
        self.asked += 1;
        let mut message = Vec::new();
        wire::encode_command_message(&mut message, self.asked, command, self.version)
            .map_err(|error| self.failed(error.to_string()))?;
        self.socket
            .write_all(&message)
            .map_err(|error| self.failed(error.to_string()))?;
        Ok(self.asked)
    }

    /// The next message, if it is not sound.
    fn receive(&mut self) -> Result<Option<Vec<u8>>, PulseError> {
        let descriptor = wire::read_descriptor(&mut self.socket)
            .map_err(|error| self.failed(error.to_string()))?;
        let length = descriptor.length as usize;
        if length > LONGEST {
            return Err(self.failed(format!("sent a message of {length} bytes")));
        }
        let mut payload = vec![0; length];
        self.socket
            .read_exact(&mut payload)
            .map_err(|error| self.failed(error.to_string()))?;
        Ok((descriptor.channel == u32::MAX).then_some(payload))
    }

    fn record(&mut self, name: Option<&str>) -> Result<CreateRecordStreamReply, PulseError> {
        let params = RecordStreamParams {
            sample_spec: SPEC,
            channel_map: ChannelMap::mono(),
            source_name: Some(device_name(name, wire::DEFAULT_SOURCE)),
            buffer_attr: BufferAttr {
                fragment_size: MIC_FRAGMENT,
                ..Default::default()
            },
            flags: flags(),
            props: props(),
            ..Default::default()
        };
        self.ask(&Command::CreateRecordStream(params))
            .map_err(|error| error.about(name))
    }

    fn play(&mut self, name: Option<&str>) -> Result<CreatePlaybackStreamReply, PulseError> {
        let params = PlaybackStreamParams {
            sample_spec: SPEC,
            channel_map: ChannelMap::mono(),
            sink_name: Some(device_name(name, wire::DEFAULT_SINK)),
            buffer_attr: BufferAttr {
                target_length: SPEAKER_TARGET,
                minimum_request_length: SPEAKER_REQUEST,
                pre_buffering: 0,
                ..Default::default()
            },
            flags: flags(),
            props: props(),
            ..Default::default()
        };
        self.ask(&Command::CreatePlaybackStream(params))
            .map_err(|error| error.about(name))
    }

    fn failed(&self, why: String) -> PulseError {
        PulseError::Server {
            server: self.name.clone(),
            why,
        }
    }

    fn refused(&self, code: Code) -> PulseError {
        match code {
            Code::NoEntity => PulseError::NoSuchDevice(String::new()),
            Code::AccessDenied | Code::AuthKey => self.failed(
                "refuses this user: the file ~/.config/pulse/cookie must be the same there and here"
                    .to_owned(),
            ),
            code => self.failed(format!("refuses: {code}")),
        }
    }
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

/// The streams while they run: answers the server, copies, nothing else.
struct Flow {
    mic: MicEnd,
    speaker: SpeakerEnd,
    recording: u32,
    playing: u32,
    version: u16,
    out: Vec<u8>,
}

impl Flow {
    fn run(mut self, mut socket: Socket, link: &Link) {
        let mut held = vec![0; IN];
        let mut filled = 0;
        loop {
            filled += match socket.read(&mut held[filled..]) {
                Ok(0) => return link.fail("the sound server has gone away".to_owned()),
                Ok(count) => count,
                Err(error) => return link.fail(format!("the sound server: {error}")),
            };
            let taken = match self.messages(&held[..filled], &mut socket) {
                Ok(taken) => taken,
                Err(why) => return link.fail(why),
            };
            held.copy_within(taken..filled, 0);
            filled -= taken;
        }
    }

    /// Handles all whole messages and says how many bytes they were.
    fn messages(&mut self, bytes: &[u8], socket: &mut Socket) -> Result<usize, String> {
        let mut taken = 0;
        while let Some(head) = bytes.get(taken..taken + DESCRIPTOR_SIZE) {
            let descriptor =
                wire::read_descriptor(&mut Cursor::new(head)).map_err(|error| error.to_string())?;
            let start = taken + DESCRIPTOR_SIZE;
            let end = start + descriptor.length as usize;
            if end - taken > IN {
                return Err("the sound server sent a message that is too long".to_owned());
            }
            let Some(payload) = bytes.get(start..end) else {
                break;
            };
            if descriptor.channel == u32::MAX {
                self.command(payload, socket)?;
            } else if descriptor.channel == self.recording {
                let samples = payload.chunks_exact(4);
                self.mic.put(samples.map(|bytes| {
                    f32::from_le_bytes(bytes.try_into().expect("a chunk of 4 has 4 bytes"))
                }));
            }
            taken = end;
        }
        Ok(taken)
    }

    fn command(&mut self, payload: &[u8], socket: &mut Socket) -> Result<(), String> {
        // Messages unknown to the library are no business of ours.
        let Ok((_, command)) = Command::read_tag_prefixed(&mut Cursor::new(payload), self.version)
        else {
            return Ok(());
        };
        match command {
            Command::Request(request) if request.channel == self.playing => self
                .give(socket, request.length as usize)
                .map_err(|error| format!("the sound server: {error}")),
            Command::PlaybackStreamKilled(_) | Command::RecordStreamKilled(_) => {
                Err("the sound server has taken the device away".to_owned())
            }
            _ => Ok(()),
        }
    }

    /// Sends as many bytes of sound as the server asks for.
    fn give(&mut self, socket: &mut Socket, mut asked: usize) -> std::io::Result<()> {
        let mut samples = [0.0; AT_ONCE];
        while asked >= 4 {
            let count = (asked / 4).min(AT_ONCE);
            let samples = &mut samples[..count];
            self.speaker.take(samples);
            let mut head = [0; DESCRIPTOR_SIZE];
            let descriptor = Descriptor {
                length: count as u32 * 4,
                channel: self.playing,
                offset: 0,
                flags: DescriptorFlags::empty(),
            };
            wire::encode_descriptor(&mut head, &descriptor);
            self.out.clear();
            self.out.extend_from_slice(&head);
            self.out
                .extend(samples.iter().flat_map(|sample| sample.to_le_bytes()));
            socket.write_all(&self.out)?;
            asked -= count * 4;
        }
        Ok(())
    }
}

/// Ends the thread when dropped.
struct Running {
    socket: Socket,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.socket.shut_down();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn kind(info: &ServerInfo) -> &'static str {
    match text(info.server_name.as_ref()).contains("PipeWire") {
        true => "PipeWire",
        false => "PulseAudio",
    }
}

fn text(text: Option<&CString>) -> String {
    text.map_or("an unnamed place".to_owned(), |text| {
        text.to_string_lossy().into_owned()
    })
}

fn uncork(channel: u32) -> CorkStreamParams {
    CorkStreamParams {
        channel,
        cork: false,
    }
}

fn flags() -> StreamFlags {
    StreamFlags {
        start_corked: true,
        adjust_latency: true,
        ..Default::default()
    }
}

fn props() -> Props {
    let mut props = Props::new();
    props.set(Prop::MediaName, c"call");
    props.set(Prop::MediaRole, c"phone");
    props
}

fn device_name(name: Option<&str>, default: &std::ffi::CStr) -> CString {
    name.and_then(|name| CString::new(name).ok())
        .unwrap_or(default.to_owned())
}

const SPEC: SampleSpec = SampleSpec {
    format: SampleFormat::Float32Le,
    channels: 1,
    sample_rate: RATE,
};

/// Bytes in 10 ms.
const BLOCK: u32 = RATE / 100 * 4;

const MIC_FRAGMENT: u32 = BLOCK;

const SPEAKER_REQUEST: u32 = BLOCK;

/// The server halves what is left of this after two requests and gives it to the device: with two
/// requests alone it would turn the device to its shortest period, and send half milliseconds.
const SPEAKER_TARGET: u32 = BLOCK * 3;

/// Samples sent in one message.
const AT_ONCE: usize = 1024;

const OUT: usize = AT_ONCE * 4 + DESCRIPTOR_SIZE;

/// Bytes read at a time, and the longest message while streams run.
const IN: usize = 65_536;

/// Longest answer to a question.
const LONGEST: usize = 1 << 22;

/// A server that says nothing for so long is gone.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
