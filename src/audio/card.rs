//! Sound cards by cpal: ALSA, and whatever the other systems have.

use std::sync::Arc;
use std::thread::Thread;
use std::time::Duration;

use cpal::traits::{DeviceTrait, HostTrait, StreamTrait};
use cpal::{
    BufferSize, Device, FromSample, Host, SampleFormat, SizedSample, Stream, StreamConfig,
    SupportedStreamConfigRange,
};

use crate::audio::codec::RATE;
use crate::audio::device::{DeviceError, Link, MicEnd, SpeakerEnd, Streams};
use crate::audio::rings::{VoiceSide, rings};

/// Opens microphone and loudspeaker by name, or the default ones.
pub(super) fn open(
    input: Option<&str>,
    output: Option<&str>,
    voice: Thread,
) -> Result<(Streams, VoiceSide), DeviceError> {
    let host = cpal::default_host();
    let mic = choose(&host, input, Way::In)?;
    let speaker = choose(&host, output, Way::Out)?;
    let heard = format(mic.supported_input_configs(), &mic)?;
    let played = format(speaker.supported_output_configs(), &speaker)?;
    let (device, voice_side) = rings(heard.rate, played.rate)?;
    let link = Link::new(voice);
    let mic_end = MicEnd::new(device.mic, link.clone(), heard.rate);
    let speaker_end = SpeakerEnd::new(device.speaker, link.clone(), played.rate);
    let recording = record(&mic, heard, mic_end, link.clone())?;
    let playing = play(&speaker, played, speaker_end, link.clone())?;
    let place = format!("{}: {mic} and {speaker}", host.id().name());
    let streams = Streams::new(place, link, (recording, playing));
    Ok((streams, voice_side))
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
}

impl Format {
    fn config(self) -> StreamConfig {
        StreamConfig {
            channels: self.channels,
            sample_rate: self.rate,
            // The default of some hosts is two seconds.
            buffer_size: BufferSize::Fixed(self.rate / 100),
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
    Ok(Format {
        rate: nearest(&range),
        channels: range.channels().max(1),
        sample: range.sample_format(),
    })
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
    let callback = move |data: &[S], _: &_| {
        end.put(data.chunks_exact(channels).map(|frame| {
            let sum: f32 = frame.iter().map(|sample| sample.to_sample::<f32>()).sum();
            sum / channels as f32
        }));
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
