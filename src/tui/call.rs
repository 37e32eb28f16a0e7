//! What the screen knows of one call.

use std::collections::VecDeque;

use jiff::Timestamp;

use crate::api::{
    CallId, CallState, CallView, CleaningView, Direction, Event, Microphone, PathKind,
};
use crate::peer::{PeerId, SafeText};
use crate::tui::quality::{Quality, Stats};
use crate::tui::times;

/// One call that is not over.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    pub id: CallId,
    pub peer: SafeText,
    pub peer_id: PeerId,
    pub direction: Direction,
    pub state: CallState,
    /// When the present state began.
    pub since: Timestamp,
    pub answered: Option<Timestamp>,
    pub held_here: bool,
    pub held_there: bool,
    /// Which side keeps the call in a file.
    pub recording_here: bool,
    pub recording_there: bool,
    pub path: Option<PathKind>,
    pub words: Option<[String; 4]>,
    pub verified: bool,
    /// The person here has chosen not to hear it ring.
    pub ignored: bool,
    /// It came while nobody was to be disturbed here, and was not looked at yet.
    pub quiet: bool,
    pub stats: Option<Stats>,
    /// The last minute, oldest first.
    pub past: VecDeque<Stats>,
    pub mic: Meter,
    pub speaker: Meter,
    pub cleaning: CleaningView,
    pub microphone: Microphone,
}

impl Call {
    pub fn from_view(view: CallView) -> Call {
        Call {
            id: view.call,
            peer: view.peer,
            peer_id: view.id,
            direction: view.direction,
            state: view.state,
            since: view.since,
            answered: view.answered,
            held_here: view.held_here,
            held_there: view.held_there,
            recording_here: view.recording_here,
            recording_there: view.recording_there,
            path: view.path,
            words: view.words,
            verified: view.verified,
            ignored: false,
            quiet: false,
            stats: None,
            past: VecDeque::new(),
            mic: Meter::default(),
            speaker: Meter::default(),
            cleaning: CleaningView::default(),
            microphone: Microphone::Fine,
        }
    }

    /// Takes over a fresh view and keeps what only the screen knows.
    pub fn refresh(self, view: CallView) -> Call {
        Call {
            ignored: self.ignored,
            quiet: self.quiet,
            stats: self.stats,
            past: self.past,
            mic: self.mic,
            speaker: self.speaker,
            cleaning: self.cleaning,
            microphone: self.microphone,
            ..Call::from_view(view)
        }
    }

    /// True for a call that this phone rings for.
    pub fn rings_here(&self) -> bool {
        self.direction == Direction::In && self.state == CallState::Ringing
    }

    /// True once both sides have talked.
    pub fn is_answered(&self) -> bool {
        matches!(self.state, CallState::Active | CallState::Held)
    }

    /// Seconds of talk, or of the present state before the answer.
    pub fn seconds(&self, now: Timestamp) -> u64 {
        times::seconds_between(self.answered.unwrap_or(self.since), now)
    }

    /// The state in words.
    pub fn stage(&self) -> String {
        match (self.state, self.direction) {
            (CallState::LookingUp, _) => "looking up".to_owned(),
            (CallState::Connecting, _) => "connecting".to_owned(),
            (CallState::Ringing, Direction::Out) => "ringing there".to_owned(),
            (CallState::Ringing, Direction::In) => "calls you".to_owned(),
            (CallState::Active, _) => "talking".to_owned(),
            (CallState::Held, _) => match (self.held_here, self.held_there) {
                (true, true) => "on hold by both".to_owned(),
                (false, true) => format!("on hold by {}", self.peer),
                _ => "on hold by you".to_owned(),
            },
            (CallState::Ended, _) => "over".to_owned(),
        }
    }

    pub fn quality(&self) -> Option<Quality> {
        self.stats.as_ref().map(Quality::rate)
    }

    /// Takes the figures of one more second.
    pub fn note(&mut self, stats: Stats) {
        if self.past.len() == PAST_SECONDS {
            self.past.pop_front();
        }
        self.past.push_back(stats);
        self.stats = Some(stats);
    }

    /// Takes the levels of the last tenth of a second. True if anything to be seen has changed.
    pub fn hear(&mut self, mic: f32, speaker: f32, talking: bool) -> bool {
        let mic = self.mic.take_talking(mic, talking);
        self.speaker.take(speaker) || mic
    }
}

/// The word for the way of the packets.
pub fn path_word(path: PathKind) -> &'static str {
    match path {
        PathKind::Direct => "direct",
        PathKind::Punched => "punched",
        PathKind::Reflected => "by a reflector",
        PathKind::Circuit => "by a relay",
    }
}

/// The figures of a [`Event::Stats`].
pub fn stats_of(event: &Event) -> Option<(CallId, Stats)> {
    let Event::Stats {
        call,
        rtt_ms,
        jitter_ms,
        loss,
        buffer_ms,
        concealed,
        sent,
        received,
        audio_link_ms,
        starved,
        ..
    } = *event
    else {
        return None;
    };
    Some((
        call,
        Stats {
            rtt_ms,
            jitter_ms,
            loss,
            buffer_ms,
            concealed,
            sent,
            received,
            audio_link_ms,
            starved,
        },
    ))
}

/// Peak level of a microphone or loudspeaker: rises at once, falls slowly so that the eye can
/// follow (and a slow line has less to carry).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Meter {
    /// 0..=[`Meter::STEPS`], 2 dB each.
    pub steps: u8,
    /// Tenths of a second for which this side still counts as talking.
    hangover: u8,
}

impl Meter {
    /// Steps from silence (-60 dB) to full scale.
    pub const STEPS: u8 = 30;

    /// Takes a peak (0..1 of full scale). True if the picture of it changes.
    pub fn take(&mut self, peak: f32) -> bool {
        self.take_talking(peak, steps(peak) >= TALKING)
    }

    /// The same, where somebody who hears more than the peak says whether it is speech.
    pub fn take_talking(&mut self, peak: f32, talking: bool) -> bool {
        let before = (self.steps, self.is_talking());
        let heard = steps(peak);
        self.hangover = if talking {
            HANGOVER
        } else {
            self.hangover.saturating_sub(1)
        };
        self.steps = heard.max(self.steps.saturating_sub(FALL));
        before != (self.steps, self.is_talking())
    }

    pub fn is_talking(&self) -> bool {
        self.hangover > 0
    }
}

/// Level in steps of 2 dB above -60 dB of full scale.
fn steps(peak: f32) -> u8 {
    let decibels = 20.0 * peak.clamp(0.001, 1.0).log10();
    ((decibels + 60.0) / 2.0).round() as u8
}

/// One minute of figures.
const PAST_SECONDS: usize = 60;

/// -40 dB: above breath and room noise, below any speech into a microphone that is set right.
const TALKING: u8 = 10;

/// 0.6 s: bridges the gaps between words.
const HANGOVER: u8 = 6;

/// Steps that a meter falls in a tenth of a second (40 dB/s, between a peak meter's 20 dB in 1.7 s
/// and no ballistics at all).
const FALL: u8 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn meters_rise_at_once_and_fall_slowly() {
        let mut meter = Meter::default();
        assert!(!meter.take(0.0));
        assert!(meter.take(1.0));
        assert_eq!((meter.steps, meter.is_talking()), (30, true));
        for _ in 0..6 {
            assert!(meter.take(0.0));
        }
        assert_eq!((meter.steps, meter.is_talking()), (18, false));
    }

    #[test]
    fn levels_out_of_range_are_bounded() {
        assert_eq!(
            [f32::NAN, -1.0, 7.0, f32::INFINITY].map(steps)[1..],
            [0, 30, 30]
        );
        assert!(steps(f32::NAN) <= Meter::STEPS);
    }
}
