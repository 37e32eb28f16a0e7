//! The device's ends of the rings, and what they share with the voice thread.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::Thread;
use std::time::Duration;

use rtrb::{Consumer, Producer};

use crate::audio::codec::RATE;
use crate::audio::rings::{CHUNK, held};

/// What the streams' ends tell the voice thread.
#[derive(Debug)]
pub(super) struct Link {
    voice: Thread,
    trouble: OnceLock<String>,
    /// How often the loudspeaker has asked for samples.
    turns: AtomicU64,
    /// Frames of the microphone.
    frames: AtomicU64,
    /// Samples of our rate that the loudspeaker has asked for.
    asked: AtomicU64,
    /// Samples of our rate that the loudspeaker should find ready.
    wanted: AtomicUsize,
    /// How often there was not enough for it.
    short: AtomicU64,
    /// Microseconds of a round trip to the server; 0 if it is on this computer.
    round_trip: AtomicU32,
    /// The devices that the streams are on, where they have been moved.
    moved: Mutex<Option<Names>>,
    /// New devices have come up.
    appeared: AtomicBool,
}

/// Names of the devices of both ways. Empty if there is none, or it has no name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Names {
    pub(super) microphone: String,
    pub(super) speaker: String,
}

impl Link {
    pub(super) fn new(voice: Thread) -> Arc<Link> {
        Arc::new(Link {
            voice,
            trouble: OnceLock::new(),
            turns: AtomicU64::new(0),
            frames: AtomicU64::new(0),
            asked: AtomicU64::new(0),
            wanted: AtomicUsize::new(CHUNK),
            short: AtomicU64::new(0),
            round_trip: AtomicU32::new(0),
            moved: Mutex::new(None),
            appeared: AtomicBool::new(false),
        })
    }

    /// The first trouble counts; the voice thread is woken to let the device go.
    pub(super) fn fail(&self, why: String) {
        if self.trouble.set(why).is_ok() {
            self.voice.unpark();
        }
    }

    pub(super) fn trouble(&self) -> Option<&String> {
        self.trouble.get()
    }

    pub(super) fn turns(&self) -> u64 {
        self.turns.load(Relaxed)
    }

    /// Whole frames that the microphone has delivered.
    pub(super) fn frames(&self) -> u64 {
        self.frames.load(Relaxed)
    }

    pub(super) fn asked(&self) -> u64 {
        self.asked.load(Relaxed)
    }

    pub(super) fn wanted(&self) -> usize {
        self.wanted.load(Relaxed)
    }

    /// How often the loudspeaker went without.
    pub(super) fn short(&self) -> u64 {
        self.short.load(Relaxed)
    }

    /// The loudspeaker had to go without.
    pub(super) fn note_short(&self) {
        self.short.fetch_add(1, Relaxed);
    }

    /// Round trip to a server on another computer.
    pub(super) fn round_trip(&self) -> Option<Duration> {
        let micros = self.round_trip.load(Relaxed);
        (micros > 0).then(|| Duration::from_micros(micros.into()))
    }

    pub(super) fn set_round_trip(&self, time: Duration) {
        let micros = u32::try_from(time.as_micros()).unwrap_or(u32::MAX);
        self.round_trip.store(micros.max(1), Relaxed);
    }

    /// The loudspeaker should find so many samples ready.
    pub(super) fn want(&self, samples: usize) {
        self.wanted.store(samples.min(LARGEST), Relaxed);
    }

    /// Calls the voice thread, for a frame of the microphone.
    pub(super) fn wake(&self) {
        self.voice.unpark();
    }

    /// A stream is on another device now.
    pub(super) fn note_move(&self, names: Names) {
        if let Ok(mut moved) = self.moved.lock() {
            *moved = Some(names);
        }
        self.voice.unpark();
    }

    pub(super) fn take_move(&self) -> Option<Names> {
        // Only ever held for the moment of a copy.
        self.moved.try_lock().ok()?.take()
    }

    pub(super) fn note_new_device(&self) {
        self.appeared.store(true, Relaxed);
        self.voice.unpark();
    }

    pub(super) fn take_new_device(&self) -> bool {
        self.appeared.swap(false, Relaxed)
    }
}

/// The microphone's end: takes samples from the device.
#[derive(Debug)]
pub(super) struct MicEnd {
    ring: Producer<f32>,
    link: Arc<Link>,
    frame: usize,
}

impl MicEnd {
    pub(super) fn new(ring: Producer<f32>, link: Arc<Link>, rate: u32) -> MicEnd {
        MicEnd {
            ring,
            link,
            frame: rate as usize / 50,
        }
    }

    /// Takes mono samples; says whether they complete a frame.
    pub(super) fn put(&mut self, samples: impl ExactSizeIterator<Item = f32>) -> bool {
        let completes = samples.len() >= self.lacks();
        let fits = samples.len().min(self.ring.slots());
        if let Ok(room) = self.ring.write_chunk_uninit(fits) {
            room.fill_from_iter(samples);
        }
        if completes {
            self.link.frames.fetch_add(1, Relaxed);
        }
        completes
    }

    /// Samples that the next frame lacks.
    pub(super) fn lacks(&self) -> usize {
        self.frame - held(&self.ring) % self.frame
    }
}

/// The loudspeaker's end: gives samples to the device.
#[derive(Debug)]
pub(super) struct SpeakerEnd {
    ring: Consumer<f32>,
    link: Arc<Link>,
    rate: u32,
}

impl SpeakerEnd {
    pub(super) fn new(ring: Consumer<f32>, link: Arc<Link>, rate: u32) -> SpeakerEnd {
        SpeakerEnd { ring, link, rate }
    }

    /// For a callback, which may not wait: fills `samples`, with silence where nothing is ready. The
    /// voice thread is woken when the next turn would find too little.
    pub(super) fn take(&mut self, samples: &mut [f32]) {
        let given = self.ring.pop_partial_slice(samples).0.len();
        samples[given..].fill(0.0);
        let asked = self.note(samples.len());
        if given < samples.len() && self.link.turns() > FILLING {
            self.link.note_short();
        }
        let largest = asked.clamp(CHUNK, LARGEST);
        let largest = self.link.wanted.fetch_max(largest, Relaxed).max(largest);
        if self.ring.slots() * RATE as usize / (self.rate as usize) < largest {
            self.link.voice.unpark();
        }
    }

    /// For who is no callback: takes what is ready; returns how many samples that is.
    pub(super) fn take_ready(&mut self, samples: &mut [f32]) -> usize {
        self.ring.pop_partial_slice(samples).0.len()
    }

    /// Counts what is asked for; returns it in samples of our rate.
    pub(super) fn note(&self, samples: usize) -> usize {
        let asked = samples * RATE as usize / self.rate as usize;
        self.link.turns.fetch_add(1, Relaxed);
        self.link.asked.fetch_add(asked as u64, Relaxed);
        asked
    }
}

/// A device asks this often when it is opened, whether it runs or not.
pub(super) const FILLING: u64 = 3;

/// Most samples that are held ready, whatever the device asks for at a time: 100 ms.
const LARGEST: usize = 4800;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::rings::{VoiceSide, rings};

    /// Both ends of a device of these rates.
    fn device(mic_rate: u32, speaker_rate: u32) -> (MicEnd, SpeakerEnd, VoiceSide, Arc<Link>) {
        let (side, voice) = rings(mic_rate, speaker_rate).expect("a rate that can be converted");
        let link = Link::new(std::thread::current());
        let mic = MicEnd::new(side.mic, link.clone(), mic_rate);
        let speaker = SpeakerEnd::new(side.speaker, link.clone(), speaker_rate);
        (mic, speaker, voice, link)
    }

    /// Sizes that no device should use, and some do.
    const BURSTS: [usize; 8] = [1, 7, 24, 128, 479, 1024, 1323, 4096];

    #[test]
    fn odd_rates_and_bursts_of_any_size_come_out_as_whole_frames() {
        for rate in [8_000, 11_025, 44_100, 48_000, 96_000, 192_000] {
            let (mut mic, _, mut voice, _) = device(rate, rate);
            let mut frame = [0.0; crate::audio::codec::SAMPLES];
            let (mut put, mut frames) = (0, 0);
            for turn in 0..rate as usize {
                // No more than the ring holds, which is a fifth of a second.
                let burst = BURSTS[turn % BURSTS.len()].min(rate as usize / 6);
                mic.put(vec![0.25; burst].into_iter());
                put += burst;
                while voice.record(&mut frame) {
                    frames += 1;
                }
                if put > rate as usize * 2 {
                    break;
                }
            }
            let expected = put as f64 / f64::from(rate) * 50.0;
            let off = expected - f64::from(frames);
            assert!((0.0..3.0).contains(&off), "{rate}: {frames} of {expected}");
            let level = frame[480];
            assert!((0.24..0.26).contains(&level), "{rate}: {level}");
        }
    }

    #[test]
    fn a_loudspeaker_that_asks_in_bursts_gets_all_of_it() {
        for rate in [8_000, 44_100, 192_000] {
            let (_, mut speaker, mut voice, link) = device(rate, rate);
            let mut heard = 0.0;
            let mut asked = 0;
            for turn in 0..200 {
                let burst = BURSTS[turn % BURSTS.len()].min(rate as usize / 10);
                while voice.ready() < link.wanted() {
                    voice.play(&[0.5; CHUNK]);
                }
                let mut samples = vec![9.0; burst];
                speaker.take(&mut samples);
                assert!(samples.iter().all(|sample| sample.abs() <= 0.6), "{rate}");
                heard += samples.iter().sum::<f32>();
                asked += burst;
            }
            let share = heard / (0.5 * asked as f32);
            // The first burst of each size finds too little; from then on it is known.
            assert!((0.85..1.02).contains(&share), "{rate}: {share}");
            let counted = link.asked() as f64 / f64::from(RATE);
            let meant = asked as f64 / f64::from(rate);
            assert!((counted - meant).abs() < 0.05, "{counted} for {meant} s");
        }
    }

    #[test]
    fn a_microphone_that_nobody_hears_loses_the_newest_and_does_no_harm() {
        let (mut mic, _, mut voice, _) = device(RATE, RATE);
        for _ in 0..100 {
            mic.put(vec![0.1; 4096].into_iter());
        }
        let mut frame = [0.0; crate::audio::codec::SAMPLES];
        let frames = std::iter::from_fn(|| voice.record(&mut frame).then_some(())).count();
        assert_eq!(frames, 10);
    }
}
