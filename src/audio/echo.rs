//! The echo test: one's own voice, two seconds later, through the whole sound side.
//!
//! Microphone, codec, jitter buffer and loudspeaker do exactly what they do in a call, but nothing
//! leaves this computer: what goes missing here is missing because of the sound, not of the line.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use crate::audio::{Audio, AudioError, AudioEvent, Settings, now};
use crate::phone::types::{CallId, Frame, OpenMic};

/// What the sound side tells, and how long a frame was held that went back last: from the moment at
/// which it was recorded until the jitter buffer got it.
#[derive(Debug)]
pub struct EchoEvent {
    pub sound: AudioEvent,
    pub held: Duration,
}

/// Runs until whoever listens to `heard` is gone. `heard` gets all that the sound side tells but
/// the frames; what it has no room for is dropped.
///
/// # Errors
/// When the sound side cannot be started. A device that cannot be opened is an event.
pub async fn echo(settings: Settings, heard: mpsc::Sender<EchoEvent>) -> Result<(), AudioError> {
    let (audio, mut events) = Audio::start(settings)?;
    audio.open(OpenMic::for_local_echo(ECHO));
    let mut waiting = VecDeque::<(Frame, Instant)>::with_capacity(DELAY + 1);
    let mut held = Duration::ZERO;
    loop {
        let event = tokio::select! {
            event = events.recv() => event,
            () = heard.closed() => None,
        };
        match event {
            None => return Ok(()),
            Some(AudioEvent::Frame(_, frame, at)) => {
                waiting.push_back((frame, at));
                if waiting.len() > DELAY
                    && let Some((frame, at)) = waiting.pop_front()
                {
                    held = now().saturating_duration_since(at);
                    audio.push(ECHO, frame);
                }
            }
            Some(sound) => {
                // Levels come again in a moment; a listener that is slow misses some.
                let _ = heard.try_send(EchoEvent { sound, held });
            }
        }
    }
}

/// Two seconds of 20 ms frames: long enough to have stopped speaking.
const DELAY: usize = 100;
/// No call of the phone has this number: it counts from 1.
const ECHO: CallId = CallId(0);

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::audio::Backend;

    #[tokio::test]
    async fn what_is_said_comes_back_after_two_seconds() {
        let dir = tempfile::tempdir().expect("a directory");
        let (input, output) = (dir.path().join("in.wav"), dir.path().join("out.wav"));
        write_tone(&input);
        let (tell, mut heard) = mpsc::channel(16);
        let settings = Settings::new(Backend::Wav {
            input,
            output: output.clone(),
        });
        let run = tokio::spawn(echo(settings, tell));
        let listened = tokio::time::timeout(Duration::from_millis(3500), async {
            while heard.recv().await.is_some() {}
        });
        assert!(
            listened.await.is_err(),
            "the echo goes on until it is dropped"
        );
        drop(heard);
        run.await.expect("no panic").expect("sound");
        let said = hound::WavReader::open(output).expect("a WAV file");
        let samples: Vec<i32> = said.into_samples().map(|s| s.expect("sample")).collect();
        let loud = samples.iter().position(|s| s.unsigned_abs() > 3000);
        let at = loud.expect("something was heard") as f64 / 48_000.0;
        assert!((1.9..2.6).contains(&at), "heard after {at:.2} s");
    }

    fn write_tone(path: &std::path::Path) {
        let spec = hound::WavSpec {
            channels: 1,
            sample_rate: 48_000,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let mut file = hound::WavWriter::create(path, spec).expect("a file");
        for n in 0..48_000_i32 {
            let phase = f64::from(n) * 440.0 * std::f64::consts::TAU / 48_000.0;
            file.write_sample((phase.sin() * 12_000.0) as i16)
                .expect("room");
        }
        file.finalize().expect("a whole file");
    }
}
