//! The streams of a sound server while they run: answers the server, copies, nothing else.
//!
//! The voice thread does this itself, whenever it is awake: a thread for it would have to wake the
//! voice thread, and be woken by it, for every frame of either way.

use std::io::{self, Cursor, ErrorKind, Read, Write};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use pulseaudio::protocol::{
    self as wire, Command, DESCRIPTOR_SIZE, Descriptor, DescriptorFlags, SampleFormat,
    SubscriptionEvent, SubscriptionEventFacility, SubscriptionEventType,
};

use super::address::Socket;
use super::client::text;
use super::pace::{Pace, Read as Seen};
use super::probe::Probe;
use crate::audio::codec::RATE;
use crate::audio::ends::{Link, MicEnd, Names, SpeakerEnd};
use crate::audio::now;

/// Both ends of running streams.
pub(in crate::audio) struct Flow {
    pub(super) socket: Socket,
    pub(super) link: Arc<Link>,
    /// The microphone's channel and end, if it is open.
    pub(super) mic: Option<(u32, MicEnd)>,
    pub(super) speaker: SpeakerEnd,
    pub(super) playing: u32,
    pub(super) version: u16,
    pub(super) format: SampleFormat,
    /// Samples that the server asks for at a time.
    pub(super) request: usize,
    /// For a server on another computer, so that its distance is worth telling.
    pub(super) probe: Option<Probe>,
    /// For a server on this computer: one at the end of a line has none that could be relied on.
    pub(super) pace: Option<Pace>,
    /// Samples that the server has beyond what it has asked for, or below 0 lacks.
    pub(super) ahead: i64,
    /// Samples of the microphone that came in one message.
    pub(super) piece: usize,
    /// By how much that differed since the pace was told.
    pub(super) change: usize,
    /// When the server was heard last.
    pub(super) read_at: Instant,
    /// Samples that it has recorded and asked for since the pace was told.
    pub(super) moved: (usize, usize),
    /// What has come of the next message.
    pub(super) held: Vec<u8>,
    pub(super) filled: usize,
    /// What could not be sent yet.
    pub(super) out: Vec<u8>,
}

impl Flow {
    /// Takes what the server has sent. The end of the connection is told to the link.
    pub(in crate::audio) fn take(&mut self) {
        if self.link.trouble().is_some() {
            return;
        }
        if let Err(why) = self.read().and_then(|()| self.ask_for_time()) {
            self.link.fail(why);
        }
    }

    /// Sends what lies ready: a whole frame in one message.
    pub(in crate::audio) fn give(&mut self) {
        let mut samples = [0.0; AT_ONCE];
        loop {
            match self.speaker.take_ready(&mut samples) {
                0 => break,
                count => self.send(&samples[..count]),
            }
        }
        self.keep_pace();
    }

    fn keep_pace(&mut self) {
        let Some(pace) = &mut self.pace else {
            return;
        };
        let (heard, asked) = std::mem::take(&mut self.moved);
        let mic = Seen {
            by: heard,
            lacks: self.mic.as_ref().map_or(0, |(_, mic)| mic.lacks()),
            piece: self.piece,
            change: std::mem::take(&mut self.change),
        };
        let speaker = Seen {
            by: asked,
            lacks: self.ahead.max(0) as usize + 1,
            piece: self.request,
            change: 0,
        };
        pace.read(self.read_at, mic, speaker);
    }

    /// Sends silence for what the server lacks.
    pub(in crate::audio) fn hush(&mut self) {
        while self.ahead < 0 {
            let lacks = self.ahead.unsigned_abs() as usize;
            self.send(&[0.0; AT_ONCE][..lacks.min(AT_ONCE)]);
        }
    }

    /// Waits until the server may need something, or for `limit`. Whoever unparks the thread may
    /// have to wait for the server's next message.
    pub(in crate::audio) fn rest(&self, limit: Duration) {
        match self.pace.as_ref().and_then(Pace::due) {
            Some(due) => thread::park_timeout(due.saturating_duration_since(now()).min(limit)),
            None => self
                .socket
                .wait(!self.out.is_empty(), limit.min(LONGEST_WAIT)),
        }
    }

    fn read(&mut self) -> Result<(), String> {
        self.flush().map_err(broken)?;
        self.read_at = now();
        loop {
            let room = &mut self.held[self.filled..];
            let size = room.len();
            let count = match self.socket.read(room) {
                Ok(0) => return Err("the sound server has gone away".to_owned()),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(broken(error)),
            };
            self.filled += count;
            self.messages()?;
            if count < size {
                break;
            }
        }
        self.link.want(usize::try_from(-self.ahead).unwrap_or(0));
        Ok(())
    }

    /// Handles all whole messages.
    fn messages(&mut self) -> Result<(), String> {
        let mut held = std::mem::take(&mut self.held);
        let mut rest = &held[..self.filled];
        while let Some((head, after)) = rest.split_at_checked(DESCRIPTOR_SIZE) {
            let descriptor =
                wire::read_descriptor(&mut Cursor::new(head)).map_err(|error| error.to_string())?;
            let length = descriptor.length as usize;
            if length > IN - DESCRIPTOR_SIZE {
                return Err("the sound server sent a message that is too long".to_owned());
            }
            let Some((payload, after)) = after.split_at_checked(length) else {
                break;
            };
            if descriptor.channel == u32::MAX {
                self.command(payload)?;
            } else {
                self.record(descriptor.channel, payload);
            }
            rest = after;
        }
        let left = rest.len();
        held.copy_within(self.filled - left..self.filled, 0);
        self.filled = left;
        self.held = held;
        Ok(())
    }

    fn record(&mut self, channel: u32, payload: &[u8]) {
        let size = self.format.bytes_per_sample();
        let Some((recording, mic)) = &mut self.mic else {
            return;
        };
        if channel != *recording {
            return;
        }
        match self.format {
            SampleFormat::S16Le => mic.put(
                payload
                    .as_chunks()
                    .0
                    .iter()
                    .map(|bytes| f32::from(i16::from_le_bytes(*bytes)) / f32::from(i16::MAX)),
            ),
            _ => mic.put(
                payload
                    .as_chunks()
                    .0
                    .iter()
                    .map(|bytes| f32::from_le_bytes(*bytes)),
            ),
        };
        let piece = payload.len() / size;
        self.change = piece.abs_diff(self.piece).max(self.change);
        self.piece = piece;
        self.moved.0 += self.piece;
    }

    fn command(&mut self, payload: &[u8]) -> Result<(), String> {
        let mut cursor = Cursor::new(payload);
        // Messages unknown to the library are no business of ours.
        let Ok((number, command)) = Command::read_tag_prefixed(&mut cursor, self.version) else {
            return Ok(());
        };
        match command {
            Command::Request(request) if request.channel == self.playing => {
                let samples = request.length as usize / self.format.bytes_per_sample();
                self.speaker.note(samples);
                self.ahead = (self.ahead - samples as i64).max(-MOST_ASKED);
                self.moved.1 += samples;
            }
            Command::Reply => {
                let probe = self.probe.as_mut();
                let heard =
                    probe.and_then(|probe| probe.hear(number, &mut cursor, self.version, now()));
                if let Some(line) = heard {
                    self.link.set_round_trip(line.round_trip);
                }
            }
            Command::Underflow(_) => self.link.note_short(),
            Command::PlaybackStreamKilled(_) | Command::RecordStreamKilled(_) => {
                return Err("the sound server has taken the device away".to_owned());
            }
            Command::PlaybackStreamMoved(to) => self.link.note_move(Names {
                speaker: text(Some(&to.device_name)),
                ..Names::default()
            }),
            Command::RecordStreamMoved(to) => self.link.note_move(Names {
                microphone: text(Some(&to.device_name)),
                ..Names::default()
            }),
            Command::SubscribeEvent(event) if is_new_device(&event) => self.link.note_new_device(),
            _ => {}
        }
        Ok(())
    }

    fn send(&mut self, samples: &[f32]) {
        let mut head = [0; DESCRIPTOR_SIZE];
        let descriptor = Descriptor {
            length: (samples.len() * self.format.bytes_per_sample()) as u32,
            channel: self.playing,
            offset: 0,
            flags: DescriptorFlags::empty(),
        };
        wire::encode_descriptor(&mut head, &descriptor);
        self.out.extend_from_slice(&head);
        match self.format {
            SampleFormat::S16Le => self.out.extend(
                samples
                    .iter()
                    .flat_map(|sample| ((sample * f32::from(i16::MAX)) as i16).to_le_bytes()),
            ),
            _ => self
                .out
                .extend(samples.iter().flat_map(|sample| sample.to_le_bytes())),
        }
        self.ahead += samples.len() as i64;
        match self.flush() {
            Err(error) => self.link.fail(broken(error)),
            Ok(()) if self.out.len() > MOST_UNSENT => {
                self.link
                    .fail("the sound server takes no sound any more".to_owned());
            }
            Ok(()) => {}
        }
    }

    /// Sends as much of what waits as the server takes.
    fn flush(&mut self) -> io::Result<()> {
        while !self.out.is_empty() {
            match self.socket.write(&self.out) {
                Ok(count) => drop(self.out.drain(..count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn ask_for_time(&mut self) -> Result<(), String> {
        let Some(probe) = &mut self.probe else {
            return Ok(());
        };
        let question = probe.ask(self.playing, self.version, now());
        if let Some(question) = question.transpose().map_err(|error| error.to_string())? {
            self.out.extend(question);
            self.flush().map_err(broken)?;
        }
        Ok(())
    }
}

impl std::fmt::Debug for Flow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Flow({})", self.playing)
    }
}

fn is_new_device(event: &SubscriptionEvent) -> bool {
    let is_device = matches!(
        event.event_facility,
        SubscriptionEventFacility::Sink | SubscriptionEventFacility::Source
    );
    is_device && event.event_type == SubscriptionEventType::New
}

fn broken(error: io::Error) -> String {
    format!("the sound server: {error}")
}

/// Samples sent in one message.
const AT_ONCE: usize = 1024;

/// Bytes read at a time, and the longest message while streams run.
pub(super) const IN: usize = 65_536;

/// Samples that a server may lack: two seconds, more than any buffer that we ask for.
const MOST_ASKED: i64 = 2 * RATE as i64;

/// Bytes that may wait to be sent.
const MOST_UNSENT: usize = 1 << 20;

/// Whoever wants something of the thread waits no longer than this.
const LONGEST_WAIT: Duration = Duration::from_millis(20);
