//! Measures how long a server on another computer takes to answer.

use std::io::Cursor;
use std::time::{Duration, Instant, SystemTime};

use pulseaudio::protocol::{
    self as wire, Command, LatencyParams, PlaybackLatency, ProtocolError, TagStructReader,
};

use super::geometry::Line;

/// One question after the other, once a second.
#[derive(Debug)]
pub(super) struct Probe {
    line: Line,
    /// Number of the last question.
    asked: u32,
    /// The question that has no answer yet, and when it left.
    open: Option<(u32, Instant)>,
    last: Instant,
}

impl Probe {
    /// `asked` is the number of the last question that was asked of this server.
    pub(super) fn new(line: Line, asked: u32, now: Instant) -> Probe {
        Probe {
            line,
            asked,
            open: None,
            last: now,
        }
    }

    /// The next question about the stream `channel`, if it is time for one.
    pub(super) fn ask(
        &mut self,
        channel: u32,
        version: u16,
        now: Instant,
    ) -> Option<Result<Vec<u8>, ProtocolError>> {
        if self.open.is_some() || now < self.last + EVERY {
            return None;
        }
        self.asked = self.asked.wrapping_add(1);
        self.last = now;
        self.open = Some((self.asked, now));
        let question = Command::GetPlaybackLatency(LatencyParams {
            channel,
            // Only the time between question and answer is looked at.
            now: SystemTime::UNIX_EPOCH,
        });
        let mut message = Vec::new();
        let written = wire::encode_command_message(&mut message, self.asked, &question, version);
        Some(written.map(|_| message))
    }

    /// Takes an answer; returns the line as it is now, if it was the one to the question.
    pub(super) fn hear(
        &mut self,
        number: u32,
        cursor: &mut Cursor<&[u8]>,
        version: u16,
        now: Instant,
    ) -> Option<Line> {
        let (asked, at) = self.open.filter(|(asked, _)| *asked == number)?;
        self.open = None;
        let answer: Result<PlaybackLatency, _> = TagStructReader::new(cursor, version).read();
        if answer.is_err() {
            tracing::debug!("the sound server's answer {asked} is not understood");
            return None;
        }
        self.line.take(now.saturating_duration_since(at));
        Some(self.line)
    }
}

const EVERY: Duration = Duration::from_secs(1);
