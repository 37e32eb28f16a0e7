//! The far end of an echo call: sends back what the caller says two seconds later, as it came.
//!
//! Nothing is decoded, so the caller hears his own line twice: what was lost on the way here is
//! missing on the way back. No device is opened.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::audio::codec::{CodecError, Encoder, SAMPLES};
use crate::audio::reports;
use crate::audio::tones::Tone;
use crate::phone::types::{FRAME, Frame, Report, Rung};
use crate::voice::Arrivals;

/// One caller's echo. It is told the time, on the clock of its driver.
#[derive(Debug)]
pub struct Parrot {
    encoder: Encoder,
    arrivals: Arrivals,
    began: Duration,
    /// Number of the next frame that leaves; frame n is due n frames after the beginning.
    next: u64,
    /// What was heard, by the number under which it leaves.
    heard: BTreeMap<u64, Frame>,
    /// The number of a frame of the caller, and the one that it got here.
    anchor: Option<(u16, u64)>,
    /// The number of the first frame of the caller that leaves.
    first: Option<u64>,
    rung: Rung,
}

impl Parrot {
    pub fn new(now: Duration) -> Result<Parrot, CodecError> {
        let mut encoder = Encoder::new(5)?;
        encoder.aim(BITS_PER_SECOND, false)?;
        Ok(Parrot {
            encoder,
            arrivals: Arrivals::new(FRAME),
            began: now,
            next: 0,
            heard: BTreeMap::new(),
            anchor: None,
            first: None,
            rung: Rung::USUAL,
        })
    }

    /// A frame of the caller has arrived.
    pub fn hear(&mut self, frame: &Frame, now: Duration) {
        self.arrivals.arrived(frame.seq, now);
        let first = self.number_at(now + DELAY);
        let (seq, number) = *self.anchor.get_or_insert((frame.seq, first));
        self.first.get_or_insert(number);
        let step = i64::from(frame.seq.wrapping_sub(seq) as i16);
        let number = number.saturating_add_signed(step);
        if number.abs_diff(first) > DELAY_FRAMES {
            // The caller counts anew, or was silent for long.
            self.anchor = Some((frame.seq, first));
            self.heard.insert(first, frame.clone());
        } else if number >= self.next {
            self.anchor = Some((frame.seq, number));
            self.heard.entry(number).or_insert_with(|| frame.clone());
        }
    }

    /// The next frame that is due by now, if it did arrive: the inner `None` is a gap, and there may
    /// be more behind it.
    pub fn turn(&mut self, now: Duration) -> Option<Option<Frame>> {
        let due = self.number_at(now);
        if due > self.next + LATE {
            // This computer was asleep.
            self.next = due;
            self.heard = self.heard.split_off(&due);
        }
        if now < self.deadline() {
            return None;
        }
        let number = self.next;
        self.next += 1;
        let has_begun = self.first.is_some_and(|first| number >= first);
        Some(match self.heard.remove(&number) {
            Some(frame) => Some(self.sent(frame, number)),
            None if has_begun => None,
            None => self.greet(number),
        })
    }

    /// When [`Parrot::turn`] has something.
    pub fn deadline(&self) -> Duration {
        self.began + FRAME * self.next as u32
    }

    /// What the caller should be told of how his voice arrives.
    pub fn report(&mut self, now: Duration) -> Option<Report> {
        self.arrivals.report(now).as_ref().map(reports::to_bytes)
    }

    fn number_at(&self, at: Duration) -> u64 {
        let since = at.saturating_sub(self.began);
        (since.as_micros() / FRAME.as_micros()) as u64
    }

    /// The same frame in our count. Its copies count backwards from it, so they stay as they are.
    /// The size of packets follows the caller's choice, which never depends on what is said.
    fn sent(&mut self, mut frame: Frame, number: u64) -> Frame {
        let copies: usize = frame.copies.iter().map(|copy| copy.opus.len()).sum();
        let size = frame.opus.len() + copies;
        let fits = Rung::all().find(|rung| rung.payload() >= size);
        self.rung = self.rung.max(fits.unwrap_or(Rung::numbered(usize::MAX)));
        frame.seq = number as u16;
        frame.rung = self.rung;
        frame
    }

    /// A short tone, then silence until there is something to send back.
    fn greet(&mut self, number: u64) -> Option<Frame> {
        let from = number as usize * SAMPLES;
        let sound = std::array::from_fn(|n| match from + n {
            at if at < Tone::Join.length() => Tone::Join.sample(at),
            _ => 0.0,
        });
        let opus = self.encoder.encode(&sound, self.rung.payload()).ok()?;
        Some(Frame {
            rung: self.rung,
            ..Frame::new(number as u16, opus)
        })
    }
}

/// Long enough to have stopped speaking.
const DELAY: Duration = Duration::from_secs(2);

const DELAY_FRAMES: u64 = (DELAY.as_millis() / FRAME.as_millis()) as u64;

/// Of the tone at the beginning: what a packet of the usual size carries.
const BITS_PER_SECOND: u32 = Rung::USUAL.payload() as u32 * 8 * 50;

/// Frames after which it is no use to make up for them: a second.
const LATE: u64 = 50;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::codec::Decoder;
    use crate::phone::types::Opus;

    fn at(millis: u64) -> Duration {
        Duration::from_secs(1000) + Duration::from_millis(millis)
    }

    fn frame(seq: u16) -> Frame {
        let opus: Opus = [72, seq as u8, (seq >> 8) as u8].into_iter().collect();
        Frame::new(seq, opus)
    }

    /// Everything that leaves up to then, with the moment.
    fn run(parrot: &mut Parrot, until: u64) -> Vec<(u64, Option<Frame>)> {
        let mut left = Vec::new();
        while parrot.deadline() <= at(until) {
            let now = parrot.deadline();
            let turn = parrot.turn(now).expect("it is due");
            left.push(((now - at(0)).as_millis() as u64, turn));
        }
        left
    }

    #[test]
    fn what_is_said_comes_back_two_seconds_later_whatever_became_of_the_order() {
        let mut parrot = Parrot::new(at(0)).expect("an encoder");
        let mut left = Vec::new();
        // The caller's count begins at 65,500; the third and the fourth frame change places, the
        // sixth never comes, and each is late by a jitter of its own.
        for (number, millis) in [(0, 40), (1, 63), (3, 84), (2, 99), (4, 120), (6, 161)] {
            left.extend(run(&mut parrot, millis));
            parrot.hear(&frame(65_500u16.wrapping_add(number)), at(millis));
        }
        left.extend(run(&mut parrot, 2200));
        let counted = left
            .iter()
            .map(|(_, frame)| frame.as_ref().map(|frame| frame.seq));
        let counted: Vec<_> = counted.collect();
        let expected: Vec<_> = (0..=110u16)
            .map(|n| (n != 107 && n < 109).then_some(n))
            .collect();
        assert_eq!(counted, expected);
        let back = |millis: u64| {
            let (_, frame) = left.iter().find(|(at, _)| *at == millis).expect("a turn");
            frame.as_ref().map(|frame| frame.opus.clone())
        };
        for (number, millis) in [
            (0, 2040),
            (1, 2060),
            (2, 2080),
            (3, 2100),
            (4, 2120),
            (6, 2160),
        ] {
            let said = frame(65_500u16.wrapping_add(number)).opus;
            assert_eq!(back(millis), Some(said), "frame {number}");
        }
    }

    #[test]
    fn it_begins_with_a_tone_and_is_silent_until_the_echo() {
        let mut parrot = Parrot::new(at(0)).expect("an encoder");
        let mut decoder = Decoder::new(5).expect("a decoder");
        let mut peaks = Vec::new();
        for (_, frame) in run(&mut parrot, 1990) {
            let mut pcm = [0.0; SAMPLES];
            let opus = frame.expect("no gap").opus;
            decoder.decode(&opus, &mut pcm).expect("decoded");
            peaks.push(pcm.iter().fold(0.0f32, |peak, s| peak.max(s.abs())));
        }
        assert_eq!(peaks.len(), 100);
        assert!(peaks[..10].iter().any(|peak| *peak > 0.03), "{peaks:?}");
        assert!(peaks[30..].iter().all(|peak| *peak < 0.01), "{peaks:?}");
    }

    #[test]
    fn a_caller_who_counts_anew_and_one_who_floods_are_bounded() {
        let mut parrot = Parrot::new(at(0)).expect("an encoder");
        for seq in 0..=u16::MAX {
            parrot.hear(&frame(seq.wrapping_mul(7919)), at(500));
        }
        assert!(parrot.heard.len() <= 2 * DELAY_FRAMES as usize + 1);
        parrot.hear(&frame(30_000), at(600));
        parrot.hear(&frame(2), at(620));
        let left = run(&mut parrot, 2620);
        let last = left
            .last()
            .and_then(|(_, frame)| frame.clone())
            .expect("the new count");
        assert_eq!(last.opus, frame(2).opus);
    }

    #[test]
    fn after_a_sleep_it_goes_on_at_the_present() {
        let mut parrot = Parrot::new(at(0)).expect("an encoder");
        run(&mut parrot, 500);
        let hour = 3_600_000;
        assert!(parrot.turn(at(hour)).is_some());
        assert!(parrot.deadline() > at(hour) && parrot.deadline() <= at(hour + 20));
    }
}
