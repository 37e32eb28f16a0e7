//! Devices without hardware: silence, or WAV files, paced by the real-time clock.
//!
//! They behave like a sound card with 10 ms blocks: a block of the microphone is there when its
//! 10 ms are over, a block for the loudspeaker is taken when its 10 ms begin.

use std::path::Path;
use std::time::Duration;

use crate::audio::codec::SAMPLES;
use crate::audio::rings::{DeviceSide, held};
use crate::audio::wav::{BLOCK, Sink, Source, WavError};

/// Where the samples of a [`Clocked`] device come from and go to.
#[derive(Debug)]
pub(super) enum Ends {
    Silence,
    Files { source: Box<Source>, sink: Sink },
}

impl Ends {
    pub(super) fn files(input: &Path, output: &Path) -> Result<Ends, WavError> {
        let source = Box::new(Source::open(input)?);
        let mut sink = Sink::create(output)?;
        // Nothing can be heard while the first block is being recorded.
        sink.write(&[0.0; BLOCK])?;
        Ok(Ends::Files { source, sink })
    }

    pub(super) fn are_files(&self) -> bool {
        matches!(self, Ends::Files { .. })
    }

    /// Makes a written file whole.
    pub(super) fn save(&mut self) -> Result<(), WavError> {
        match self {
            Ends::Silence => Ok(()),
            Ends::Files { sink, .. } => sink.save(),
        }
    }
}

/// A sound card made of nothing but a clock.
#[derive(Debug)]
pub(super) struct Clocked {
    pub(super) ends: Ends,
    rings: DeviceSide,
    trouble: Option<WavError>,
    /// End of the block that is being recorded: an absolute moment, so that errors never add up.
    due: Duration,
}

impl Clocked {
    pub(super) fn start(ends: Ends, rings: DeviceSide, now: Duration) -> Clocked {
        Clocked {
            ends,
            rings,
            trouble: None,
            due: now + TIME_OF_BLOCK,
        }
    }

    /// Delivers one block of the microphone if it is due, and says whether it was. To be followed
    /// by [`Clocked::play`], so that what was made of it in between can be heard at once.
    pub(super) fn record(&mut self, now: Duration) -> bool {
        if now < self.due {
            return false;
        }
        if now > self.due + ASLEEP {
            self.due = now;
        }
        self.due += TIME_OF_BLOCK;
        let mut block = [0.0; BLOCK];
        if let Ends::Files { source, .. } = &mut self.ends {
            source.read(&mut block);
        }
        // A full ring means that nobody records: the block is lost, as on a real card.
        let _ = self.rings.mic.push_entire_slice(&block);
        true
    }

    /// Takes one block for the loudspeaker.
    pub(super) fn play(&mut self) {
        let mut block = [0.0; BLOCK];
        let _ = self.rings.speaker.pop_partial_slice(&mut block);
        if let Ends::Files { sink, .. } = &mut self.ends
            && let Err(error) = sink.write(&block)
        {
            self.trouble = Some(error);
            self.ends = Ends::Silence;
        }
    }

    /// Why the files can be used no longer; told once.
    pub(super) fn trouble(&mut self) -> Option<WavError> {
        self.trouble.take()
    }

    /// When somebody is needed again: at the end of the block that is being recorded, or of the next
    /// one if that alone completes no frame and the loudspeaker has its block already.
    pub(super) fn due(&self) -> Duration {
        let completes = held(&self.rings.mic) + BLOCK >= SAMPLES;
        let can_wait = !completes && self.rings.speaker.slots() >= BLOCK;
        self.due
            + if can_wait {
                TIME_OF_BLOCK
            } else {
                Duration::ZERO
            }
    }
}

const TIME_OF_BLOCK: Duration = Duration::from_millis(10);

/// After a gap like this the computer was suspended; what should have been recorded is gone.
const ASLEEP: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::codec::RATE;
    use crate::audio::rings::rings;

    /// When somebody is needed whose frames of the far side begin behind this many blocks.
    fn turns(blocks: usize) -> Vec<u128> {
        let (device, mut voice) = rings(RATE, RATE).expect("our own rate");
        let mut clocked = Clocked::start(Ends::Silence, device, Duration::ZERO);
        voice.play(&vec![0.5; BLOCK * blocks]);
        let mut turns = Vec::new();
        while turns.len() < 4 {
            let now = clocked.due();
            turns.push(now.as_millis());
            while clocked.record(now) {
                voice.record(&mut [0.0; SAMPLES]);
                if voice.ready() < BLOCK {
                    voice.play(&[0.5; SAMPLES]);
                }
                clocked.play();
            }
        }
        turns
    }

    #[test]
    fn who_has_laid_a_frame_ready_is_needed_when_one_is_recorded() {
        assert_eq!(turns(1), [20, 40, 60, 80]);
        assert_eq!(turns(0), [10, 20, 30, 40], "each way has its own half");
    }
}
