//! WAV files in the place of microphone and loudspeaker.

use std::fmt;
use std::fs::File;
use std::io::{BufReader, BufWriter, Read};
use std::path::{Path, PathBuf};

use hound::{SampleFormat, WavReader, WavSpec, WavWriter};

use crate::audio::codec::RATE;
use crate::audio::resample::{RateError, Resample};

/// A WAV file cannot serve as a sound device.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WavError {
    #[error("{}: cannot be read as WAV: {why}", .path.display())]
    Read { path: PathBuf, why: hound::Error },
    /// A WAV file, but compressed in a way that is not read here.
    #[error(
        "{}: the sound in it is {format}; convert it to 16-bit PCM: ffmpeg -i {} -c:a pcm_s16le new.wav",
        .path.display(), .path.display()
    )]
    Format { path: PathBuf, format: String },
    #[error("{}: {why}", .path.display())]
    Rate { path: PathBuf, why: RateError },
    #[error("{}: cannot be written: {why}", .path.display())]
    Write { path: PathBuf, why: hound::Error },
    #[error("{}: there is no such directory to write into", .0.display())]
    Directory(PathBuf),
}

/// Says beforehand whether a call could use these files. Touches neither.
pub(super) fn check(input: &Path, output: &Path) -> Result<(), WavError> {
    Source::open(input)?;
    let directory = match output.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    if !directory.is_dir() {
        return Err(WavError::Directory(directory.to_owned()));
    }
    Ok(())
}

/// A file read as a microphone: 48 kHz mono, silence after the end.
pub(super) struct Source {
    reader: WavReader<BufReader<File>>,
    resample: Option<Resample>,
}

impl Source {
    pub(super) fn open(path: &Path) -> Result<Source, WavError> {
        let reader = WavReader::open(path).map_err(|why| match (why, foreign_format(path)) {
            (hound::Error::Unsupported, Some(format)) => WavError::Format {
                path: path.to_owned(),
                format,
            },
            (why, _) => WavError::Read {
                path: path.to_owned(),
                why,
            },
        })?;
        let rate = reader.spec().sample_rate;
        let resample = match rate {
            RATE => None,
            rate => Some(
                Resample::to_ours(rate, BLOCK).map_err(|why| WavError::Rate {
                    path: path.to_owned(),
                    why,
                })?,
            ),
        };
        Ok(Source { reader, resample })
    }

    /// The next 10 ms.
    pub(super) fn read(&mut self, block: &mut [f32; BLOCK]) {
        let Some(resample) = &mut self.resample else {
            read_mono(&mut self.reader, block);
            return;
        };
        read_mono(&mut self.reader, resample.input());
        let converted = resample.turn();
        block.fill(0.0);
        block[..converted.len()].copy_from_slice(converted);
    }
}

/// A file written as a loudspeaker: 48 kHz mono, 16 bits.
pub(super) struct Sink {
    path: PathBuf,
    writer: WavWriter<BufWriter<File>>,
    unsaved: usize,
}

impl Sink {
    /// Empties the file.
    pub(super) fn create(path: &Path) -> Result<Sink, WavError> {
        let spec = WavSpec {
            channels: 1,
            sample_rate: RATE,
            bits_per_sample: 16,
            sample_format: SampleFormat::Int,
        };
        let created = WavWriter::create(path, spec).and_then(|mut writer| {
            writer.flush()?;
            Ok(writer)
        });
        let writer = created.map_err(|why| WavError::Write {
            path: path.to_owned(),
            why,
        })?;
        Ok(Sink {
            path: path.to_owned(),
            writer,
            unsaved: 0,
        })
    }

    /// Appends 10 ms; twice a second the file is made whole, header included.
    pub(super) fn write(&mut self, block: &[f32; BLOCK]) -> Result<(), WavError> {
        let mut samples = self.writer.get_i16_writer(BLOCK as u32);
        for sample in block {
            let scaled = sample * 32768.0;
            // To the nearest: the cast cuts off, and what is too loud for 16 bits stays at the edge.
            samples.write_sample((scaled + 0.5f32.copysign(scaled)) as i16);
        }
        samples.flush().map_err(|why| self.error(why))?;
        self.unsaved += 1;
        if self.unsaved >= SAVED_EVERY {
            self.save()?;
        }
        Ok(())
    }

    /// Makes the file whole.
    pub(super) fn save(&mut self) -> Result<(), WavError> {
        self.unsaved = 0;
        self.writer.flush().map_err(|why| self.error(why))
    }

    fn error(&self, why: hound::Error) -> WavError {
        WavError::Write {
            path: self.path.clone(),
            why,
        }
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Source({:?})", self.reader.spec())
    }
}

impl fmt::Debug for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sink({})", self.path.display())
    }
}

/// Fills `mono` with the mean of the channels, with zeros after the end or a damaged place.
fn read_mono(reader: &mut WavReader<BufReader<File>>, mono: &mut [f32]) {
    let spec = reader.spec();
    let channels = usize::from(spec.channels.max(1));
    match spec.sample_format {
        SampleFormat::Int => {
            let full = 2f32.powi(i32::from(spec.bits_per_sample) - 1);
            let samples = reader.samples::<i32>();
            let samples = samples.map(|sample| sample.unwrap_or_default() as f32 / full);
            mean(samples, channels, mono);
        }
        SampleFormat::Float => {
            let samples = reader.samples::<f32>();
            mean(samples.map(Result::unwrap_or_default), channels, mono);
        }
    }
}

fn mean(mut samples: impl Iterator<Item = f32>, channels: usize, mono: &mut [f32]) {
    for frame in mono {
        let sum: f32 = samples.by_ref().take(channels).sum();
        *frame = sum / channels as f32;
    }
}

/// The name of a WAV file's compression, read from its `fmt ` chunk.
fn foreign_format(path: &Path) -> Option<String> {
    let mut head = Vec::new();
    File::open(path)
        .ok()?
        .take(4096)
        .read_to_end(&mut head)
        .ok()?;
    let chunk = head.windows(4).position(|bytes| bytes == b"fmt ")?;
    let tag: [u8; 2] = head.get(chunk + 8..chunk + 10)?.try_into().ok()?;
    let bits: [u8; 2] = head.get(chunk + 22..chunk + 24)?.try_into().ok()?;
    let name = match u16::from_le_bytes(tag) {
        1 => format!("PCM of {} bits", u16::from_le_bytes(bits)),
        2 => "Microsoft ADPCM".to_owned(),
        3 => format!("floating point of {} bits", u16::from_le_bytes(bits)),
        6 => "A-law".to_owned(),
        7 => "mu-law".to_owned(),
        0x11 => "IMA ADPCM".to_owned(),
        0x31 => "GSM 6.10".to_owned(),
        0x55 => "MP3".to_owned(),
        other => format!("compressed (WAVE format {other:#06x})"),
    };
    Some(name)
}

/// Samples in the 10 ms that a device delivers at a time.
pub(super) const BLOCK: usize = 480;

/// In blocks.
const SAVED_EVERY: usize = 50;
