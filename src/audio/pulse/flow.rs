//! The streams of a sound server while they run: answers the server, copies, nothing else.

use std::io::{self, Cursor, Read, Write};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use pulseaudio::protocol::{
    self as wire, Command, DESCRIPTOR_SIZE, Descriptor, DescriptorFlags, LatencyParams,
    PlaybackLatency, SubscriptionEvent, SubscriptionEventFacility, SubscriptionEventType,
    TagStructReader,
};

use super::address::Socket;
use super::client::text;
use super::geometry::Line;
use crate::audio::ends::{Link, MicEnd, Names, SpeakerEnd};
use crate::audio::now;

/// Both ends of running streams.
pub(super) struct Flow {
    pub(super) socket: Socket,
    pub(super) link: Arc<Link>,
    /// The microphone's channel and end, if it is open.
    pub(super) mic: Option<(u32, MicEnd)>,
    pub(super) speaker: SpeakerEnd,
    pub(super) playing: u32,
    pub(super) version: u16,
    /// Two bytes a sample instead of four.
    pub(super) is_thin: bool,
    /// How long the server can wait for sound.
    pub(super) patience: Duration,
    pub(super) probe: Probe,
    /// Bytes that the server has and did not ask for yet.
    pub(super) ahead: usize,
    pub(super) out: Vec<u8>,
}

/// Measures how long the server takes to answer.
pub(super) struct Probe {
    pub(super) line: Line,
    /// Whether the server is on another computer, so that the time is worth telling.
    pub(super) is_far: bool,
    /// Number of the last question.
    pub(super) asked: u32,
    /// The question that has no answer yet, and when it left.
    pub(super) open: Option<(u32, Instant)>,
    pub(super) last: Instant,
}

impl Flow {
    /// Runs until the server or the connection ends, which the link is told.
    pub(super) fn run(mut self) {
        if let Err(why) = self.go_on() {
            self.link.fail(why);
        }
    }

    fn go_on(&mut self) -> Result<(), String> {
        let mut held = vec![0; IN];
        let mut filled = 0;
        self.socket.patience(SILENT).map_err(broken)?;
        self.socket.patience_to_write(SILENT).map_err(broken)?;
        loop {
            filled += match self.socket.read(&mut held[filled..]) {
                Ok(0) => return Err("the sound server has gone away".to_owned()),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
                Err(error) => return Err(broken(error)),
            };
            let taken = self.messages(&held[..filled])?;
            held.copy_within(taken..filled, 0);
            filled -= taken;
            self.ask_for_time()?;
        }
    }

    /// Handles all whole messages and says how many bytes they were. What the server asks for in
    /// several messages is given together, after the microphone's sound has been taken.
    fn messages(&mut self, bytes: &[u8]) -> Result<usize, String> {
        let mut taken = 0;
        let mut asked = 0;
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
                asked += self.command(payload)?;
            } else {
                self.record(descriptor.channel, payload);
            }
            taken = end;
        }
        self.give(asked, self.patience).map_err(broken)?;
        Ok(taken)
    }

    fn record(&mut self, channel: u32, payload: &[u8]) {
        let Some((recording, mic)) = &mut self.mic else {
            return;
        };
        if channel != *recording {
            return;
        }
        match self.is_thin {
            true => mic.put(payload.chunks_exact(2).map(|bytes| {
                f32::from(i16::from_le_bytes([bytes[0], bytes[1]])) / f32::from(i16::MAX)
            })),
            false => mic.put(
                payload
                    .chunks_exact(4)
                    .map(|bytes| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])),
            ),
        }
    }

    /// Takes a command; returns how many bytes of sound it asks for.
    fn command(&mut self, payload: &[u8]) -> Result<usize, String> {
        let mut cursor = Cursor::new(payload);
        // Messages unknown to the library are no business of ours.
        let Ok((number, command)) = Command::read_tag_prefixed(&mut cursor, self.version) else {
            return Ok(0);
        };
        match command {
            Command::Request(request) if request.channel == self.playing => {
                return Ok(request.length as usize);
            }
            Command::Reply => self.hear_time(number, &mut cursor),
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
        Ok(0)
    }

    /// Sends as many bytes of sound as the server asks for, and what lies ready beside, so that there
    /// is one message a frame. The server asks for that all the same, later, and has it then.
    pub(super) fn give(&mut self, mut asked: usize, mut patience: Duration) -> io::Result<()> {
        let mut samples = [0.0; AT_ONCE];
        let size = if self.is_thin { 2 } else { 4 };
        let given = self.ahead.min(asked);
        if given > 0 {
            self.ahead -= given;
            asked -= given;
            self.speaker.note(given / size);
        }
        while asked >= size {
            let wanted = (asked / size).min(AT_ONCE);
            self.speaker.wait_for(&mut samples[..wanted], patience);
            let more = self.speaker.take_ready(&mut samples[wanted..]);
            asked -= wanted * size;
            self.ahead += more * size;
            let count = wanted + more;
            let samples = &samples[..count];
            // If the sound was late for the first part, it is no earlier for the rest.
            patience /= 2;
            let mut head = [0; DESCRIPTOR_SIZE];
            let descriptor = Descriptor {
                length: (count * size) as u32,
                channel: self.playing,
                offset: 0,
                flags: DescriptorFlags::empty(),
            };
            wire::encode_descriptor(&mut head, &descriptor);
            self.out.clear();
            self.out.extend_from_slice(&head);
            match self.is_thin {
                true => self.out.extend(
                    samples
                        .iter()
                        .flat_map(|sample| ((sample * f32::from(i16::MAX)) as i16).to_le_bytes()),
                ),
                false => self
                    .out
                    .extend(samples.iter().flat_map(|sample| sample.to_le_bytes())),
            }
            self.socket.write_all(&self.out)?;
        }
        Ok(())
    }

    fn ask_for_time(&mut self) -> Result<(), String> {
        let probe = &mut self.probe;
        if !probe.is_far || probe.open.is_some() || now() < probe.last + PROBE_EVERY {
            return Ok(());
        }
        probe.asked = probe.asked.wrapping_add(1);
        probe.last = now();
        probe.open = Some((probe.asked, probe.last));
        let question = Command::GetPlaybackLatency(LatencyParams {
            channel: self.playing,
            // Only the time between question and answer is looked at.
            now: SystemTime::UNIX_EPOCH,
        });
        let mut message = Vec::new();
        wire::encode_command_message(&mut message, probe.asked, &question, self.version)
            .map_err(|error| error.to_string())?;
        self.socket.write_all(&message).map_err(broken)
    }

    fn hear_time(&mut self, number: u32, cursor: &mut Cursor<&[u8]>) {
        let probe = &mut self.probe;
        let Some((asked, at)) = probe.open.filter(|(asked, _)| *asked == number) else {
            return;
        };
        probe.open = None;
        let answer: Result<PlaybackLatency, _> = TagStructReader::new(cursor, self.version).read();
        if answer.is_ok() {
            probe.line.take(now().saturating_duration_since(at));
            self.link.set_round_trip(probe.line.round_trip);
        } else {
            tracing::debug!("the sound server's answer {asked} is not understood");
        }
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
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
            "the sound server does not answer any more".to_owned()
        }
        _ => format!("the sound server: {error}"),
    }
}

/// Samples sent in one message.
pub(super) const AT_ONCE: usize = 1024;

/// Bytes read at a time, and the longest message while streams run.
const IN: usize = 65_536;

/// A server that says nothing for so long is gone.
const SILENT: Duration = Duration::from_secs(5);

const PROBE_EVERY: Duration = Duration::from_secs(1);
