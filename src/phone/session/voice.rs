//! The voice in a session: its constant stream of packets, and what comes back of the far one's.

use std::time::Duration;

use super::{Heard, Io, LOST, Session, Stage};
use crate::phone::pacer::Pacer;
use crate::phone::plain::{Contents, Item};
use crate::phone::timer::Timer;
use crate::phone::types::{Copied, Frame, MAX_OPUS, Opus, Report};

impl Session {
    /// Starts the constant stream of packets; it lasts until the farewell.
    pub fn start_media(&mut self, io: &mut Io<'_>) {
        if self.stage != Stage::Open || self.pacer.is_some() {
            return;
        }
        self.pacer = Some(Pacer::new(io.now));
        let first_voice = 2 * self.rtt.unwrap_or_default() + FIRST_VOICE;
        self.choice.expect_voice(first_voice, io.now);
        self.timers.set(Timer::Tick, io.now);
        self.timers.set(Timer::Ping, io.now);
        self.timers.set(Timer::Silence, io.now + LOST);
    }

    /// A frame for the next packet of the constant stream.
    pub fn voice(&mut self, frame: Frame, now: Duration) {
        let Some(pacer) = &mut self.pacer else { return };
        pacer.push(frame, now);
        if !self.paused {
            self.timers.set(Timer::Tick, pacer.deadline());
        }
    }

    /// Tells the peer with the next packet of the constant stream how his voice arrives.
    pub fn report(&mut self, report: Report, io: &mut Io<'_>) {
        self.report_due = Some(report).filter(|_| self.pacer.is_some());
        self.suffer(HERE, report.recent, io);
    }

    /// So much voice is lost on the way to that end.
    fn suffer(&mut self, end: usize, loss: u8, io: &mut Io<'_>) {
        if self.pacer.is_none() {
            return;
        }
        if self.choice.suffer(end, loss, io.now) {
            self.moved();
        }
        self.ask_ways(io);
    }

    /// The microphone is no longer this session's.
    pub fn drop_voice(&mut self) {
        self.report_due = None;
        if let Some(pacer) = &mut self.pacer {
            pacer.clear();
        }
    }

    /// Hands up the frame of a packet, with its copies, and the last report in it.
    pub(super) fn take_voice(&mut self, contents: &Contents<'_>, io: &mut Io<'_>) {
        if self.stage != Stage::Open || self.pacer.is_none() {
            return;
        }
        let mut frame = contents.voice.map(|(seq, opus)| Frame {
            rung: contents.rung,
            ..Frame::new(seq, own(opus))
        });
        let mut report = None;
        for item in contents.items() {
            match (item, &mut frame) {
                (Item::Report(last), _) => report = Some(last),
                (Item::Copy { back, opus }, Some(frame)) if !frame.copies.is_full() => {
                    let opus = own(opus);
                    frame.copies.push(Copied { back, opus });
                }
                _ => {}
            }
        }
        self.voice_received += u64::from(frame.is_some());
        if let Some(report) = report {
            self.suffer(THERE, report.recent, io);
        }
        self.events.extend(frame.map(Heard::Voice));
        self.events.extend(report.map(Heard::Report));
    }
}

/// The parser lets nothing longer through.
fn own(opus: &[u8]) -> Opus {
    opus.iter().copied().take(MAX_OPUS).collect()
}

/// The ends of a session, for [`crate::phone::choice::Choice::suffer`].
const HERE: usize = 0;
const THERE: usize = 1;
/// How much later than two round trips after the answer the first voice may come.
const FIRST_VOICE: Duration = Duration::from_millis(300);
