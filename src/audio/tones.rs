//! The phone's own tones, computed while they are played: quiet, without clicks, and no file.

use std::collections::VecDeque;
use std::f32::consts::{PI, TAU};

use crate::audio::codec::RATE;

/// What the phone says without words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tone {
    /// Somebody calls.
    Ring,
    /// It rings at the other end.
    RingBack,
    /// Busy, declined, not reachable.
    Busy,
    /// Somebody else calls while this phone is in use.
    Waiting,
    /// Both can talk now.
    Join,
    /// The call is over.
    Leave,
    /// The microphone is off from now on.
    MuteOn,
    /// The microphone is on again.
    MuteOff,
    /// The call is recorded from now on.
    Recording,
}

impl Tone {
    /// Every tone there is.
    pub const ALL: [Tone; 9] = [
        Tone::Ring,
        Tone::RingBack,
        Tone::Busy,
        Tone::Waiting,
        Tone::Join,
        Tone::Leave,
        Tone::MuteOn,
        Tone::MuteOff,
        Tone::Recording,
    ];

    /// True for a tone that begins anew until what it tells of is over.
    pub fn is_lasting(self) -> bool {
        matches!(self, Tone::Ring | Tone::RingBack | Tone::Waiting)
    }

    /// Samples in one round, pauses included.
    pub(super) fn length(self) -> usize {
        samples(self.score().lasts)
    }

    /// One sample of one round.
    pub(super) fn sample(self, at: usize) -> f32 {
        let score = self.score();
        let notes = score.notes.iter();
        score.peak * notes.map(|note| note.sample(at)).sum::<f32>()
    }

    fn score(self) -> &'static Score {
        match self {
            Tone::Ring => &RING,
            Tone::RingBack => &RING_BACK,
            Tone::Busy => &BUSY,
            Tone::Waiting => &SOMEBODY_WAITS,
            Tone::Join => &JOIN,
            Tone::Leave => &LEAVE,
            Tone::MuteOn => &MUTE_ON,
            Tone::MuteOff => &MUTE_OFF,
            Tone::Recording => &RECORDING,
        }
    }
}

/// A tone on its way through the loudspeaker.
#[derive(Clone, Copy, Debug)]
struct Tune {
    tone: Tone,
    at: usize,
}

/// What sounds now: at most one lasting tone, and short ones one after the other.
#[derive(Debug, Default)]
pub(super) struct Chorus {
    lasting: Option<Tune>,
    short: VecDeque<Tune>,
    /// What was ended in the middle, with the samples of its fall that have been played.
    falling: Option<(Tune, usize)>,
}

impl Chorus {
    /// From now on this tone, or none.
    pub(super) fn last(&mut self, tone: Option<Tone>) {
        if self.lasting.map(|tune| tune.tone) == tone {
            return;
        }
        if let Some(old) = self.lasting.take() {
            self.falling = Some((old, 0));
        }
        self.lasting = tone.map(|tone| Tune { tone, at: 0 });
    }

    /// Once, after those that wait.
    pub(super) fn add(&mut self, tone: Tone) {
        if self.short.len() < WAITING {
            self.short.push_back(Tune { tone, at: 0 });
        }
    }

    /// Nothing sounds, and nothing will.
    pub(super) fn is_silent(&self) -> bool {
        self.lasting.is_none() && self.short.is_empty() && self.falling.is_none()
    }

    /// Adds the next sound.
    pub(super) fn mix(&mut self, sound: &mut [f32]) {
        if self.is_silent() {
            return;
        }
        for sample in sound {
            *sample = (*sample + self.next()).clamp(-1.0, 1.0);
        }
    }

    fn next(&mut self) -> f32 {
        let mut sum = 0.0;
        if let Some(tune) = &mut self.lasting {
            sum += tune.tone.sample(tune.at);
            tune.at = (tune.at + 1) % tune.tone.length();
        }
        if let Some(tune) = self.short.front_mut() {
            sum += tune.tone.sample(tune.at);
            tune.at += 1;
            if tune.at == tune.tone.length() {
                self.short.pop_front();
            }
        }
        if let Some((tune, gone)) = &mut self.falling {
            let (at, fall) = (
                (tune.at + *gone) % tune.tone.length(),
                rise(FALL - *gone, FALL),
            );
            sum += tune.tone.sample(at) * fall;
            *gone += 1;
            if *gone == FALL {
                self.falling = None;
            }
        }
        sum
    }
}

/// One round of a tone; times are in milliseconds.
struct Score {
    /// Most of full scale.
    peak: f32,
    lasts: usize,
    notes: &'static [Note],
}

struct Note {
    begins: usize,
    lasts: usize,
    hertz: f32,
    /// It is struck, and dies away.
    is_struck: bool,
}

impl Note {
    fn sample(&self, at: usize) -> f32 {
        let (begin, length) = (samples(self.begins), samples(self.lasts));
        if at < begin || at >= begin + length {
            return 0.0;
        }
        let since = at - begin;
        let seconds = since as f32 / RATE as f32;
        let dying = match self.is_struck {
            true => (-seconds / DIES_IN).exp() * STRUCK,
            false => 1.0,
        };
        let edges = rise(since, EDGE) * rise(length - since, EDGE);
        (TAU * self.hertz * seconds).sin() * dying * edges
    }
}

const fn even(begins: usize, lasts: usize, hertz: f32) -> Note {
    Note {
        begins,
        lasts,
        hertz,
        is_struck: false,
    }
}

const fn bell(begins: usize, lasts: usize, hertz: f32) -> Note {
    Note {
        begins,
        lasts,
        hertz,
        is_struck: true,
    }
}

/// From 0 to 1 in `length` samples, as half a cosine: no click.
fn rise(since: usize, length: usize) -> f32 {
    match since < length {
        true => 0.5 - 0.5 * (PI * since as f32 / length as f32).cos(),
        false => 1.0,
    }
}

const fn samples(millis: usize) -> usize {
    millis * RATE as usize / 1000
}

// 425 Hz and the rhythms around it are those of ITU-T Q.35 and E.182; 1400 Hz is the customary
// warning that a call is recorded.

const RING: Score = Score {
    peak: 0.25,
    lasts: 3000,
    notes: &[
        bell(0, 400, 659.26),
        bell(180, 400, 783.99),
        bell(360, 900, 1046.5),
    ],
};

const RING_BACK: Score = Score {
    peak: 0.06,
    lasts: 5000,
    notes: &[even(0, 1000, 425.0)],
};

const BUSY: Score = Score {
    peak: 0.06,
    lasts: 2000,
    notes: &[
        even(0, 250, 425.0),
        even(500, 250, 425.0),
        even(1000, 250, 425.0),
        even(1500, 250, 425.0),
    ],
};

const SOMEBODY_WAITS: Score = Score {
    peak: 0.06,
    lasts: 8000,
    notes: &[even(0, 150, 425.0), even(300, 150, 425.0)],
};

const JOIN: Score = Score {
    peak: 0.1,
    lasts: 350,
    notes: &[bell(0, 200, 523.25), bell(100, 250, 783.99)],
};

const LEAVE: Score = Score {
    peak: 0.1,
    lasts: 350,
    notes: &[bell(0, 200, 783.99), bell(100, 250, 523.25)],
};

const MUTE_ON: Score = Score {
    peak: 0.08,
    lasts: 60,
    notes: &[even(0, 60, 330.0)],
};

const MUTE_OFF: Score = Score {
    peak: 0.08,
    lasts: 60,
    notes: &[even(0, 60, 660.0)],
};

const RECORDING: Score = Score {
    peak: 0.08,
    lasts: 250,
    notes: &[even(0, 250, 1400.0)],
};

/// How long a note takes to come and to go: 10 ms.
const EDGE: usize = samples(10);

/// How long a tone takes to go that is ended in the middle: 10 ms.
const FALL: usize = samples(10);

/// Seconds in which a struck note falls to a third.
const DIES_IN: f32 = 0.15;

/// Struck notes overlap: together they stay below the peak.
const STRUCK: f32 = 0.7;

/// Short tones that wait for their turn.
const WAITING: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    fn round(tone: Tone) -> Vec<f32> {
        (0..tone.length()).map(|at| tone.sample(at)).collect()
    }

    /// Share of the power of `sound` at `hertz` (a Goertzel filter).
    fn share(sound: &[f32], hertz: f32) -> f32 {
        let step = 2.0 * (TAU * hertz / RATE as f32).cos();
        let (before, last) = sound.iter().fold((0.0, 0.0), |(before, last), sample| {
            (last, sample + step * last - before)
        });
        let power = before * before + last * last - step * before * last;
        let all: f32 = sound.iter().map(|sample| sample * sample).sum();
        2.0 * power / (all * sound.len() as f32)
    }

    #[test]
    fn each_tone_has_its_pitch_where_it_sounds() {
        let at = [
            (Tone::RingBack, 0, 1000, 425.0),
            (Tone::Busy, 500, 250, 425.0),
            (Tone::Waiting, 300, 150, 425.0),
            (Tone::MuteOn, 0, 60, 330.0),
            (Tone::MuteOff, 0, 60, 660.0),
            (Tone::Recording, 0, 250, 1400.0),
            (Tone::Ring, 600, 100, 1046.5),
            (Tone::Join, 200, 100, 783.99),
            (Tone::Leave, 200, 100, 523.25),
        ];
        for (tone, from, millis, hertz) in at {
            let sound = round(tone);
            let part = &sound[samples(from)..samples(from + millis)];
            let (right, wrong) = (share(part, hertz), share(part, hertz * 1.5));
            assert!(right > 0.5 && wrong < 0.1, "{tone:?}: {right} and {wrong}");
        }
    }

    #[test]
    fn pauses_are_silent_and_the_rest_is_heard_but_never_loud() {
        for tone in Tone::ALL {
            let sound = round(tone);
            let peak = sound.iter().fold(0.0f32, |peak, s| peak.max(s.abs()));
            assert!((0.04..=0.25).contains(&peak), "{tone:?} peaks at {peak}");
        }
        let pauses = [
            (Tone::Ring, 1300),
            (Tone::RingBack, 1000),
            (Tone::Waiting, 450),
        ];
        for (tone, from) in pauses {
            let sound = round(tone);
            assert!(sound[samples(from)..].iter().all(|s| *s == 0.0), "{tone:?}");
        }
    }

    /// The steepest step between two samples of a smooth tone is that of its highest note.
    fn steepest(sound: &[f32]) -> f32 {
        let steps = sound.windows(2).map(|pair| (pair[1] - pair[0]).abs());
        steps.fold(0.0, f32::max)
    }

    #[test]
    fn no_tone_clicks_where_it_begins_ends_or_is_ended() {
        for tone in Tone::ALL {
            let mut chorus = Chorus::default();
            let mut sound = vec![0.0; tone.length() + 4800];
            match tone.is_lasting() {
                true => chorus.last(Some(tone)),
                false => chorus.add(tone),
            }
            // In the middle of a note.
            let (begun, rest) = sound.split_at_mut(samples(123));
            chorus.mix(begun);
            chorus.last(None);
            chorus.mix(rest);
            let hertz = tone
                .score()
                .notes
                .iter()
                .fold(0.0f32, |most, note| most.max(note.hertz));
            let most = 1.2 * tone.score().peak * TAU * hertz / RATE as f32;
            assert!(
                steepest(&sound) <= most,
                "{tone:?} clicks: {}",
                steepest(&sound)
            );
            assert!(chorus.is_silent(), "{tone:?} goes on");
            assert_eq!(sound.last(), Some(&0.0));
        }
    }

    #[test]
    fn a_tone_that_is_ended_is_silent_10_ms_later() {
        let mut chorus = Chorus::default();
        chorus.last(Some(Tone::RingBack));
        chorus.mix(&mut [0.0; samples(500)]);
        chorus.last(None);
        let mut after = [0.0; samples(20)];
        chorus.mix(&mut after);
        assert!(after[..FALL].iter().any(|s| s.abs() > 0.01));
        assert!(after[FALL..].iter().all(|s| *s == 0.0));
    }

    #[test]
    fn lasting_tones_come_again_and_short_ones_wait_for_each_other() {
        let mut chorus = Chorus::default();
        chorus.last(Some(Tone::RingBack));
        let mut first = vec![0.0; Tone::RingBack.length()];
        let mut second = first.clone();
        chorus.mix(&mut first);
        chorus.last(Some(Tone::RingBack));
        chorus.mix(&mut second);
        assert_eq!(first, second);

        let mut chorus = Chorus::default();
        (0..10).for_each(|_| chorus.add(Tone::MuteOn));
        let mut sound = vec![0.0; Tone::MuteOn.length() * WAITING];
        chorus.mix(&mut sound);
        assert!(chorus.is_silent(), "more than {WAITING} wait");
        assert!(
            sound
                .chunks(Tone::MuteOn.length())
                .all(|s| s == round(Tone::MuteOn))
        );
    }

    #[test]
    fn what_is_said_goes_on_below_and_nothing_leaves_the_scale() {
        let mut chorus = Chorus::default();
        chorus.add(Tone::Recording);
        let mut loud = vec![0.99; Tone::Recording.length()];
        chorus.mix(&mut loud);
        assert!(loud.iter().all(|s| (0.9..=1.0).contains(s)));
    }
}
