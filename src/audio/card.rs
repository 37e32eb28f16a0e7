//! Sound cards by cpal: ALSA, and whatever the other systems have.

use std::sync::Arc;
use std::thread::Thread;
use std::time::Duration;

use cpal::traits::{DeviceTrait, HostTrait, StreamTrait};
use cpal::{
    BufferSize, Device, FromSample, Host, SampleFormat, SizedSample, Stream, StreamConfig,
    SupportedBufferSize, SupportedStreamConfigRange,
};

use crate::audio::codec::RATE;
use crate::audio::device::{Card, DeviceError, Open, Streams, Wish};
use crate::audio::ends::{Link, MicEnd, SpeakerEnd};
use crate::audio::rings::{VoiceSide, rings};
use crate::audio::{Place, pulse};

/// Opens microphone and loudspeaker by name, or the default ones.
pub(super) fn open(wish: &Wish, voice: Thread) -> Result<(Streams, VoiceSide), DeviceError> {
    let host = cpal::default_host();
    let mic = match wish.records {
        true => Some(choose(&host, wish.microphone.as_deref(), Way::In)?),
        false => None,
    };
    let speaker = choose(&host, wish.speaker.as_deref(), Way::Out)?;
    let heard = mic
        .as_ref()
        .map(|mic| format(mic.supported_input_configs(), mic, wish.step));
    let heard = heard.transpose()?;
    let played = format(speaker.supported_output_configs(), &speaker, wish.step)?;
    let mic_rate = heard.map_or(RATE, |heard| heard.rate);
    let (device, voice_side) = rings(mic_rate, played.rate)?;
    let link = Link::new(voice);
    let mic_end = MicEnd::new(device.mic, link.clone(), mic_rate);
    let speaker_end = SpeakerEnd::new(device.speaker, link.clone(), played.rate);
    let place = place(&host, mic.as_ref(), &speaker);
    let recording = match mic.zip(heard) {
        Some((mic, heard)) => Some(record(&mic, heard, mic_end, link.clone())?),
        None => None,
    };
    let playing = play(&speaker, played, speaker_end, link.clone())?;
    let _kept = Card::new((recording, playing));
    let open = Open::Card { _kept };
    Ok((Streams::new(place, link, open), voice_side))
}

fn place(host: &Host, mic: Option<&Device>, speaker: &Device) -> Place {
    let id = |device: &Device| device.id().map_or(String::new(), |id| id.id().to_owned());
    let here = pulse::is_by_ssh().then(pulse::this_host);
    let mut words = match mic {
        Some(mic) => format!("{}: {mic} and {speaker}", host.id().name()),
        None => format!("{}: {speaker}", host.id().name()),
    };
    if here.is_some() {
        words.push_str(", not your computer");
    }
    Place {
        words,
        microphone: mic.map_or(String::new(), id),
        speaker: id(speaker),
        note: here.map(|here| pulse::wrong_computer(&here)),
        link: None,
    }
}

#[derive(Clone, Copy)]
enum Way {
    In,
    Out,
}

/// What a stream is opened with.
#[derive(Clone, Copy)]
struct Format {
    rate: u32,
    channels: u16,
    sample: SampleFormat,
    /// Frames that the device moves at a time.
    block: u32,
}

impl Format {
    fn config(self) -> StreamConfig {
        StreamConfig {
            channels: self.channels,
            sample_rate: self.rate,
            // The default of some hosts is two seconds.
            buffer_size: BufferSize::Fixed(self.block),
        }
    }
}

fn choose(host: &Host, name: Option<&str>, way: Way) -> Result<Device, DeviceError> {
    let Some(name) = name else {
        let device = match way {
            Way::In => host.default_input_device(),
            Way::Out => host.default_output_device(),
        };
        let kind = match way {
            Way::In => "microphone",
            Way::Out => "loudspeaker",
        };
        return device.ok_or_else(|| DeviceError::None(format!("no {kind} was found")));
    };
    let mut devices = host.devices().map_err(failed)?;
    devices
        .find(|device| is_called(device, name))
        .ok_or_else(|| DeviceError::Unknown(name.to_owned()))
}

fn is_called(device: &Device, name: &str) -> bool {
    let id = device.id().is_ok_and(|id| id.id() == name);
    id || device.to_string() == name
}

/// Mono at our rate if the device can, else what comes nearest.
fn format(
    ranges: Result<impl Iterator<Item = SupportedStreamConfigRange>, cpal::Error>,
    device: &Device,
    step: usize,
) -> Result<Format, DeviceError> {
    let best = ranges
        .map_err(failed)?
        .filter(|range| SAMPLES.contains(&range.sample_format()))
        .min_by_key(|range| {
            let rate = nearest(range);
            let sample = SAMPLES.iter().position(|s| *s == range.sample_format());
            (rate.abs_diff(RATE), range.channels(), sample)
        });
    let Some(range) = best else {
        let why = format!("{device} has no sample format that is known here");
        return Err(DeviceError::Failed(why));
    };
    let rate = nearest(&range);
    Ok(Format {
        rate,
        channels: range.channels().max(1),
        sample: range.sample_format(),
        block: block(rate, range.buffer_size(), step),
    })
}

/// 10 ms, and twice as much with each step: as near to that as the device can.
fn block(rate: u32, can: &SupportedBufferSize, step: usize) -> u32 {
    let doubled = u32::try_from(step.min(pulse::STEPS)).unwrap_or(0);
    let wanted = (rate / 100) << doubled;
    match can {
        SupportedBufferSize::Range { min, max } if min <= max => wanted.clamp(*min, *max),
        _ => wanted,
    }
}

fn nearest(range: &SupportedStreamConfigRange) -> u32 {
    RATE.clamp(range.min_sample_rate(), range.max_sample_rate())
}

fn record(mic: &Device, format: Format, end: MicEnd, link: Arc<Link>) -> Opened {
    match format.sample {
        SampleFormat::F32 => record_as::<f32>(mic, format, end, link),
        SampleFormat::I32 => record_as::<i32>(mic, format, end, link),
        _ => record_as::<i16>(mic, format, end, link),
    }
}

fn record_as<S>(mic: &Device, format: Format, mut end: MicEnd, link: Arc<Link>) -> Opened
where
    S: SizedSample,
    f32: FromSample<S>,
{
    let channels = usize::from(format.channels);
    let woken = link.clone();
    let callback = move |data: &[S], _: &_| {
        let has_frame = end.put(data.chunks_exact(channels).map(|frame| {
            let sum: f32 = frame.iter().map(|sample| sample.to_sample::<f32>()).sum();
            sum / channels as f32
        }));
        if has_frame {
            woken.wake();
        }
    };
    let trouble = move |error| tell(&link, &error);
    started(mic.build_input_stream(format.config(), callback, trouble, TIMEOUT))
}

fn play(speaker: &Device, format: Format, end: SpeakerEnd, link: Arc<Link>) -> Opened {
    match format.sample {
        SampleFormat::F32 => play_as::<f32>(speaker, format, end, link),
        SampleFormat::I32 => play_as::<i32>(speaker, format, end, link),
        _ => play_as::<i16>(speaker, format, end, link),
    }
}

fn play_as<S>(speaker: &Device, format: Format, mut end: SpeakerEnd, link: Arc<Link>) -> Opened
where
    S: SizedSample + FromSample<f32>,
{
    let channels = usize::from(format.channels);
    let mut mono = vec![0.0; AT_ONCE];
    let callback = move |data: &mut [S], _: &_| {
        for part in data.chunks_mut(AT_ONCE * channels) {
            let mono = &mut mono[..part.len() / channels];
            end.take(mono);
            for (frame, sample) in part.chunks_exact_mut(channels).zip(mono) {
                frame.fill(S::from_sample(*sample));
            }
        }
    };
    let trouble = move |error| tell(&link, &error);
    started(speaker.build_output_stream(format.config(), callback, trouble, TIMEOUT))
}

type Opened = Result<Stream, DeviceError>;

fn started(built: Result<Stream, cpal::Error>) -> Opened {
    let stream = built.map_err(failed)?;
    stream.play().map_err(failed)?;
    Ok(stream)
}

/// Called by cpal, maybe in a tight loop: only the first error that ends a stream counts.
fn tell(link: &Link, error: &cpal::Error) {
    use cpal::ErrorKind::{DeviceChanged, RealtimeDenied, Xrun};
    if !matches!(error.kind(), Xrun | RealtimeDenied | DeviceChanged) {
        link.fail(error.to_string());
    }
}

fn failed(error: cpal::Error) -> DeviceError {
    match error.kind() {
        cpal::ErrorKind::DeviceNotAvailable | cpal::ErrorKind::HostUnavailable => {
            DeviceError::None(error.to_string())
        }
        _ => DeviceError::Failed(error.to_string()),
    }
}

/// Sample formats that are understood, the best first.
const SAMPLES: [SampleFormat; 3] = [SampleFormat::F32, SampleFormat::I16, SampleFormat::I32];

const TIMEOUT: Option<Duration> = Some(Duration::from_secs(2));

/// Frames that are turned from mono into the device's channels at a time.
const AT_ONCE: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_grow_with_the_steps_within_what_the_device_can() {
        let any = SupportedBufferSize::Unknown;
        assert_eq!(block(48_000, &any, 0), 480);
        assert_eq!(block(192_000, &any, 2), 7680);
        assert_eq!(block(8_000, &any, 99), 80 << pulse::STEPS);
        let some = SupportedBufferSize::Range {
            min: 256,
            max: 1024,
        };
        assert_eq!(block(8_000, &some, 0), 256);
        assert_eq!(block(48_000, &some, 4), 1024);
    }
}
