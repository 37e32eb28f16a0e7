//! Rooms: what a microphone hears of two voices and a loudspeaker.

use crate::speech::{Random, to_level};

/// A room and the devices in it.
#[derive(Clone, Copy)]
pub struct Room {
    pub name: &'static str,
    /// The echo's level against the near voice.
    echo_db: f32,
    delay_ms: usize,
    /// How far the loudspeaker is driven into distortion; 0 is not at all.
    drive: f32,
    /// Reverberation time (to -60 dB) in seconds.
    reverb: f32,
    /// Noise in the microphone, in dB under full scale.
    noise_db: f32,
}

/// A laptop on a desk; a loudspeaker loud and close; one that is loud, distorting and late; a headset
/// that hardly leaks; one that does not, in a noisy place.
pub const ROOMS: [Room; 5] = [
    room("desk", -20.0, 100, 2.0, 0.35, -65.0),
    room("lin60", -6.5, 60, 0.0, 0.35, -65.0),
    room("nl180", -3.7, 180, 6.0, 0.35, -65.0),
    room("head", -60.0, 20, 0.0, 0.1, -65.0),
    room("train", -90.0, 20, 0.0, 0.1, -48.0),
];

impl Room {
    pub fn is_echoing(&self) -> bool {
        self.echo_db > -40.0
    }
}

const fn room(
    name: &'static str,
    echo_db: f32,
    delay_ms: usize,
    drive: f32,
    reverb: f32,
    noise_db: f32,
) -> Room {
    Room {
        name,
        echo_db,
        delay_ms,
        drive,
        reverb,
        noise_db,
    }
}

/// One minute of it, at 48 kHz.
pub struct Scene {
    pub far: Vec<f32>,
    pub near: Vec<f32>,
    pub echo: Vec<f32>,
    pub mic: Vec<f32>,
    pub noise_db: f32,
}

impl Scene {
    pub fn of(room: &Room, near: &[f32], far: &[f32]) -> Scene {
        let minute = |voice: &[f32]| -> Vec<f32> {
            let mut sound: Vec<f32> = voice.iter().copied().cycle().take(60 * RATE).collect();
            to_level(&mut sound, VOICE_DB);
            sound
        };
        let (mut near, mut far) = (minute(near), minute(far));
        far.splice(0..0, std::iter::repeat_n(0.0, FIRST_WORD));
        far.truncate(near.len());
        let (alone, end) = ((NEAR.0 as usize) * RATE, (NEAR.1 as usize) * RATE);
        near[..15 * RATE].fill(0.0);
        near[end..].fill(0.0);
        far[alone..end].fill(0.0);
        let mut random = Random(7);
        let mut echo = echo(room, &far, &mut random);
        to_level(&mut echo, VOICE_DB + room.echo_db);
        let noise = 10f32.powf(room.noise_db / 20.0);
        let mic = near
            .iter()
            .zip(&echo)
            .map(|(near, echo)| (near + echo + random.normal() * noise).clamp(-1.0, 1.0))
            .collect();
        Scene {
            far,
            near,
            echo,
            mic,
            noise_db: room.noise_db,
        }
    }

    /// Its first samples.
    pub fn upto(&self, samples: usize) -> Scene {
        let first = |sound: &[f32]| sound[..samples].to_vec();
        Scene {
            far: first(&self.far),
            near: first(&self.near),
            echo: first(&self.echo),
            mic: first(&self.mic),
            noise_db: self.noise_db,
        }
    }
}

fn echo(room: &Room, far: &[f32], random: &mut Random) -> Vec<f32> {
    let (here, there) = (response(room, random), response(room, random));
    let driven: Vec<f32> = far
        .iter()
        .map(|sample| match room.drive > 0.0 {
            true => (sample * room.drive).tanh() / room.drive,
            false => *sample,
        })
        .collect();
    let late = room.delay_ms * RATE / 1000;
    let heard = |at: usize| -> f32 {
        let Some(last) = at.checked_sub(late) else {
            return 0.0;
        };
        let response = if at < MOVED * RATE { &here } else { &there };
        let reflections = response.iter().take_while(|(after, _)| *after <= last);
        reflections
            .map(|(after, gain)| gain * driven[last - after])
            .sum()
    };
    (0..far.len()).map(heard).collect()
}

/// The direct sound and a decaying tail of reflections, as (samples later, gain).
fn response(room: &Room, random: &mut Random) -> Vec<(usize, f32)> {
    let length = (room.reverb * RATE as f32) as usize;
    let tail = (24..length).step_by(37).map(|after| {
        let decay = 10f32.powf(-3.0 * after as f32 / length as f32);
        (after, random.normal() * 0.28 * decay)
    });
    std::iter::once((0, 1.0)).chain(tail).collect()
}

pub const RATE: usize = 48_000;

/// Seconds in which only the near side speaks.
pub const NEAR: (f32, f32) = (30.0, 40.0);

/// Samples from the beginning of the call to the far side's first word.
const FIRST_WORD: usize = 6 * RATE / 10;

/// Second at which the microphone is moved.
const MOVED: usize = 45;

/// Level of both voices while they speak.
const VOICE_DB: f32 = -20.0;
